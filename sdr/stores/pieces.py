"""Reading a body for an upload: once, in pieces, and never its last piece unless all of it is right."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from sdr.stores.interface import Body

#: How much is in memory at once, in bytes.
PIECE = 1024 * 1024


class BadBody(Exception):
    """A body has another size than it announced; the message says which."""


class Pieces:
    """A part of a body as the data of a request: it has a length, and each iteration starts anew.

    The last piece of a body is given out only when its end has been seen, so that a request with a body that turns out
    wrong is never complete.

    :ivar md5: of what the last iteration gave out.
    :ivar failed: what reading the body raised, whatever the HTTP client made of it.
    """

    def __init__(self, reader: "Reader", start: int, size: int) -> None:
        self._reader, self._start, self._size = reader, start, size
        self.md5 = ""
        self.failed: BaseException | None = None

    def __len__(self) -> int:
        """Return its length in bytes."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Read it."""
        self.failed = None
        md5 = hashlib.md5(usedforsecurity=False)
        self.md5 = md5.hexdigest()
        try:
            for piece in self._reader.read(self._start, self._size):
                md5.update(piece)
                self.md5 = md5.hexdigest()
                yield piece
        except Exception as error:
            self.failed = error
            raise

    def consumed(self) -> str:
        """Read it to its end for nothing but its MD5."""
        for _ in self:
            pass
        return self.md5


class Reader:
    """Reads parts of a body: one after the other in one go, and from its beginning again for one that was read before.

    Never by seeking: the body may check what it gives out.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._stream: BinaryIO | None = None
        self._position = 0

    def read(self, start: int, size: int) -> Iterator[bytes]:
        """Read a part in pieces.

        :raise BadBody: before its last piece, if the body does not end where it should.
        """
        stream = self._at(start)
        end = start + size
        if not self._body.size:
            self._require_end(stream)
        while self._position < end:
            piece = stream.read(min(PIECE, end - self._position))
            if not piece:
                raise BadBody(f"{self._position} bytes to write where {self._body.size} were announced")
            self._position += len(piece)
            if self._position == self._body.size:
                self._require_end(stream)
            yield piece

    def _require_end(self, stream: BinaryIO) -> None:
        if stream.read(1):
            raise BadBody(f"more than the {self._body.size} bytes to write that were announced")

    def _at(self, start: int) -> BinaryIO:
        if self._stream is None or self._position != start:
            self.close()
            self._stream = self._body.open()
            while self._position < start:
                piece = self._stream.read(min(PIECE, start - self._position))
                if not piece:
                    raise BadBody(f"{self._position} bytes to write where {self._body.size} were announced")
                self._position += len(piece)
        return self._stream

    def close(self) -> None:
        """Let go of the body."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._position = None, 0
