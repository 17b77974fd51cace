"""The kinds of requests, as metrics and the access log name them; pure."""

from sdr.registry.questions import (
    Asked,
    Base,
    BlobOf,
    Front,
    IndexV1,
    ManifestOf,
    PartV1,
    PingV1,
    ReferrersOf,
    Refused,
    RefusedV1,
    Repositories,
    SearchV1,
    TagsOf,
    TagsV1,
    TagV1,
)

#: What is none of ours, or could not be read.
OTHER = "other"

_ROUTES: dict[type[Asked], str] = {
    Base: "base",
    ManifestOf: "manifest",
    BlobOf: "blob",
    TagsOf: "tags",
    ReferrersOf: "referrers",
    Repositories: "catalog",
    Front: "front",
    PingV1: "v1_ping",
    IndexV1: "v1_images",
    TagsV1: "v1_tags",
    TagV1: "v1_tag",
    SearchV1: "v1_search",
    RefusedV1: "v1_other",
    Refused: OTHER,
}

#: The parts of an image of protocol v1.
_PARTS = {"json": "v1_json", "ancestry": "v1_ancestry", "layer": "v1_layer"}

#: Requests that are no questions: files of a directory that the endpoint serves itself, and of certbot's webroot.
FILES = ("tree", "old", "acme")

#: Every route there is.
ROUTES = frozenset({*_ROUTES.values(), *_PARTS.values(), *FILES})


def route_of(asked: Asked) -> str:
    """Return what kind of request this is: one of :data:`ROUTES`."""
    return _PARTS[asked.part] if isinstance(asked, PartV1) else _ROUTES[type(asked)]


def host_of(location: str | None) -> str:
    """Return the host, and the port where there is one, that a redirect leads to; empty for no redirect."""
    return "" if location is None else location.partition("://")[2].partition("/")[0]
