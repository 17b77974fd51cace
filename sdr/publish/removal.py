"""``sdr untag`` and ``sdr rm``: taking names and manifests away, in the reverse order of writing.

While manifests are removed a mark says so, in the way of a collection, so that a publisher that needs one of them waits
and writes it again. What clients of protocol v1 see goes first. Blobs, and images of protocol v1, are left to
``sdr gc``.
"""

import secrets
import time
from collections.abc import Callable, Iterable

from sdr.publish.changes import Changes
from sdr.publish.image import ImageManifest
from sdr.publish.index import Index
from sdr.publish.jobs import Jobs
from sdr.publish.marks import Marks, Sweep
from sdr.publish.progress import Report
from sdr.publish.references import children_of
from sdr.publish.referrers import manifest_of
from sdr.publish.refused import Refused
from sdr.publish.touched import Touched
from sdr.publish.truth import parsed, tagged, tags_of
from sdr.publish.v1.index import V1Index
from sdr.publish.v1.removal import V1Removal
from sdr.publish.writing import Writing
from sdr.registry.grammar import Digest
from sdr.stores.interface import NotThere, Stat, Store
from sdr.tree.keys import manifest_key, manifests_prefix, place_of, repository_key, tags_key
from sdr.tree.marks import Mark, State, candidate, mark_key
from sdr.tree.v1 import entry_of


