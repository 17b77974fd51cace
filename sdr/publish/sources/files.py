"""The files that a source consists of, in a directory or in an archive; nothing outside it is ever read."""

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from sdr.publish.image import BadSource


class Files(Protocol):
    """Files by their path, which is relative and has ``/`` between its parts. Thread-safe."""

    @property
    def location(self) -> str:
        """The directory or archive, for messages."""
        ...

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, or ``None`` if there is no such file.

        :raise BadSource: if it is something else than a file, or leads outside.
        """
        ...

    def open(self, path: str) -> BinaryIO:
        """Read a file in pieces, from a position of its own.

        :raise BadSource: if there is no such file.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


def read_small(files: Files, path: str, limit: int) -> bytes | None:
    """Read a file whole, or return ``None`` if there is no such file.

    :param limit: in bytes.
    :raise BadSource: if it is larger, or cannot be read.
    """
    size = files.size(path)
    if size is None:
        return None
    if size > limit:
        raise BadSource(f"{files.location}: {path}: {size} bytes, which is more than the limit of {limit}")
    with files.open(path) as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise BadSource(f"{files.location}: {path}: {error.strerror or error}") from error
    if len(data) != size:
        raise BadSource(f"{files.location}: {path}: cut short, {len(data)} bytes of {size}")
    return data


class DirectoryFiles:
    """The files in a directory."""

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        try:
            self._root = root.resolve(strict=True)
            self._inside = f"{self._root}/".replace("//", "/")
        except (OSError, RuntimeError) as error:
            raise BadSource(f"{root}: {getattr(error, 'strerror', None) or 'cannot be followed'}") from error
        if not self._root.is_dir():
            raise BadSource(f"{root}: this is not a directory; for a tar, say oci-archive: or docker-archive:")

    def size(self, path: str) -> int | None:
        """Look at a file; see :class:`Files`."""
        try:
            real = os.path.realpath(f"{self._root}/{path}", strict=True)
            found = os.stat(real)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, RuntimeError) as error:
            raise self._bad(path, getattr(error, "strerror", None) or "a symbolic link that leads nowhere") from error
        if not real.startswith(self._inside):
            raise self._bad(path, f"leads outside of the layout, to {real}")
        if not stat.S_ISREG(found.st_mode):
            raise self._bad(path, "not a regular file")
        return found.st_size

    def open(self, path: str) -> BinaryIO:
        """Read a file; see :class:`Files`."""
        if self.size(path) is None:
            raise self._bad(path, "there is no such file")
        try:
            return (self._root / path).open("rb")
        except OSError as error:
            raise self._bad(path, error.strerror or str(error)) from error

    def close(self) -> None:
        """Nothing is open."""

    def _bad(self, path: str, reason: str) -> BadSource:
        return BadSource(f"{self.location}: {path}: {reason}")


class Slice(io.RawIOBase):
    """A part of a file, read without moving the file's own position, so that threads can share the file.

    :param start: in bytes, as is ``size``.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self._at, self._end = file, start, start, start + size

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another position."""
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = min(max(origin + offset, self._start), self._end)
        return self._at - self._start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the next bytes; fewer than the slice's size if the file ends before."""
        read = os.preadv(self._file.fileno(), [memoryview(buffer)[: self._end - self._at]], self._at)
        self._at += read
        return read
