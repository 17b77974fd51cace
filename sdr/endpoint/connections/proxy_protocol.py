"""The header of the PROXY protocol, versions 1 and 2, read from the first bytes of a connection."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdr.endpoint.connections.addresses import Address, read_address

#: The longest header of version 1, its line's end included.
V1_BYTES = 107
#: The longest header of version 2 that is read: addresses and some extensions, certificates' names among them.
V2_BYTES = 4096

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16
_V1_LINE = re.compile(rb"PROXY TCP([46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) ([0-9]{1,5}) ([0-9]{1,5})")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")
_LOCAL, _PROXY = 0x20, 0x21
#: What an address family of version 2 takes at least; none for a connection that has no address.
_FAMILIES = {0x00: 0, 0x10: 12, 0x20: 36, 0x30: 216}


@dataclass(frozen=True, slots=True)
class Source:
    """Who is connected to the proxy."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    :param consumed: its bytes.
    :param source: nobody where the proxy speaks for itself, or cannot say.
    """

    consumed: int
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class NeedMore:
    """What there is may become a header."""


@dataclass(frozen=True, slots=True)
class Absent:
    """What there is begins no header."""


@dataclass(frozen=True, slots=True)
class Bad:
    """What there is begins like a header and is none."""

    reason: str


Reading = Header | NeedMore | Absent | Bad


def read_header(buffer: bytes) -> Reading:
    """Read a header from all bytes that have come so far."""
    for signature, read in ((_V1, _read_v1), (_V2, _read_v2)):
        if buffer.startswith(signature):
            return read(buffer)
        if signature.startswith(buffer):
            return NeedMore()
    return Absent()


def _read_v1(buffer: bytes) -> Reading:
    end = buffer.find(b"\n", 0, V1_BYTES)
    if end < 0:
        return NeedMore() if len(buffer) < V1_BYTES else Bad("the line is too long")
    line, consumed = buffer[: end - 1], end + 1
    if buffer[end - 1 : end] != b"\r":
        return Bad("the line does not end well")
    if _V1_UNKNOWN.fullmatch(line):
        return Header(consumed)
    found = _V1_LINE.fullmatch(line)
    if found is None:
        return Bad("the line is malformed")
    kind = IPv4Address if found[1] == b"4" else IPv6Address
    ports = [found[4], found[5]]
    if any(int(port) > 65535 or (port.startswith(b"0") and port != b"0") for port in ports):
        return Bad("a port is malformed")
    try:
        source, _ = kind(found[2].decode()), kind(found[3].decode())
    except ValueError:
        return Bad("an address is malformed")
    return Header(consumed, Source(_normal(source), int(ports[0])))


def _read_v2(buffer: bytes) -> Reading:
    # What can be refused is refused before it has come whole.
    command, family = buffer[12:13], buffer[13:14]
    if command and command[0] not in (_LOCAL, _PROXY):
        return Bad("the version or command is unknown")
    if family and (family[0] & 0xF0 not in _FAMILIES or family[0] & 0x0F > 2):
        return Bad("the address family is unknown")
    if len(buffer) < _V2_FIXED:
        return NeedMore()
    length = int.from_bytes(buffer[14:16], "big")
    if _V2_FIXED + length > V2_BYTES:
        return Bad("it is too long")
    says_who = command[0] == _PROXY
    if says_who and length < _FAMILIES[family[0] & 0xF0]:
        return Bad("it is too short for its addresses")
    consumed = _V2_FIXED + length
    if len(buffer) < consumed:
        return NeedMore()
    return Header(consumed, _v2_source(family[0], buffer[_V2_FIXED:consumed]) if says_who else None)


def _v2_source(family: int, body: bytes) -> Source | None:
    if family == 0x11:
        return Source(IPv4Address(body[:4]), int.from_bytes(body[8:10], "big"))
    if family == 0x21:
        return Source(_normal(IPv6Address(body[:16])), int.from_bytes(body[32:34], "big"))
    return None  # a Unix socket, or no stream: nobody that has an address


def _normal(address: Address) -> Address:
    return read_address(str(address)) or address