class Removal:
    """Removes from one store.

    :param now: the time in seconds since the epoch.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        report: Report,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._jobs, self._now = store, jobs, now
        self._writing = Writing(store, jobs, report)
        self._index = Index(store, jobs, self._writing, sleep=sleep)
        self._marks = Marks(store)
        self._removed: list[str] = []
        self._v1 = V1Removal(store, V1Index(store, jobs, report, self._writing, sleep=sleep), report, self._delete)

    def untag(self, name: str, tag: str) -> Changes:
        """Remove a tag; what it names stays, by its digest.

        :raise Refused: if there is no such tag.
        """
        if self._store.head(manifest_key(name, tag)) is None:
            was_there = self._v1.untag(name, [tag])
            # It may be listed all the same, where a command like this one was interrupted.
            if self._store.head(repository_key(name)) is not None:
                self._index.level(name, Touched({tag: None}))
            if not was_there and not self._writing.account.written:
                raise Refused(f"{self._store.location}: there is no {name}:{tag}")
            return self._changes()
        self._untag(name, [tag])
        return self._changes()

    def remove(self, name: str, digest: Digest | None, *, force: bool = False) -> Changes:
        """Remove a manifest, or a repository with all that is its own.

        :param digest: ``None`` for the repository.
        :param force: remove also what a tag names, with the tag, and what an index lists.
        :raise Refused: if there is nothing of the kind, or something refers to the manifest.
        """
        self._existing(name)
        if digest is None:
            self._remove_repository(name)
        else:
            self._remove_manifest(name, digest, force=force)
        return self._changes()

    def _remove_manifest(self, name: str, digest: Digest, *, force: bool) -> None:
        key = manifest_key(name, digest)
        found = self._store.head(key)
        if found is None:
            raise Refused(f"{self._store.location}: there is no {name}@{digest}")
        tags = self._tags(name, digest)
        stats = [self._store.head(manifest_key(name, tag)) for tag in tags]
        with self._sweep([found, *(stat for stat in stats if stat is not None), *self._v1.tags(name, tags)]):
            # With the mark there: whatever comes to refer to this from now on is a publisher's that will see it.
            manifests = self._manifests(name)
            parents = [each.digest for each in manifests if digest in children_of(each.manifest)]
            tags = self._tags(name, digest)
            if (tags or parents) and not force:
                uses = ", ".join([*tags, *(str(parent) for parent in parents)])
                raise Refused(f"{name}@{digest} is in use by {uses}; remove that first, or say --force")
            self._untag(name, tags, digest)
            its = next((each for each in manifests if each.digest == digest), None)
            subject = its.manifest.subject if its else None
            if subject is not None:
                subjects = frozenset([subject.digest])
                self._index.level(name, Touched(detached=frozenset([digest]), subjects=subjects))
            self._delete([key])

    def _tags(self, name: str, digest: Digest) -> list[str]:
        return [tag for tag, entry in tags_of(self._store, name, {}, None).tags.items() if entry.digest == digest]

    def _remove_repository(self, name: str) -> None:
        marked = {stat.key: stat for stat in self._existing(name) if _is_manifest(stat.key) or _is_v1_tag(stat.key)}
        with self._sweep(marked.values()):
            existing = self._existing(name)
            there = [stat for stat in existing if _kind(stat.key) is not None]
            watched = [stat for stat in existing if _is_manifest(stat.key) or _is_v1_tag(stat.key)]
            if any(marked.get(stat.key) != stat for stat in watched):
                raise Refused(
                    f"{self._store.location}: somebody is publishing into {name} just now; run it again later"
                )
            self._v1.remove(name)
            marked = {key: stat for key, stat in marked.items() if _is_manifest(key)}
            if not there:
                return
            self._index.level(name, Touched(leaving=True))
            self._delete([repository_key(name), tags_key(name)])
            self._delete([stat.key for stat in there if _kind(stat.key) == "referrers"])
            self._delete([key for key in marked if not _is_by_digest(key)])
            ordered = _parents_first(name, self._manifests(name))
            self._delete([key for key in ordered if key in marked])
            # What is no manifest by its bytes has no place in that order.
            self._delete([key for key in marked if key not in self._removed])
        # A publisher may have come meanwhile; whichever of the two is later makes it level.
        left = self._objects(name)
        if not any(_is_manifest(stat.key) for stat in left):
            self._delete([stat.key for stat in left])
        tags = [stat.key.rpartition("/")[2] for stat in left if _is_manifest(stat.key) and not _is_by_digest(stat.key)]
        self._index.level(name, Touched(dict.fromkeys(tags)))

    def _sweep(self, stats: Iterable[Stat]) -> Sweep:
        candidates = {stat.key: candidate(stat) for stat in stats}
        mark = Mark(State.SWEEPING, self._now(), False, candidates)
        return Sweep(self._marks, mark_key(f"rm-{secrets.token_hex(8)}"), mark, self._now)

    def _untag(self, name: str, tags: Iterable[str], digest: Digest | None = None) -> None:
        """Remove tags: from the documents, then their objects; and look again for those who were busy meanwhile.

        :param digest: only those that still name it.
        """
        touched: dict[str, Digest | None] = dict.fromkeys(tags)
        if touched:
            self._v1.untag(name, touched)
            self._index.level(name, Touched(touched, hidden=frozenset(touched)))
            for tag in touched:
                entry = tagged(self._store, name, tag, [digest] if digest else [])
                # It may have moved to another image meanwhile.
                if digest is None or entry is None or entry.digest == digest:
                    self._delete([manifest_key(name, tag)])
            self._index.level(name, Touched(touched))

    def _existing(self, name: str) -> list[Stat]:
        """Return all objects of a repository, those for protocol v1 too.

        :raise Refused: if there is none.
        """
        found = self._objects(name) + self._v1.objects(name)
        if not found:
            raise Refused(f"{self._store.location}: there is no {name}")
        return found

    def _objects(self, name: str) -> list[Stat]:
        """Return all objects of a repository, and of no other whose name begins with its name."""
        prefixes = [manifests_prefix(name), f"v2/{name}/referrers/", tags_key(name), repository_key(name)]
        try:
            listed = [each for prefix in prefixes for each in self._store.list(prefix) if isinstance(each, Stat)]
        except NotThere:
            return []
        places = ((each, place_of(each.key)) for each in listed)
        return [each for each, place in places if place is not None and place.name == name]

    def _manifests(self, name: str) -> list[ImageManifest]:
        """Read every manifest of a repository that is one."""
        prefix = manifests_prefix(name)
        listed = (each.key.removeprefix(prefix) for each in self._store.list(prefix) if isinstance(each, Stat))
        digests = [digest for digest in map(parsed, listed) if digest is not None]
        read = self._jobs.run(lambda digest: manifest_of(self._store, name, digest), digests)
        return [manifest for manifest in read if manifest is not None]

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._jobs.go_on()
            self._store.delete(key)
            self._removed.append(key)

    def _changes(self) -> Changes:
        written = tuple(dict.fromkeys(key for key in self._writing.account.written if key not in self._removed))
        return Changes(written, tuple(self._removed))


def _kind(key: str) -> str | None:
    place = place_of(key)
    return None if place is None else place.kind


def _is_manifest(key: str) -> bool:
    return _kind(key) == "manifests"


def _is_v1_tag(key: str) -> bool:
    entry = entry_of(key)
    return entry is not None and entry.tag is not None


def _is_by_digest(key: str) -> bool:
    return ":" in key.rpartition("/")[2]


def _parents_first(name: str, manifests: Iterable[ImageManifest]) -> list[str]:
    """Return the keys of manifests, each before those that it lists."""
    by_digest = {each.digest: each for each in manifests}
    children_first: dict[Digest, None] = {}

    def walk(digest: Digest) -> None:
        if digest in by_digest and digest not in children_first:
            for child in children_of(by_digest[digest].manifest):
                walk(child)
            children_first[digest] = None

    for digest in by_digest:
        walk(digest)
    return [manifest_key(name, digest) for digest in reversed(children_first)]
