"""Lookups: what to fetch from the store to decide a question, and how to read it; pure."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from sdr.registry.grammar import Digest, Reference
from sdr.registry.manifests import MANIFEST_LIMIT, MalformedManifest, parse_manifest
from sdr.tree.documents import (
    BadDocument,
    ManifestEntry,
    Repository,
    decode_repository,
    decode_tags,
)
from sdr.tree.keys import manifest_key, referrers_key, repository_key, tags_key
from sdr.tree.referrers import Referrers

#: The largest derived document that is read, in bytes: some 100 000 tags.
DOCUMENT_LIMIT = 16 * 1024 * 1024

T = TypeVar("T")


class Missing(Enum):
    """Why there is nothing to go by."""

    #: The store itself said that the object is not there.
    ABSENT = "absent"
    #: Not looked at, or the look failed.
    UNKNOWN = "unknown"


ABSENT, UNKNOWN = Missing.ABSENT, Missing.UNKNOWN


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A manifest's object, seen in the store and checked.

    :param body: its bytes, where they are kept (``--manifests inline``); else empty.
    """

    entry: ManifestEntry
    body: bytes


class Lookup(Generic[T]):
    """What would decide a question, once the store is looked at. Lookups are values: equal ones are one look."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """The object's key in the tree: of several, the one that decides."""


class ObjectLookup(Lookup[T]):
    """A lookup of one object."""

    __slots__ = ()

    #: The largest object that is read, in bytes.
    limit = DOCUMENT_LIMIT

    @abstractmethod
    def read(self, data: bytes) -> T:
        """Read the object.

        :raise BadDocument: if it is not what it should be.
        """


@dataclass(frozen=True, slots=True)
class RepositoryLookup(ObjectLookup[Repository]):
    """The catalog's document of one repository."""

    name: str

    @property
    def key(self) -> str:
        """The object's key in the tree."""
        return repository_key(self.name)

    def read(self, data: bytes) -> Repository:
        """Read the object."""
        return decode_repository(data, self.name)


@dataclass(frozen=True, slots=True)
class ManifestLookup(ObjectLookup[FoundManifest]):
    """A manifest's own object, by tag or by digest."""

    name: str
    reference: Reference

    limit = MANIFEST_LIMIT

    @property
    def key(self) -> str:
        """The object's key in the tree."""
        return manifest_key(self.name, self.reference)

    def read(self, data: bytes) -> FoundManifest:
        """Read the object: its digest is recomputed, and its type comes from its bytes."""
        asked = self.reference if isinstance(self.reference, Digest) else None
        digest = Digest.of(data, asked.algorithm if asked else "sha256")
        if asked is not None and digest != asked:
            raise BadDocument(f"its digest is {digest}")
        try:
            manifest = parse_manifest(data)
        except MalformedManifest as error:
            raise BadDocument(str(error)) from error
        return FoundManifest(ManifestEntry(digest, manifest.media_type, len(data)), data)


@dataclass(frozen=True, slots=True)
class TagsLookup(ObjectLookup[tuple[str, ...]]):
    """The plain list of a repository's tags, as a client without an endpoint would read it."""

    name: str

    @property
    def key(self) -> str:
        """The object's key in the tree."""
        return tags_key(self.name)

    def read(self, data: bytes) -> tuple[str, ...]:
        """Read the object."""
        return decode_tags(data, self.name)


@dataclass(frozen=True, slots=True)
class ReferrersLookup(ObjectLookup[Referrers]):
    """The index of the manifests whose subject is a digest."""

    name: str
    digest: Digest

    @property
    def key(self) -> str:
        """The object's key in the tree."""
        return referrers_key(self.name, self.digest)

    def read(self, data: bytes) -> Referrers:
        """Read the object."""
        return Referrers.read(data)


class Known(Protocol):
    """What an answer may go by: no I/O, and the same answer as long as nothing new is learnt."""

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look; ``None`` if a look is due."""
        ...

    def is_absent(self, name: str) -> bool:
        """Tell whether a repository is known to be absent: moments ago its objects themselves were not there."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of the listed repositories, sorted."""
        ...
