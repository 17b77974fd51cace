"""A store's public URL as the source of a catalog: treq, with limits on whatever a store may do."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from sdr.catalog.http_listing import HTTPListing
from sdr.catalog.listing_forms import PAGE_LIMIT
from sdr.catalog.sources import Fetched, FetchFailed, Listed, too_slow


class HTTPSource:
    """A store's public URL.

    :param base: the URL that the keys are put behind, without a slash at its end.
    :param agent: makes the requests; redirects are not followed, whatever it does.
    :param stop: closes the agent's idle connections.
    """

    def __init__(
        self, base: str, agent: IAgent, clock: IReactorTime, stop: Callable[[], Deferred[None]] | None = None
    ) -> None:
        self.location = base
        self._clock = clock
        self._stop = stop
        self._client = HTTPClient(_Verbatim(agent))
        self._listing = HTTPListing(base, clock)

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole; see :class:`Source`."""
        got = await self._in_time(self._exchange("GET", self._url(key), limit, etag), seconds)
        validator = _first(got.headers, b"etag")
        if got.status == 200:
            return Fetched(200, got.body, validator)
        if got.status in (403, 404) or (got.status == 304 and etag):
            return Fetched(got.status, etag=validator or etag)
        raise _unexpected(got)

    async def size(self, key: str, *, seconds: float) -> int | None:
        """Return how large an object is; see :class:`ListingSource`."""
        got = await self._in_time(self._exchange("HEAD", self._url(key)), seconds)
        if got.status in (403, 404):
            return None
        length = _first(got.headers, b"content-length")
        if got.status != 200:
            raise _unexpected(got)
        if not length.isascii() or not length.isdigit():
            raise FetchFailed("its length is not told", kind="malformed")
        return int(length)

    async def list(self, prefix: str, *, seconds: float) -> Sequence[Listed]:
        """Return the objects whose keys begin with this; see :class:`ListingSource`."""

        async def get(url: str) -> bytes | None:
            got = await self._in_time(self._exchange("GET", url, PAGE_LIMIT), seconds)
            if got.status == 429 or got.status >= 500:
                raise _unexpected(got)
            return got.body if got.status == 200 else None

        return await self._listing.list(prefix, get)

    def _url(self, key: str) -> str:
        # What a key has of percent signs is its own: the registry of 2014 quoted names.
        return f"{self.location}/{quote(key, safe='/:')}"

    async def _in_time(self, exchange: Coroutine[Deferred[Any], Any, "_Got"], seconds: float) -> "_Got":
        try:
            return await Deferred.fromCoroutine(exchange).addTimeout(seconds, self._clock, too_slow)
        except FetchFailed:
            raise
        except Exception as error:
            cause = _cause(error)
            if isinstance(cause, CancelledError | ConnectingCancelledError):
                # Given up by whoever asked, which says nothing of the store.
                raise CancelledError from error
            # Whatever the agent, TLS or the name service found: the store was not reached.
            raise FetchFailed(_reason(cause)) from error

    async def _exchange(self, method: str, url: str, limit: int = 0, etag: str = "") -> "_Got":
        headers = Headers({b"User-Agent": [b"sdr"]})
        if etag:
            headers.addRawHeader(b"If-None-Match", etag.encode("latin-1"))
        response = await self._client.request(method, url, headers=headers, allow_redirects=False, unbuffered=True)
        body = await _collect(cast(IResponse, response), limit)
        return _Got(response.code, response.headers, body)

    def stop(self) -> Deferred[None]:
        """Close idle connections."""
        if self._stop is not None:
            return self._stop()
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done


@dataclass(frozen=True, slots=True)
class _Got:
    """What came back."""

    status: int
    headers: Headers
    body: bytes


def _unexpected(got: _Got) -> FetchFailed:
    return FetchFailed(f"HTTP status {got.status}", _retry_after(got.headers), "status")


def _first(headers: Headers, name: bytes) -> str:
    """Return a header, or nothing: it need not be UTF-8, and a validator goes back as it came."""
    return headers.getRawHeaders(name, [b""])[0].decode("latin-1")


def _retry_after(headers: Headers) -> float:
    value = _first(headers, b"retry-after")
    return min(float(value), 300.0) if value.isascii() and value.isdigit() else 0.0


def _cause(error: BaseException) -> BaseException:
    """Find why a request failed; Twisted wraps that in lists of failures."""
    while isinstance(error, ResponseFailed | ResponseNeverReceived) and error.reasons:
        error = error.reasons[0].value
    return error


def _reason(error: BaseException) -> str:
    """Say in a few words why a request failed."""
    return f"{type(error).__name__}: {error}".rstrip(": .").replace("\n", " ")[:200]


def _collect(response: IResponse, limit: int) -> Deferred[bytes]:
    """Read a body of at most ``limit`` bytes; an exchange that is given up closes its connection."""
    body = _Body(limit)
    response.deliverBody(body)
    return body.done


class _Body(TwistedProtocol):
    """Collects a response's body. treq's own collector leaves the connection open when it is cancelled."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._length = 0
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece, or give up."""
        self._length += len(data)
        if self._length > self._limit:
            self._pieces.clear()
            self._fail(FetchFailed(f"larger than {self._limit} bytes", kind="too_large"))
            self._abort()
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the whole, if it is whole; a body without a length ends where the connection does."""
        if reason.check(ResponseDone, PotentialDataLoss):
            if not self.done.called:
                self.done.callback(b"".join(self._pieces))
        else:
            self._fail(FetchFailed("the connection was lost within the body"))

    def _fail(self, error: FetchFailed) -> None:
        if not self.done.called:
            self.done.errback(error)

    def _abort(self) -> None:
        # Not loseConnection: over TLS that would wait for the store to agree, and read on until it does.
        if self.transport is not None:
            cast(IPushProducer, self.transport).stopProducing()


@implementer(IAgent)
class _Verbatim:
    """Asks for objects as they are: treq would accept gzip, and a few bytes could become gigabytes."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Make a request without content coding."""
        plain = Headers() if headers is None else headers.copy()
        plain.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, plain, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    # Nothing above may decode a body, nor keep a store's cookies.
    encoded = response.headers.getRawHeaders(b"Content-Encoding", [b"identity"]) != [b"identity"]
    response.headers.removeHeader(b"Content-Encoding")
    response.headers.removeHeader(b"Set-Cookie")
    if encoded and response.code == 200:
        _collect(response, 0).addErrback(lambda _: None).cancel()
        raise FetchFailed("it has a Content-Encoding, which no object of a tree may have", kind="malformed")
    return response
