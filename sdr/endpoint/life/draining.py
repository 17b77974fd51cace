"""The end of an endpoint in order: nothing new is taken, and what is being answered is answered."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

#: Seconds beyond the bound after which the program ends, whatever is still open: cut connections need a turn to close.
GRACE_SECONDS = 2.0


class Listening(Protocol):
    """What listens: a service."""

    def stopService(self) -> Deferred[Any] | None:
        """Stop listening; it may be asked for again."""


class Connections(Protocol):
    """The open connections."""

    def open(self) -> int:
        """Return how many there are."""

    def drain(self, seconds: float) -> Deferred[None]:
        """Close those that wait, and the others after their answers; cut what is open after so many seconds.

        :return: fires once no connection is open.
        """


class Draining:
    """Ends the endpoint on SIGTERM.

    :param listening: what takes new connections.
    :param seconds: how long answers under way may take.
    :param begun: told when draining begins, with how many connections there are.
    :param end: ends the program.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        listening: Sequence[Listening],
        connections: Connections,
        seconds: Callable[[], float],
        end: Callable[[], None],
        begun: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.draining = False
        self._clock = clock
        self._listening = listening
        self._connections = connections
        self._seconds = seconds
        self._end = end
        self._begun = begun

    def terminate(self) -> None:
        """Drain and end; asked for a second time, end at once."""
        if self.draining:
            self._log.warn("ending at once; connections cut: {count}", count=self._connections.open())
            self._end()
            return
        self.draining = True
        self._drain()

    def _drain(self) -> None:
        seconds, count, began = self._seconds(), self._connections.open(), self._clock.seconds()
        self._begun(count)
        if count:
            self._log.info(
                "draining for at most {seconds:g} seconds; open connections: {count}; a second signal ends at once",
                seconds=seconds,
                count=count,
            )
        # In this order: a connection that is accepted in between would be refused.
        waiting: list[Deferred[Any]] = [maybeDeferred(each.stopService) for each in self._listening]
        waiting.append(self._connections.drain(seconds))
        ended: Deferred[Any] = DeferredList([each.addErrback(self._failed) for each in waiting])
        ended.addTimeout(seconds + GRACE_SECONDS, self._clock, onTimeoutCancel=lambda *_: None)
        ended.addCallback(lambda _: self._drained(count, self._clock.seconds() - began))

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # it took too long
            self._log.failure("draining goes on although something could not be stopped", failure)

    def _drained(self, count: int, took: float) -> None:
        if count:
            self._log.info("drained after {took:.1f} seconds; ending", took=took)
        self._end()
