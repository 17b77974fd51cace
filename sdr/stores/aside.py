"""The hidden folder of a directory store: files that are being written, and the locks."""

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

#: Its name in the store's root; no key begins so.
ASIDE = ".sdr"

#: More than one, so that --jobs need not wait for each other's fsync.
LOCKS = 16


class Part:
    """A file that is being written; locked while it is, so that nobody takes it for a leftover.

    Used in a ``with``; at its end the file is gone, unless it was renamed.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self.name = file, str(path)
        self.write, self.flush, self.fileno = file.write, file.flush, file.fileno

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            os.unlink(self.name)
        # close() tries again to write what could not be written; the first failure is the one to report.
        with suppress(OSError):
            self._file.close()


class Aside:
    """The hidden folder.

    :param path: the folder; made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._swept = False
        self._sweep = threading.Lock()

    def create(self) -> Part:
        """Start a new file; the first call also removes what killed publishers left."""
        self._prepare()
        while True:
            path = self._new_path()
            file = path.open("xb")
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Another publisher may have swept it between these two lines.
                if os.fstat(file.fileno()).st_nlink:
                    return Part(file, path)
            except OSError:
                path.unlink(missing_ok=True)
                file.close()
                raise
            file.close()

    def link(self, source: Path) -> Part:
        """Give a file that is not to be written a second name.

        :raise OSError: if the file system has no such links, or permits none to this file.
        """
        self._prepare()
        while True:
            path = self._new_path()
            file = source.open("rb")
            try:
                # Others may be linking it too.
                fcntl.flock(file, fcntl.LOCK_SH)
                # A link to a symbolic link would be one, and lead elsewhere from here.
                os.link(source.resolve(), path)
                # Another file may have taken its place between these lines, and nothing keeps that from being swept.
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return Part(file, path)
                path.unlink(missing_ok=True)
            except OSError:
                path.unlink(missing_ok=True)
                file.close()
                raise
            file.close()

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold off every other writer of this key, be it a thread or a process."""
        self._make()
        number = hashlib.sha256(key.encode()).digest()[0] % LOCKS
        with (self._path / f"{number}.lock").open("wb") as file:
            # A lock belongs to the open file, so opening it anew is what keeps threads apart.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _prepare(self) -> None:
        self._make()
        with self._sweep:
            if not self._swept:
                self._remove_leftovers()
                self._swept = True

    def _new_path(self) -> Path:
        return self._path / f"{os.urandom(8).hex()}.part"

    def _make(self) -> None:
        self._path.mkdir(mode=0o700, exist_ok=True)

    def _remove_leftovers(self) -> None:
        for path in self._path.glob("*.part"):
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                        continue
                    raise
                path.unlink(missing_ok=True)
