"""The marks of collections in a store, and how a publisher heeds them."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.truth import read
from sdr.stores.interface import Bytes, NotReachable, NotThere, Stat, Store, StoreError
from sdr.tree.documents import BadDocument
from sdr.tree.headers import GC_HEADERS
from sdr.tree.keys import GC_PREFIX
from sdr.tree.marks import Mark, State, decode_mark, encode_mark

#: Seconds between two signs of life of a sweep, between two looks at it, and without any until it counts as dead.
BEAT = 10.0
LOOK = 1.0
DEAD = 60.0
#: After how many of these a publisher gives up: it is not for publishers to go on with what somebody else has begun.
PATIENCE = 2 * DEAD


class Marks:
    """The marks in one store; one that has not changed is not read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, tuple[Stat, Mark]] = {}

    def read(self) -> dict[str, Mark]:
        """Return the marks by key.

        :raise StoreError: if one cannot be read; what it would protect is not known then.
        """
        found = {}
        try:
            listed = [each for each in self._store.list(GC_PREFIX) if isinstance(each, Stat)]
        except NotThere:
            # The store itself is still to be made.
            return {}
        for stat in listed:
            before = self._read.get(stat.key)
            if before is None or before[0] != stat:
                data, _ = read(self._store, stat.key)
                if data is None:
                    continue
                before = self._read[stat.key] = stat, self._decoded(stat.key, data)
            found[stat.key] = before[1]
        return found

    def write(self, key: str, mark: Mark) -> None:
        """Put a mark."""
        self._store.put(key, Bytes(encode_mark(mark)), GC_HEADERS)

    def remove(self, key: str) -> None:
        """Take a mark away."""
        self._store.delete(key)

    def _decoded(self, key: str, data: bytes) -> Mark:
        try:
            return decode_mark(data)
        except BadDocument as error:
            raise StoreError(self._store.location, key, f"{error}; remove it if no sdr gc is running") from error


class Sweep:
    """A mark that says that its candidates are being deleted, as long as this lasts; used in a ``with``.

    It shows a sign of life now and then, and is ``swept`` at the end, for those who had found what is gone. Where
    nothing was deleted because it was refused, the mark is removed.

    :param key: where the mark is.
    :param now: the time in seconds since the epoch.
    """

    def __init__(self, marks: Marks, key: str, mark: Mark, now: Callable[[], float]) -> None:
        self._marks, self._key, self._mark, self._now = marks, key, mark, now
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="sdr sweep", daemon=True)

    def __enter__(self) -> Self:
        self._write(State.SWEEPING)
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._beating.join()
        if kind is not None and issubclass(kind, Refused):
            self._marks.remove(self._key)
        else:
            # All its candidates: another run, which was killed, may have deleted some.
            self._write(State.SWEPT)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            # Missing one is no harm; what ails the store is told by whoever deletes.
            with suppress(StoreError):
                self._write(State.SWEEPING)

    def _write(self, state: State) -> None:
        self._marks.write(self._key, self._mark.now(state, self._now()))


class Guard:
    """Sees to it that no collection takes away what is being published.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._sleep = store, jobs, report, sleep
        self._marks = Marks(store)
        self._settled: set[tuple[str, State, str]] = set()

    def keep(self, needed: Mapping[str, Callable[[], None]]) -> None:
        """Return once all of this is there, and no collection will take it away.

        To be called when the manifests that refer to it are written. What is marked is written anew, which a collection
        heeds; what has been swept is written again.

        :param needed: by key, what writes it; children before parents.
        :raise StoreError: if that fails, or a sweep does not end.
        """
        waited, seen = 0.0, None
        while True:
            marks = self._marks.read()
            sweeping = {key: mark for key, mark in marks.items() if mark.state is State.SWEEPING}
            if sweeping:
                if seen is None:
                    self._report.say("waiting until others have deleted what they are deleting")
                if sweeping != seen:
                    waited, seen = 0.0, sweeping
                if waited >= PATIENCE:
                    key = min(sweeping)
                    raise NotReachable(
                        self._store.location,
                        key,
                        "whoever was deleting has not gone on for minutes; run sdr gc to end that",
                    )
                self._jobs.go_on()
                self._sleep(LOOK)
                waited += LOOK
                continue
            if not self._acted(marks, needed):
                return

    def _acted(self, marks: Mapping[str, Mark], needed: Mapping[str, Callable[[], None]]) -> bool:
        """Write what these marks endanger; tell whether there was anything, so that the marks are to be read again."""
        acted = False
        for mark_key, mark in marks.items():
            ours = [
                key
                for key in needed.keys() & mark.candidates.keys()
                if (mark_key, mark.state, key) not in self._settled
            ]
            if mark.state is State.SWEPT:
                there = self._jobs.run(self._store.head, ours)
                gone = [key for key, found in zip(ours, there, strict=True) if found is None]
            else:
                gone = ours
            self._write([key for key in needed if key in gone], needed)
            self._settled |= {(mark_key, mark.state, key) for key in ours}
            acted = acted or bool(gone)
        return acted

    def _write(self, keys: list[str], needed: Mapping[str, Callable[[], None]]) -> None:
        """Write in the tree's order: what cannot be written is nothing that anything refers to."""
        self._jobs.run(lambda key: needed[key](), [key for key in keys if key.startswith("blobs/")])
        for key in keys:
            if not key.startswith("blobs/"):
                needed[key]()
