"""What is published: the repositories of a store, and the tags of one, as the catalog's documents name them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.sources.layout import platform_of_config
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, Descriptor, MalformedManifest, Manifest, parse_manifest
from sdr.stores.interface import NotThere, Stat, Store, StoreError
from sdr.tree import documents, keys, v1

T = TypeVar("T")

#: The ``os`` under which BuildKit lists what is no image, such as an attestation.
_NO_PLATFORM = "unknown"


@dataclass(frozen=True, slots=True)
class ListedTag:
    """One tag of a repository.

    :param size: of all configs and layers, each once, in bytes; ``None`` where a manifest is missing or malformed.
    :param platforms: in the order of the index.
    :param modified: when the tag was last written, in seconds since the epoch by the store's clock.
    :param v1: the id of the image that the tag names for protocol v1, if it is there for that.
    """

    tag: str
    digest: Digest
    media_type: str
    size: int | None
    platforms: tuple[Platform, ...]
    modified: float
    v1: str | None = None


class Listing:
    """Lists what is in one store."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self._store, self._jobs = store, jobs

    def repositories(self) -> tuple[str, ...]:
        """Return the names of the repositories, sorted.

        :raise StoreError: if the store fails, or its catalog is missing or malformed.
        """
        data = self._read(keys.LISTS_KEY)
        if data is None:
            self._require_nothing("v2/", keys.LISTS_KEY)
            return ()
        prefixes = self._decoded(keys.LISTS_KEY, lambda: documents.decode_lists(data))
        return tuple(sorted(name for names in self._jobs.run(self._names, sorted(prefixes)) for name in names))

    def tags(self, name: str) -> tuple[ListedTag, ...]:
        """Return the tags of a repository, sorted.

        :raise StoreError: if the store fails, there is no such repository, or its document is missing or malformed.
        """
        key = keys.repository_key(name)
        data = self._read(key)
        if data is None:
            self._require_nothing(keys.manifests_prefix(name), key)
            raise NotThere(self._store.location, "", f"there is no repository {name}; sdr ls names those there are")
        repository = self._decoded(key, lambda: documents.decode_repository(data, name))
        contents = self._contents(name, repository.by_digest)
        # The documents may lag behind: a tag is there if its object is.
        stats = self._jobs.run(lambda tag: self._store.head(keys.manifest_key(name, tag)), repository.tag_names)
        images = self._v1(name, repository.tag_names)
        return tuple(
            _listed(tag, repository.tags[tag], contents[repository.tags[tag].digest], stat, images.get(tag))
            for tag, stat in zip(repository.tag_names, stats, strict=True)
            if stat is not None
        )

    def _v1(self, name: str, tags: Iterable[str]) -> Mapping[str, str]:
        """Return what those of the tags name that are there for protocol v1."""
        listed = self._store.list(f"{v1.repository_prefix(name)}tag_", delimiter="/")
        entries = [v1.entry_of(each.key) for each in listed if isinstance(each, Stat)]
        there = {entry.tag for entry in entries if entry is not None} & {*tags}
        wanted = sorted(tag for tag in there if tag is not None)
        found = zip(wanted, self._jobs.run(lambda tag: self._read(v1.tag_key(name, tag)), wanted), strict=True)
        return {
            tag: self._decoded(v1.tag_key(name, tag), partial(v1.decode_tag, data))
            for tag, data in found
            if data is not None
        }

    def _names(self, prefix: str) -> Iterable[str]:
        key = keys.list_key(prefix)
        data = self._read(key)
        # Removed since the lists were read.
        return () if data is None else self._decoded(key, lambda: documents.decode_list(data, prefix))

    def _contents(self, name: str, roots: Iterable[Digest]) -> Mapping[Digest, "_Content"]:
        """Read the manifests below these, level by level, and the configs of the images without a platform."""
        manifests: dict[Digest, Manifest | None] = {}
        level = list(dict.fromkeys(roots))
        tops = level
        while level:
            read = self._jobs.run(lambda digest: self._manifest(name, digest), level)
            manifests |= zip(level, read, strict=True)
            children = [child for manifest in read if manifest for child in manifest.children if child.is_manifest]
            level = list(dict.fromkeys(child.digest for child in children if child.digest not in manifests))
        contents = {digest: _content(digest, manifests) for digest in tops}
        wanted = list(dict.fromkeys(config for content in contents.values() for config in content.configs))
        platforms = dict(zip(wanted, self._jobs.run(self._platform, wanted), strict=True))
        return {digest: content.with_platforms(platforms) for digest, content in contents.items()}

    def _manifest(self, name: str, digest: Digest) -> Manifest | None:
        data = self._read(keys.manifest_key(name, digest))
        try:
            return None if data is None else parse_manifest(data)
        except MalformedManifest:
            return None

    def _platform(self, config: Digest) -> Platform | None:
        data = self._read(keys.blob_key(config))
        return None if data is None else platform_of_config(data)

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)[0]
        except NotThere:
            return None

    def _require_nothing(self, prefix: str, key: str) -> None:
        """Return if nothing is there that the catalog should name: then it is right that this document is missing."""
        for _ in self._store.list(prefix, delimiter="/"):
            raise StoreError(self._store.location, key, "it is missing; sdr index writes it again")

    def _decoded(self, key: str, decode: Callable[[], T]) -> T:
        try:
            return decode()
        except documents.BadDocument as error:
            mend = "sdr v1 writes it again" if key.startswith(v1.REPOSITORIES_PREFIX) else "sdr index writes it again"
            reason = f"this is not what sdr writes there ({error}); {mend}"
            raise StoreError(self._store.location, key, reason) from error


