"""The HTTP side of the endpoint: what a connection speaks, what a request is, and who is told of its end."""

from functools import partial
from typing import BinaryIO, cast

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.endpoint.accounting import Accounting
from sdr.endpoint.connections.addresses import NOBODY, Trusted
from sdr.endpoint.connections.alpn import ByALPN
from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.request import EndpointRequest, request_factory
from sdr.endpoint.fast.answers import Grounds
from sdr.endpoint.fast.channel import FastChannel, FastWay
from sdr.endpoint.request_ids import request_ids


class Discarded:
    """A file that keeps nothing: Twisted Web would spool a body to the disk before it asks anybody."""

    def write(self, data: bytes) -> int:
        """Throw it away."""
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Return nothing."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stay at the beginning."""
        return 0

    def tell(self) -> int:
        """Return the beginning."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class EndpointSite(Site):
    """The site: strict HTTP/1.1, bodies thrown away, and requests that are counted and logged.

    :param connections: knows the limits, and all connections.
    :param trusted: the proxies that are believed when they say whom a request is from.
    :param accounting: is told of each request that was answered.
    :param http2: speak HTTP/2 too, where a TLS handshake has agreed on it.
    :param fast: what plain questions are answered from beneath Twisted Web, if they are.
    """

    def __init__(
        self,
        resource: Resource,
        reactor: IReactorTime,
        connections: Connections,
        trusted: Trusted = NOBODY,
        accounting: Accounting | None = None,
        *,
        http2: bool = False,
        fast: Grounds | None = None,
    ) -> None:
        ids = request_ids()
        requests = request_factory(trusted, ids, reactor)
        super().__init__(resource, requestFactory=requests, timeout=connections.limits.idle_seconds, reactor=reactor)
        self.displayTracebacks = False
        self.noisy = False
        self._connections = connections
        self._accounting = accounting
        self._http2 = http2
        self.protocol = partial(Channel, connections)  # type: ignore[assignment]
        if fast is not None:
            told = accounting or Accounting(None, None)
            way = FastWay(fast, connections.limits, reactor, ids, told, heeds_proxies=bool(trusted))
            self.protocol = partial(FastChannel, connections, way)  # type: ignore[assignment]

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # type: ignore[override]
        """Build what speaks on a connection."""
        http1 = partial(super().buildProtocol, addr)
        if not self._http2:
            return cast(IProtocol, http1())
        # h2 is there only where it is wanted.
        from sdr.endpoint.connections.http2 import h2_channel

        http2 = partial(h2_channel, self._connections, self.reactor, self)
        return cast(IProtocol, ByALPN(self._connections, http1, http2))

    def log(self, request: Request) -> None:
        """Count and log a request that was answered."""
        if self._accounting is not None and isinstance(request, EndpointRequest):
            self._accounting.answered(request, request.request_id, request.began, self.reactor.seconds())

    def getContentFile(self, length: int | None) -> BinaryIO:
        """Give a request's body somewhere to go that costs nothing."""
        return cast(BinaryIO, Discarded())

    def acceptableProtocols(self) -> list[bytes]:
        """Speak what is wanted, whatever happens to be installed."""
        return [b"h2", b"http/1.1"] if self._http2 else [b"http/1.1"]
