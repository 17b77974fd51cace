"""Writing an object into a bucket: in one request, on condition perhaps, or in parts; and seeing that it arrived."""

import hashlib
from contextlib import suppress
from typing import Any

import obstore

from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Changed, NotThere, StoreError
from sdr.stores.object_requests import Requests, version_of
from sdr.stores.object_uploads import Failing, Parts, part_size_for, whole
from sdr.tree.headers import Headers


class Writing:
    """The writes to a bucket.

    :param part: what is larger is written in parts of so many bytes.
    :param parts_at_once: how many parts of one object are on their way at once; each is in memory.
    """

    def __init__(self, requests: Requests, part: int, parts_at_once: int) -> None:
        self._requests, self._part, self._parts_at_once = requests, part, parts_at_once

    def put(self, key: str, body: Body, headers: Headers, replaces: str | AnyVersion | None) -> str:
        """Write an object and return its version."""
        self._requests.path(key)
        attributes = {"Content-Type": headers.content_type, "Cache-Control": headers.cache_control}
        if headers.digest is not None:
            attributes[self._requests.service.digest] = str(headers.digest)
        if isinstance(replaces, AnyVersion) and body.size > self._part:
            return self._put_parts(key, body, attributes)
        data = whole(body, self._requests.location, key)
        version = self.put_bytes(key, data, attributes, replaces)
        self._verify(key, data, version)
        return version

    def put_bytes(self, key: str, data: bytes, attributes: dict[str, str], replaces: str | AnyVersion | None) -> str:
        """Write an object in one request."""
        path = self._requests.path(key)

        def write() -> str:
            with self._requests.errors(key):
                done: Any = obstore.put(
                    self._requests.at_once,
                    path,
                    data,
                    attributes=attributes,
                    mode=self._mode(path, key, replaces),
                    use_multipart=False,
                )
                return version_of(done)

        return self._requests.retried(key, write)

    def _mode(self, path: str, key: str, replaces: str | AnyVersion | None) -> Any:
        if isinstance(replaces, AnyVersion):
            return "overwrite"
        if replaces is None:
            return "create"
        if not self._requests.service.generations:
            return {"e_tag": f'"{replaces}"'}
        try:
            there: Any = obstore.head(self._requests.at_once, path)
        except FileNotFoundError:
            there = None
        if there is None or version_of(there) != replaces:
            raise Changed(self._requests.location, key, "something else is there by now")
        return {"e_tag": there["e_tag"], "version": there["version"]}

    def _put_parts(self, key: str, body: Body, attributes: dict[str, str]) -> str:
        path, size = self._requests.path(key), part_size_for(body.size, self._part)

        def write() -> str:
            parts = Parts(body, size, self._requests.location, key)
            with self._requests.errors(key), parts.failing():
                done: Any = obstore.put(
                    self._requests.patient,
                    path,
                    iter(parts),
                    attributes=attributes,
                    use_multipart=True,
                    chunk_size=size,
                    max_concurrency=self._parts_at_once,
                )
            return version_of(done)

        try:
            version = self._requests.retried(key, write)
        except Failing as failing:
            raise failing.error from failing.error.__cause__

        def look() -> Any:
            with self._requests.errors(key):
                return obstore.head(self._requests.at_once, path)

        # Its ETag tells of the parts' sizes only to who knows how the store computes it.
        there = self._requests.retried(key, look)
        if version_of(there) == version and there["size"] != body.size:
            raise StoreError(self._requests.location, key, f"{there['size']} bytes arrived where {body.size} were sent")
        return version

    def remove(self, key: str) -> None:
        """Delete an object."""

        def delete() -> None:
            with suppress(NotThere), self._requests.errors(key):
                obstore.delete(self._requests.at_once, self._requests.path(key))

        self._requests.retried(key, delete)

    def _verify(self, key: str, data: bytes, version: str) -> None:
        """Compare the MD5, where the store has one; where it seems to have another, compare the bytes, once."""
        requests = self._requests
        if not requests.md5 or version == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return
        try:
            with requests.errors(key):
                found = obstore.get(requests.at_once, requests.path(key), options={"if_match": f'"{version}"'})
                there = bytes(found.bytes())
        except StoreError:
            # Somebody else has replaced it, or this publisher may only write.
            return
        if there != data:
            try:
                # Its size is right: the next publish would take it for what it should be.
                self.remove(key)
            except StoreError as error:
                reason = f"what arrived is not what was sent, and it cannot be deleted: {error.reason}; delete it"
                raise StoreError(requests.location, key, f"{reason}, and publish it again") from error
            raise StoreError(requests.location, key, "what arrived is not what was sent; publish it again")
        requests.md5 = False


class Probe:
    """A bucket as :func:`sdr.stores.probing.has_conditional_writes` tries it."""

    def __init__(self, requests: Requests, writing: Writing) -> None:
        self._requests, self._writing = requests, writing

    def write(self, key: str, data: bytes, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write on condition."""
        return self._writing.put_bytes(key, data, {}, replaces)

    def remove(self, key: str) -> None:
        """Delete the object."""
        self._writing.remove(key)
