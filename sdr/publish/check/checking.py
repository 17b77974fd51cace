"""Reading a whole tree as clients do: ``sdr check``.

What there should be is told by the store: its keys, its manifests, and what these refer to. Whether it is there, and as
it should be, is told by a reader: the store, or a CDN.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sdr.publish.check.findings import Checked, Finding
from sdr.publish.check.holdings import Held, Holding
from sdr.publish.check.inspecting import Inspection
from sdr.publish.check.levels import Levels
from sdr.publish.check.reading import Reader
from sdr.publish.check.repository_check import RepositoryCheck, Wanted
from sdr.publish.check.v1_check import V1Check
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.registry.grammar import Digest, parse_reference
from sdr.stores.interface import NotReachable, NotThere, Stat, Store
from sdr.tree import keys
from sdr.tree.headers import headers_of

T = TypeVar("T")

#: How many objects are looked at before the results are gathered.
BATCH = 512
_SERVER_ERROR = 500


class Checker:
    """Checks the tree in one store.

    :param reader: what clients read it through; the store itself if not given.
    :param batch: how many objects are looked at before the results are gathered.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, reader: Reader | None = None, *, batch: int = BATCH
    ) -> None:
        self._store, self._jobs, self._report, self._reader, self._batch = store, jobs, report, reader, batch

    def check(self, name: str | None = None, deep: bool = False) -> Checked:
        """Read everything, and return what is wrong.

        :param name: one repository, with all that it needs; all if not given.
        :param deep: read the blobs whole, too.
        :raise sdr.stores.interface.StoreError: if the store or the CDN cannot be read at all.
        """
        if self._reader is not None and (status := self._reader.head(keys.LISTS_KEY).status) >= _SERVER_ERROR:
            raise NotReachable(self._reader.location, keys.LISTS_KEY, f"answered {status}")
        inspection = Inspection(self._store, self._reader, self._jobs, self._report)
        check = _Check(self._store, self._jobs, self._report, inspection, name, self._batch)
        check.manifests()
        check.v1(deep=deep)
        check.lists()
        check.blobs(deep=deep)
        if self._reader is not None and inspection.objects and not inspection.there:
            reason = f"of {inspection.objects} objects of {self._store.location} none is there; is this the CDN's URL?"
            raise NotThere(self._reader.location, "", reason)
        # What a manifest's bytes and its headers both show is one fault.
        once = {(finding.key, finding.fault): finding for finding in reversed(check.findings)}
        findings = tuple(once[each] for each in sorted(once))
        return Checked(inspection.objects, inspection.size, findings, tuple(check.notes))


class _Check:
    """One check under way."""

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, inspection: Inspection, name: str | None, batch: int
    ) -> None:
        self._store, self._jobs, self._report, self._inspection = store, jobs, report, inspection
        self._name, self._batch = name, batch
        self._levels = Levels(store, inspection)
        self._repositories = RepositoryCheck(store, jobs, inspection, self._levels)
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        # What remains of a repository once it has been seen: its revision.
        self._revisions: dict[str, str | None] = {}
        self._prefixes: set[str] = set()
        # With the size, and what needs it.
        self._blobs: dict[Digest, tuple[int, str]] = {}

    def manifests(self) -> None:
        """Read the manifests of every repository, and its documents once all its manifests are known."""

        def read(wanted: Wanted) -> tuple[Held | None, list[Finding]]:
            return self._repositories.held(wanted)

        under_way: dict[str, Holding] = {}
        for batch in self._batches(self._store.list("v2/" if self._name is None else f"v2/{self._name}/")):
            stats = [found for found in batch if isinstance(found, Stat)]
            wanted = [each for stat in stats if (each := self._sorted(stat, under_way)) is not None]
            for held, found in self._jobs.run(read, wanted):
                self.findings += found
                if held is not None:
                    under_way[held.name].add(held)
            last = stats[-1].key if stats else ""
            # Keys come in order: what is behind the last one is complete.
            self._finish([under_way.pop(each) for each in list(under_way) if not last.startswith(f"v2/{each}/")])
        self._finish(list(under_way.values()))

    def v1(self, *, deep: bool) -> None:
        """Read what there is for protocol v1."""
        check = V1Check(self._store, self._jobs, self._inspection)
        is_there = check.check(self._name, deep=deep)
        self.findings += check.findings
        self.notes += check.notes
        if self._name is not None and self._name not in self._revisions and not is_there:
            reason = f"there is no repository {self._name}; sdr ls names those that there are"
            raise NotThere(self._store.location, "", reason)

    def lists(self) -> None:
        """Read the lists of repositories."""
        whole = self._name is None
        by_prefix: dict[str, dict[str, str | None]] = {prefix: {} for prefix in self._prefixes}
        for name, revision in self._revisions.items():
            by_prefix.setdefault(keys.list_of(name), {})[name] = revision
        prefixes = sorted(by_prefix)
        compared = self._jobs.run(
            lambda prefix: self._levels.of_prefix(prefix, by_prefix[prefix], whole=whole), prefixes
        )
        for each in compared:
            self.findings += each.findings
        revisions = {prefix: each.revision for prefix, each in zip(prefixes, compared, strict=True)}
        self.findings += self._levels.lists(revisions, whole=whole)

    def blobs(self, *, deep: bool) -> None:
        """Read each blob that a manifest needs, once."""

        def inspect(each: tuple[Digest, tuple[int, str]]) -> list[Finding]:
            digest, (size, where) = each
            return self._inspection.blob(digest, size, where, deep=deep)

        for batch in self._batches(self._blobs.items()):
            for found in self._jobs.run(inspect, batch):
                self.findings += found
        for stat in self._store.list("blobs/") if self._name is None else ():
            if isinstance(stat, Stat) and headers_of(stat.key) is None:
                self._note(stat.key)

    def _batches(self, things: Iterable[T]) -> Iterator[list[T]]:
        """Return things so many at a time, and tell how far it is where it is far."""
        coming = iter(things)
        while batch := list(islice(coming, self._batch)):
            yield batch
            if len(batch) == self._batch:
                self._report.say(f"{self._inspection.objects} objects checked so far")

    def _note(self, key: str) -> None:
        self.notes.append(f"{key}: not of the tree")

    def _sorted(self, stat: Stat, under_way: dict[str, Holding]) -> Wanted | None:
        """Put a key to its repository; return what has to be read, if it is a manifest."""
        place = keys.place_of(stat.key)
        if headers_of(stat.key) is None:
            self._note(stat.key)
        elif place is None:
            if stat.key != keys.LISTS_KEY:
                self._prefixes.add(stat.key.rpartition("/")[2].partition(".")[0])
        elif self._name in (None, place.name):
            holding = under_way.setdefault(place.name, Holding(place.name))
            if place.kind == "referrers":
                holding.subjects.add(Digest.parse(place.last))
            if place.kind == "manifests":
                return Wanted(place.name, parse_reference(place.last), stat.size)
        return None

    def _finish(self, complete: list[Holding]) -> None:
        for done in self._jobs.run(self._repositories.completed, complete):
            self.findings += done.findings
            self._revisions[done.holding.name] = done.revision
            for digest, needed in done.holding.blobs.items():
                self._blobs.setdefault(digest, needed)
