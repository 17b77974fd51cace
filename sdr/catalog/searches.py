"""Searches among the names of the repositories, away from the reactor: there may be a million."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from sdr.catalog.findings import Findings, Held
from sdr.catalog.flights import Flights, Lane
from sdr.catalog.lookups import Missing
from sdr.catalog.names import Names
from sdr.catalog.sources import InThread
from sdr.catalog.v1_lookups import FoundNames, SearchLookup

#: The most names that a search finds; docker asks for 100 at most.
NAMES_AT_MOST = 100
_MEMORY = 4 * 1024 * 1024


class Searches:
    """What was searched for lately.

    :param names: returns the names of the listed repositories, sorted.
    :param poll: seconds for which a result is remembered.
    """

    def __init__(self, names: Callable[[], Names], clock: IReactorTime, poll: float, in_thread: InThread) -> None:
        self._names = names
        self._clock = clock
        self._in_thread = in_thread
        self._findings = Findings(poll, keep_bodies=False, limit=_MEMORY)
        self._lane = Lane()
        self._flights = Flights(self._findings.last)

    def recall(self, lookup: SearchLookup) -> FoundNames | Missing | None:
        """Return the result of a search of late."""
        return self._findings.recall(lookup, None, self._clock.seconds())

    def look(self, lookup: SearchLookup) -> Deferred[FoundNames | Missing]:
        """Search, once for all who ask for the same; it never fails."""
        joined = self._flights.join(lookup)
        if joined is not None:
            return joined
        if not self._lane.admits(self._clock.seconds()):
            known = self._findings.last(lookup)
            return succeed(known)
        return self._flights.start(lookup, self._search(lookup), self._lane)

    async def _search(self, lookup: SearchLookup) -> FoundNames | Missing:
        names = self._names()
        found = await self._in_thread(lambda: search(names, lookup.term))
        weight = 500 + 150 * len(found.names)
        self._findings.keep(lookup, Held(found, "", weight), self._clock.seconds())
        return found


def search(names: Names, term: str) -> FoundNames:
    """Find the names that contain a term."""
    return FoundNames(*names.containing(term, NAMES_AT_MOST))
