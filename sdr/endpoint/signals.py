"""What the endpoint makes of signals: SIGHUP polls now, SIGTERM ends the program well."""

import signal
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning

from sdr.catalog.service import PollingService


class SignalService(Service):
    """Catches SIGHUP, whose default would end the program, and SIGTERM.

    :param reactor: runs what a signal asks for, outside the signal's context.
    :param polling: polls at once on SIGHUP, and believes the store.
    """

    name = "signals"

    def __init__(self, reactor: Any, polling: PollingService) -> None:
        self._reactor = reactor
        self._polling = polling
        self._before: Any = None

    def startService(self) -> None:
        """Catch the signals."""
        super().startService()
        self._before = signal.signal(signal.SIGHUP, lambda *_: self._later(self._polling.poll_now))
        # After Twisted's own, which would end the process by the same signal again: an exit code of -15 and not 0.
        self._reactor.callWhenRunning(signal.signal, signal.SIGTERM, lambda *_: self._later(self._end))

    def stopService(self) -> None:
        """Put SIGHUP back; SIGTERM still means the end."""
        super().stopService()
        signal.signal(signal.SIGHUP, self._before)

    def _later(self, call: Any) -> None:
        self._reactor.callFromThread(call)

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # a second signal: it is ending already
            self._reactor.stop()
