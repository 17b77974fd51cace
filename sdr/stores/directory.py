"""A directory as a store: each object is a file, its key the path; any web server can serve it.

Headers are not kept: the endpoint knows the types, or serves the directory itself.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sdr.stores.aside import ASIDE, Aside
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Changed, NotAllowed, NotThere, Stat, StoreError
from sdr.tree.headers import Headers

#: How much is in memory at once, in bytes.
PIECE = 1024 * 1024

#: How often a directory that vanishes is made again.
ATTEMPTS = 10

_REASONS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of its path is a file, so a directory cannot hold both; use another name or an object store",
    errno.EISDIR: "a directory stands under this name, so a directory cannot hold both; use another name "
    "or an object store",
    errno.EXDEV: "it is on another file system than the store's root, so it cannot be written whole",
}
#: Another file system, one without links, too many of them, or somebody else's file.
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DirectoryStore:
    """A store in a directory.

    A key that a directory cannot hold, because a part of its path is a file or a directory stands there, raises
    :class:`StoreError` from every call.

    :param root: the directory; made by the first write if it is not there.
    :param location: the store as its user wrote it.
    """

    #: By locks that hold between threads, and between processes on one machine (flock).
    conditional_writes = creates_once = True

    def __init__(self, root: Path, location: str | None = None) -> None:
        self.root = root
        self._folder = str(root)
        self._aside = Aside(root / ASIDE)
        self.location = location or str(root)

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write a file aside, sync it, and rename it to its place; see :class:`sdr.stores.interface.Store`."""
        path = self._path(key)
        with self._errors(key):
            _make_directories(self.root)
            part = self._aside.create()
        with part, body.open() as source:
            written = 0
            # Only the store's own failures are translated: reading the source has its own words for its own.
            while piece := source.read(PIECE):
                with self._errors(key):
                    part.write(piece)
                written += len(piece)
            if written != body.size:
                raise StoreError(self.location, key, f"{written} bytes to write where {body.size} were announced")
            with self._errors(key):
                part.flush()
                os.fchmod(part.fileno(), 0o644)
                os.fsync(part.fileno())
                with self._aside.locked(key):
                    self._replace(key, path, Path(part.name), replaces)
                    return _stat(key, os.fstat(part.fileno())).version

    def _replace(self, key: str, path: Path, part: Path, replaces: str | AnyVersion | None) -> None:
        """Rename, with nobody else changing this key meanwhile."""
        there = self.head(key)
        if not isinstance(replaces, AnyVersion) and replaces != (there.version if there else None):
            raise Changed(self.location, key, "something else is there by now")
        if there is not None:
            _age(part, path.stat().st_mtime)
        self._rename(part, path)

    def _rename(self, part: Path, path: Path) -> None:
        for attempt in range(ATTEMPTS):
            try:
                _make_directories(path.parent)
                part.rename(path)
                break
            except FileNotFoundError:
                # A delete() elsewhere has just removed the directory that it left empty.
                if attempt == ATTEMPTS - 1:
                    raise
        _sync_directory(path.parent)

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Give a file a second name: files are replaced and never changed, so that neither is touched by the other.

        Not over a file of the same second or a later one: the two names share their mtime, which must grow.
        """
        path = self._path(key)
        if self.head(source) is None:
            raise NotThere(self.location, source, "there is no such object")
        with self._errors(source):
            try:
                part = self._aside.link(self._path(source))
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return None
                raise
        with part, self._errors(key):
            found = os.fstat(part.fileno())
            # Whatever put the source there need not have synced it.
            os.fsync(part.fileno())
            with self._aside.locked(key):
                there = path.stat() if self.head(key) is not None else None
                if there is not None and not os.path.samestat(there, found) and _second(there) >= _second(found):
                    return None
                self._rename(Path(part.name), path)
            return _stat(key, found).version

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read a file whole."""
        with self._open(key) as file, self._errors(key):
            return file.read(), _stat(key, os.fstat(file.fileno()))

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read a file in pieces."""
        file = self._open(key)
        if not start and size is None:
            return file
        return io.BufferedReader(_Part(file, start, size))

    def head(self, key: str) -> Stat | None:
        """Look at a file."""
        file = self._file(key)
        with self._errors(key):
            try:
                found = os.stat(file)
            except FileNotFoundError:
                return None
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "")
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(self.location, key, "not a regular file; remove it")
            return _stat(key, found)

    def served(self, key: str) -> None:
        """Files have no headers."""
        if self.head(key) is None:
            raise NotThere(self.location, key, "there is no such object")

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List files in the order of their keys."""
        folder, slash, start = prefix.rpartition("/")
        if slash:
            self._path(folder)
        with self._errors(prefix):
            if not self.root.is_dir():
                raise NotThere(self.location, "", "there is no such directory")
            told = ""
            for key in self._keys(f"{folder}/" if folder else "", start, descend=delimiter != "/"):
                until = key.find(delimiter, len(prefix)) if delimiter else -1
                if until < 0:
                    with suppress(FileNotFoundError):
                        yield _stat(key, os.stat(f"{self._folder}/{key}"))
                elif told != key[: until + 1] and not (key.endswith("/") and self._is_empty(key)):
                    told = key[: until + 1]
                    yield told

    def _keys(self, folder: str, start: str, *, descend: bool) -> Iterator[str]:
        """Yield what is in one directory, given as a key that ends in a slash, or all that is below."""
        try:
            # With its slash a directory sorts among files as its keys do: "a-b" before "a/b".
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in os.scandir(self.root / folder)
                if entry.name.startswith(start) and entry.name != ASIDE and (entry.is_dir() or entry.is_file())
            )
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if descend and name.endswith("/"):
                yield from self._keys(folder + name, "", descend=True)
            else:
                yield folder + name

    def _is_empty(self, folder: str) -> bool:
        return next(self._keys(folder, "", descend=True), None) is None

    def delete(self, key: str) -> None:
        """Remove a file, and the directories that this leaves empty: they would keep their names from being files."""
        path = self._path(key)
        if self.head(key) is None:
            return
        with self._errors(key), self._aside.locked(key):
            path.unlink(missing_ok=True)
            # Another delete() may have removed the directory already.
            with suppress(FileNotFoundError):
                _sync_directory(path.parent)
            for folder in path.parents:
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def abandoned(self) -> Iterator[str]:
        """Return nothing: the next publisher removes what a killed one left."""
        return iter(())

    def _path(self, key: str) -> Path:
        return Path(self._file(key))

    def _file(self, key: str) -> str:
        """Return a path as text, which takes a fraction of the time that making a ``Path`` takes."""
        parts = key.split("/")
        if parts[0] == ASIDE or "\0" in key or "" in parts or "." in parts or ".." in parts:
            raise StoreError(self.location, key, "not a key")
        return f"{self._folder}/{key}"

    def _open(self, key: str) -> BinaryIO:
        file = self._file(key)
        # Looked at first: opening a pipe would wait for its other end.
        self.head(key)
        with self._errors(key):
            return open(file, "rb")

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Say in the store's words what the operating system says."""
        try:
            yield
        except FileNotFoundError as error:
            raise NotThere(self.location, key, "there is no such object") from error
        except FileExistsError as error:
            raise StoreError(self.location, key, _REASONS[errno.ENOTDIR]) from error
        except OSError as error:
            kind = NotAllowed if error.errno in _NOT_ALLOWED else StoreError
            reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
            raise kind(self.location, key, reason[0].lower() + reason[1:]) from error


def _stat(key: str, found: os.stat_result) -> Stat:
    version = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    # Not the mtime, which put() may set ahead of the clock.
    return Stat(key, found.st_size, version, found.st_ctime)


class _Part(io.RawIOBase):
    """A part of a file."""

    def __init__(self, file: BinaryIO, start: int, size: int | None) -> None:
        super().__init__()
        self._file, self._left = file, size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(len(buffer) if self._left is None else min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        if self._left is not None:
            self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _second(found: os.stat_result) -> int:
    return found.st_mtime_ns // 1_000_000_000


def _age(part: Path, replaced: float) -> None:
    """Make a file at least one whole second younger than the one it replaces.

    nginx's ETag is the size and the second of the mtime, and a tag that moves often keeps its size.
    """
    second = (int(replaced) + 1) * 1_000_000_000
    if part.stat().st_mtime_ns < second:
        os.utime(part, ns=(second, second))


def _make_directories(path: Path) -> None:
    """Make directories that a web server can read, whatever the umask, and make them last."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(0o755)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
