"""Reading an object of any size from what obstore gives out in pieces."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager


class Stream(io.RawIOBase):
    """What obstore reads, as a file.

    :param errors: in which each piece is read.
    """

    def __init__(self, pieces: Iterator[bytes], errors: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._pieces, self._errors, self._left = pieces, errors, memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there, at least one byte unless it is the end."""
        while not self._left:
            with self._errors():
                piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
