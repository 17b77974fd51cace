"""A bucket of S3, Google Cloud Storage or Azure, or of what speaks like them, as a store; by obstore."""

import io
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import obstore

from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, NotAllowed, NotThere, Served, Stat, StoreError
from sdr.stores.object_copying import Copying
from sdr.stores.object_errors import FORBIDDEN, FORBIDDEN_OR_NOT_THERE, NO_RANGE
from sdr.stores.object_listing import PASSED_OVER, listed
from sdr.stores.object_options import Opened
from sdr.stores.object_reading import Stream
from sdr.stores.object_requests import Requests
from sdr.stores.object_writing import Probe, Writing
from sdr.stores.probing import has_conditional_writes
from sdr.stores.retrying import Patience
from sdr.tree.headers import Headers

#: An object that is larger is written in parts of this size, in bytes.
PART = 8 * 1024 * 1024

#: How many parts of one object are on their way at once; each is in memory.
PARTS_AT_ONCE = 3

#: How much of an object is read at once, in bytes.
PIECE = 1024 * 1024


class ObjectStore:
    """A store in a bucket.

    An object over 5 GiB must be written in parts, so a condition is for smaller ones: those are held in memory whole.

    :param bucket: from :func:`sdr.stores.object_options.opened`.
    :param location: the store as its user wrote it.
    :param part: what is larger is written in parts of so many bytes, at least 5 MiB.
    :param parts_at_once: how many parts of one object are on their way at once.
    :param patience: how often is tried again what the store could not do just now.
    """

    def __init__(
        self,
        bucket: Opened,
        location: str,
        *,
        part: int = PART,
        parts_at_once: int = PARTS_AT_ONCE,
        patience: Patience | None = None,
    ) -> None:
        self.location = location
        self._requests = Requests(bucket, location, patience or Patience())
        self._writing = Writing(self._requests, part, parts_at_once)
        self._copying = Copying(self._requests)
        self._conditional: bool | None = None
        self._probing = threading.Lock()

    @property
    def conditional_writes(self) -> bool:
        """Tell whether the bucket has them; tried once, at the first use."""
        with self._probing:
            if self._conditional is None:
                self._conditional = has_conditional_writes(Probe(self._requests, self._writing))
            return self._conditional

    @property
    def creates_once(self) -> bool:
        """Tell what :attr:`conditional_writes` tells."""
        return self.conditional_writes

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write an object, in parts if it is large; see :class:`sdr.stores.interface.Store`."""
        return self._writing.put(key, body, headers, replaces)

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Have the service copy an object, which keeps the headers that it has."""
        return self._copying.copy(source, key, headers)

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read an object whole."""
        path = self._requests.path(key)

        def read() -> tuple[bytes, Stat]:
            with self._requests.errors(key):
                found = obstore.get(self._requests.at_once, path)
                return bytes(found.bytes()), self._requests.stat(found.meta)

        return self._requests.retried(key, read)

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read an object in pieces."""
        path = self._requests.path(key)
        wanted: Any = {}
        if size is not None:
            wanted = {"range": (start, start + max(size, 1))}
        elif start:
            wanted = {"range": {"offset": start}}

        def read() -> BinaryIO:
            with self._requests.errors(key):
                found = obstore.get(self._requests.patient, path, options=wanted)
            return io.BufferedReader(Stream(iter(found.stream(PIECE)), lambda: self._requests.errors(key)), PIECE)

        try:
            return self._requests.retried(key, read) if size != 0 else io.BytesIO(self._nothing(key))
        except StoreError as error:
            if error.reason != NO_RANGE:
                raise
            return io.BytesIO()

    def _nothing(self, key: str) -> bytes:
        self.served(key)
        return b""

    def head(self, key: str) -> Stat | None:
        """Look at an object."""
        path = self._requests.path(key)

        def look() -> Stat | None:
            try:
                with self._requests.errors(key):
                    return self._requests.stat(obstore.head(self._requests.at_once, path))
            except NotThere:
                return None
            except NotAllowed:
                # The answer to a HEAD cannot say why; that to a GET can.
                try:
                    with self._requests.errors(key):
                        obstore.get(self._requests.at_once, path)
                except NotAllowed as error:
                    if error.reason == FORBIDDEN:
                        raise NotAllowed(self.location, key, FORBIDDEN_OR_NOT_THERE) from error
                    raise
                raise

        return self._requests.retried(key, look)

    def served(self, key: str) -> Served:
        """Return the headers that the bucket has with an object."""
        path = self._requests.path(key)

        def look() -> Served:
            with self._requests.errors(key):
                found = obstore.get(self._requests.at_once, path, options={"head": True})
            return self._requests.served(found.attributes)

        return self._requests.retried(key, look)

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List objects, by pages; with a slash as the delimiter what lies at one level is read before it is told."""
        prefix = self._requests.root + prefix
        if delimiter == "/" and (not prefix or prefix.endswith("/")):
            found = self._level(prefix)
        else:
            found = listed(
                self._entries,
                prefix,
                delimiter,
                passed_over=PASSED_OVER if self._requests.service.begins_anywhere else 0,
            )
        for entry in found:
            if isinstance(entry, str):
                yield entry[len(self._requests.root) :]
            else:
                yield self._requests.in_store(entry)

    def _level(self, prefix: str) -> Iterator[Stat | str]:
        def look() -> dict[str, Stat | str]:
            with self._requests.errors(""):
                level = obstore.list_with_delimiter(self._requests.patient, prefix.rstrip("/") or None)
                objects = (self._requests.stat_in_bucket(found) for found in level["objects"])
                below: dict[str, Stat | str] = {found.key: found for found in objects if found.key.startswith(prefix)}
                return below | {f"{found}/": f"{found}/" for found in level["common_prefixes"]}

        found = self._requests.retried("", look)
        return (found[key] for key in sorted(found))

    def _entries(self, folder: str, after: str) -> Iterator[Stat]:
        with self._requests.errors(""):
            pages = iter(obstore.list(self._requests.patient, folder or None, offset=after or None, chunk_size=1000))
        while True:
            with self._requests.errors(""):
                page = next(pages, None)
            if page is None:
                return
            yield from (self._requests.stat_in_bucket(found) for found in page)

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._writing.remove(key)

    def abandoned(self) -> Iterator[str]:
        """Return nothing: a rule of the bucket's removes the parts of uploads that were given up."""
        return iter(())
