"""Reading a tree as clients do: a request for each object, and what it is answered. Here from the store itself."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sdr.publish.image import PIECE
from sdr.stores.interface import NotThere, Served, Store

OK, PARTIAL, NOT_FOUND = 200, 206, 404


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request for an object is answered.

    :param status: as in HTTP.
    :param length: what is announced, in bytes; ``None`` where nothing is.
    :param served: the headers; ``None`` where there are none to be had, as from a directory.
    :param content_range: as in HTTP.
    :param pieces: the body, piece by piece, just as it is sent: nothing is decoded.
    """

    status: int
    length: int | None = None
    served: Served | None = None
    content_range: str | None = None
    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))


class Reader(Protocol):
    """Where a tree is read. Thread-safe."""

    @property
    def location(self) -> str:
        """What is read, as its user wrote it."""
        ...

    def head(self, key: str) -> Reply:
        """Ask what there is.

        :raise sdr.stores.interface.NotReachable: if nothing at all can be read; other failures are of this object.
        """
        ...

    def get(self, key: str, *, start: int = 0, size: int | None = None) -> AbstractContextManager[Reply]:
        """Ask for an object, or for ``size`` bytes of it.

        :raise sdr.stores.interface.NotReachable: if nothing at all can be read; other failures are of this object.
        """
        ...


class StoreReader:
    """Reads the objects where they are."""

    def __init__(self, store: Store) -> None:
        self._store, self.location = store, store.location

    def head(self, key: str) -> Reply:
        """Ask for an object's size and headers."""
        try:
            found = self._store.head(key)
            return Reply(NOT_FOUND) if found is None else Reply(OK, found.size, self._store.served(key))
        except NotThere:
            return Reply(NOT_FOUND)

    @contextmanager
    def get(self, key: str, *, start: int = 0, size: int | None = None) -> Iterator[Reply]:
        """Open an object; its headers are those of :meth:`head`, and not asked for again."""
        try:
            stream = self._store.open(key, start=start, size=size)
        except NotThere:
            yield Reply(NOT_FOUND)
            return
        with stream:
            pieces = iter(lambda: stream.read(PIECE), b"")
            if size is None:
                yield Reply(OK, pieces=pieces)
            else:
                yield Reply(PARTIAL, content_range=f"bytes {start}-{start + size - 1}/*", pieces=pieces)
