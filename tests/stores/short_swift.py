"""A Swift in memory that gives less in a page than it is asked for, as a Ceph gateway may."""

import hashlib
import json
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from tests.stores.wire import Asked, Told, Wire

_AUTH = "http://swift/auth/v1.0"
_ACCOUNT = "/v1/AUTH_test/c"


class ShortSwift:
    """One container, of which no page has more than so many entries, whatever the limit.

    :ivar page: how many that is.
    :ivar objects: by name, the bytes and when they were written, in seconds since the epoch.
    :ivar pages: how many pages were asked for.
    """

    def __init__(self, page: int) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.pages = 0
        self.page = page

    def store(self) -> SwiftStore:
        """Return the container as a store."""
        credentials = login({"ST_AUTH": _AUTH, "ST_USER": "test:tester", "ST_KEY": "testing"}, Wire(self))
        return SwiftStore("swift://c", "c", "", credentials)

    def __call__(self, asked: Asked) -> Told:
        """Answer."""
        if asked.url == _AUTH:
            return Told(
                headers={"X-Auth-Token": "token", "X-Storage-Url": f"http://swift{_ACCOUNT.rpartition('/')[0]}"}
            )
        url = urlsplit(asked.url)
        name = unquote(url.path.removeprefix(_ACCOUNT).removeprefix("/"))
        if not name:
            return self._list(**{key: values[0] for key, values in parse_qs(url.query).items()})
        if asked.method == "PUT" and "X-Copy-From" in asked.headers:
            return self._put(name, self.objects[unquote(asked.headers["X-Copy-From"]).removeprefix("/c/")][0])
        if asked.method == "PUT":
            if "If-None-Match" in asked.headers and name in self.objects:
                return Told(412)
            return self._put(name, asked.body)
        if name not in self.objects:
            return Told(404)
        if asked.method == "DELETE":
            del self.objects[name]
            return Told(204)
        data, written = self.objects[name]
        headers = {"Etag": _md5(data), "X-Timestamp": f"{written:.5f}", "Content-Length": str(len(data))}
        return Told(200, headers, data if asked.method == "GET" else b"")

    def _put(self, name: str, data: bytes) -> Told:
        self.objects[name] = data, time.time()
        return Told(201, {"Etag": _md5(data)})

    def _list(self, prefix: str = "", delimiter: str = "", marker: str = "", **_: str) -> Told:
        self.pages += 1
        entries: dict[str, dict[str, object]] = {}
        for name, (data, written) in sorted(self.objects.items()):
            until = name.find(delimiter, len(prefix)) + 1 if delimiter else 0
            told = name[:until] or name
            if not name.startswith(prefix) or told <= marker:
                continue
            if until:
                entries[told] = {"subdir": told}
            else:
                modified = datetime.fromtimestamp(written, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
                entries[told] = {"name": name, "bytes": len(data), "hash": _md5(data), "last_modified": modified}
        return Told(body=json.dumps([*entries.values()][: self.page]).encode())


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
