"""Tests of the signals that the endpoint takes."""

import os
import signal
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.life.signals import SignalService

CAUGHT = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class Turns:
    """A reactor that runs when the test says so."""

    def __init__(self) -> None:
        self.when_running: list[Any] = []
        self.next: list[Any] = []

    def callWhenRunning(self, call: Any, *arguments: Any) -> None:
        """Call once it runs."""
        self.when_running.append((call, arguments))

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        """Call in the next turn."""
        self.next.append((call, arguments))

    def run(self) -> None:
        """Do what waits."""
        waiting, self.when_running, self.next = self.when_running + self.next, [], []
        for call, arguments in waiting:
            call(*arguments)


class SignalTests(SynchronousTestCase):
    """Real signals, sent to the test itself."""

    def setUp(self) -> None:
        """Catch signals, and give them back after the test."""
        for number in CAUGHT:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Turns()
        self.asked: list[str] = []
        self.before: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: self.before.append(number))
        calls = {number: partial(self.asked.append, number.name) for number in CAUGHT}
        self.service = SignalService(self.reactor, calls)
        self.service.startService()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        os.kill(os.getpid(), number)

    def test_each(self) -> None:
        """Each signal asks for its own, in the reactor's next turn."""
        self.reactor.run()
        for number in CAUGHT:
            self.send(number)
        self.assertEqual(self.asked, [])
        self.reactor.run()
        self.assertEqual(sorted(self.asked), sorted(number.name for number in CAUGHT))

    def test_after_the_reactor(self) -> None:
        """Those that end the program are taken after the reactor has taken them."""
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: self.fail("the reactor's own"))
        self.assertEqual(self.asked, [])
        self.reactor.run()
        self.send(signal.SIGTERM)
        self.reactor.run()
        self.assertEqual(self.asked, ["SIGTERM"])
        signal.signal(signal.SIGTERM, before)

    def test_shared(self) -> None:
        """Whoever caught SIGUSR1 before hears of it too: twistd, for a log of its own."""
        self.send(signal.SIGUSR1)
        self.reactor.run()
        self.assertEqual((self.before, self.asked), ([signal.SIGUSR1], ["SIGUSR1"]))

    def test_end(self) -> None:
        """At the end signals are put back, and those that end the program change nothing any more."""
        self.reactor.run()
        self.service.stopService()
        self.send(signal.SIGTERM)
        self.send(signal.SIGUSR1)
        self.reactor.run()
        self.assertEqual((self.before, self.asked), ([signal.SIGUSR1], []))
