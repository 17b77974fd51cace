"""What an operator decided, and where that leads; pure."""

from dataclasses import dataclass

from sdr.cdn.locations import CDN
from sdr.registry.errors import BAD_REQUEST, UNAVAILABLE, ErrorCode
from sdr.registry.questions import Question


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decided.

    :param inline: send manifests instead of redirecting to them.
    :param browse: show which repositories there are.
    :param public_host: the host, and perhaps the port, of the endpoint's own address, if that is set.
    :param old_cdn: where the images of an old store are, if there is one.
    """

    cdn: CDN
    inline: bool = False
    browse: bool = False
    public_host: str | None = None
    old_cdn: CDN | None = None


class NoLocation(Exception):
    """A redirect that cannot be made."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def location(question: Question, cdn: CDN, key: str) -> str:
    """Return where an object is.

    :raise NoLocation: if that cannot be told, or would be where the question came from.
    """
    base = cdn.base(question.host, question.scheme)
    if base is None:
        raise NoLocation(BAD_REQUEST, "the Host header is missing or malformed")
    found = f"{base}/{key}"
    if found.partition("://")[2] == f"{question.host}{question.path}":
        # Dockers before 17.12 would follow it for ever.
        raise NoLocation(UNAVAILABLE, "the CDN's URL leads back to this endpoint")
    return found
