"""What one repository holds, as its keys and manifests tell: what the derived documents should say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdr.registry.grammar import Digest, Reference
from sdr.registry.manifests import Manifest
from sdr.tree.documents import ManifestEntry
from sdr.tree.keys import manifest_key


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest as it was found.

    :param digests: of its bytes, by each algorithm.
    :param manifest: ``None`` where it is not what it should be.
    :param entry: its descriptor among the referrers of its subject, if it has one and is found by digest.
    """

    name: str
    reference: Reference
    size: int
    digests: tuple[Digest, ...] = ()
    manifest: Manifest | None = None
    entry: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """Where it is."""
        return manifest_key(self.name, self.reference)


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a tag names.

    :param digests: of its bytes, by each algorithm.
    """

    digests: tuple[Digest, ...]
    media_type: str
    size: int

    def entry(self, digest: Digest) -> ManifestEntry:
        """Return the line of the repository's document."""
        return ManifestEntry(digest, self.media_type, self.size)


@dataclass(slots=True)
class Holding:
    """What is known of one repository.

    :param tags: ``None`` for what is there, or should be, and is no manifest.
    :param manifests: by digest, with the size of each.
    :param spoilt: digests under which there is not what should be there.
    :param needed: by the digest of a manifest, its size and the key of what refers to it.
    :param blobs: by digest, the size of each and the key of what needs it.
    :param referrers: by subject, then by digest, the descriptors of its referrers.
    :param subjects: those that have a referrers document.
    """

    name: str
    tags: dict[str, Tagged | None] = field(default_factory=dict)
    manifests: dict[Digest, int] = field(default_factory=dict)
    spoilt: set[Digest] = field(default_factory=set)
    needed: dict[Digest, tuple[int, str]] = field(default_factory=dict)
    blobs: dict[Digest, tuple[int, str]] = field(default_factory=dict)
    referrers: dict[Digest, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    subjects: set[Digest] = field(default_factory=set)

    def add(self, held: Held) -> None:
        """Take in a manifest."""
        manifest, reference = held.manifest, held.reference
        if isinstance(reference, str):
            self.tags[reference] = Tagged(held.digests, manifest.media_type, held.size) if manifest else None
        elif manifest is None:
            self.spoilt.add(reference)
        else:
            self.manifests[reference] = held.size
            if manifest.subject is not None and held.entry is not None:
                self.referrers.setdefault(manifest.subject.digest, {})[str(reference)] = held.entry
        if manifest is not None:
            carried = [blob for blob in manifest.blobs if not blob.is_foreign]
            for child in manifest.children:
                (self.needed if child.is_manifest else self.blobs).setdefault(child.digest, (child.size, held.key))
            for blob in carried:
                self.blobs.setdefault(blob.digest, (blob.size, held.key))

    def has(self, digest: Digest) -> bool:
        """Tell whether something is, or should be, under this digest."""
        return digest in self.manifests or digest in self.spoilt
