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
    :param version: opaque; changes with every write of other bytes. For ``put(…, replaces=version)``.
    :param modified: when it was last written, in seconds since the epoch by the store's clock; some keep whole seconds.
    :param content: the same for the same bytes and no others, such as an MD5; empty where the store knows none.
    """

    key: str
    size: int
    version: str
    modified: float
    content: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """What a store sends with an object, as it stands there; ``None`` for a header that is not sent.

    :param digest: the user metadata ``docker-content-digest``.
    """

    content_type: str | None
    cache_control: str | None
    content_encoding: str | None
    digest: str | None


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
        """Tell whether ``replaces`` is honoured atomically; a store that must be tried for that is tried once.

        :raise StoreError: if trying it fails.
        """
        ...

    @property
    def creates_once(self) -> bool:
        """Tell whether ``replaces=None`` is honoured at least as well as if the store were looked at before.

        True with :attr:`conditional_writes`, where it is atomic.
        """
        ...

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object whole, or not at all, and return its version.

        :param replaces: the version that must be there, ``None`` for "no object", or :data:`ANY_VERSION`; without
            :attr:`conditional_writes` only the last makes sense, and ``None`` with :attr:`creates_once`.
        :raise Changed: if something else is there; nothing was written.
        :raise StoreError: if it could not be written.
        """
        ...

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Make a key hold the bytes of another without sending them, replacing what is there, and return the version.

        What becomes of the one later does not touch the other.

        :return: ``None`` if this store cannot do that, or not with these objects; nothing was written.
        :raise NotThere: if there is no source.
        :raise StoreError: if it could not be written.
        """
        ...

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read a small object whole (a manifest, a derived document), as it is by now.

        :raise NotThere: if there is none.
        """
        ...

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read an object of any size in pieces.

        :param start: the first byte, counted from 0.
        :param size: how many bytes; to the end if not given.
        :raise NotThere: if there is none.
        """
        ...

    def head(self, key: str) -> Stat | None:
        """Return what is known of an object, or ``None`` if it is not there."""
        ...

    def served(self, key: str) -> Served | None:
        """Return the headers that an object is sent with, or ``None`` from a store that keeps no headers.

        :raise NotThere: if there is no such object.
        """
        ...

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List objects by key, in order; with a delimiter, also the common prefixes (as text) that end in it.

        :param delimiter: one character, or nothing.
        :raise NotThere: if there is no such store at all.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object and what belongs to it; one that is not there is no error."""
        ...

    def abandoned(self) -> Iterator[str]:
        """Return the keys of which an upload that was given up has left parts, and no object.

        They cost space, nobody sees them, and :meth:`delete` removes them. A store that cleans up by itself has none.
        """
        ...
