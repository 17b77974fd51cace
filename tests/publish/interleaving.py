"""Two actors over one store, the second started at a chosen step of the first, and held at a step of its own."""

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Served, Stat, Store
from sdr.tree.headers import Headers


class SteppedStore:
    """Another store; before each call that reaches it, ``step`` is called with the number of the call, from 1."""

    def __init__(self, store: Store, step: Callable[[int], None]) -> None:
        self._store, self._on_step = store, step
        self._lock = threading.Lock()
        self.steps = 0
        self.location, self.conditional_writes = store.location, store.conditional_writes
        self.creates_once = store.creates_once

    def _step(self) -> None:
        with self._lock:
            self.steps += 1
            number = self.steps
        self._on_step(number)

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write."""
        self._step()
        return self._store.put(key, body, headers, replaces=replaces)

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy."""
        self._step()
        return self._store.copy(source, key, headers)

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read."""
        self._step()
        return self._store.get(key)

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read in pieces."""
        self._step()
        return self._store.open(key, start=start, size=size)

    def head(self, key: str) -> Stat | None:
        """Look."""
        self._step()
        return self._store.head(key)

    def served(self, key: str) -> Served | None:
        """Return headers."""
        self._step()
        return self._store.served(key)

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List, all at once: that is one step."""
        self._step()
        return iter(list(self._store.list(prefix, delimiter=delimiter)))

    def delete(self, key: str) -> None:
        """Remove."""
        self._step()
        self._store.delete(key)

    def abandoned(self) -> Iterator[str]:
        """Return what the other store does."""
        return self._store.abandoned()


class Interleaving:
    """Runs one actor, and another in between.

    :param store: the one that both work on.
    :param starts_at: before which step of the first the second is started.
    :param held_at: before which step of its own the second is held, until the first waits or is done.
    """

    def __init__(self, store: Store, starts_at: int, held_at: int) -> None:
        self._starts_at, self._held_at = starts_at, held_at
        self.first, self.second = SteppedStore(store, self._first_step), SteppedStore(store, self._second_step)
        self._go, self._held = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: list[BaseException] = []
        self._act: Callable[[], object] | None = None

    def run(self, first: Callable[[], object], second: Callable[[], object]) -> None:
        """Run both to their ends; a failure of either comes out."""

        def act() -> None:
            try:
                second()
            except BaseException as error:
                self._failure.append(error)
            finally:
                self._held.set()

        self._act = act
        try:
            first()
        finally:
            self._start()
            self.let_go(0)
        if self._failure:
            raise self._failure[0]

    def let_go(self, seconds: float) -> None:
        """Let the second run to its end: what the first does instead of sleeping."""
        self._go.set()
        if self._thread is not None:
            self._thread.join(60)

    def _start(self) -> None:
        if self._thread is None:
            assert self._act is not None
            self._thread = threading.Thread(target=self._act, daemon=True)
            self._thread.start()
            self._held.wait(60)

    def _first_step(self, number: int) -> None:
        if number == self._starts_at:
            self._start()

    def _second_step(self, number: int) -> None:
        if number == self._held_at:
            self._held.set()
            self._go.wait(60)
