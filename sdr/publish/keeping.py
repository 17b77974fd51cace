"""Documents that several publishers keep in one store: each is read, merged, and put back if nobody has changed it."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sdr.publish.jobs import Jobs
from sdr.publish.truth import read
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Bytes, Changed, Stat, Store, StoreError
from sdr.tree.documents import BadDocument
from sdr.tree.headers import Headers

T = TypeVar("T")

#: How often a document is merged anew before giving up, and the longest pause between two tries, in milliseconds.
TRIES = 100
PAUSE = 500

#: Where nothing can be conditional: between writing and looking again, in milliseconds.
SETTLE = (50, 250)


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it was read.

    :param written: how many objects this command had written by then.
    """

    key: str
    data: bytes | None
    stat: Stat | None
    written: int

    @property
    def since(self) -> float | None:
        """When it was last written, by the store's clock, if it is there."""
        return self.stat.modified if self.stat else None


class Putting(Protocol):
    """What puts documents, and keeps count: :class:`sdr.publish.writing.Writing`, or several of them."""

    @property
    def count(self) -> int:
        """How many objects were written so far."""
        ...

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object and return its version; see :meth:`sdr.stores.interface.Store.put`."""
        ...

    def skip(self, key: str, size: int) -> None:
        """Note that an object is there already."""
        ...


class Documents:
    """The shared documents of one store.

    Those that will be needed are read together, ahead of their use: an older reading of a document is as good as a new
    one, as long as it comes before that of what the document stands for, and is put back on the condition that it is
    still the same.

    :param writing: puts, and keeps count.
    :param mends: whether a document that is malformed is made anew, instead of being refused.
    """

    def __init__(
        self, store: Store, jobs: Jobs, writing: Putting, *, mends: bool, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._writing, self._mends, self._sleep = store, jobs, writing, mends, sleep
        self._held: dict[str, Found] = {}
        self._told: set[str] = set()

    @property
    def held(self) -> Mapping[str, Found]:
        """The documents that were read ahead, by key."""
        return self._held

    def hold(self, keys: Iterable[str]) -> None:
        """Read documents ahead, all at once; each is good for one :meth:`read`."""
        self.let_go()
        self._jobs.run(self.hold_one, dict.fromkeys(keys))

    def hold_one(self, key: str) -> None:
        """Read a document ahead."""
        self._held[key] = self._fresh(key)

    def let_go(self) -> None:
        """Forget what was read ahead."""
        self._held.clear()

    def read(self, key: str) -> Found:
        """Return a document as it was held, or else as it is."""
        held = self._held.pop(key, None)
        return self._fresh(key) if held is None else held

    def read_all(self, keys: Collection[str]) -> Mapping[str, bytes | None]:
        """Return what is in each."""
        return dict(zip(keys, [found.data for found in self._jobs.run(self.read, keys)], strict=True))

    def _fresh(self, key: str) -> Found:
        # Counted before it is read: what is written meanwhile may have been overlooked.
        written = self._writing.count
        return Found(key, *read(self._store, key), written)

    def decoded(self, found: Found, decode: Callable[[bytes], T]) -> T | None:
        """Decode a document; ``None`` where there is none, or where it is to be made anew.

        :raise StoreError: if it is not what sdr writes there.
        """
        if found.data is None:
            return None
        try:
            return decode(found.data)
        except BadDocument as error:
            if self._mends:
                return None
            reason = f"this is not what sdr writes there ({error}); sdr index makes it anew"
            raise StoreError(self._store.location, found.key, reason) from error

    def write(self, found: Found, data: bytes, headers: Headers) -> bool:
        """Put a document back, if that changes it; tell whether it did.

        :raise Changed: if somebody else has changed it.
        """
        if data == found.data:
            # It may have been right, been spoilt, and be right again by what this command has written since.
            if found.written != self._writing.count:
                self._require(found)
            # Each is told once, however often it is looked at again.
            if found.key not in self._told:
                self._writing.skip(found.key, len(data))
            self._told.add(found.key)
            self._held[found.key] = found
            return False
        replaces: str | AnyVersion | None = found.stat.version if found.stat else None
        if not self._store.conditional_writes and not (replaces is None and self._store.creates_once):
            self._require(found)
            replaces = ANY_VERSION
        version = self._writing.put(found.key, Bytes(data), headers, replaces=replaces)
        self._told.add(found.key)
        # When is not known here; as old as can be, so that nothing counts as older.
        self._held[found.key] = Found(
            found.key, data, Stat(found.key, len(data), version, modified=0.0), self._writing.count
        )
        return True

    def _require(self, found: Found) -> None:
        if read(self._store, found.key)[0] != found.data:
            raise Changed(self._store.location, found.key, "somebody else has changed it meanwhile")

    def settle(self, steps: Iterable[Callable[[], bool]], needed: Callable[[], Collection[str]] = tuple) -> None:
        """Take the steps, each until nobody interferes; each tells whether it wrote anything.

        Without conditional writes all are taken again after a short random time, until there is nothing to mend.

        :param needed: returns the documents that they will read.
        :raise StoreError: if others interfere without end.
        """
        for _ in range(TRIES):
            if not self._held:
                self.hold(needed())
            try:
                wrote = [self.uninterrupted(step) for step in steps]
            finally:
                self._held.clear()
            if self._store.conditional_writes or not any(wrote):
                return
            low, high = SETTLE
            self._sleep((low + secrets.randbelow(high - low)) / 1000)
        raise StoreError(self._store.location, "", f"others overwrote the catalog {TRIES} times; run sdr index")

    def uninterrupted(self, step: Callable[[], bool]) -> bool:
        """Take a step, again as long as somebody else changes what it has read; tell whether it wrote anything."""
        changed = None
        for attempt in range(TRIES):
            try:
                return step()
            except Changed as error:
                changed = error
                self._held.clear()
                self._sleep(secrets.randbelow(min(PAUSE, 2 ** min(attempt, 16)) + 1) / 1000)
        assert changed is not None
        raise StoreError(self._store.location, changed.key, f"others changed it {TRIES} times; run the command again")
