"""The codec of the tree's derived documents, used by the publisher and the endpoint alike.

Encoding is canonical (sorted, no white space), so the same content has the same bytes and the same revision.
Decoding takes nothing on trust: what does not have the documented shape raises :class:`BadDocument`.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from sdr.registry.grammar import Digest, is_name, is_tag
from sdr.registry.media_types import INDEX_TYPES, MANIFEST_TYPES, OCI_INDEX
from sdr.tree.entries import Entries, EntriesByDigest, ManifestEntry, Row
from sdr.tree.keys import list_of

__all__ = [
    "BadDocument",
    "ManifestEntry",
    "Repository",
    "decode_list",
    "decode_lists",
    "decode_referrers",
    "decode_repository",
    "decode_tags",
    "encode_list",
    "encode_lists",
    "encode_referrers",
    "encode_repositories_page",
    "encode_repository",
    "encode_tags",
    "revision",
]

SCHEMA = 1
_TYPES = {media_type: media_type for media_type in (*MANIFEST_TYPES, *INDEX_TYPES)}
_TAG_LINE = re.compile(
    r'(,?)"([A-Za-z0-9_][A-Za-z0-9._-]{0,127})":'
    r'\["(?:sha256:([0-9a-f]{64})|sha512:([0-9a-f]{128}))","([^"\\]*)",(0|[1-9][0-9]{0,14})\]'
)
_REVISION = re.compile(r"[0-9a-f]{16}")
_HEX = re.compile(r"[0-9a-f]*")


class BadDocument(ValueError):
    """A derived document does not have its shape; the message says where."""


def revision(data: bytes) -> str:
    """Return the revision of a document: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


@dataclass(frozen=True)
class Repository:
    """One repository: its tags."""

    name: str
    tags: Mapping[str, ManifestEntry]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", Entries.of(self.tags))

    @cached_property
    def tag_names(self) -> tuple[str, ...]:
        """The tags, sorted."""
        return tuple(sorted(self.tags))

    @cached_property
    def by_digest(self) -> Mapping[Digest, ManifestEntry]:
        """What the tags stand for, by digest."""
        return EntriesByDigest(Entries.of(self.tags).rows.values())


def encode_repository(repository: Repository) -> bytes:
    """Write ``_repository.json``."""
    rows = sorted(Entries.of(repository.tags).rows.items())
    tags = {tag: [f"{algorithm}:{encoded}", kind, size] for tag, (algorithm, encoded, kind, size) in rows}
    return _encode({"schema": SCHEMA, "name": repository.name, "tags": tags})


def decode_repository(data: bytes, name: str) -> Repository:
    """Read ``_repository.json``.

    :param name: the repository that was asked for.
    :raise BadDocument: if it is not that repository's document.
    """
    canonical = _canonical_tags(data, name)
    if canonical is not None:
        return Repository(name, canonical)
    document = _decode(data)
    tags = document.get("tags")
    if document.get("name") != name or not isinstance(tags, dict):
        raise BadDocument(f"not the document of {name}")
    return Repository(name, {_tag(tag): _entry(tag, value) for tag, value in tags.items()})


def encode_tags(name: str, tags: Iterable[str]) -> bytes:
    """Write ``tags/list`` (OCI Distribution Specification, "Listing Tags")."""
    return _encode({"name": name, "tags": sorted(tags)})


def decode_tags(data: bytes, name: str) -> tuple[str, ...]:
    """Read ``tags/list``; the tags come sorted.

    :raise BadDocument: if it is not that repository's list.
    """
    document = _object(data)
    tags = document.get("tags")
    if document.get("name") != name or not isinstance(tags, list):
        raise BadDocument(f"not the tags of {name}")
    return tuple(sorted(_tag(tag) for tag in tags))


def encode_referrers(manifests: Iterable[Mapping[str, Any]]) -> bytes:
    """Write a referrers index from its descriptors (OCI Distribution Specification, "Listing Referrers")."""
    entries = sorted(manifests, key=lambda entry: str(entry["digest"]))
    return _encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def decode_referrers(data: bytes) -> tuple[Mapping[str, Any], ...]:
    """Read a referrers index; the descriptors come as they stand.

    :raise BadDocument: if it is none.
    """
    manifests = _object(data).get("manifests")
    if not isinstance(manifests, list):
        raise BadDocument("not an index")
    for entry in manifests:
        if not isinstance(entry, dict):
            raise BadDocument("a referrer is not a descriptor")
        _digest(entry.get("digest"), "a referrer")
    return tuple(manifests)


