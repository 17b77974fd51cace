"""Where a request's body ends: counted, or read from its chunks, without keeping any of it."""

import re

#: The longest line of a chunk's size with its extensions.
SIZE_LINE_BYTES = 256
#: The most that may follow the last chunk.
TRAILER_BYTES = 4096

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;%b+(?:=(?:%b+|\"[\t !#-\[\]-~]*\"))?)*" % (_TOKEN, _TOKEN))
_TRAILER = re.compile(rb"%b+:[\t -~\x80-\xff]*" % _TOKEN)


class BadBody(ValueError):
    """The bytes are no body in chunks."""


class Sized:
    """A body whose length was told."""

    def __init__(self, length: int) -> None:
        self._rest = length

    @property
    def done(self) -> bool:
        """Whether all of it has come."""
        return self._rest == 0

    def take(self, data: bytes | bytearray) -> int:
        """Return how many of these bytes are the body's."""
        taken = min(self._rest, len(data))
        self._rest -= taken
        return taken


class Chunked:
    """A body in chunks (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self.done = False
        self._rest = 0  # of the chunk that is being read
        self._after_chunk = self._in_trailer = False
        self._trailer = 0

    def take(self, data: bytes | bytearray) -> int:
        """Return how many of these bytes are the body's, the others belong to the next call or request.

        :raise BadBody: if they cannot be.
        """
        at = 0
        while at < len(data) and not self.done:
            if self._rest:
                step = min(self._rest, len(data) - at)
                self._rest -= step
            else:
                step = self._line(data, at)
                if not step:
                    break
            at += step
        return at

    def _line(self, data: bytes | bytearray, at: int) -> int:
        """Read one line; nothing if it is not there whole."""
        most = 0 if self._after_chunk else TRAILER_BYTES - self._trailer if self._in_trailer else SIZE_LINE_BYTES
        end = data.find(b"\r\n", at, at + most + 2)
        if end < 0:
            beginning = bytes(data[at : at + most + 2])
            if len(beginning) == most + 2 or b"\n" in beginning or b"\r" in beginning[:-1]:
                raise BadBody("a line is too long or ends badly")
            if self._after_chunk and beginning != b"\r":
                raise BadBody("a chunk is longer than it said")
            return 0
        line = bytes(data[at:end])
        if self._after_chunk:
            self._after_chunk = False
        elif self._in_trailer:
            self._read_trailer(line)
        else:
            self._read_size(line)
        return len(line) + 2

    def _read_size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BadBody("a chunk's size is malformed")
        self._rest = int(found[1], 16)
        self._after_chunk = self._rest > 0
        self._in_trailer = self._rest == 0

    def _read_trailer(self, line: bytes) -> None:
        self._trailer += len(line) + 2
        if not line:
            self.done = True
        elif not _TRAILER.fullmatch(line):
            raise BadBody("what follows the last chunk is malformed")
