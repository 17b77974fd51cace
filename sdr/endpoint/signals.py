"""SIGHUP: poll now, and believe what the store says."""

import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads


class HangUpService(Service):
    """Calls back on SIGHUP, whose default would end the program.

    :param reactor: runs the call outside the signal's context.
    """

    name = "signals"

    def __init__(self, reactor: IReactorFromThreads, call: Callable[[], object]) -> None:
        self._reactor = reactor
        self._call = call
        self._before: Any = None

    def startService(self) -> None:
        """Catch the signal."""
        super().startService()
        self._before = signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._call))

    def stopService(self) -> None:
        """Put back what was there."""
        super().stopService()
        signal.signal(signal.SIGHUP, self._before)
