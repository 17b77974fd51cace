"""What a parent and its workers say to each other: a kind, some fields, and bytes; pure."""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_LENGTHS = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class Message:
    """Something said.

    :param fields: what JSON can hold.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message as it goes through a pipe."""
        head = json.dumps([self.kind, self.fields], separators=(",", ":")).encode()
        return b"".join((_LENGTHS.pack(len(head), len(self.data)), head, self.data))


class Frames:
    """Takes messages out of what comes through a pipe."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes, and return the messages that are whole now."""
        self._unread += data
        while len(self._unread) >= _LENGTHS.size:
            head, body = _LENGTHS.unpack_from(self._unread)
            middle, end = _LENGTHS.size + head, _LENGTHS.size + head + body
            if len(self._unread) < end:
                return
            kind, fields = json.loads(self._unread[_LENGTHS.size : middle])
            message = Message(kind, fields, bytes(self._unread[middle:end]))
            del self._unread[:end]
            yield message
