"""The files in a tar archive, read where they lie: nothing is unpacked."""

import io
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sdr.publish.image import PIECE, BadSource
from sdr.publish.sources.compression import pieces, sniff
from sdr.publish.sources.files import Slice
from sdr.publish.sources.spool import Spool

#: What one header may hold, in bytes: a pax header is as large as the archive says.
HEADER_LIMIT = 1024 * 1024

#: How many files there may be.
MEMBER_LIMIT = 1_000_000

#: How long a path may be, as on Linux: all of them are in memory.
PATH_LIMIT = 4096

#: As many symbolic links in a row as Linux follows.
LINK_LIMIT = 40

#: What tarfile lets through when headers make no sense.
_BROKEN = (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError, EOFError)


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a file lies, or the path that a link leads to."""

    start: int = 0
    size: int = 0
    link: str | None = None


class TarFiles:
    """The files in a tar archive, which may be compressed: then it is decompressed to a temporary file first.

    :raise BadSource: if it is no archive, is damaged, or holds a path or a link that leads outside.
    """

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self._file = _plain(path)
        self._members: dict[str, _Member] = {}
        try:
            with _damage(self.location):
                self._read_members()
        except BaseException:
            self._file.close()
            raise

    def _read_members(self) -> None:
        headers = _Headers(self._file)
        with tarfile.open(fileobj=headers, mode="r:", errorlevel=2) as archive:
            while (info := archive.next()) is not None:
                # tarfile would keep them all.
                archive.members.clear()  # type: ignore[attr-defined]
                self._add(info)

    def _add(self, info: tarfile.TarInfo) -> None:
        if max(len(info.name), len(info.linkname)) > PATH_LIMIT:
            raise BadSource(f"{self.location}: a path of more than {PATH_LIMIT} characters")
        path = self._inside(info.name, "")
        if info.isdir():
            return
        if path in self._members:
            raise self._bad(path, "is in the archive twice")
        if len(self._members) == MEMBER_LIMIT:
            raise BadSource(f"{self.location}: more than {MEMBER_LIMIT} files")
        if info.issym():
            self._members[path] = _Member(link=self._inside(info.linkname, posixpath.dirname(path), path))
        elif info.islnk():
            self._members[path] = _Member(link=self._inside(info.linkname, "", path))
        elif info.isreg() and not info.issparse():
            self._members[path] = _Member(info.offset_data, info.size)
        else:
            raise self._bad(path, "is neither a file, nor a directory, nor a link")

    def _inside(self, target: str, folder: str, link: str = "") -> str:
        """Return the path that is meant, or refuse one that leads outside."""
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith(("/", "../")) or path == ".." or (not link and ".." in target.split("/")):
            raise self._bad(link or target, f"leads outside of the archive, to {target}" if link else "leads outside")
        return path

    def size(self, path: str) -> int | None:
        """Look at a file; see :class:`sdr.publish.sources.files.Files`."""
        member = self._follow(path)
        return None if member is None else member.size

    def open(self, path: str) -> BinaryIO:
        """Read a file; see :class:`sdr.publish.sources.files.Files`."""
        member = self._follow(path)
        if member is None:
            raise self._bad(path, "there is no such file")
        return io.BufferedReader(Slice(self._file, member.start, member.size), PIECE)

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _follow(self, path: str) -> _Member | None:
        path = self._inside(path, "")
        for _ in range(LINK_LIMIT):
            member = self._members.get(path)
            if member is None or member.link is None:
                return member
            path = member.link
        raise self._bad(path, "a link that leads to itself")

    def _bad(self, path: str, reason: str) -> BadSource:
        return BadSource(f"{self.location}: {path!a}: {reason}")


class _Headers(io.RawIOBase):
    """The archive as tarfile sees it: headers only, and no more of them at once than makes sense."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER_LIMIT:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _plain(path: Path) -> BinaryIO:
    """Open an archive, decompressed."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadSource(f"{path}: this is a directory, not a file; say oci:")
        if not stat.S_ISREG(mode):
            raise BadSource(f"{path}: this is not a regular file; save what comes from a pipe in one first")
        file = path.open("rb")
    except OSError as error:
        raise BadSource(f"{path}: {error.strerror or error}") from error
    compression = sniff(file.read(6))
    file.seek(0)
    if not compression:
        return file
    with file:
        # A member can only be read where it lies if the archive is plain.
        spool = Spool(str(path))
        try:
            for piece in pieces(file, compression, str(path)):
                spool.write(piece)
        except BaseException:
            spool.close()
            raise
        spool.file.seek(0)
        return spool.file


@contextmanager
def _damage(location: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise BadSource(f"{location}: not a tar archive, or a damaged one: {str(error) or 'nonsense'}") from error
    except OSError as error:
        raise BadSource(f"{location}: {error.strerror or error}") from error