def encode_repositories_page(names: Iterable[str]) -> bytes:
    """Write what ``/v2/_catalog`` answers: not a file of the tree, but of its family."""
    return _encode({"repositories": list(names)})


def encode_list(repositories: Mapping[str, str]) -> bytes:
    """Write one list of repositories from name and revision: a JSON line each, sorted by name."""
    return b"".join(
        json.dumps([name, rev], separators=(",", ":")).encode() + b"\n" for name, rev in sorted(repositories.items())
    )


def decode_list(data: bytes, prefix: str) -> dict[str, str]:
    """Read one list of repositories into name and revision.

    :param prefix: the three hex digits that name it.
    :raise BadDocument: if a line is malformed, or names a repository that stands elsewhere.
    """
    if data and not data.endswith(b"\n"):
        raise BadDocument(f"list {prefix} is cut short")
    repositories = {}
    for number, line in enumerate(data.splitlines(), 1):
        match _json(line):
            case [str(name), str(rev)] if is_name(name) and _REVISION.fullmatch(rev) and list_of(name) == prefix:
                repositories[name] = rev
            case _:
                raise BadDocument(f"list {prefix}, line {number} is malformed")
    return repositories


def encode_lists(lists: Mapping[str, str]) -> bytes:
    """Write ``_repositories.json`` from each list's three hex digits and its revision."""
    return _encode({"schema": SCHEMA, "lists": dict(sorted(lists.items()))})


def decode_lists(data: bytes) -> dict[str, str]:
    """Read ``_repositories.json`` into each list's three hex digits and its revision.

    :raise BadDocument: if it is malformed.
    """
    lists = _decode(data).get("lists")
    if not isinstance(lists, dict):
        raise BadDocument("no lists")
    # All at once: there are thousands, and an endpoint has other things to do.
    if not _are_hex(lists, 3) or not _are_hex(lists.values(), 16):
        raise BadDocument("a list is malformed")
    return lists


def _canonical_tags(data: bytes, name: str) -> Entries | None:
    """Read the tags of a document in canonical form, ``None`` if it has another.

    There may be ten thousand: this is twice as fast as to read JSON and then look at it, and lets other threads run.
    """
    text = data.decode("latin-1")
    at = len(head := f'{{"schema":{SCHEMA},"name":"{name}","tags":{{')
    if not text.startswith(head):
        return None
    tags: dict[str, Row] = {}
    for line in _TAG_LINE.finditer(text, at):
        comma, tag, sha256, sha512, media_type, size = line.groups()
        # One text for all: they weigh more than the rest.
        kind = _TYPES.get(media_type)
        if line.start() != at or kind is None or (at > len(head)) != bool(comma):
            return None
        tags[tag] = ("sha256", sha256, kind, int(size)) if sha256 else ("sha512", sha512, kind, int(size))
        at = line.end()
    return Entries(tags) if text[at:] == "}}\n" else None


def _are_hex(texts: Collection[object], length: int) -> bool:
    """Tell whether these are texts of so many hex digits each."""
    if not set(map(type, texts)) <= {str}:
        return False
    strings = cast(Collection[str], texts)
    return set(map(len, strings)) <= {length} and _HEX.fullmatch("".join(strings)) is not None


def _encode(document: Mapping[str, Any]) -> bytes:
    # ASCII: an annotation may hold half of a surrogate pair, which JSON can escape and UTF-8 cannot hold.
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _json(data: bytes) -> object:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadDocument("not JSON") from error


def _object(data: bytes) -> dict[str, Any]:
    document = _json(data)
    if not isinstance(document, dict):
        raise BadDocument("not a JSON object")
    return document


def _decode(data: bytes) -> dict[str, Any]:
    document = _object(data)
    if document.get("schema") != SCHEMA:
        raise BadDocument(f"schema {document.get('schema')!r}, not {SCHEMA}")
    return document


def _tag(tag: object) -> str:
    if not isinstance(tag, str) or not is_tag(tag):
        raise BadDocument(f"not a tag: {tag!r}")
    return tag


def _digest(text: object, where: str) -> Digest:
    try:
        return Digest.parse(text if isinstance(text, str) else "")
    except ValueError as error:
        raise BadDocument(f"{where}: {error}") from error


def _entry(tag: str, value: object) -> ManifestEntry:
    match value:
        case [str(digest), str(media_type), int(size)] if size >= 0 and not isinstance(size, bool):
            if media_type not in MANIFEST_TYPES and media_type not in INDEX_TYPES:
                raise BadDocument(f"tag {tag}: type {media_type!r}")
            return ManifestEntry(_digest(digest, f"tag {tag}"), media_type, size)
        case _:
            raise BadDocument(f"tag {tag} is malformed")
