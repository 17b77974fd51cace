"""Writing into a store, with an account of what was written and what was there already."""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sdr.publish.image import PIECE
from sdr.publish.jobs import Stoppable
from sdr.publish.progress import Report
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Store
from sdr.tree.headers import Headers
from sdr.tree.keys import list_key, list_of, place_of


@dataclass(frozen=True, slots=True)
class Account:
    """What has become of the objects of a publish.

    :param written: the keys, in the order in which they were finished.
    :param written_bytes: in bytes, as is ``skipped_bytes``; what the store has copied by itself is not counted.
    :param skipped: how many objects were there already, as they should be.
    """

    written: tuple[str, ...] = ()
    written_bytes: int = 0
    skipped: int = 0
    skipped_bytes: int = 0


class Total:
    """How many objects were written, by one or by several. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1


class Writing:
    """Puts objects, tells of them, and counts them. Thread-safe.

    :param total: counts what others write too; its own if not given.
    """

    def __init__(self, store: Store, jobs: Stoppable, report: Report, total: Total | None = None) -> None:
        self._store, self._jobs, self._report, self._total = store, jobs, report, total or Total()
        self._lock = threading.Lock()
        self._written: list[str] = []
        self._written_bytes = self._skipped = self._skipped_bytes = 0

    @property
    def account(self) -> Account:
        """What has been done so far."""
        with self._lock:
            return Account(tuple(self._written), self._written_bytes, self._skipped, self._skipped_bytes)

    @property
    def count(self) -> int:
        """How many objects were written so far, by those who have the same total."""
        return self._total.count

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object and return its version; see :meth:`sdr.stores.interface.Store.put`."""
        self._jobs.go_on()
        task = self._report.begin(key, body.size)
        try:
            version = self._store.put(key, Watched(body, task.moved, self._jobs), headers, replaces=replaces)
        except BaseException:
            task.dropped()
            raise
        task.ended("written")
        with self._lock:
            self._written.append(key)
            self._written_bytes += body.size
        self._total.add()
        return version

    def copy(self, source: str, key: str, size: int, headers: Headers) -> bool:
        """Have the store copy an object without sending it; tell whether it could.

        :param size: in bytes.
        """
        self._jobs.go_on()
        if self._store.copy(source, key, headers) is None:
            return False
        self._report.begin(key, size).ended("copied")
        with self._lock:
            self._written.append(key)
        self._total.add()
        return True

    def skip(self, key: str, size: int) -> None:
        """Note that an object is there already."""
        self._report.begin(key, size).ended("present")
        with self._lock:
            self._skipped += 1
            self._skipped_bytes += size


class Accounts:
    """The writing of several images at once, each of which has an account of its own.

    A document that several of them share counts for the first.

    :param of: a repository and the writing of an image in it; at least one, and all with the same total.
    """

    def __init__(self, of: Sequence[tuple[str, Writing]]) -> None:
        self._first = of[0][1]
        self._by_name: dict[str, Writing] = {}
        self._by_list: dict[str, Writing] = {}
        for name, writing in of:
            self._by_name.setdefault(name, writing)
            self._by_list.setdefault(list_key(list_of(name)), writing)

    @property
    def count(self) -> int:
        """How many objects were written so far."""
        return self._first.count

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object and return its version; see :meth:`sdr.stores.interface.Store.put`."""
        return self._of(key).put(key, body, headers, replaces=replaces)

    def skip(self, key: str, size: int) -> None:
        """Note that an object is there already."""
        self._of(key).skip(key, size)

    def _of(self, key: str) -> Writing:
        place = place_of(key)
        found = self._by_list.get(key) if place is None else self._by_name.get(place.name)
        return found or self._first


@dataclass(frozen=True, slots=True)
class Watched:
    """A body that tells how far it is, and that can be stopped."""

    body: Body
    moved: Callable[[int], None]
    jobs: Stoppable

    @property
    def size(self) -> int:
        """The length in bytes."""
        return self.body.size

    def open(self) -> BinaryIO:
        """Start reading from the beginning."""
        return io.BufferedReader(_WatchedStream(self), PIECE)


class _WatchedStream(io.RawIOBase):
    def __init__(self, watched: Watched) -> None:
        super().__init__()
        self._watched, self._stream = watched, watched.body.open()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._watched.jobs.go_on()
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._watched.moved(len(piece))
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()
