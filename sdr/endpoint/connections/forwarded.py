"""Who a request is from, as the trusted proxies before the endpoint say: ``X-Forwarded-For`` and ``Forwarded``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sdr.endpoint.connections.addresses import Address, Trusted, read_address

#: Proxies that are followed from the endpoint towards the client; nobody has more.
MOST_HOPS = 32
#: Bytes of such headers that are read, from their end: the beginning is what a client wrote.
MOST_BYTES = 4096

#: The headers that are read here, in lower case.
HEADERS = ("x-forwarded-for", "x-forwarded-proto", "forwarded")

_NODE = re.compile(
    r'(?P<quote>"?)(?:(?:\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?'
    r"|(?P<bare>[0-9a-fA-F:.]+))(?P=quote)"
)
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 a token of HTTP's grammar
_PAIR = rf'{_TOKEN}=(?:{_TOKEN}|"(?:[\t !#-\[\]-~]|\\[\t -~])*+")'
_ELEMENT = re.compile(rf"[ \t]*+(?:{_PAIR})(?:[ \t]*+;[ \t]*+(?:{_PAIR})?)*+[ \t]*+")
_PARAMETER = re.compile(rf'({_TOKEN})=({_TOKEN}|"(?:[\t !#-\[\]-~]|\\[\t -~])*+")')


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a request is from.

    :param address: the nearest one that no trusted proxy has.
    :param scheme: ``http`` or ``https`` if a trusted proxy says which the client used.
    """

    address: Address | None
    scheme: str | None = None


@dataclass(frozen=True, slots=True)
class _Hop:
    address: Address | None
    scheme: str | None = None


def client_of(peer: Address | None, headers: Mapping[str, Sequence[str]], trusted: Trusted) -> Client:
    """Return whom a request is from: the rightmost hop that is no trusted proxy.

    What cannot be read (``unknown``, an obfuscated name, garbage) ends the walk at the proxy that wrote it. Where both
    headers are there and do not agree, one of them is the client's own, and neither is believed.

    :param peer: who is connected; nothing for a Unix socket.
    :param headers: the values of ``HEADERS``, by their names in lower case, each line by itself.
    """
    if not (trusted.unix if peer is None else peer in trusted):
        return Client(peer)
    scheme = _last_scheme(headers.get("x-forwarded-proto", ()))
    plain, standard = headers.get("x-forwarded-for", ()), headers.get("forwarded", ())
    found = [_walk(peer, hops, trusted) for hops in _given(plain, standard)]
    if not found or len({client.address for client in found}) > 1:
        return Client(peer, scheme)
    return Client(found[0].address, found[-1].scheme or scheme)


def client_address(peer: Address | None, headers: Mapping[str, Sequence[str]], trusted: Trusted) -> Address | None:
    """Return the address of ``client_of``."""
    return client_of(peer, headers, trusted).address


def read_node(text: str) -> Address | None:
    """Read a hop's address, in brackets, in quotation marks and with a port where it has them."""
    found = _NODE.fullmatch(text.strip(" \t"))
    if found is None or int(found["port"] or 0) > 65535:
        return None
    return read_address(found["bracketed"] or found["v4"] or found["bare"])


def _given(plain: Sequence[str], standard: Sequence[str]) -> Iterator[Iterator[_Hop]]:
    if plain:
        yield _plain_hops(plain)
    if standard:
        yield _standard_hops(standard)


def _walk(peer: Address | None, hops: Iterator[_Hop], trusted: Trusted) -> Client:
    client = Client(peer)
    for _, hop in zip(range(MOST_HOPS), hops, strict=False):
        if hop.address is None:
            break
        client = Client(hop.address, hop.scheme)
        if hop.address not in trusted:
            break
    return client


def _plain_hops(lines: Sequence[str]) -> Iterator[_Hop]:
    for text in reversed(",".join(lines)[-MOST_BYTES:].split(",")):
        yield _Hop(read_node(text))


def _standard_hops(lines: Sequence[str]) -> Iterator[_Hop]:
    rest: str | None = ",".join(lines)[-MOST_BYTES:]
    while rest is not None:
        element, rest = _last_element(rest)
        parameters = {name.lower(): value for name, value in reversed(_PARAMETER.findall(element or ""))}
        node = re.sub(r"\\(.)", r"\1", parameters.get("for", ""))
        yield _Hop(read_node(node), _scheme(parameters.get("proto", "").strip('"')))


def _last_element(text: str) -> tuple[str | None, str | None]:
    """Split the last element off: from the right, for an open quotation mark on the left is the client's affair."""
    at = len(text)
    for _ in range(4):  # a comma inside quotation marks is rare, and each try costs
        at = text.rfind(",", 0, at)
        if _ELEMENT.fullmatch(text, at + 1):
            return text[at + 1 :], (text[:at] if at >= 0 else None)
        if at < 0:
            break
    return None, None


def _last_scheme(lines: Sequence[str]) -> str | None:
    return _scheme(lines[-1].rpartition(",")[2].strip(" \t")) if lines else None


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in ("http", "https") else None
