"""The signals that the endpoint takes: each calls what it was given, in the reactor's own turn."""

import signal
from collections.abc import Callable, Collection, Mapping
from typing import Any

from twisted.application.service import Service

#: Those that Twisted's reactor takes as it starts to run, so they are taken after it.
_REACTORS_OWN = (signal.SIGTERM, signal.SIGINT)


class SignalService(Service):
    """Calls on signals.

    :param reactor: runs what a signal asks for, outside the signal's context.
    :param calls: what each signal asks for.
    :param shared: those that whoever caught them before hears of too: twistd rotates a log of its own on SIGUSR1.
    """

    name = "signals"

    def __init__(
        self,
        reactor: Any,
        calls: Mapping[signal.Signals, Callable[[], object]],
        shared: Collection[signal.Signals] = (signal.SIGUSR1,),
    ) -> None:
        self._reactor = reactor
        self._calls = calls
        self._shared = shared
        self._before: dict[signal.Signals, Any] = {}
        self._catches = False

    def privilegedStartService(self) -> None:
        """Catch the signals: most of them end a program that does not, and who sees it listen may send one."""
        super().privilegedStartService()
        self._catch_all()

    def startService(self) -> None:
        """Catch the signals, unless they are; those that came before are seen to once the reactor runs."""
        super().startService()
        if not self._catches:
            self._catch_all()

    def _catch_all(self) -> None:
        self._catches = True
        for number in self._calls:
            if number in _REACTORS_OWN:
                # Twisted's own would end the process by the same signal again: an exit code of -15 and not 0.
                self._reactor.callWhenRunning(self._catch, number)
            else:
                self._before[number] = signal.getsignal(number)
                self._catch(number)

    def stopService(self) -> None:
        """Put them back, but those that end the program: it is ending already."""
        super().stopService()
        self._catches = False
        for number, before in self._before.items():
            signal.signal(number, before or signal.SIG_DFL)
        self._before.clear()

    def _catch(self, number: signal.Signals) -> None:
        before = self._before.get(number) if number in self._shared else None

        def caught(*arguments: Any) -> None:
            if callable(before):
                before(*arguments)
            self._reactor.callFromThread(self._call, number)

        signal.signal(number, caught)

    def _call(self, number: signal.Signals) -> None:
        if self.running:
            self._calls[number]()
