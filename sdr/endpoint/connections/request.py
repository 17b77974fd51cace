"""A request that knows whom it is from, when trusted proxies stand before the endpoint."""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.web.server import Request

from sdr.endpoint.connections.addresses import Trusted
from sdr.endpoint.connections.forwarded import HEADERS, Client, client_of
from sdr.endpoint.connections.gate import address_of


class ForwardedRequest(Request):
    """A request whose client is who the trusted proxies say it is, in logs and answers alike.

    :param trusted: the proxies that are believed.
    """

    def __init__(self, trusted: Trusted, *more: Any, **named: Any) -> None:
        super().__init__(*more, **named)
        self._trusted = trusted
        self._client: Client | None = None

    def getClientAddress(self) -> IAddress:
        """Return the client's address; without a port where only a header tells it."""
        peer: IAddress = super().getClientAddress()
        client = self._read_client(peer).address
        if client is None or client == address_of(peer):
            return peer
        return (IPv4Address if client.version == 4 else IPv6Address)("TCP", str(client), 0)

    def isSecure(self) -> bool:
        """Tell whether the client uses TLS, with the endpoint or with a trusted proxy."""
        scheme = self._read_client(super().getClientAddress()).scheme
        return super().isSecure() if scheme is None else scheme == "https"

    def _read_client(self, peer: IAddress) -> Client:
        if self._client is None:
            address = address_of(peer)
            values = {name: self._lines(name) for name in HEADERS}
            believed = not isinstance(peer, IPv4Address | IPv6Address) or address is not None
            self._client = client_of(address, values, self._trusted) if believed else Client(None)
        return self._client

    def _lines(self, name: str) -> list[str]:
        return [line.decode("latin-1") for line in self.requestHeaders.getRawHeaders(name.encode(), [])]


def request_factory(trusted: Trusted) -> Callable[..., Request]:
    """Return what a site makes its requests with."""
    return partial(ForwardedRequest, trusted) if trusted else Request
