"""The service that tells a service manager how the endpoint is: ready, reloading, stopping, alive."""

import time
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sdr.endpoint.life.notify import Send, message


def _monotonic_usec() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class SupervisionService(Service):
    """Tells the service manager. It is started after what listens, and stops before it.

    :param send: takes one message; without it nobody is told.
    :param watchdog: seconds within which a sign of life is expected; one is given twice as often.
    :param status: says in a line how the endpoint is.
    :param monotonic_usec: the time that systemd compares a reload's beginning with.
    """

    name = "supervision"

    def __init__(
        self,
        clock: IReactorTime,
        send: Send | None,
        watchdog: float | None = None,
        status: Callable[[], str] = lambda: "",
        monotonic_usec: Callable[[], int] = _monotonic_usec,
    ) -> None:
        self._clock = clock
        self._send = send
        self._watchdog = watchdog
        self._status = status
        self._monotonic_usec = monotonic_usec
        self._timer: IDelayedCall | None = None
        self._stopping = False

    def startService(self) -> None:
        """Tell that the endpoint is ready, and begin with signs of life."""
        super().startService()
        self._stopping = False
        self._tell(READY=1, **self._said())
        self._alive()

    def stopService(self) -> None:
        """Tell that the endpoint stops, unless it was told."""
        super().stopService()
        self.stopping()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reloading(self) -> None:
        """Tell that a reload begins."""
        if not self._stopping:
            self._tell(RELOADING=1, MONOTONIC_USEC=self._monotonic_usec())

    def reloaded(self) -> None:
        """Tell that the reload is over, well or not."""
        if not self._stopping:
            self._tell(READY=1, **self._said())

    def stopping(self, status: str = "") -> None:
        """Tell that the end has begun; signs of life go on until it has come."""
        if not self._stopping:
            self._stopping = True
            self._tell(STOPPING=1, **({"STATUS": status} if status else {}))

    def _alive(self) -> None:
        if self._send is None or self._watchdog is None:
            return
        # By the reactor's timer: a reactor that is stuck gives none, and is restarted.
        self._timer = self._clock.callLater(self._watchdog / 2, self._alive)
        self._tell(WATCHDOG=1, **({} if self._stopping else self._said()))

    def _said(self) -> dict[str, str]:
        status = self._status()
        return {"STATUS": status} if status else {}

    def _tell(self, **fields: str | int) -> None:
        if self._send is not None:
            self._send(message(**fields))
