"""The base of every redirect: a CDN's URL, or the endpoint's own tree; pure."""

import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

#: Where the endpoint serves a directory itself.
OWN_TREE = "/tree"
#: Where it serves an old store's directory.
OLD_TREE = "/old"

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")


class BadURL(ValueError):
    """What cannot be the base of other URLs; the message says why."""


@dataclass(frozen=True, slots=True)
class BaseURL:
    """A URL that keys are put behind.

    :param text: the URL, without a slash at its end.
    :param host: in lower case, without brackets.
    :param port: the scheme's own where the URL names none.
    :param path: empty, or with a slash at its beginning only.
    """

    text: str
    scheme: str
    host: str
    port: int
    path: str


def parse_base(text: str) -> BaseURL:
    """Read a base URL.

    :raise BadURL: if it is not absolute, not HTTP(S), or has what no base can have.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadURL(str(error)) from error
    if parts.scheme not in ("http", "https"):
        raise BadURL("it must begin with https:// or http://")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise BadURL("it must have no query and no fragment")
    if parts.username is not None or parts.password is not None:
        raise BadURL("it must have no user name and password: clients would be sent them")
    if not parts.hostname or not is_host(parts.netloc) or port == 0:
        raise BadURL("its host is missing or malformed")
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise BadURL("its path has empty segments, dot segments or characters that must be escaped")
    text = f"{parts.scheme}://{parts.netloc}{path}"
    return BaseURL(text, parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path)


def is_host(text: str) -> bool:
    """Tell whether this is a well-formed ``Host``: a name or address, and perhaps a port."""
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


class CDN(Protocol):
    """Where a redirect points."""

    def base(self, host: str, scheme: str) -> str | None:
        """Return the URL that keys are put behind, without a slash at its end.

        :param host: the request's ``Host``.
        :param scheme: the connection's.
        :return: ``None`` if it depends on the ``Host`` and that is malformed.
        """
        ...


@dataclass(frozen=True, slots=True)
class RemoteCDN:
    """A CDN with a URL of its own."""

    url: str

    def base(self, host: str, scheme: str) -> str:
        """Return the CDN's URL, whatever the request."""
        return self.url


@dataclass(frozen=True, slots=True)
class OwnTree:
    """The endpoint itself serves the files of a directory.

    :param public_url: the endpoint's address, where the connection does not tell it.
    :param path: of the directory's files at the endpoint.
    """

    public_url: str | None
    path: str = OWN_TREE

    def base(self, host: str, scheme: str) -> str | None:
        """Return the endpoint's own address with the path of the files."""
        if self.public_url is not None:
            return self.public_url + self.path
        return f"{scheme}://{host}{self.path}" if is_host(host) else None
