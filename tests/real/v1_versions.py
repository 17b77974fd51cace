"""Which docker does what over protocol v1: a table, from the sources of those versions and from what they did when run.

The client of :mod:`tests.real.v1_docker` asks it at each turn. What stands in quotes is the heading in ``docs/v1.md``
under which a reader finds it.
"""

import re
from dataclasses import dataclass
from enum import Enum

#: A release, such as ``(1, 10)``.
Release = tuple[int, int]

_OLDEST, _LAST = (0, 0), (17, 5)


@dataclass(frozen=True)
class Span:
    """The first and the last release that do something, both included.

    :param row: what says so.
    """

    first: Release
    last: Release
    row: str


class Trait(Enum):
    """What some versions do, and others do not."""

    # Which requests.
    PROBES_V2 = Span((1, 5), _LAST, '"Requests": GET /v2/ comes first')
    ALL_TAGS_BY_DEFAULT = Span(_OLDEST, (1, 2), '"Requests": no tag given means every tag; later :latest')
    WHOLE_TAGS = Span(_OLDEST, (1, 7), '"Requests": asks .../tags and picks; later .../tags/TAG')
    HEADS_LAYERS = Span((0, 12), (1, 1), '"Requests": HEAD of a layer before its GET')
    ALL_JSON_FIRST = Span((1, 10), _LAST, '"Requests": all json, then the layers, three at a time')
    PINGS_OVER_HTTP = Span(_OLDEST, (1, 7), '"Requests": _ping over plain http; later over https only')
    PINGS_TWICE_OVER_HTTPS = Span(_OLDEST, (1, 7), '"Requests": _ping, and again when the session begins')
    PROBES_V2_AGAIN = Span((1, 8), (1, 10), '"Requests": over https /v2/ once more before _ping')
    NAMELESS_PINGS = Span(_OLDEST, (1, 5), '"Requests": pings have the User-Agent of Go itself')

    # Which headers.
    INSISTS_ON_HEADERS = Span(_OLDEST, (0, 10), '"Headers": X-Docker-Registry-Version, -Endpoints and -Size')
    READS_PING_BODY = Span((0, 11), _LAST, '"Headers": standalone may stand in the body of _ping')
    COMMA_ENDPOINTS = Span((0, 11), _LAST, '"Headers": several X-Docker-Endpoints in one line')
    RESUMES = Span((0, 12), _LAST, '"Headers": X-Docker-Size and Accept-Ranges: bytes let a layer go on')
    RETRIES_LAYERS = Span((1, 10), _LAST, '"Headers": a layer that was cut is fetched anew')

    # Redirects, and Authorization.
    TEN_REDIRECTS = Span(_OLDEST, (0, 11), '"Redirects": ten at most; later without end')
    KEEPS_HEADERS = Span((0, 12), _LAST, '"Redirects": the redirected request has the headers of the first')
    TOKEN_PER_REQUEST = Span(_OLDEST, (1, 6), '"Authorization": written into each request; later by the transport')

    # Protocol v2, and back.
    ONLY_SCHEMA_1 = Span(_OLDEST, (1, 9), '"v1 and v2": no schema 2')
    ANY_V2_ERROR_FALLS_BACK = Span(_OLDEST, (1, 7), '"v1 and v2": whatever v2 says, v1 is tried')
    DETAIL_STOPS = Span((1, 8), (1, 9), '"v1 and v2": other errors with a detail end the pull')
    ASKS_UNCONFIRMED_V2 = Span((1, 10), _LAST, '"v1 and v2": the manifest is asked for even if /v2/ is no registry')
    REFUSED_V2_FALLS_BACK = Span((1, 12), _LAST, '"v1 and v2": 401 on /v2/ leads to v1')

    # Names.
    OLD_NAMESPACES = Span(_OLDEST, (1, 4), '"Names": 4 to 30 of [a-z0-9_]')
    DASHED_NAMESPACES = Span((1, 5), (1, 5), '"Names": 4 to 30 of [a-z0-9-_]')
    LONG_NAMESPACES = Span((1, 6), (1, 7), '"Names": 2 to 255 of [a-z0-9-_]')


_NAMESPACES = {
    Trait.OLD_NAMESPACES: r"[a-z0-9_]{4,30}",
    Trait.DASHED_NAMESPACES: r"[a-z0-9_-]{4,30}",
    Trait.LONG_NAMESPACES: r"[a-z0-9_-]{2,255}",
}


@dataclass(frozen=True)
class Version:
    """One docker.

    :param release: its first two numbers.
    :param go: the toolchain that it is built with, which decides about redirects and ``Referer``.
    """

    release: Release
    go: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.release[0]}.{self.release[1]:02d}" if self.release[0] > 1 else ".".join(map(str, self.release))

    def has(self, trait: Trait) -> bool:
        """Tell whether this docker does so."""
        span: Span = trait.value
        return span.first <= self.release <= span.last

    @property
    def user_agent(self) -> str:
        """What it calls itself."""
        go = ".".join(map(str, self.go))
        return f"docker/{self}.0 go/go{go} git-commit/0000000 kernel/3.16.0-4-amd64 os/linux arch/amd64"

    def refers(self, source: str, target: str) -> bool:
        """Tell whether a request that was redirected has a ``Referer``, by which the transport knows it.

        :param source: the scheme that the redirect came from.
        :param target: the scheme that it leads to.
        """
        if self.go < (1, 5, 0):
            return source == "http"
        return (source, target) != ("https", "http")

    def takes(self, name: str) -> bool:
        """Tell whether a repository's name, without the host, is one for this docker."""
        for trait, namespace in _NAMESPACES.items():
            if self.has(trait):
                # It splits at the first slash only.
                return re.fullmatch(rf"(?:{namespace}/)?[a-z0-9._-]+", name) is not None
        return re.fullmatch(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*", name) is not None


VERSIONS = (
    Version((0, 9), (1, 2, 1)),
    Version((0, 10), (1, 2, 1)),
    Version((0, 11), (1, 2, 1)),
    Version((0, 12), (1, 2, 1)),
    Version((1, 1), (1, 2, 1)),
    Version((1, 2), (1, 3, 1)),
    Version((1, 4), (1, 3, 3)),
    Version((1, 5), (1, 4, 1)),
    Version((1, 6), (1, 4, 2)),
    Version((1, 7), (1, 4, 2)),
    Version((1, 8), (1, 4, 2)),
    Version((1, 9), (1, 4, 3)),
    Version((1, 10), (1, 5, 3)),
    Version((1, 12), (1, 6, 4)),
    Version((1, 13), (1, 7, 5)),
    Version((17, 5), (1, 7, 5)),
)


def kinds() -> tuple[Version, ...]:
    """Return one docker of each kind: the first of those that do the same."""
    found: dict[object, Version] = {}
    for each in VERSIONS:
        does = (*(each.has(trait) for trait in Trait), each.refers("https", "https"))
        found.setdefault(does, each)
    return tuple(found.values())


def version(text: str) -> Version:
    """Return the docker of a release, such as ``1.10``."""
    return next(one for one in VERSIONS if str(one) == text)
