"""The catalog: the snapshot of the lists, and the documents fetched on demand in a bounded memory beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.catalog.budget import Budget
from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    FoundManifest,
    Lookup,
    ManifestLookup,
    Missing,
    RepositoryLookup,
    TagsLookup,
)
from sdr.catalog.memory import Memory
from sdr.catalog.snapshot import Snapshot
from sdr.catalog.sources import LARGE, FetchFailed, InThread, Source
from sdr.registry.grammar import Digest
from sdr.tree.documents import BadDocument, Repository, revision

T = TypeVar("T")

#: The deadline of a look, in seconds: a client waits for it.
LOOK_SECONDS = 2.0
#: How long "it is not there" and "it could not be seen" are remembered, in seconds.
MISSING_SECONDS = 5.0
#: Looks under way at once.
LOOKS_AT_ONCE = 32
#: Looks a second that questions may cause, in the long run and at once.
LOOK_RATE, LOOK_BURST = 100.0, 200.0
#: A repository in use is revalidated when its document is older than this many polls: a hint may have been lost.
TRUSTED_POLLS = 5
#: The memory for what was found, in bytes (roughly), and for what was not, in entries.
MEMORY_LIMIT, MISSING_LIMIT = 128 * 1024 * 1024, 20_000
_BARE_WEIGHT = 500


class State(Enum):
    """How far the lists can be trusted."""

    #: No poll has ended yet; a saved copy may be in use.
    STARTING = "starting"
    #: The last poll went well.
    LOADED = "loaded"
    #: The last poll failed; what was known before stands.
    FAILING = "failing"
    #: The store has no catalog: everything is redirected.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class _Held:
    """Something found.

    :param until: when it must be looked at again, on the catalog's clock; a repository's document is judged by
        :func:`is_current` instead.
    :param at: when it was fetched or found unchanged.
    :param revision: of a repository's document; else empty.
    :param listed: the revision that the lists gave the repository at that time.
    :param weight: in memory, in bytes, roughly.
    """

    finding: object
    etag: str
    until: float
    at: float
    revision: str
    listed: str | None
    weight: int


def is_current(revision: str, listed_then: str | None, listed_now: str | None, age: float, poll: float) -> bool:
    """Tell whether a repository's document may be used without a look.

    :param revision: of the document itself.
    :param listed_then: the revision in the lists when it was fetched; lists may lag behind the document.
    :param listed_now: the revision in the lists now.
    :param age: seconds since it was fetched.
    :param poll: seconds between polls.
    """
    if listed_now == revision:
        return age < TRUSTED_POLLS * poll
    return listed_now == listed_then and age < poll


def _weight(lookup: Lookup[Any], size: int) -> int:
    """Estimate what something found weighs in memory: read JSON is several times as large as its text."""
    return _BARE_WEIGHT + (size if isinstance(lookup, ManifestLookup) else 6 * size)


class Catalog:
    """What the endpoint knows of the tree.

    :param source: where documents are fetched.
    :param clock: for ages and deadlines.
    :param poll: seconds between polls.
    :param keep_bodies: keep the bytes of manifests, for ``--manifests inline``.
    :param in_thread: runs a blocking call elsewhere: for reading large documents.
    :param on_repository: told of each repository's document that is new, to keep it.
    """

    _log = Logger()

    def __init__(
        self,
        source: Source,
        clock: IReactorTime,
        poll: float,
        in_thread: InThread,
        *,
        keep_bodies: bool = False,
        on_repository: Callable[[Repository], None] | None = None,
    ) -> None:
        self.source = source
        self.snapshot = Snapshot()
        self.state = State.STARTING
        self._clock = clock
        self._poll = poll
        self._keep_bodies = keep_bodies
        self._in_thread = in_thread
        self._on_repository = on_repository
        self._held: Memory[Lookup[Any], _Held] = Memory(MEMORY_LIMIT)
        self._missing: Memory[Lookup[Any], tuple[Missing, float]] = Memory(MISSING_LIMIT)
        self._absent: Memory[str, float] = Memory(MISSING_LIMIT)
        self._malformed: Memory[str, str] = Memory(1000)
        self._budget = Budget(LOOK_RATE, LOOK_BURST)
        self._flights: dict[Lookup[Any], list[Deferred[Any]]] = {}
        self._looking: set[Deferred[Any]] = set()

    # What is known, without a look.

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        if self.state is State.NONE:
            return UNKNOWN
        now = self._clock.seconds()
        held = self._held.get(lookup)
        if held is not None and self._is_current(lookup, held, now):
            return cast(T, held.finding)
        missing = self._missing.get(lookup)
        if missing is not None and now < missing[1]:
            return missing[0] if held is None else cast(T, held.finding)
        if self.state is State.FAILING:
            return UNKNOWN if held is None else cast(T, held.finding)
        return None

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent: moments ago its objects themselves were not there."""
        until = self._absent.get(name)
        return until is not None and self._clock.seconds() < until and self.snapshot.revision_of(name) is None

    def names(self) -> Sequence[str]:
        """Return the names of the listed repositories, sorted."""
        return self.snapshot.names

    # Looks at the store.

    def look(self, lookup: Lookup[T]) -> Deferred[T | Missing]:
        """Look at the store, once for all who ask at the same time.

        The result is what the store said, what was known before if it said nothing, or ``UNKNOWN``: at once when
        the polls fail, when too many looks are under way, and when the budget is spent. It never fails.
        """
        answer: Deferred[T | Missing] = Deferred()
        waiting = self._flights.get(lookup)
        if waiting is not None:
            waiting.append(answer)
            return answer
        if (
            self.state in (State.FAILING, State.NONE)
            or len(self._flights) >= LOOKS_AT_ONCE
            or not self._budget.spend(self._clock.seconds())
        ):
            known = self._fallback(lookup)
            return succeed(known)
        self._flights[lookup] = [answer]
        look = self._look(lookup)
        looking = Deferred.fromCoroutine(look)
        self._looking.add(looking)
        looking.addBoth(self._landed, lookup, looking)
        return answer

    def stop(self) -> None:
        """Give up the looks under way and make no more; who waits is told what was known before."""
        if self.state is not State.NONE:
            self.state = State.FAILING
        for looking in tuple(self._looking):
            looking.cancel()

    # What the polls learn.

    def adopt(self, snapshot: Snapshot) -> None:
        """Take over new lists; documents are judged by them from now on."""
        self.snapshot = snapshot
        self.state = State.LOADED

    def forget(self) -> None:
        """Take it that the store has no catalog, and drop what was known."""
        self.snapshot = Snapshot()
        self.state = State.NONE
        self._held.clear()

    def restore(self, snapshot: Snapshot, repositories: Sequence[tuple[Repository, str]]) -> None:
        """Start from a saved copy: repositories, each with the revision of its document."""
        self.snapshot = snapshot
        on_repository, self._on_repository = self._on_repository, None
        for repository, found in repositories:
            lookup, listed = RepositoryLookup(repository.name), snapshot.revision_of(repository.name)
            self._keep(lookup, repository, _weight(lookup, 130 * len(repository.tags)), "", found, listed)
        self._on_repository = on_repository

    # How a look is made.

    async def _look(self, lookup: Lookup[T]) -> T | Missing:
        held = self._held.get(lookup)
        listed = self._listed(lookup)
        try:
            got = await self.source.fetch(
                lookup.key, limit=lookup.limit, seconds=LOOK_SECONDS, etag="" if held is None else held.etag
            )
            if got.status == 304 and held is not None:
                finding = cast(T, held.finding)
                self._keep(lookup, finding, held.weight, got.etag, held.revision, listed)
            elif got.status == 200:
                finding = await self._read(lookup, got.body)
                self._keep(lookup, finding, _weight(lookup, len(got.body)), got.etag, revision(got.body), listed)
            elif got.status == 404 or self.state is State.LOADED:
                # 403 is what S3 says of a missing object to those who may not list.
                return self._miss(lookup, ABSENT)
            else:
                return self._miss(lookup, UNKNOWN)
        except FetchFailed as error:
            self._log.debug("look at {key} failed: {error}", key=lookup.key, error=error)
            return self._miss(lookup, UNKNOWN)
        except BadDocument as error:
            self._say_malformed(lookup.key, str(error))
            return self._miss(lookup, UNKNOWN)
        return finding

    async def _read(self, lookup: Lookup[T], body: bytes) -> T:
        if len(body) < LARGE:
            return lookup.read(body)
        return await self._in_thread(lambda: lookup.read(body))

    def _landed(self, result: Any, lookup: Lookup[Any], looking: Deferred[Any]) -> None:
        self._looking.discard(looking)
        if isinstance(result, Failure):
            if not result.check(CancelledError):
                self._log.failure("look at {key}", result, key=lookup.key)
            result = self._fallback(lookup)
        for waiting in self._flights.pop(lookup):
            waiting.callback(result)

    def _fallback(self, lookup: Lookup[T]) -> T | Missing:
        held = self._held.get(lookup)
        return UNKNOWN if held is None else cast(T, held.finding)

    def _keep(self, lookup: Lookup[Any], finding: Any, weight: int, etag: str, found: str, listed: str | None) -> None:
        """Remember something found, for as long as its kind allows."""
        now = self._clock.seconds()
        until = now + self._poll
        match lookup, finding:
            case RepositoryLookup(), Repository():
                self._absent.forget(lookup.name)
                if self._on_repository is not None and found != self._revision_held(lookup):
                    self._on_repository(finding)
            case ManifestLookup(), FoundManifest():
                if isinstance(lookup.reference, Digest):
                    until = inf
                else:
                    self._held_is_old(RepositoryLookup(lookup.name))
                self._absent.forget(lookup.name)
                if not self._keep_bodies:
                    finding, weight = replace(finding, body=b""), _BARE_WEIGHT
            case TagsLookup(), _:
                self._absent.forget(lookup.name)
        self._missing.forget(lookup)
        self._held.put(lookup, _Held(finding, etag, until, now, found, listed, weight), weight)

    def _revision_held(self, lookup: RepositoryLookup) -> str | None:
        held = self._held.get(lookup)
        return None if held is None else held.revision

    def _held_is_old(self, lookup: RepositoryLookup) -> None:
        """Have a repository's document fetched again: it lacks a tag that is there."""
        held = self._held.get(lookup)
        if held is not None:
            self._held.put(lookup, replace(held, at=-inf), held.weight)

    def _miss(self, lookup: Lookup[T], missing: Missing) -> T | Missing:
        """Remember for a moment that there was nothing to see; what is absent is no longer held."""
        until = self._clock.seconds() + MISSING_SECONDS
        self._missing.put(lookup, (missing, until))
        if missing is UNKNOWN:
            return self._fallback(lookup)
        self._held.forget(lookup)
        if isinstance(lookup, ManifestLookup | TagsLookup):
            document = self._missing.get(RepositoryLookup(lookup.name))
            if document is not None and document[0] is ABSENT:
                self._absent.put(lookup.name, until)
        return missing

    def _is_current(self, lookup: Lookup[Any], held: _Held, now: float) -> bool:
        if isinstance(lookup, RepositoryLookup):
            return is_current(held.revision, held.listed, self._listed(lookup), now - held.at, self._poll)
        return now < held.until

    def _listed(self, lookup: Lookup[Any]) -> str | None:
        return self.snapshot.revision_of(lookup.name) if isinstance(lookup, RepositoryLookup) else None

    def _say_malformed(self, key: str, reason: str) -> None:
        """Log what is wrong with an object, once until it is wrong in another way."""
        if self._malformed.get(key) != reason:
            self._malformed.put(key, reason)
            self._log.warn("the store's {key} is not usable: {reason}", key=key, reason=reason)
