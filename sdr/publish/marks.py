"""The marks of collections in a store, and how a publisher heeds them."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.truth import SLACK, read
from sdr.stores.interface import Bytes, NotReachable, NotThere, Stat, Store, StoreError
from sdr.tree.documents import BadDocument
from sdr.tree.headers import GC_HEADERS
from sdr.tree.keys import GC_PREFIX
from sdr.tree.marks import Mark, State, beat_key, candidate, decode_mark, encode_mark, is_mark

#: Seconds between two signs of life of a sweep, between two looks at it, and without any until it counts as dead.
BEAT = 10.0
LOOK = 1.0
DEAD = 60.0
#: After how many of these a publisher gives up: it is not for publishers to go on with what somebody else has begun.
PATIENCE = 2 * DEAD


@dataclass(frozen=True, slots=True)
class Found:
    """A mark as it was read.

    :param written: when it was, in seconds since the epoch, by the store's clock.
    :param beat: the last sign of life of its sweep, if there is one; any other is another one.
    """

    mark: Mark
    written: float
    beat: bytes | None


class Marks:
    """The marks in one store."""

    def __init__(self, store: Store) -> None:
        self._store, self.location = store, store.location

    def read(self) -> dict[str, Found]:
        """Return the marks by key.

        :raise StoreError: if one cannot be read; what it would protect is not known then.
        """
        while True:
            found = {key: self._found(key) for key in self._listed()}
            there = {key: each for key, each in found.items() if each is not None}
            # One that goes while they are read may have been followed by another, which was not listed yet.
            if len(there) == len(found):
                return there

    def _listed(self) -> list[str]:
        try:
            return [each.key for each in self._store.list(GC_PREFIX) if isinstance(each, Stat) and is_mark(each.key)]
        except NotThere:
            # The store itself is still to be made.
            return []

    def _found(self, key: str) -> Found | None:
        data, stat = read(self._store, key)
        if data is None or stat is None:
            return None
        mark = self._decoded(key, data)
        beat = read(self._store, beat_key(key))[0] if mark.state is State.SWEEPING else None
        return Found(mark, stat.modified, beat)

    def write(self, key: str, mark: Mark) -> None:
        """Put a mark."""
        self._store.put(key, Bytes(encode_mark(mark)), GC_HEADERS)

    def beat(self, key: str, sign: str) -> None:
        """Show a sign of life, other than the one before."""
        self._store.put(beat_key(key), Bytes(sign.encode()), GC_HEADERS)

    def remove(self, key: str) -> None:
        """Take a mark away, or its signs of life at least where there is none."""
        self._store.delete(beat_key(key))
        self._store.delete(key)

    def end(self, key: str, mark: Mark, now: float) -> None:
        """Say of a sweep that it is over."""
        self.write(key, mark.now(State.SWEPT, now))
        self._store.delete(beat_key(key))

    def _decoded(self, key: str, data: bytes) -> Mark:
        try:
            return decode_mark(data)
        except BadDocument as error:
            raise StoreError(self._store.location, key, f"{error}; remove it if no sdr gc is running") from error


class Sweep:
    """A mark that says that its candidates are being deleted, as long as this lasts; used in a ``with``.

    It shows a sign of life now and then, and is ``swept`` at the end, for those who had found what is gone. Where
    nothing was deleted because it was refused, the mark is removed.

    :param key: where the mark is; nobody else's.
    :param now: the time in seconds since the epoch.
    :ivar alive: when the last sign of life was shown, by the monotonic clock, in seconds.
    """

    def __init__(self, marks: Marks, key: str, mark: Mark, now: Callable[[], float]) -> None:
        self._marks, self._key, self._mark, self._now = marks, key, mark, now
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="sdr sweep", daemon=True)
        self.alive = time.monotonic()

    def __enter__(self) -> Self:
        self._marks.write(self._key, self._mark.now(State.SWEEPING, self._now()))
        self.alive = time.monotonic()
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._beating.join()
        if kind is not None and issubclass(kind, Refused):
            self._marks.remove(self._key)
        else:
            self._marks.end(self._key, self._mark, self._now())

    def go_on(self) -> None:
        """Return, if others can see that this goes on; to be called before each deletion.

        :raise Lost: if others may take this for dead by now.
        """
        if time.monotonic() - self.alive > DEAD / 2:
            raise Lost(self._marks.location, self._key, "no sign of life could be written there; run the command again")

    def _beat(self) -> None:
        number = 0
        while not self._over.wait(BEAT):
            number += 1
            began = time.monotonic()
            # What ails the store is told by whoever deletes.
            with suppress(StoreError):
                self._marks.beat(self._key, str(number))
                self.alive = began


class Lost(StoreError):
    """A sweep that may count as dead, and so must delete no more."""


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

    def keep(self, needed: Mapping[str, Callable[[], None]], tags: Collection[str] = ()) -> bool:
        """Return once all of this is there, and no collection will take it away.

        To be called when the manifests that refer to it are written. What is marked is written anew, which a collection
        heeds; what has been swept is written again.

        :param needed: by key, what writes it; children before parents.
        :param tags: keys that others may be removing, and that are not to be written here.
        :return: whether there was anything to wait for, or to write.
        :raise StoreError: if that fails, or a sweep does not end.
        """
        waited, acted, seen = 0.0, False, None
        while True:
            marks = {
                key: found
                for key, found in self._marks.read().items()
                if any(each in needed or each in tags for each in found.mark.candidates)
            }
            sweeping = {key: found for key, found in marks.items() if found.mark.state is State.SWEEPING}
            if not sweeping:
                if not self._acted(marks, needed):
                    return acted
                acted = True
                continue
            if not acted:
                self._report.say("waiting until others have deleted what they are deleting")
            acted = True
            if sweeping != seen:
                waited, seen = 0.0, sweeping
            if waited >= PATIENCE:
                reason = "whoever was deleting has not gone on for minutes; run sdr gc to end that"
                raise NotReachable(self._store.location, min(sweeping), reason)
            self._jobs.go_on()
            self._sleep(LOOK)
            waited += LOOK

    def _acted(self, marks: Mapping[str, Found], needed: Mapping[str, Callable[[], None]]) -> bool:
        """Write what these marks endanger; tell whether there was anything, so that the marks are to be read again."""
        endangered = set()
        for mark_key, found in marks.items():
            state = found.mark.state
            marked = [key for key in needed if key in found.mark.candidates]
            ours = [key for key in marked if (mark_key, state, key) not in self._settled]
            if state is State.SWEPT:
                there = self._jobs.run(self._store.head, ours)
                ours = [key for key, stat in zip(ours, there, strict=True) if not _is_whole(found, key, stat)]
            self._settled |= {(mark_key, state, key) for key in ours}
            endangered |= set(ours)
        self._write([key for key in needed if key in endangered], needed)
        return bool(endangered)

    def _write(self, keys: list[str], needed: Mapping[str, Callable[[], None]]) -> None:
        """Write in the tree's order: what cannot be written is nothing that anything refers to."""
        self._jobs.run(lambda key: needed[key](), [key for key in keys if key.startswith("blobs/")])
        for key in keys:
            if not key.startswith("blobs/"):
                needed[key]()


def _is_whole(swept: Found, key: str, stat: Stat | None) -> bool:
    """Tell whether a candidate was left as it was, or written after the sweep was over.

    What was written while that went on may have lost parts that it shares with what was deleted (Swift's segments).
    """
    if stat is None:
        return False
    return candidate(stat).is_still(swept.mark.candidates[key]) or stat.modified > swept.written + SLACK
