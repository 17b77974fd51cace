"""Reading a tree through a CDN, with the requests that clients send."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import SKIP_HEADER, parse_url

from sdr.publish.check.reading import Reply
from sdr.publish.image import PIECE
from sdr.registry.media_types import INDEX_TYPES, MANIFEST_TYPES
from sdr.stores.interface import NotReachable, Served, StoreError

#: How many redirects are followed; clients follow ten.
REDIRECTS = 5
#: Seconds before the second attempt, and the third.
PAUSES = (0.5, 2.0)
#: Seconds until a connection is there, and until something more of an answer comes.
TIMEOUT = urllib3.Timeout(connect=10, read=30)

#: What is read to keep a connection, in bytes.
SMALL = 64 * 1024

_ACCEPT = ", ".join([*sorted(MANIFEST_TYPES | INDEX_TYPES), "*/*"])
_MAY_PASS = frozenset({429, 500, 502, 503, 504})


class WebReader:
    """Reads through a CDN.

    :param url: the base that keys are put behind.
    :param connections: how many are kept open; as many as there are threads.
    :param pauses: seconds before each further attempt.
    :raise ValueError: if it is no such URL.
    """

    def __init__(self, url: str, *, connections: int = 8, pauses: Sequence[float] = PAUSES) -> None:
        try:
            parts = parse_url(url)
        except LocationParseError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
            raise ValueError(f"{url}: not the URL of a CDN, such as https://cdn.example.com")
        self.location = url
        self._base, self._pauses = url.rstrip("/"), pauses
        self._pool = urllib3.PoolManager(maxsize=connections)

    def head(self, key: str) -> Reply:
        """Ask for an object's headers."""
        got = self._ask("HEAD", key, {})
        got.drain_conn()
        return _reply(got, iter(()))

    @contextmanager
    def get(self, key: str, *, start: int = 0, size: int | None = None) -> Iterator[Reply]:
        """Ask for an object, or a part of it."""
        # As Go's client does, and so docker: compressed if it likes, but for parts.
        asked = {"Accept-Encoding": "gzip"} if size is None else {"Range": f"bytes={start}-{start + size - 1}"}
        got = self._ask("GET", key, asked)
        try:
            yield _reply(got, self._pieces(got, key))
        finally:
            # What is left of a layer is not waited for; a connection costs more than what is left of a small file.
            if got.length_remaining is not None and got.length_remaining <= SMALL:
                got.drain_conn()
            got.close()

    def _pieces(self, got: urllib3.BaseHTTPResponse, key: str) -> Iterator[bytes]:
        read = 0
        try:
            for piece in got.stream(PIECE, decode_content=False):
                read += len(piece)
                yield piece
        except HTTPError as error:
            raise StoreError(self.location, key, f"it ends after {read} bytes: {_words(error)}") from error

    def _ask(self, method: str, key: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request, again if that may help, and follow redirects."""
        url = f"{self._base}/{key}"
        for _ in range(REDIRECTS + 1):
            got = self._answered(method, url, key, headers)
            target = got.get_redirect_location()
            if not target:
                return got
            got.drain_conn()
            url = urljoin(url, target)
        raise StoreError(self.location, key, f"more than {REDIRECTS} redirects")

    def _answered(self, method: str, url: str, key: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        for pause in (*self._pauses, None):
            try:
                got = self._pool.request(
                    method,
                    url,
                    # Without the last, an Accept-Encoding of "identity" would be sent, which no client sends.
                    headers={"User-Agent": "sdr", "Accept": _ACCEPT, "Accept-Encoding": SKIP_HEADER, **headers},
                    preload_content=False,
                    decode_content=False,
                    redirect=False,
                    retries=False,
                    timeout=TIMEOUT,
                )
            except HTTPError as error:
                if pause is None:
                    raise NotReachable(self.location, key, _words(error)) from error
            else:
                if pause is None or got.status not in _MAY_PASS:
                    return got
                got.drain_conn()
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _reply(got: urllib3.BaseHTTPResponse, pieces: Iterator[bytes]) -> Reply:
    length = got.headers.get("Content-Length", "")
    served = Served(
        got.headers.get("Content-Type"),
        got.headers.get("Cache-Control"),
        got.headers.get("Content-Encoding"),
        got.headers.get("Docker-Content-Digest"),
    )
    size = int(length) if length.isascii() and length.isdigit() else None
    return Reply(got.status, size, served, got.headers.get("Content-Range"), pieces)


def _words(error: HTTPError) -> str:
    """Return an error without the objects that urllib3 puts before its words."""
    text = " ".join(str(error).split())
    reason = text.rpartition(">: ")[2] or text
    return reason.rpartition("): ")[2] or reason
