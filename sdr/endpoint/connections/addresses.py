"""Addresses of peers: one form of each, which of them share a limit, and which proxies are believed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_TEXT = re.compile(r"[0-9a-fA-F:.]{2,45}")
#: What IPv6 writes before an IPv4 address, as addresses and as a network.
_MAPPED = IPv6Network("::ffff:0:0/96")
#: How the clients of one subscriber or machine differ in IPv6.
_SUBSCRIBER_BITS = 64


class BadNetwork(ValueError):
    """A network cannot be read; the message says why, and how it is written."""


# Each connection asks a few times for the same one.
@lru_cache(maxsize=4096)
def read_address(text: str) -> Address | None:
    """Read an address, an IPv4 one in IPv6's clothes as IPv4 and without the name of an interface."""
    bare = text.partition("%")[0]
    if not _TEXT.fullmatch(bare):
        return None
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def group_of(address: Address) -> Address | IPv6Network:
    """Return what counts as one client: an IPv4 address, or all of an IPv6 /64, whose owner has 2^64 of them."""
    return address if address.version == 4 else IPv6Network((int(address), _SUBSCRIBER_BITS), strict=False)


def read_network(text: str) -> Network:
    """Read a network or a single address.

    :raise BadNetwork: if it is neither.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        try:
            meant = f"; write {ip_network(text, strict=False)}"
        except ValueError:
            meant = "; it is written like 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32"
        raise BadNetwork(f"{error}{meant}") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@dataclass(frozen=True, slots=True)
class Trusted:
    """The proxies that are believed when they say who their client is.

    :param networks: where they are.
    :param unix: whether whoever may connect to a Unix socket of the endpoint is one.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def __contains__(self, address: object) -> bool:
        return isinstance(address, Address) and any(address in network for network in self.networks)


#: No proxy is believed.
NOBODY = Trusted()


def read_trusted(texts: Iterable[str]) -> Trusted:
    """Read the values of ``--trusted-proxy``: networks, addresses, or ``unix``.

    :raise BadNetwork: if one cannot be read; the message begins with the option.
    """
    networks, unix = [], False
    for text in texts:
        if text == "unix":
            unix = True
            continue
        try:
            networks.append(read_network(text))
        except BadNetwork as error:
            raise BadNetwork(f"--trusted-proxy {text}: {error}") from error
    return Trusted(tuple(networks), unix)
