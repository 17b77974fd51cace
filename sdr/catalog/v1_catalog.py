"""What the endpoint knows of protocol v1, and how it comes to know: the tree's images, and those of an old store."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from sdr.catalog.complaints import Complaints
from sdr.catalog.findings import Findings, Held
from sdr.catalog.flights import Flights, Lane
from sdr.catalog.lookups import ABSENT, UNKNOWN, Missing
from sdr.catalog.sources import FetchFailed, InThread, ListingSource, too_slow
from sdr.catalog.v1_lookups import FoundImage, FoundTags, V1ImageLookup, V1Lookup
from sdr.catalog.v1_store import V1Store
from sdr.tree.documents import BadDocument

T = TypeVar("T")

#: The deadline of a look, in seconds: the tags of a repository may be in a thousand objects.
V1_SECONDS = 20.0
#: The memory for what was found, in bytes (roughly).
V1_MEMORY = 32 * 1024 * 1024


class V1Catalog:
    """What is known of protocol v1.

    :param tree: where sdr publishes.
    :param old: a store of 2014, if there is one.
    :param poll: seconds for which what may change is remembered.
    :param in_thread: runs a blocking call elsewhere: for reading large documents.
    :param looked: told how each look ended; see :class:`sdr.catalog.catalog.Catalog`.
    """

    def __init__(
        self,
        tree: ListingSource,
        old: ListingSource | None,
        clock: IReactorTime,
        poll: float,
        in_thread: InThread,
        looked: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._tree = V1Store(tree, in_thread, old=False)
        self._old = None if old is None else V1Store(old, in_thread, old=True)
        self._clock = clock
        self._looked = looked
        self._complaints = Complaints(clock)
        self._findings = Findings(poll, keep_bodies=False, limit=V1_MEMORY)
        # What was found once is not held up by those who invent names.
        self._expected, self._invented = Lane(), Lane()
        self._flights = Flights(self._findings.last)
        self._stopped = False

    def recall(self, lookup: V1Lookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        if self._store(lookup) is None:
            return ABSENT
        return self._findings.recall(lookup, None, self._clock.seconds())

    def look(self, lookup: V1Lookup[T]) -> Deferred[T | Missing]:
        """Look, once for all who ask at the same time; it never fails.

        The result is what was known before, or ``UNKNOWN``, where the store did not say.
        """
        joined = self._flights.join(lookup)
        if joined is not None:
            return joined
        store = self._store(lookup)
        lane = self._invented if self._findings.held(lookup) is None else self._expected
        if store is None or self._stopped or not lane.admits(self._clock.seconds()):
            last = self._findings.last(lookup)
            self._looked("refused")
            return succeed(ABSENT if store is None else last)
        look = self._look(store, lookup)
        return self._flights.start(lookup, look, lane)

    def start(self) -> None:
        """Make looks, after a stop too."""
        self._stopped = False

    def stop(self) -> Deferred[None]:
        """Give up the looks under way, make no more, and let go of the old store; the tree is others' too."""
        self._stopped = True
        self._flights.cancel()
        return succeed(None) if self._old is None else self._old.source.stop()

    def _store(self, lookup: V1Lookup[T]) -> V1Store | None:
        return self._old if lookup.old else self._tree

    async def _look(self, store: V1Store, lookup: V1Lookup[T]) -> T | Missing:
        try:
            seeking: Deferred[Any] = Deferred.fromCoroutine(store.seek(lookup))
            found = await seeking.addTimeout(V1_SECONDS, self._clock, too_slow)
        except FetchFailed as error:
            self._complaints.failing(lookup.key, error)
            return self._miss(lookup, UNKNOWN)
        except BadDocument as error:
            self._complaints.malformed(lookup.key, str(error))
            # Half an image, or another one, is as good as none.
            return self._miss(lookup, ABSENT if isinstance(lookup, V1ImageLookup) else UNKNOWN)
        if found is None:
            return self._miss(lookup, ABSENT)
        self._findings.keep(lookup, Held(found, "", weight(found)), self._clock.seconds())
        self._looked("found")
        return cast(T, found)

    def _miss(self, lookup: V1Lookup[T], missing: Missing) -> T | Missing:
        self._looked("absent" if missing is ABSENT else "failed")
        return self._findings.miss(lookup, missing, self._clock.seconds())


def weight(found: object) -> int:
    """Estimate what something found weighs in memory, in bytes."""
    match found:
        case FoundImage(json):
            return 500 + len(json)
        case bytes():
            return 500 + len(found)
        case FoundTags(ids, body):
            return 500 + 250 * len(ids) + len(body)
    return 500
