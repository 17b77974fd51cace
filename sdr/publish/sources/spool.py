"""Temporary files, for what can only be read as a whole first; they are gone with the process, even if it is killed."""

import io
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, ParamSpec, TypeVar

from sdr.publish.image import PIECE, BadSource
from sdr.publish.sources.files import Slice

P = ParamSpec("P")
T = TypeVar("T")


class OpenFiles(ExitStack):
    """Closes files at its end, and knows how many they are. Files may be added by several threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.count = 0

    def callback(self, callback: Callable[P, T], /, *args: P.args, **kwds: P.kwargs) -> Callable[P, T]:
        """Have a file closed."""
        with self._lock:
            self.count += 1
            return super().callback(callback, *args, **kwds)


class Spool:
    """A temporary file, where ``TMPDIR`` says; never in the store.

    :param where: what it is for, in messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self.size = 0
        try:
            self.file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close())
        except OSError as error:
            raise self._full(error) from error

    def write(self, piece: bytes) -> None:
        """Append.

        :raise BadSource: if there is no room; the message says where.
        """
        rest = memoryview(piece)
        while rest:
            try:
                written = self.file.write(rest)
            except OSError as error:
                raise self._full(error) from error
            rest = rest[written:]
            self.size += written

    def open(self) -> BinaryIO:
        """Read from the beginning, with a position of its own."""
        return io.BufferedReader(Slice(self.file, 0, self.size), PIECE)

    def close(self) -> None:
        """Remove it."""
        self.file.close()

    def _full(self, error: OSError) -> BadSource:
        place = f"a temporary file in {tempfile.gettempdir()}"
        return BadSource(f"{self._where}: {place}: {error.strerror or error}; TMPDIR may name a roomier place")
