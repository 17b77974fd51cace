"""What a registry request asks for, read from its raw path (OCI Distribution Specification 1.1, "Endpoints")."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sdr.registry.errors import DIGEST_INVALID, MANIFEST_INVALID, NAME_INVALID, NOT_FOUND, ErrorCode
from sdr.registry.grammar import NAME_LENGTH, Digest, Reference, is_name, is_tag, parse_reference
from sdr.registry.v1 import is_image_id


@dataclass(frozen=True, slots=True)
class Question:
    """A request, as far as an answer can depend on it; text is the request's bytes read as Latin-1.

    :param path: as received, still percent-encoded, without the query.
    :param query: as received, without the question mark.
    :param host: the one ``Host`` header, or empty.
    :param scheme: the connection's, ``http`` or ``https``.
    :param peer: the client's address.
    """

    method: str
    path: str
    query: str = ""
    accept: str = ""
    host: str = ""
    scheme: str = "http"
    if_none_match: str = ""
    peer: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """``/v2/``, by which a client finds out whether this is a registry."""


@dataclass(frozen=True, slots=True)
class ManifestOf:
    """``/v2/<name>/manifests/<reference>``."""

    name: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class BlobOf:
    """``/v2/<name>/blobs/<digest>``."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagsOf:
    """``/v2/<name>/tags/list``."""

    name: str


@dataclass(frozen=True, slots=True)
class ReferrersOf:
    """``/v2/<name>/referrers/<digest>``."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Repositories:
    """``/v2/_catalog``."""


@dataclass(frozen=True, slots=True)
class Front:
    """``/``: a person with a browser."""


@dataclass(frozen=True, slots=True)
class PingV1:
    """``/v1/_ping``."""


@dataclass(frozen=True, slots=True)
class IndexV1:
    """``/v1/repositories/<name>/images``, by which a client finds out where to go on.

    :param name: as docker users write it: ``library/app`` is ``app``.
    """

    name: str


@dataclass(frozen=True, slots=True)
class TagsV1:
    """``/v1/repositories/<name>/tags``."""

    name: str


@dataclass(frozen=True, slots=True)
class TagV1:
    """``/v1/repositories/<name>/tags/<tag>``."""

    name: str
    tag: str


@dataclass(frozen=True, slots=True)
class PartV1:
    """``/v1/images/<id>/<part>``.

    :param part: ``json``, ``ancestry`` or ``layer``.
    """

    image_id: str
    part: str


@dataclass(frozen=True, slots=True)
class SearchV1:
    """``/v1/search``, which ``docker search`` asks to this day."""


@dataclass(frozen=True, slots=True)
class RefusedV1:
    """Any other path below ``/v1/``."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A path that is none of ours.

    :param detail: what broke the grammar, or nothing.
    """

    error: ErrorCode
    detail: str | None = None


AskedV1 = PingV1 | IndexV1 | TagsV1 | TagV1 | PartV1 | SearchV1 | RefusedV1
Asked = Base | ManifestOf | BlobOf | TagsOf | ReferrersOf | Repositories | Front | AskedV1 | Refused

# What may stand in a segment at all: so dot segments, escapes, backslashes and empty segments end here.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*")
# Of names in protocol v1: docker before 1.5 took any of these, in any order; a dot segment is none.
_SEGMENT_V1 = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+")
_PARTS_V1 = ("json", "ancestry", "layer")


def read_path(path: str) -> Asked:
    """Tell what a raw path asks for; never raises."""
    if path in ("/v2/", "/v2"):
        return Base()
    if path.startswith("/v2/"):
        return _read_v2(path)
    if path.startswith("/v1/"):
        return _read_v1(path)
    return Front() if path == "/" else Refused(NOT_FOUND)


def _read_v2(path: str) -> Asked:
    # The one escape that clients send without need: the colon of a digest, in the last segment.
    head, slash, last = path[len("/v2/") :].rpartition("/")
    segments = [*head.split("/"), last.replace("%3A", ":").replace("%3a", ":")] if slash else [last]
    if segments == ["_catalog"]:
        return Repositories()
    if len(segments) < 3 or not all(map(_SEGMENT.fullmatch, segments[:-1])):
        return Refused(NOT_FOUND)
    name, kind, wanted = "/".join(segments[:-2]), segments[-2], segments[-1]
    if kind not in ("manifests", "blobs", "referrers") and (kind, wanted) != ("tags", "list"):
        return Refused(NOT_FOUND)
    if "%" in wanted or "\\" in wanted or wanted in ("", ".", ".."):
        return Refused(NOT_FOUND)
    if not is_name(name):
        return Refused(NAME_INVALID, name)
    if kind == "tags":
        return TagsOf(name)
    if kind == "manifests":
        try:
            return ManifestOf(name, parse_reference(wanted))
        except ValueError:
            return Refused(DIGEST_INVALID if ":" in wanted else MANIFEST_INVALID, wanted)
    try:
        digest = Digest.parse(wanted)
    except ValueError:
        return Refused(DIGEST_INVALID, wanted)
    return BlobOf(name, digest) if kind == "blobs" else ReferrersOf(name, digest)


def _read_v1(path: str) -> AskedV1:
    # Some clients end every path with a slash, as docker ends none but that of its own index.
    segments = path[len("/v1/") :].removesuffix("/").split("/")
    match segments:
        case ["_ping"]:
            return PingV1()
        case ["search"]:
            return SearchV1()
        case ["images", image_id, part] if is_image_id(image_id) and part in _PARTS_V1:
            return PartV1(image_id, part)
        case ["repositories", *name, "tags", tag] if is_tag(tag) and _is_name_v1(name):
            return TagV1(name_v1("/".join(name)), tag)
        case ["repositories", *name, "images"] if _is_name_v1(name):
            return IndexV1(name_v1("/".join(name)))
        case ["repositories", *name, "tags"] if _is_name_v1(name):
            return TagsV1(name_v1("/".join(name)))
    return RefusedV1()


def _is_name_v1(segments: Sequence[str]) -> bool:
    text = "/".join(segments)
    return 0 < len(text) <= NAME_LENGTH and all(map(_SEGMENT_V1.fullmatch, segments))


def name_v1(name: str) -> str:
    """Return the one spelling of a name for protocol v1: docker asks for ``app`` and ``library/app`` in one pull."""
    short = name.removeprefix("library/")
    return name if "/" in short else short
