"""The headers that each object of the tree is stored with, so that any CDN serves it right."""

from dataclasses import dataclass

from sdr.registry.grammar import Digest
from sdr.registry.media_types import JSON, NDJSON, OCI_INDEX, OCTET_STREAM

#: For what is addressed by digest.
IMMUTABLE = "public, max-age=31536000, immutable"
#: For what moves: a CDN may serve it a minute late.
SHORT = "public, max-age=60"
#: For what the endpoint polls.
REVALIDATE = "no-cache"


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