@dataclass(frozen=True, slots=True)
class _Content:
    """What a tag stands for.

    :param platforms: those known, and in place of the others the config that may tell.
    """

    size: int | None
    platforms: tuple[Platform | Digest, ...]

    @property
    def configs(self) -> Iterator[Digest]:
        return (each for each in self.platforms if isinstance(each, Digest))

    def with_platforms(self, known: Mapping[Digest, Platform | None]) -> "_Content":
        told = (known[each] if isinstance(each, Digest) else each for each in self.platforms)
        return _Content(self.size, tuple(dict.fromkeys(each for each in told if each and each.os != _NO_PLATFORM)))


def _content(root: Digest, manifests: Mapping[Digest, Manifest | None]) -> _Content:
    """Add up what is below a manifest."""
    blobs: dict[Digest, int] = {}
    platforms: list[Platform | Digest] = []
    is_whole = True
    waiting: list[tuple[Digest, Platform | None]] = [(root, None)]
    while waiting:
        digest, platform = waiting.pop()
        manifest = manifests[digest]
        if manifest is None:
            is_whole = False
            platforms += [platform] if platform else []
            continue
        blobs |= {blob.digest: blob.size for blob in manifest.blobs if not blob.is_foreign}
        blobs |= {child.digest: child.size for child in manifest.children if not child.is_manifest}
        if manifest.blobs:
            platforms += [platform] if platform else _telling(manifest.blobs[0])
        inner = [(child.digest, Platform.of(child.platform)) for child in manifest.children if child.is_manifest]
        waiting += reversed(inner)
    return _Content(sum(blobs.values()) if is_whole else None, tuple(platforms))


def _telling(config: Descriptor) -> list[Digest]:
    # An artifact may use anything for its config.
    return [config.digest] if config.size <= MANIFEST_LIMIT else []


def _listed(tag: str, entry: documents.ManifestEntry, content: _Content, stat: Stat, image: str | None) -> ListedTag:
    platforms = tuple(each for each in content.platforms if isinstance(each, Platform))
    return ListedTag(tag, entry.digest, entry.media_type, content.size, platforms, stat.modified, image)
