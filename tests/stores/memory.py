"""A store in memory, for tests of what is done with stores; its clock can be set."""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Bytes, Changed, NotThere, Served, Stat, StoreError
from sdr.tree.headers import Headers


class MemoryStore:
    """A store in memory.

    :param conditional_writes: whether it is to have them; without, a condition is ignored, as by such a store.
    :param creates_once: whether it is to create only what is not there, without other conditional writes too.
    :param copies: whether it copies objects.
    """

    location = "memory"

    def __init__(self, *, conditional_writes: bool = True, creates_once: bool = False, copies: bool = True) -> None:
        self.conditional_writes, self.creates_once = conditional_writes, conditional_writes or creates_once
        self.copies = copies
        self.objects: dict[str, tuple[bytes, Headers, Stat]] = {}
        #: Its clock, in seconds since the epoch.
        self.now: Callable[[], float] = time.time
        self._writes = 0
        self._lock = threading.Lock()

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object."""
        with body.open() as source:
            data = b"".join(iter(lambda: source.read(1 << 16), b""))
        if len(data) != body.size:
            raise StoreError(self.location, key, f"{len(data)} bytes to write where {body.size} were announced")
        with self._lock:
            there = self.head(key)
            expected = there.version if there else None
            heeds = self.conditional_writes or (self.creates_once and replaces is None)
            if heeds and not isinstance(replaces, AnyVersion) and replaces != expected:
                raise Changed(self.location, key, "something else is there by now")
            self._writes += 1
            content = hashlib.sha256(data).hexdigest()
            stat = Stat(key, len(data), f"{self._writes}", self.now(), content)
            self.objects[key] = data, headers, stat
            return stat.version

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy an object."""
        data = self._found(source)[0]
        return self.put(key, Bytes(data), headers) if self.copies else None

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read an object."""
        data, _, stat = self._found(key)
        return data, stat

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read an object in pieces."""
        data = self._found(key)[0]
        return io.BytesIO(data[start:] if size is None else data[start : start + size])

    def head(self, key: str) -> Stat | None:
        """Look at an object."""
        found = self.objects.get(key)
        return found[2] if found else None

    def served(self, key: str) -> Served:
        """Return an object's headers."""
        headers = self._found(key)[1]
        return Served(
            headers.content_type, headers.cache_control, None, str(headers.digest) if headers.digest else None
        )

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List objects."""
        told = ""
        for key in sorted(self.objects):
            if not key.startswith(prefix):
                continue
            until = key.find(delimiter, len(prefix)) if delimiter else -1
            if until < 0:
                if (found := self.head(key)) is not None:
                    yield found
            elif told != key[: until + 1]:
                told = key[: until + 1]
                yield told

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.objects.pop(key, None)

    def abandoned(self) -> Iterator[str]:
        """Return nothing."""
        return iter(())

    def snapshot(self) -> dict[str, bytes]:
        """Return every object by key."""
        return {key: data for key, (data, _, _) in sorted(self.objects.items())}

    def _found(self, key: str) -> tuple[bytes, Headers, Stat]:
        try:
            return self.objects[key]
        except KeyError:
            raise NotThere(self.location, key, "there is no such object") from None
