"""An answer as plain data, and how each kind of it is made."""

from dataclasses import dataclass

from sdr.registry.errors import ErrorCode
from sdr.registry.media_types import JSON
from sdr.registry.questions import Question
from sdr.tree.documents import ManifestEntry
from sdr.tree.headers import IMMUTABLE, REVALIDATE

#: A redirect that no tag decides: short, for the CDN behind it may be changed.
REDIRECT_CACHE = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    :param headers: names and values, ``Content-Length`` among them.
    :param body: what GET sends. HEAD sends the headers only, and may be without it.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the value of a header, if it is there."""
        return next((value for found, value in self.headers if found.lower() == name.lower()), None)


def content(body: bytes, content_type: str, cache_control: str, *more: tuple[str, str]) -> Answer:
    """Answer with a body."""
    headers = (
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", cache_control),
        *more,
    )
    return Answer(200, headers, body)


def error(code: ErrorCode, detail: object = None, *more: tuple[str, str]) -> Answer:
    """Answer with one of the specification's errors."""
    body = code.body(detail)
    headers = (
        ("Content-Type", JSON),
        ("Content-Length", str(len(body))),
        ("Cache-Control", REVALIDATE),
        *more,
    )
    return Answer(code.status, headers, body)


def redirect(location: str, cache_control: str, *more: tuple[str, str], status: int = 307) -> Answer:
    """Answer with a redirect that keeps the method."""
    headers = (("Location", location), ("Content-Length", "0"), ("Cache-Control", cache_control), *more)
    return Answer(status, headers)


def digest_header(digest: object) -> tuple[str, str]:
    """Return the header that says what a client will have got in the end."""
    return ("Docker-Content-Digest", str(digest))


def manifest(question: Question, entry: ManifestEntry, body: bytes, *, by_tag: bool) -> Answer:
    """Answer with a manifest, or 304 if the client has it.

    :param body: the manifest's bytes; not used for HEAD.
    """
    etag = f'"{entry.digest}"'
    shared = (
        ("Cache-Control", REVALIDATE if by_tag else IMMUTABLE),
        digest_header(entry.digest),
        ("ETag", etag),
    )
    if matches(question.if_none_match, etag):
        return Answer(304, shared)
    return Answer(200, (("Content-Type", entry.media_type), ("Content-Length", str(entry.size)), *shared), body)


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether an ``If-None-Match`` names this validator (RFC 9110, section 13.1.2)."""
    candidates = (candidate.strip().removeprefix("W/") for candidate in if_none_match.split(","))
    return any(candidate in (etag, "*") for candidate in candidates)
