"""What a client says first in TLS: the name that it asks for, and the protocols that it offers; pure."""

from dataclasses import dataclass

#: No client says more than this before it has been answered.
LONGEST = 32768

#: The first byte of a record of the handshake (RFC 8446, section 5.1), and of the message.
_HANDSHAKE, _CLIENT_HELLO = 0x16, b"\x01"
_RECORD_HEAD, _MESSAGE_HEAD = 5, 4
_LONGEST_RECORD = 16384
#: Records that are read for it; a client that cuts it into more is the library's affair, which need not begin anew.
_MOST_RECORDS = 16
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0


class NoHello(ValueError):
    """What came is no well-formed ClientHello; the TLS library knows what to say to it."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A ClientHello (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2).

    :param server_name: as it came (RFC 6066, section 3), or nothing.
    :param protocols: by ALPN (RFC 7301), in the client's order; empty if none are offered.
    """

    server_name: bytes | None
    protocols: tuple[bytes, ...]


def read_hello(data: bytes) -> Hello | None:
    """Read the first bytes of a connection; nothing if more must come.

    :raise NoHello: if they cannot become one.
    """
    message = _message(data)
    if message is None:
        return None
    try:
        return _read(message)
    except IndexError as error:
        raise NoHello("cut short") from error


def _read(message: bytes) -> Hello:
    at = 34  # behind the version and the random bytes
    at += 1 + message[at]  # the session
    at += 2 + (message[at] << 8 | message[at + 1])  # ciphers
    at += 1 + message[at]  # compressions
    if at == len(message):
        return Hello(None, ())
    end = at + 2 + (message[at] << 8 | message[at + 1])
    at += 2
    server_name: bytes | None = None
    protocols: tuple[bytes, ...] = ()
    while at < end:
        kind, length = message[at] << 8 | message[at + 1], message[at + 2] << 8 | message[at + 3]
        at += 4
        if at + length > end:
            raise NoHello("cut short")
        if kind == _SERVER_NAME:
            server_name = _server_name(message[at : at + length])
        elif kind == _ALPN:
            protocols = tuple(_protocols(message[at : at + length]))
        at += length
    if at != len(message):
        raise NoHello("cut short, or too long")
    return Hello(server_name, protocols)


def _message(data: bytes) -> bytes | None:
    """Return the first message of a handshake, which may be in several records."""
    found, at, records = b"", 0, 0
    while len(data) - at >= _RECORD_HEAD:
        records += 1
        if records > _MOST_RECORDS:
            raise NoHello("in too many pieces")
        length = data[at + 3] << 8 | data[at + 4]
        # Which version the record has is the library's affair; 3 is what all since 1996 have begun with.
        if data[at] != _HANDSHAKE or data[at + 1] != 3 or not 0 < length <= _LONGEST_RECORD:
            raise NoHello("not a record of a handshake")
        found += data[at + _RECORD_HEAD : at + _RECORD_HEAD + length]
        if found[:1] not in (b"", _CLIENT_HELLO):
            raise NoHello("not a ClientHello")
        size = int.from_bytes(found[1:_MESSAGE_HEAD], "big")
        if len(found) >= _MESSAGE_HEAD + size:
            return found[_MESSAGE_HEAD : _MESSAGE_HEAD + size]
        at += _RECORD_HEAD + length
    if len(data) > LONGEST or data[:1] not in (b"", bytes([_HANDSHAKE])) or data[1:2] not in (b"", b"\x03"):
        raise NoHello("too long, or not a record of a handshake")
    return None


def _server_name(names: bytes) -> bytes | None:
    at = 2
    while at < len(names):
        kind, length = names[at], names[at + 1] << 8 | names[at + 2]
        at += 3
        if kind == _HOST_NAME:
            return names[at : at + length]
        at += length
    return None


def _protocols(names: bytes) -> list[bytes]:
    found, at = [], 2
    while at < len(names):
        length = names[at]
        found.append(names[at + 1 : at + 1 + length])
        at += 1 + length
    return found
