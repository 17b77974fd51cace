"""Lookups of protocol v1: in the tree, or in an old store, which a docker-registry of 2014 has written; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from sdr.catalog.lookups import Lookup
from sdr.tree.v1 import JSON, encode_tags, image_key, images_key, tag_key, tags_key

T = TypeVar("T")


class V1Lookup(Lookup[T]):
    """A lookup that may take several objects."""

    __slots__ = ()

    #: Whether the old store is meant, and not the tree.
    old: bool


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that has all its parts.

    :param json: the bytes of its ``json``, which were checked.
    :param size: of its layer, in bytes.
    """

    json: bytes
    size: int


@dataclass(frozen=True, slots=True)
class V1ImageLookup(V1Lookup[FoundImage]):
    """An image: what never changes."""

    image_id: str
    old: bool = False

    @property
    def key(self) -> str:
        """Where its ``json`` is."""
        return image_key(self.image_id, JSON)


@dataclass(frozen=True, slots=True)
class V1IndexLookup(V1Lookup[bytes]):
    """The list of a repository's images, as it is sent."""

    name: str
    old: bool = False

    @property
    def key(self) -> str:
        """Where the list is."""
        return images_key(self.name)


@dataclass(frozen=True, slots=True)
class FoundTags:
    """The tags of a repository; at least one.

    :param ids: of the images, by tag.
    :param body: the same as it is sent: there may be thousands.
    """

    ids: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, ids: Mapping[str, str]) -> Self:
        """Write the body."""
        return cls(ids, encode_tags(ids))


@dataclass(frozen=True, slots=True)
class V1TagsLookup(V1Lookup[FoundTags]):
    """The ids of a repository's images by tag."""

    name: str
    old: bool = False

    @property
    def key(self) -> str:
        """Where they are, if they are in one object."""
        return tags_key(self.name)


@dataclass(frozen=True, slots=True)
class V1TagLookup(V1Lookup[str]):
    """The id that a tag stands for."""

    name: str
    tag: str
    old: bool = False

    @property
    def key(self) -> str:
        """Where it is."""
        return tag_key(self.name, self.tag)


@dataclass(frozen=True, slots=True)
class FoundNames:
    """Repositories whose names contain a term.

    :param count: how many there are.
    :param names: the first of them, sorted.
    """

    count: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchLookup(Lookup[FoundNames]):
    """A search among the names of the listed repositories: no look at the store, and still too long to wait for."""

    term: str

    @property
    def key(self) -> str:
        """What it is, for the log."""
        return "v1/search"
