"""Tests of the end in order."""

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.life.draining import GRACE_SECONDS, Draining


class Ports:
    """What listens, and stops when the test says so."""

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()
        self.asked = 0

    def stopService(self) -> Deferred[None]:
        """Stop listening."""
        self.asked += 1
        return self.stopped


class Failing:
    """What cannot be stopped."""

    def stopService(self) -> Deferred[None]:
        """Fail."""
        return fail(OSError("no"))


class Channel:
    """A connection with a request under way, or without one."""

    def __init__(self, connections: Connections, *, idle: bool) -> None:
        self.transport: Any = StringTransport()
        self._connections = connections
        self._idle = idle
        connections.opened(self.transport)
        connections.serves(self)

    def drain(self) -> None:
        """End now if nothing is under way."""
        if self._idle:
            self.end()

    def end(self) -> None:
        """Be over."""
        self._connections.served(self)
        self._connections.closed(self.transport, None)


class DrainingTests(SynchronousTestCase):
    """SIGTERM, with the real connections and time in the test's hands."""

    def setUp(self) -> None:
        """Listen and have connections."""
        self.clock = Clock()
        self.connections = Connections(Limits(), self.clock)
        self.ports = Ports()
        self.told: list[int] = []
        self.ended = 0

    def draining(self, *more: Any) -> Draining:
        """Return what drains within 30 seconds."""

        def end() -> None:
            self.ended += 1

        return Draining(self.clock, [*more, self.ports], self.connections, lambda: 30.0, end, self.told.append)

    def test_nothing_open(self) -> None:
        """Without connections it ends as soon as nothing listens, and says nothing."""
        draining = self.draining()
        with capturedLogs() as captured:
            draining.terminate()
            self.assertTrue(draining.draining)
            self.assertEqual((self.ports.asked, self.ended), (1, 0))
            self.ports.stopped.callback(None)
        self.assertEqual((self.ended, self.told, captured), (1, [0], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answers_finish(self) -> None:
        """Who waits is closed at once, and who is being answered gets the answer; then it ends."""
        idle, busy = Channel(self.connections, idle=True), Channel(self.connections, idle=False)
        self.draining().terminate()
        self.ports.stopped.callback(None)
        self.assertEqual((self.connections.open(), self.told), (1, [2]))
        self.clock.advance(20)
        self.assertEqual(self.ended, 0)
        busy.end()
        self.assertEqual(self.ended, 1)
        self.assertFalse(busy.transport.disconnecting or idle.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """Who is not done in time is cut."""
        busy = Channel(self.connections, idle=False)
        busy.transport.abortConnection = busy.end
        self.draining().terminate()
        self.ports.stopped.callback(None)
        self.clock.advance(30)
        self.assertEqual((self.ended, self.connections.open()), (1, 0))

    def test_bound_of_the_bound(self) -> None:
        """What cannot even be cut, and a port that does not close, hold up nothing."""
        Channel(self.connections, idle=False)
        self.draining().terminate()
        self.clock.advance(30)
        self.assertEqual(self.ended, 0)
        self.clock.advance(GRACE_SECONDS)
        self.assertEqual(self.ended, 1)

    def test_again(self) -> None:
        """A second signal ends it at once, and says how many connections that costs."""
        Channel(self.connections, idle=False)
        draining = self.draining()
        draining.terminate()
        with capturedLogs() as captured:
            draining.terminate()
        self.assertEqual((self.ended, self.ports.asked), (1, 1))
        self.assertEqual([event["count"] for event in captured], [1])

    def test_failure(self) -> None:
        """What cannot be stopped is logged, and the rest drains."""
        self.draining(Failing()).terminate()
        self.ports.stopped.callback(None)
        self.assertEqual(self.ended, 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
