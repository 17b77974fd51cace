"""Turns in the reactor's thread: much work that comes at once is done bit by bit, and others come in between."""

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sdr.catalog.names import Pieces, T

#: After so long in a row, in seconds, others come first: of a poll that reads many lists, one list is about as much.
SLICE = 0.0005
#: After so long without any, in seconds, others have surely had their turn.
PAUSE = 0.05


class Turns:
    """Shared by all who would otherwise do their pieces of work one right after the other."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Deferred[None]] = deque()
        self._is_due = False
        self._began = self._last = clock.seconds()

    async def turn(self) -> None:
        """Wait, if others must come first; then the next piece may be done."""
        now = self._clock.seconds()
        if now - self._last > PAUSE:
            self._began = now
        self._last = now
        if self._waiting or now - self._began >= SLICE:
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            self._wait()
            await waiting

    async def run(self, pieces: Pieces[T]) -> T:
        """Do a piece of work after the other, and return the result."""
        while True:
            await self.turn()
            try:
                next(pieces)
            except StopIteration as end:
                result: T = end.value
                return result

    def _wait(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._clock.callLater(0, self._next)

    def _next(self) -> None:
        self._is_due = False
        self._began = self._last = self._clock.seconds()
        while self._waiting and self._last - self._began < SLICE:
            self._waiting.popleft().callback(None)
            self._last = self._clock.seconds()
        if self._waiting:
            self._wait()
