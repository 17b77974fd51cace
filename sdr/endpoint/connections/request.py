"""A request that has an id, and knows whom it is from when trusted proxies stand before the endpoint."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.server import Request

from sdr.endpoint.connections.addresses import Trusted
from sdr.endpoint.connections.forwarded import HEADERS, Client, client_of
from sdr.endpoint.connections.gate import address_of
from sdr.endpoint.request_ids import HEADER, accepted


class EndpointRequest(Request):
    """A request whose client is who the trusted proxies say it is, in logs and answers alike.

    :param trusted: the proxies that are believed.
    :param ids: makes ids.
    :param clock: for when it began.
    """

    #: Empty until the request has been read.
    request_id = ""
    #: When it had been read, in seconds since 1970.
    began = 0.0

    def __init__(self, trusted: Trusted, ids: Iterator[str], clock: IReactorTime, *more: Any, **named: Any) -> None:
        super().__init__(*more, **named)
        self._trusted = trusted
        self._ids = ids
        self._clock = clock
        self._client: Client | None = None

    def process(self) -> None:
        """Have the request answered."""
        self.began = self._clock.seconds()
        given = accepted(self._lines(HEADER)) if self._trusted and self._is_from_proxy() else None
        self.request_id = given or next(self._ids)
        if self.path == b"*":
            self.path = b"/*"  # `OPTIONS *` is a question like any other; Twisted would answer it by itself
        super().process()

    def getClientAddress(self) -> IAddress:
        """Return the client's address; without a port where only a header tells it."""
        peer: IAddress = super().getClientAddress()
        if not self._trusted:
            return peer
        client = self._read_client(peer).address
        if client is None or client == address_of(peer):
            return peer
        return (IPv4Address if client.version == 4 else IPv6Address)("TCP", str(client), 0)

    def isSecure(self) -> bool:
        """Tell whether the client uses TLS, with the endpoint or with a trusted proxy."""
        scheme = self._read_client(super().getClientAddress()).scheme if self._trusted else None
        return super().isSecure() if scheme is None else scheme == "https"

    def _is_from_proxy(self) -> bool:
        peer = super().getClientAddress()
        address = address_of(peer)
        return address in self._trusted if address is not None else self._trusted.unix and not _has_address(peer)

    def _read_client(self, peer: IAddress) -> Client:
        if self._client is None:
            address = address_of(peer)
            values = {name: self._lines(name) for name in HEADERS}
            believed = address is not None or not _has_address(peer)
            self._client = client_of(address, values, self._trusted) if believed else Client(None)
        return self._client

    def _lines(self, name: str) -> list[str]:
        return [line.decode("latin-1") for line in self.requestHeaders.getRawHeaders(name.encode(), [])]


def _has_address(peer: IAddress) -> bool:
    return isinstance(peer, IPv4Address | IPv6Address)


def request_factory(trusted: Trusted, ids: Iterator[str], clock: IReactorTime) -> Callable[..., Request]:
    """Return what a site makes its requests with."""
    return partial(EndpointRequest, trusted, ids, clock)
