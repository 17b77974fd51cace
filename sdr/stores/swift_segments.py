"""Objects too large for one upload: segments, and a manifest that joins them (Static Large Objects).

The segments of ``<key>`` are ``_segments/<key>/<segment size>/<number>`` in the same container, so that who may read
the object may read them. What is there already, of an upload that was interrupted, is not sent again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping

import requests

from sdr.stores.interface import Body, NotReachable, NotThere
from sdr.stores.pieces import Pieces, Reader
from sdr.stores.swift_requests import Container

#: Below this prefix, which no key of the tree has, are the segments.
SEGMENTS = "_segments/"


def put_checked(container: Container, name: str, key: str, data: Pieces, headers: Mapping[str, str]) -> str:
    """Upload data in one request and return its MD5, which the store has computed too.

    :param name: the object's name in the container.
    :param key: what messages call it.
    """

    def check(answer: requests.Response) -> str:
        if answer.headers.get("Etag", data.md5).strip('"') != data.md5:
            container.ask("DELETE", name, key=key, read=lambda _: None)
            raise NotReachable(container.store, key, "the store has received other bytes than were sent")
        return data.md5

    try:
        return container.ask("PUT", name, key=key, headers=headers, data=data, read=check)
    except NotThere as error:
        raise container.missing() from error


class Segments:
    """The segments of a store.

    :param prefix: the store's, in its container.
    """

    def __init__(self, container: Container, prefix: str) -> None:
        self._container, self._prefix = container, prefix

    def put(self, key: str, body: Body, reader: Reader, headers: Mapping[str, str], segment_size: int) -> str:
        """Upload an object in segments, and return its ETag: the MD5 of its segments' MD5s."""
        container = self._container
        folder = f"{self._folder(key)}{segment_size}/"
        there = {one["name"]: (one["bytes"], one["hash"]) for one in container.list(folder)}
        manifest: list[dict[str, object]] = []
        joined = hashlib.md5(usedforsecurity=False)
        for number, start in enumerate(range(0, body.size, segment_size)):
            name = f"{folder}{number:08}"
            size = min(segment_size, body.size - start)
            data = Pieces(reader, start, size)
            md5 = ""
            if name in there and there[name][0] == size:
                with container.body(key):
                    md5 = data.consumed()
            if md5 == "" or there[name][1] != md5:
                md5 = put_checked(container, name, key, data, {"Content-Type": "application/octet-stream"})
            manifest.append({"path": f"/{container.name}/{name}", "etag": md5, "size_bytes": size})
            joined.update(md5.encode())
        container.ask(
            "PUT",
            self._prefix + key,
            key=key,
            query={"multipart-manifest": "put"},
            # It checks each segment's size and MD5 before it makes the object.
            headers=headers,
            data=json.dumps(manifest).encode(),
            read=lambda _: None,
        )
        return joined.hexdigest()

    def paths(self, key: str) -> set[str]:
        """Return where, as ``container/name``, the segments of a large object are, whoever uploaded it."""

        def read(answer: requests.Response) -> set[str]:
            return {one["name"].lstrip("/") for one in answer.json() if "name" in one}

        return self._container.ask("GET", self._prefix + key, key=key, query={"multipart-manifest": "get"}, read=read)

    def remove(self, key: str, paths: set[str]) -> None:
        """Remove segments, and all that an upload of this key has left."""
        container = self._container
        left = {f"{container.name}/{one['name']}" for one in container.list(self._folder(key))}
        for path in sorted(left | paths):
            container.remove(path, key)

    def uploaded(self) -> Iterator[str]:
        """Return the keys that have segments."""
        above, told = f"{self._prefix}{SEGMENTS}", ""
        for one in self._container.list(above):
            key = one["name"].removeprefix(above).rsplit("/", 2)[0]
            if key != told:
                told = key
                yield key

    def _folder(self, key: str) -> str:
        return f"{self._prefix}{SEGMENTS}{key}/"
