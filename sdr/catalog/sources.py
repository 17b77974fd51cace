"""Where a catalog is read: what every source does, and a directory as one."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

R = TypeVar("R")

#: A document of this many bytes is read in a thread: parsing it would hold up every other request.
LARGE = 256 * 1024


class InThread(Protocol):
    """Runs a blocking call in a thread."""

    def __call__(self, call: Callable[[], R], /) -> Deferred[R]:
        """Return what the call returns, once it does."""
        ...


class FetchFailed(Exception):
    """The store did not say whether the object is there, or what it is; the message says what happened.

    :param retry_after: the seconds that the store asked to be left alone, or 0.
    :param kind: the same in one of few words, to be counted by: ``unreachable``, ``timeout``, ``status``,
        ``too_large`` or ``malformed``.
    """

    def __init__(self, reason: str, retry_after: float = 0.0, kind: str = "unreachable") -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a store said of an object.

    :param status: 200, 304, 403 or 404; nothing else gets here.
    :param body: for 200, the object.
    :param etag: the validator to ask with next time, or empty.
    """

    status: int
    body: bytes = b""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing.

    :param name: what follows the prefix that was asked for.
    :param validator: another one when the object has changed.
    """

    name: str
    validator: str


class CannotList(Exception):
    """The store answers no listing that is known here."""


class Source(Protocol):
    """Where a catalog is read."""

    @property
    def location(self) -> str:
        """The URL or directory, for messages."""
        ...

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole.

        :param limit: the largest body in bytes.
        :param seconds: the deadline of the whole exchange.
        :param etag: what is held already; 304 if it still stands.
        :raise FetchFailed: if neither the object nor its absence was seen.
        """
        ...

    def stop(self) -> Deferred[None]:
        """Let go of idle connections."""
        ...


class ListingSource(Source, Protocol):
    """Where images of protocol v1 are read, too: some of what is to be known is in no object."""

    async def size(self, key: str, *, seconds: float) -> int | None:
        """Return how large an object is, in bytes; ``None`` if it is not there.

        :raise FetchFailed: if neither the object nor its absence was seen.
        """
        ...

    async def list(self, prefix: str, *, seconds: float) -> Sequence[Listed]:
        """Return the objects whose keys begin with this, and have no slash after it.

        :param seconds: the deadline of each exchange.
        :raise CannotList: if the store does not list.
        :raise FetchFailed: if it did not say what there is.
        """
        ...


class DirectorySource:
    """A directory, read in threads: it may be on a slow or remote file system.

    :param root: an absolute path.
    :param in_thread: runs a blocking call elsewhere.
    :param clock: for deadlines: a file system that hangs keeps its thread, and nobody else.
    """

    def __init__(self, root: str, in_thread: InThread, clock: IReactorTime) -> None:
        self.location = root
        self._in_thread = in_thread
        self._clock = clock

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read a file whole; see :class:`Source`."""
        reading = self._in_thread(lambda: read_file(os.path.join(self.location, key), limit, etag))
        return await reading.addTimeout(seconds, self._clock, too_slow)

    async def size(self, key: str, *, seconds: float) -> int | None:
        """Return how large a file is; see :class:`ListingSource`."""
        asking = self._in_thread(lambda: size_of(os.path.join(self.location, key)))
        return await asking.addTimeout(seconds, self._clock, too_slow)

    async def list(self, prefix: str, *, seconds: float) -> Sequence[Listed]:
        """Return the files whose names begin with this; see :class:`ListingSource`."""
        listing = self._in_thread(lambda: list_files(os.path.join(self.location, prefix)))
        return await listing.addTimeout(seconds, self._clock, too_slow)

    def stop(self) -> Deferred[None]:
        """Nothing is held."""
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done


def read_file(path: str, limit: int, etag: str) -> Fetched:
    """Read a file as a store would serve it; blocking.

    :raise FetchFailed: if it cannot be read, is not a plain file, or is larger than ``limit`` bytes.
    """
    try:
        # Not blocking, for whoever put a named pipe here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Fetched(404)
            found = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
            if etag and etag == found:
                return Fetched(304, etag=found)
            body = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Fetched(404)
    except PermissionError:
        return Fetched(403)
    except OSError as error:
        raise FetchFailed(f"{error.strerror or error}") from error
    if len(body) > limit:
        raise FetchFailed(f"larger than {limit} bytes", kind="too_large")
    return Fetched(200, body, found)


def size_of(path: str) -> int | None:
    """Return the size of a plain file; blocking.

    :raise FetchFailed: if it cannot be seen.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise FetchFailed(f"{error.strerror or error}") from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def list_files(prefix: str) -> list[Listed]:
    """Return the plain files whose paths begin with this; blocking.

    :raise FetchFailed: if their directory cannot be read.
    """
    folder, _, beginning = prefix.rpartition("/")
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(beginning):
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    # Removed meanwhile, or a link that leads nowhere; the others are there.
                    continue
                if stat.S_ISREG(status.st_mode):
                    validator = f"{status.st_mtime_ns:x}-{status.st_size:x}"
                    found.append(Listed(entry.name.removeprefix(beginning), validator))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FetchFailed(f"{error.strerror or error}") from error
    return found


def too_slow(result: R | Failure, seconds: float) -> R:
    """Say of an exchange that was cut off why it was, whatever the agent calls that."""
    if isinstance(result, Failure):
        raise FetchFailed(f"no complete answer within {seconds:g} s", kind="timeout") from result.value
    return result
