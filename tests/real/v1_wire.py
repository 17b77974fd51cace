"""The requests of an old docker: one connection each, redirects and Authorization as its Go and its transport do."""

import base64
import gzip
import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import urljoin, urlsplit

from tests.real.v1_versions import Trait, Version

#: No 308: Go follows it since 1.8, and every docker that speaks v1 is built with an older one.
FOLLOWED = (301, 302, 303, 307)

#: Where a docker that follows redirects without end is stopped.
ENDLESS = 40

#: How Go calls itself where a program says nothing.
GOS_OWN = "Go 1.1 package http"

#: What docker sends for ``user:password`` when it has neither.
NOBODY = "Basic " + base64.b64encode(b":").decode()

_PATIENCE = 15.0


class PullFailed(Exception):
    """What docker would print when it gives up."""


@dataclass(frozen=True)
class Exchange:
    """One request and the beginning of its answer.

    :param hop: how many redirects led to it.
    """

    method: str
    url: str
    sent: Mapping[str, str]
    status: int
    headers: Message
    hop: int

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{self.method} {parts.path}{'?' if parts.query else ''}{parts.query}"


@dataclass(frozen=True)
class Reply:
    """What a request was answered in the end.

    :param headers: of the last response: nothing is read from a redirect.
    :param whole: whether the body came to its end.
    """

    status: int
    headers: Message
    body: bytes
    whole: bool

    def values(self, name: str) -> list[str]:
        """Return a header's lines."""
        return self.headers.get_all(name, [])


@dataclass
class Wire:
    """What a docker sends and gets.

    :param tls: whom it trusts.
    :ivar basic: whether the transport puts a user and a password on every request, even if there are none.
    :ivar tokens: what the transport sends as ``Authorization: Token``.
    """

    version: Version
    tls: ssl.SSLContext
    basic: bool = False
    tokens: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, method: str, url: str, headers: Mapping[str, str], *, nameless: bool = False) -> Reply:
        """Make a request, follow where it leads, and read the answer.

        :param headers: a value of several lines is as many headers.
        :param nameless: without docker's own User-Agent.
        :raise OSError: if there is no answer.
        :raise PullFailed: if redirects do not end.
        """
        first = {"User-Agent": GOS_OWN if nameless else self.version.user_agent, **headers}
        sent, hop, referer = first, 0, False
        while True:
            reply = self._exchange(method, url, self._authorized(sent, referer), hop)
            if reply.status not in FOLLOWED:
                return reply
            target = reply.headers.get("Location")
            hop += 1
            if target is None:
                raise PullFailed(f"{method} {url}: {reply.status} response missing Location header")
            if hop > (10 if self.version.has(Trait.TEN_REDIRECTS) else ENDLESS):
                raise PullFailed(f"{method} {url}: stopped after {hop - 1} redirects")
            source, url = urlsplit(url).scheme, urljoin(url, target)
            referer = self.version.refers(source, urlsplit(url).scheme)
            kept = first if self.version.has(Trait.KEEPS_HEADERS) else {"User-Agent": GOS_OWN}
            sent = {name: value for name, value in kept.items() if name != "Authorization"}
            if referer:
                sent["Referer"] = "yes"

    def _authorized(self, headers: Mapping[str, str], referer: bool) -> dict[str, str]:
        """Return the headers with what the transport of 1.7 and later adds: it knows redirects by their Referer."""
        if self.version.has(Trait.TOKEN_PER_REQUEST) or referer or "Authorization" in headers:
            return dict(headers)
        if self.basic:
            return {**headers, "Authorization": NOBODY}
        if self.tokens:
            return {**headers, "Authorization": f"Token {','.join(self.tokens)}"}
        return dict(headers)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], hop: int) -> Reply:
        parts = urlsplit(url)
        if not parts.netloc or " " in parts.netloc:
            raise OSError(f"{method} {url}: no such host")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.netloc, timeout=_PATIENCE, context=self.tls)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # Go asks for gzip by itself, and undoes it, unless the program wants a part or a HEAD.
        gos_gzip = method == "GET" and "Range" not in headers
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            sent = {**headers, "Connection": "close", **({"Accept-Encoding": "gzip"} if gos_gzip else {})}
            for name, value in sent.items():
                for line in value.split("\n"):
                    connection.putheader(name, line)
            connection.endheaders()
            try:
                answer = connection.getresponse()
            except http.client.HTTPException as error:
                raise OSError(f"{method} {url}: no HTTP answer: {error!r}") from error
            with self._lock:
                self.exchanges.append(Exchange(method, url, sent, answer.status, answer.headers, hop))
                if not self.version.has(Trait.TOKEN_PER_REQUEST):
                    self.tokens = answer.headers.get_all("X-Docker-Token") or self.tokens
            body, whole = _read(answer)
        finally:
            connection.close()
        if gos_gzip and answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Reply(answer.status, answer.headers, body, whole)


def _read(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    pieces = bytearray()
    try:
        for piece in _pieces(answer):
            pieces += piece
    except (OSError, http.client.HTTPException):
        return bytes(pieces), False
    return bytes(pieces), not answer.length


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read1(1 << 16):
        yield piece
