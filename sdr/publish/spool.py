"""Temporary files, for what can only be read as a whole first; they are gone with the process, even if it is killed."""

import io
import tempfile
from typing import BinaryIO

from sdr.publish.files import Slice
from sdr.publish.image import PIECE, BadSource


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
