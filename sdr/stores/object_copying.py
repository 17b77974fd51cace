"""Copying an object within a bucket, by the service itself."""

from typing import Any

import obstore

from sdr.stores.interface import Served, StoreError
from sdr.stores.object_errors import Refused
from sdr.stores.object_requests import Requests, version_of
from sdr.tree.headers import Headers

#: What services copy in one request, in bytes.
LARGEST = 5 * 1024**3


class Copying:
    """The copies within a bucket."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._copies = requests.service.copies

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy an object and return the copy's version; ``None`` where the service does not do it, or not so.

        A copy keeps its source's headers, and obstore cannot ask for others.
        """
        requests = self._requests
        path, from_path = requests.path(key), requests.path(source)
        found, served = self._look(source, from_path)
        digest = None if headers.digest is None else str(headers.digest)
        wanted = Served(headers.content_type, headers.cache_control, None, digest)
        if not self._copies or found["size"] > LARGEST or served != wanted:
            return None
        if path == from_path:
            return version_of(found)

        def copy() -> None:
            with requests.errors(key):
                # It answers when it is done, so it is waited for as long as for a part of many.
                obstore.copy(requests.patient, from_path, path)

        try:
            requests.retried(key, copy)
        except Refused:
            # obstore has perhaps tried long enough for all others too.
            self._copies = False
            return None
        there, _ = self._look(key, path)
        if there["size"] != found["size"]:
            reason = f"{there['size']} bytes are there where {found['size']} were copied; publish it again"
            raise StoreError(requests.location, key, reason)
        return version_of(there)

    def _look(self, key: str, path: str) -> tuple[Any, Served]:
        def look() -> tuple[Any, Served]:
            with self._requests.errors(key):
                found = obstore.get(self._requests.at_once, path, options={"head": True})
            return found.meta, self._requests.served(found.attributes)

        return self._requests.retried(key, look)
