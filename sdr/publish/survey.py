"""Finding what nothing in a store refers to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sdr.publish.jobs import Jobs
from sdr.publish.references import blobs_of, children_of
from sdr.publish.truth import parsed, read
from sdr.publish.v1.survey import V1Survey, image_in
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MalformedManifest, Manifest, parse_manifest
from sdr.stores.interface import NotThere, Stat, Store, StoreError
from sdr.tree.keys import blob_key, manifest_key, place_of

#: One manifest: the repository's name, and the digest.
Node = tuple[str, Digest]


@dataclass(slots=True)
class _Uses:
    """What a manifest refers to, kept small: there may be very many."""

    children: tuple[Digest, ...]
    blobs: tuple[str, ...]
    subject: Digest | None


@dataclass(slots=True)
class _Repository:
    tags: list[Stat] = field(default_factory=list)
    manifests: dict[Digest, Stat] = field(default_factory=dict)


class Survey:
    """One look at all of a store."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self._store, self._jobs = store, jobs
        self._uses: dict[Node, _Uses] = {}
        self._keys: dict[str, Node] = {}
        self._v1 = V1Survey(store, jobs)

    def unused(self, removable: Callable[[str, Stat], bool]) -> dict[str, Stat | None]:
        """Return what nothing refers to, by key; ``None`` for what is there in parts only.

        :param removable: tells of a manifest by digest whether it may go if no tag leads to it; all others are roots.
        :raise StoreError: if a manifest, or what a tag of protocol v1 names, is not what it should be: what it refers
            to is not known then.
        """
        # Blobs first: what is written from now on does not count as unused.
        blobs: dict[str, Stat | None] = {stat.key: stat for stat in self._listed("blobs/")}
        blobs |= {key: None for key in self._store.abandoned() if key.startswith("blobs/")}
        repositories: dict[str, _Repository] = {}
        for stat in self._listed("v2/"):
            place = place_of(stat.key)
            if place is not None and place.kind == "manifests":
                repository = repositories.setdefault(place.name, _Repository())
                digest = parsed(place.last)
                if digest is None:
                    repository.tags.append(stat)
                else:
                    repository.manifests[digest] = stat
        unused: dict[str, Stat | None] = {}
        for name, repository in sorted(repositories.items()):
            unused |= self._look(name, repository, removable, blobs)
        return unused | self._v1.unused() | blobs

    def attached(self, keys: Iterable[str]) -> dict[str, dict[Digest, Digest]]:
        """Return the subjects of the manifests among these, by repository and by their digest."""
        found: dict[str, dict[Digest, Digest]] = {}
        for key in keys:
            node = self._keys.get(key)
            subject = self._uses[node].subject if node else None
            if node is not None and subject is not None:
                found.setdefault(node[0], {})[node[1]] = subject
        return found

    def parents_first(self, keys: Iterable[str]) -> list[str]:
        """Return these keys in the order in which they may be deleted: what refers before what it refers to."""
        wanted = set(keys)
        ordered: dict[str, None] = {}

        def walk(key: str, node: Node) -> None:
            if key in ordered:
                return
            for child in self._uses[node].children:
                below = manifest_key(node[0], child)
                if below in wanted and below in self._keys:
                    walk(below, self._keys[below])
            ordered[key] = None

        for key in sorted(wanted & self._keys.keys()):
            walk(key, self._keys[key])
        rest = wanted - self._keys.keys()
        images = {key for key in rest if image_in(key)}
        return [*reversed(ordered), *self._v1.in_order(images), *sorted(rest - images)]

    def _look(
        self,
        name: str,
        repository: _Repository,
        removable: Callable[[str, Stat], bool],
        blobs: dict[str, Stat | None],
    ) -> dict[str, Stat | None]:
        """Take what one repository uses out of the blobs, and return which of its manifests nothing uses."""

        def look(digest: Digest) -> tuple[Digest, _Uses | None]:
            return digest, self._used(manifest_key(name, digest), digest)

        uses = {digest: its for digest, its in self._jobs.run(look, repository.manifests) if its is not None}
        roots = self._tagged(repository, uses)
        doubtful = {
            digest: stat
            for digest, stat in repository.manifests.items()
            if digest in uses and digest not in roots and removable(stat.key, stat)
        }
        kept = _reached(uses, roots | (uses.keys() - doubtful.keys()))
        for digest in kept:
            for key in uses[digest].blobs:
                blobs.pop(key, None)
        gone = {digest: stat for digest, stat in doubtful.items() if digest not in kept}
        for digest, stat in gone.items():
            self._keys[stat.key] = name, digest
            self._uses[name, digest] = uses[digest]
        return {stat.key: stat for stat in gone.values()}

    def _tagged(self, repository: _Repository, uses: dict[Digest, _Uses]) -> set[Digest]:
        """Return what the tags of a repository name; what is there under a tag only is added to the uses."""
        # The same manifest may be there by several digests.
        by_content: dict[tuple[int, str], list[Digest]] = {}
        for digest, stat in repository.manifests.items():
            if stat.content:
                by_content.setdefault((stat.size, stat.content), []).append(digest)

        def look(stat: Stat) -> tuple[Digest, ...]:
            known = by_content.get((stat.size, stat.content))
            if known is not None:
                return tuple(known)
            data, _ = read(self._store, stat.key)
            if data is None:
                return ()
            # By whichever digest it is stored.
            digests = tuple(Digest.of(data, algorithm) for algorithm in ("sha256", "sha512"))
            if not uses.keys() & set(digests):
                uses[digests[0]] = self._parsed(stat.key, data)
            return digests

        return {digest for digests in self._jobs.run(look, repository.tags) for digest in digests}

    def _used(self, key: str, digest: Digest) -> _Uses | None:
        """Read a manifest; ``None`` if somebody has removed it meanwhile."""
        data, _ = read(self._store, key)
        if data is None:
            return None
        if Digest.of(data, digest.algorithm) != digest:
            raise self._unknown(key, "its bytes have another digest")
        return self._parsed(key, data)

    def _parsed(self, key: str, data: bytes) -> _Uses:
        try:
            return _uses(parse_manifest(data))
        except MalformedManifest as error:
            raise self._unknown(key, str(error)) from error

    def _unknown(self, key: str, reason: str) -> StoreError:
        return StoreError(
            self._store.location, key, f"{reason}, so what it needs is not known; publish it again or rm it"
        )

    def _listed(self, prefix: str) -> Iterator[Stat]:
        try:
            yield from (found for found in self._store.list(prefix) if isinstance(found, Stat))
        except NotThere as error:
            raise StoreError(self._store.location, "", error.reason) from error


def _uses(manifest: Manifest) -> _Uses:
    subject = manifest.subject.digest if manifest.subject else None
    blobs = tuple(blob_key(digest) for digest, _ in blobs_of(manifest))
    return _Uses(tuple(children_of(manifest)), blobs, subject)


def _reached(uses: Mapping[Digest, _Uses], roots: Iterable[Digest]) -> set[Digest]:
    """Return all to which these lead: children, and what is attached to any of them, such as signatures."""
    attached: dict[Digest, list[Digest]] = {}
    for digest, its in uses.items():
        if its.subject is not None:
            attached.setdefault(its.subject, []).append(digest)
    reached: set[Digest] = set()
    waiting = [digest for digest in roots if digest in uses]
    while waiting:
        digest = waiting.pop()
        if digest not in reached:
            reached.add(digest)
            following = [*uses[digest].children, *attached.get(digest, ())]
            waiting += [each for each in following if each in uses]
    return reached
