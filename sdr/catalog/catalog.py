"""The catalog: the snapshot of the lists, what looks have found beside it, and how a look is made."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from sdr.catalog.complaints import Complaints
from sdr.catalog.findings import Findings, Held, weight
from sdr.catalog.flights import Flights, Lane
from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    FoundManifest,
    ManifestLookup,
    Missing,
    ObjectLookup,
    RepositoryLookup,
)
from sdr.catalog.names import Names
from sdr.catalog.snapshot import Snapshot
from sdr.catalog.sources import LARGE, FetchFailed, InThread, Source
from sdr.catalog.turns import Turns
from sdr.registry.grammar import Digest
from sdr.tree.documents import BadDocument, Repository, revision

T = TypeVar("T")

#: The deadline of a look, in seconds: a client waits for it.
LOOK_SECONDS = 2.0


class State(Enum):
    """How far the lists can be trusted."""

    #: No poll has ended yet; a saved copy may be in use.
    STARTING = "starting"
    #: The last poll read ``_repositories.json``; single lists may lag.
    LOADED = "loaded"
    #: The last poll did not; what was known before stands.
    FAILING = "failing"
    #: The store has no catalog: everything is redirected, but manifests that are to be had nowhere else.
    NONE = "none"


class Catalog:
    """What the endpoint knows of the tree.

    :param source: where documents are fetched.
    :param clock: for ages and deadlines.
    :param poll: seconds between polls.
    :param browse: have the names of the repositories sorted before they are asked for.
    :param keep_bodies: keep the bytes of manifests, for ``--manifests inline``.
    :param in_thread: runs a blocking call elsewhere: for reading large documents.
    :param on_repository: told of each repository's document that is new, to keep it.
    :param on_manifest: told of each manifest that is new, with its repository's name, where bodies are kept.
    :param looked: told how each look ended: ``found``, ``unchanged``, ``absent`` or ``failed``, or that it was
        ``refused``, for the polls fail, too many are under way, or the budget is spent.
    """

    def __init__(
        self,
        source: Source,
        clock: IReactorTime,
        poll: float,
        in_thread: InThread,
        *,
        browse: bool = False,
        keep_bodies: bool = False,
        on_repository: Callable[[Repository], None] | None = None,
        on_manifest: Callable[[str, FoundManifest], None] | None = None,
        looked: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.source = source
        self.snapshot = Snapshot()
        self.state = State.STARTING
        #: For all that is done with many lists.
        self.turns = Turns(clock)
        self._clock = clock
        #: May be switched; the next poll has the names sorted.
        self.browse = browse
        self._sorting = False
        self._in_thread = in_thread
        self._on_repository = on_repository
        self._on_manifest = on_manifest if keep_bodies else None
        self._keep_bodies = keep_bodies
        self._looked = looked
        self._findings = Findings(poll, keep_bodies=keep_bodies)
        self._complaints = Complaints(clock)
        self._stopped = False
        self._held: list[Deferred[None]] | None = None
        # Invented names have a lane of their own, and cannot hold up what is known to be there.
        self._expected, self._invented = Lane(), Lane()
        self._flights = Flights(self._findings.last)

    # What is known, without a look.

    def recall(self, lookup: ObjectLookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        if self.state is State.NONE and not self._looks_without_lists(lookup):
            return UNKNOWN
        known = self._findings.recall(lookup, self._listed(lookup), self._clock.seconds())
        if known is None and self.state is State.FAILING:
            return self._findings.last(lookup)
        return known

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent: moments ago its objects themselves were not there."""
        return self._findings.is_absent(name, self._clock.seconds()) and self.snapshot.revision_of(name) is None

    def names(self) -> Names:
        """Return the names of the listed repositories, sorted."""
        # Those of a saved copy are being sorted bit by bit: nobody is to wait until all of that is done at once.
        return Names() if self._sorting and not self.snapshot.is_sorted else self.snapshot.names

    # For how long it is known.

    def recalled_until(self, lookup: ObjectLookup[Any]) -> float:
        """Return when :meth:`recall` will say something else, in seconds of the clock, if nothing changes before.

        What changes is the snapshot, the state, or what is told to whom :meth:`tell` names.
        """
        return self._findings.recalled_until(lookup, self._listed(lookup), self._clock.seconds())

    def absent_until(self, name: str) -> float:
        """Return the same for :meth:`is_absent`."""
        return self._findings.absent_until(name, self._clock.seconds())

    def tell(self, learnt: Callable[[str], object]) -> None:
        """Have somebody told the name of each repository of which something is learnt from now on."""
        self._findings.learnt = lambda lookup: learnt(cast(str, getattr(lookup, "name", "")))

    # Looks at the store.

    def look(self, lookup: ObjectLookup[T]) -> Deferred[T | Missing]:
        """Look at the store, once for all who ask at the same time.

        The result is what the store said, what was known before if it said nothing, or ``UNKNOWN``: at once when
        the polls fail, when too many looks are under way, and when the budget is spent. It never fails.
        """
        if self._held is not None:
            waiting: Deferred[None] = Deferred(self._held.remove)
            self._held.append(waiting)
            return waiting.addCallback(lambda _: self._after_all(lookup))
        joined = self._flights.join(lookup)
        if joined is not None:
            return joined
        lane = self._expected if self._is_expected(lookup) else self._invented
        if (
            self._stopped
            or self.state is State.FAILING
            or (self.state is State.NONE and not self._looks_without_lists(lookup))
            or not lane.admits(self._clock.seconds())
        ):
            known = self._findings.last(lookup)
            self._looked("refused")
            return succeed(known)
        look = self._look(lookup)
        return self._flights.start(lookup, look, lane)

    def hold(self) -> None:
        """Have looks wait until :meth:`release`: a saved copy is being read, which may well know."""
        self._held = []

    def release(self) -> None:
        """Let the looks that wait go on, where they are due still."""
        held, self._held = self._held or (), None
        for waiting in held:
            waiting.callback(None)

    def stop(self) -> None:
        """Give up the looks under way and make no more; who waits is told what was known before."""
        self._stopped = True
        if self.state is not State.NONE:
            self.state = State.FAILING
        self.release()
        self._flights.cancel()

    # What the polls learn.

    async def prepare(self, snapshot: Snapshot) -> None:
        """Have all ready that will be asked of new lists, before they are adopted."""
        if self.browse:
            self._sorting = True
            try:
                await self.turns.run(snapshot.sort_names(self.snapshot))
            finally:
                self._sorting = False

    def adopt(self, snapshot: Snapshot) -> None:
        """Take over new lists; documents are judged by them from now on."""
        self.snapshot = snapshot
        self.state = State.LOADED
        self._stopped = False

    def forget(self) -> None:
        """Take it that the store has no catalog, and drop what was known."""
        self.snapshot = Snapshot()
        self.state = State.NONE
        self._stopped = False
        self._findings.clear()

    def restore(self, snapshot: Snapshot, repositories: Sequence[tuple[Repository, str]]) -> None:
        """Start from a saved copy: repositories, each with the revision of its document."""
        self.snapshot = snapshot
        for repository, found in repositories:
            lookup = RepositoryLookup(repository.name)
            listed = snapshot.revision_of(repository.name)
            held = Held(repository, "", weight(lookup, 130 * len(repository.tags)), found, listed)
            self._findings.keep(lookup, held, self._clock.seconds())

    def restore_manifests(self, manifests: Iterable[tuple[ManifestLookup, FoundManifest]]) -> None:
        """Start with manifests that were kept."""
        for lookup, found in manifests:
            held = Held(found, "", weight(lookup, len(found.body)))
            self._findings.keep(lookup, held, self._clock.seconds())

    # How a look is made.

    async def _look(self, lookup: ObjectLookup[T]) -> T | Missing:
        held = self._findings.held(lookup)
        listed = self._listed(lookup)
        etag = "" if held is None else held.etag
        try:
            got = await self.source.fetch(lookup.key, limit=lookup.limit, seconds=LOOK_SECONDS, etag=etag)
            if got.status == 304 and held is not None:
                finding = cast(T, held.finding)
                self._keep(lookup, replace(held, etag=got.etag, listed=listed))
                self._looked("unchanged")
            elif got.status == 200:
                finding = await self._read(lookup, got.body)
                size = weight(lookup, len(got.body))
                self._keep(lookup, Held(finding, got.etag, size, revision(got.body), listed))
                self._looked("found")
            elif got.status == 404 or self.state is State.LOADED:
                # 403 is what S3 says of a missing object to those who may not list.
                return self._miss(lookup, ABSENT)
            else:
                return self._miss(lookup, UNKNOWN)
        except FetchFailed as error:
            self._complaints.failing(lookup.key, error)
            return self._miss(lookup, UNKNOWN)
        except BadDocument as error:
            self._complaints.malformed(lookup.key, str(error))
            return self._miss(lookup, UNKNOWN)
        return finding

    async def _read(self, lookup: ObjectLookup[T], body: bytes) -> T:
        if len(body) < LARGE:
            return lookup.read(body)
        return await self._in_thread(lambda: _prepared(lookup.read(body)))

    def _keep(self, lookup: ObjectLookup[Any], held: Held) -> None:
        before = self._findings.held(lookup)
        is_new = before is None or before.revision != held.revision
        if self._on_repository is not None and is_new and isinstance(held.finding, Repository):
            self._on_repository(held.finding)
        if self._on_manifest is not None and is_new and isinstance(lookup, ManifestLookup):
            self._on_manifest(lookup.name, cast(FoundManifest, held.finding))
        self._findings.keep(lookup, held, self._clock.seconds())

    def _miss(self, lookup: ObjectLookup[T], missing: Missing) -> T | Missing:
        self._looked("absent" if missing is ABSENT else "failed")
        return self._findings.miss(lookup, missing, self._clock.seconds())

    def _after_all(self, lookup: ObjectLookup[T]) -> T | Missing | Deferred[T | Missing]:
        known = self.recall(lookup)
        return self.look(lookup) if known is None else known

    def _looks_without_lists(self, lookup: ObjectLookup[Any]) -> bool:
        """Tell whether to look though the store has no catalog: at manifests that are to be had nowhere else."""
        return self._keep_bodies and isinstance(lookup, ManifestLookup)

    def _is_expected(self, lookup: ObjectLookup[Any]) -> bool:
        """Tell whether the lists, or a repository's document, say that this is there."""
        match lookup:
            case RepositoryLookup():
                return self._listed(lookup) is not None
            case ManifestLookup(name, Digest() as digest):
                document = self._findings.last(RepositoryLookup(name))
                return isinstance(document, Repository) and digest in document.by_digest
        return False

    def _listed(self, lookup: ObjectLookup[Any]) -> str | None:
        return self.snapshot.revision_of(lookup.name) if isinstance(lookup, RepositoryLookup) else None


def _prepared(found: T) -> T:
    """Have ready what will be asked of a large document: it takes as long as reading a small one."""
    if isinstance(found, Repository):
        _ = found.by_digest, found.tag_names
    return found
