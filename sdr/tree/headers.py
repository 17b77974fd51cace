"""The headers that each object of the tree is stored with, so that any CDN serves it right."""

import re
from dataclasses import dataclass

from sdr.registry.grammar import Digest, is_tag
from sdr.registry.media_types import JSON, NDJSON, OCI_INDEX, OCTET_STREAM
from sdr.tree.keys import LISTS_KEY, place_of

#: For what is addressed by digest.
IMMUTABLE = "public, max-age=31536000, immutable"
#: For what moves: a CDN may serve it a minute late.
SHORT = "public, max-age=60"
#: For what the endpoint polls.
REVALIDATE = "no-cache"

_BLOB = re.compile(r"blobs/(sha256|sha512)/([0-9a-f]+)")
_LIST = re.compile(r"v2/_repositories/[0-9a-f]{3}\.ndjson")
# The tree of 2014: images by id, and repositories by namespace and name.
_V1_IMAGE = re.compile(r"images/(?:[0-9a-f]{64}|[0-9a-f]{16})/([a-z_]+)")
_V1_REPOSITORY = re.compile(r"repositories(?:/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}/([A-Za-z0-9_][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Headers:
    """What an object is stored with.

    :param content_type: never with a charset.
    :param cache_control: for CDNs and clients.
    :param digest: kept as user metadata ``docker-content-digest`` where the store can.
    """

    content_type: str
    cache_control: str
    digest: Digest | None = None


def blob_headers(digest: Digest) -> Headers:
    """Return the headers of a config or layer."""
    return Headers(OCTET_STREAM, IMMUTABLE, digest)


def manifest_headers(media_type: str, digest: Digest, *, by_tag: bool) -> Headers:
    """Return the headers of a manifest, under its digest or under a tag."""
    return Headers(media_type, SHORT if by_tag else IMMUTABLE, digest)


TAGS_HEADERS = Headers(JSON, SHORT)
REFERRERS_HEADERS = Headers(OCI_INDEX, SHORT)
REPOSITORY_HEADERS = Headers(JSON, REVALIDATE)
LIST_HEADERS = Headers(NDJSON, REVALIDATE)
LISTS_HEADERS = Headers(JSON, REVALIDATE)
GC_HEADERS = Headers(JSON, REVALIDATE)
# Ids of images are derived from what is in them, or were never used twice.
V1_IMAGE_HEADERS = Headers(JSON, IMMUTABLE)
V1_LAYER_HEADERS = Headers(OCTET_STREAM, IMMUTABLE)
V1_TAG_HEADERS = Headers(OCTET_STREAM, SHORT)
V1_REPOSITORY_HEADERS = Headers(JSON, SHORT)


def headers_of(key: str) -> Headers | None:
    """Return the headers that the object under a key has; ``None`` for what is no key of the tree.

    A manifest's type is in its bytes only, so its ``content_type`` is empty here.
    """
    if key == LISTS_KEY:
        return LISTS_HEADERS
    if _LIST.fullmatch(key):
        return LIST_HEADERS
    if (found := _BLOB.fullmatch(key)) is not None:
        digest = _digest(f"{found[1]}:{found[2]}")
        return None if digest is None else blob_headers(digest)
    if (found := _V1_IMAGE.fullmatch(key)) is not None:
        return V1_LAYER_HEADERS if found[1] == "layer" else V1_IMAGE_HEADERS
    if (found := _V1_REPOSITORY.fullmatch(key)) is not None:
        return V1_TAG_HEADERS if found[1].startswith("tag_") else V1_REPOSITORY_HEADERS
    return _repository_headers(key)


def _repository_headers(key: str) -> Headers | None:
    place = place_of(key)
    if place is None:
        return None
    if place.kind in ("", "tags"):
        return TAGS_HEADERS if place.kind else REPOSITORY_HEADERS
    digest = _digest(place.last)
    if place.kind == "referrers":
        return REFERRERS_HEADERS if digest is not None else None
    if digest is not None:
        return manifest_headers("", digest, by_tag=False)
    return Headers("", SHORT) if is_tag(place.last) else None


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except ValueError:
        return None
