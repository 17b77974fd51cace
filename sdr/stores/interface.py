"""What every store does. Synchronous and thread-safe; keys are those of :mod:`sdr.tree.keys`."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from sdr.tree.headers import Headers


class StoreError(Exception):
    """A store did not do what it was asked.

    :param store: the store, as its user wrote it.
    :param key: the object, or the empty string where the store as a whole is meant.
    :param reason: what a person reads, without a full stop.
    """

    def __init__(self, store: str, key: str, reason: str) -> None:
        super().__init__(store, key, reason)
        self.store, self.key, self.reason = store, key, reason

    def __str__(self) -> str:
        return f"{self.store}{': ' if self.key else ''}{self.key}: {self.reason}"


class NotThere(StoreError):
    """There is no such object (or no such store)."""


class NotAllowed(StoreError):
    """The credentials do not permit it."""


class NotReachable(StoreError):
    """The store cannot be reached, or is not well; the same call may work later."""


class Changed(StoreError):
    """A conditional write found something else than it was told to expect."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of an object without reading it.

    :param size: in bytes.
    :param version: opaque; changes with every write. For ``put(…, replaces=version)``.
    :param modified: seconds since the epoch.
    """

    key: str
    size: int
    version: str
    modified: float


class Body(Protocol):
    """What is to be written: its size is known, and it can be read from its beginning more than once (for a retry)."""

    @property
    def size(self) -> int:
        """The length in bytes."""
        ...

    def open(self) -> BinaryIO:
        """Start reading from the beginning. Reading may raise: then nothing is written."""
        ...


@dataclass(frozen=True, slots=True)
class Bytes:
    """A body that is in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """Start reading from the beginning."""
        return io.BytesIO(self.data)


class AnyVersion:
    """The type of :data:`ANY_VERSION`."""


#: Write whatever is there.
ANY_VERSION = AnyVersion()


class Store(Protocol):
    """Where the files of a tree are."""

    @property
    def location(self) -> str:
        """The store as its user wrote it, for messages."""
        ...

    @property
    def conditional_writes(self) -> bool:
        """Tell whether ``replaces`` is honoured atomically."""
        ...

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> Stat:
        """Write an object whole, or not at all.

        :param replaces: the version that must be there, ``None`` for "no object", or :data:`ANY_VERSION`.
        :raise Changed: if something else is there; nothing was written.
        :raise StoreError: if it could not be written.
        """
        ...

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read a small object whole (a manifest, a derived document).

        :raise NotThere: if there is none.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Read an object of any size in pieces.

        :raise NotThere: if there is none.
        """
        ...

    def head(self, key: str) -> Stat | None:
        """Return what is known of an object, or ``None`` if it is not there."""
        ...

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List objects by key, in order; with a delimiter, also the common prefixes (as text) that end in it."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...
