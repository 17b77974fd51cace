"""Looks under way: one for all who ask for the same at the same time, and no more of them than a store should bear."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.catalog.budget import Budget
from sdr.catalog.lookups import Lookup, Missing

T = TypeVar("T")

#: Looks under way at once, in each lane.
LOOKS_AT_ONCE = 32
#: Looks a second that questions may cause, in the long run and at once, in each lane.
LOOK_RATE, LOOK_BURST = 100.0, 200.0


@dataclass(slots=True)
class Lane:
    """Looks that share a budget."""

    budget: Budget = field(default_factory=lambda: Budget(LOOK_RATE, LOOK_BURST))
    under_way: int = 0

    def admits(self, now: float) -> bool:
        """Tell whether there is room for one more look, and take it from the budget."""
        return self.under_way < LOOKS_AT_ONCE and self.budget.spend(now)


class Flights:
    """The looks under way.

    :param otherwise: returns what to go by where a look ended in no result.
    """

    _log = Logger()

    def __init__(self, otherwise: Callable[[Any], Any]) -> None:
        self._otherwise = otherwise
        self._waiting: dict[Lookup[Any], list[Deferred[Any]]] = {}
        self._looking: set[Deferred[Any]] = set()

    def __len__(self) -> int:
        return len(self._looking)

    def join(self, lookup: Lookup[T]) -> Deferred[T | Missing] | None:
        """Wait for a look that is under way already; ``None`` if there is none."""
        waiting = self._waiting.get(lookup)
        if waiting is None:
            return None
        answer: Deferred[T | Missing] = Deferred()
        waiting.append(answer)
        return answer

    def start(
        self, lookup: Lookup[T], look: Coroutine[Deferred[Any], Any, T | Missing], lane: Lane
    ) -> Deferred[T | Missing]:
        """Start a look, and wait for it; the result never fails."""
        answer: Deferred[T | Missing] = Deferred()
        self._waiting[lookup] = [answer]
        looking = Deferred.fromCoroutine(look)
        self._looking.add(looking)
        lane.under_way += 1
        looking.addBoth(self._landed, lookup, looking, lane)
        return answer

    def cancel(self) -> None:
        """Give up all of them; who waits is told what there is to go by."""
        for looking in tuple(self._looking):
            looking.cancel()

    def _landed(self, result: Any, lookup: Lookup[Any], looking: Deferred[Any], lane: Lane) -> None:
        self._looking.discard(looking)
        lane.under_way -= 1
        if isinstance(result, Failure):
            if not result.check(CancelledError):
                self._log.failure("look at {key}", result, key=lookup.key)
            result = self._otherwise(lookup)
        for waiting in self._waiting.pop(lookup):
            waiting.callback(result)
