"""``sdr index``: making every derived document anew from the manifests; what is right already is left alone.

Those of protocol v1 are made anew from its tags, also where an old docker-registry wrote these.
"""

import time
from collections.abc import Callable

from sdr.publish.image import ImageManifest
from sdr.publish.index import Index
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.referrers import manifest_of
from sdr.publish.touched import Touched
from sdr.publish.truth import parsed
from sdr.publish.v1.index import V1Index
from sdr.publish.writing import Account, Writing
from sdr.registry.grammar import Digest
from sdr.stores.interface import Stat, Store
from sdr.tree import v1
from sdr.tree.keys import place_of


class _Repository:
    """What a store has of one repository, by digest and by tag."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.manifests: set[Digest] = set()
        self.subjects: set[Digest] = set()
        self.documented = False

    def note(self, kind: str, last: str) -> None:
        digest = parsed(last)
        if kind == "manifests" and digest is None:
            self.tags.add(last)
        elif kind == "manifests" and digest is not None:
            self.manifests.add(digest)
        elif kind == "referrers" and digest is not None:
            self.subjects.add(digest)
        else:
            self.documented = True


class Rebuilding:
    """Rebuilds the derived documents of one store.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._sleep = store, jobs, report, sleep

    def rebuild(self) -> Account:
        """Bring all derived documents level with the manifests, beside publishers that go on.

        :raise sdr.stores.interface.StoreError: if the store fails.
        """
        writing = Writing(self._store, self._jobs, self._report)
        index = Index(self._store, self._jobs, writing, mends=True, sleep=self._sleep)
        repositories = self._repositories()
        for name, repository in sorted(repositories.items()):
            self._jobs.go_on()
            self._rebuild(index, name, repository)
        index.level_lists(repositories)
        if not self._store.conditional_writes and writing.account.written:
            # A publisher who was done meanwhile may have been overwritten.
            index.level_lists(self._repositories())
        self._rebuild_v1(writing)
        return writing.account

    def _repositories(self) -> dict[str, _Repository]:
        found: dict[str, _Repository] = {}
        for stat in self._store.list("v2/"):
            place = place_of(stat.key) if isinstance(stat, Stat) else None
            if place is not None:
                found.setdefault(place.name, _Repository()).note(place.kind, place.last)
        return found

    def _rebuild(self, index: Index, name: str, repository: _Repository) -> None:
        attached: list[ImageManifest] = []

        def look(digest: Digest) -> None:
            manifest = manifest_of(self._store, name, digest)
            # Only these are kept: a repository may have very many manifests.
            if manifest is not None and manifest.manifest.subject is not None:
                attached.append(manifest)

        self._jobs.run(look, repository.manifests)
        if not (repository.tags or repository.documented or attached):
            # A publisher is at work, or has died: nothing names these manifests yet.
            return
        tags: dict[str, Digest | None] = dict.fromkeys(repository.tags)
        index.level_repository(name, Touched(tags, tuple(attached), subjects=frozenset(repository.subjects)))

    def _rebuild_v1(self, writing: Writing) -> None:
        index = V1Index(self._store, self._jobs, self._report, writing, mends=True, sleep=self._sleep)
        found: dict[str, set[str]] = {}
        for stat in self._store.list(v1.REPOSITORIES_PREFIX):
            entry = v1.entry_of(stat.key) if isinstance(stat, Stat) else None
            if entry is not None and entry.tag is not None:
                found.setdefault(entry.name, set()).add(entry.tag)
            elif entry is not None and entry.last in ("tags", "images"):
                found.setdefault(entry.name, set())
        for name, tags in sorted(found.items()):
            self._jobs.go_on()
            index.level(name, tags)
