"""A Swift container as a store, by Swift's own API."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import BufferedReader
from typing import BinaryIO
from urllib.parse import quote

import requests

from sdr.stores.interface import (
    ANY_VERSION,
    AnyVersion,
    Body,
    Changed,
    NotReachable,
    NotThere,
    Served,
    Stat,
    StoreError,
)
from sdr.stores.pieces import PIECE, Pieces, Reader
from sdr.stores.retrying import Patience
from sdr.stores.swift_credentials import Login, NoCredentials, login
from sdr.stores.swift_reading import Reading
from sdr.stores.swift_requests import NEWEST, Container, Precondition
from sdr.stores.swift_segments import SEGMENTS, Segments, put_checked
from sdr.tree.headers import Headers

#: Larger objects are uploaded in segments of this size; Swift's own limit is 5 GiB.
SEGMENT_SIZE = 1024**3


def open_swift(text: str, environment: Mapping[str, str]) -> "SwiftStore":
    """Return the store that ``swift://container[/prefix]`` names; nothing is read from the network yet.

    :param environment: where the credentials are, as the ``swift`` command takes them.
    :raise UnknownStore: if it names none, or there are no credentials; the message says what would do.
    """
    # That module imports this one when it is needed.
    from sdr.stores.opening import UnknownStore

    container, _, prefix = text.removeprefix("swift://").partition("/")
    parts = prefix.rstrip("/").split("/") if prefix.rstrip("/") else []
    if (
        not text.startswith("swift://")
        or container in ("", ".", "..")
        or any(part in ("", ".", "..") for part in parts)
        or any(character in text for character in "?#\0\n")
    ):
        raise UnknownStore(f"{text!r}: not swift://CONTAINER or swift://CONTAINER/PREFIX")
    try:
        return SwiftStore(text, container, "/".join(parts), login(environment))
    except NoCredentials as error:
        raise UnknownStore(f"{text}: {error}") from error


class SwiftStore:
    """A store in a container.

    Versions are ETags: the bytes' MD5, or that of the segments' MD5s.

    :param location: the store as its user wrote it.
    :param container: the container's name; it must be there.
    :param prefix: below which the keys are, without a slash at its end; may be empty.
    :param credentials: how to get at the account.
    :param segment_size: larger objects are uploaded in segments of this size.
    :param page: how many objects a listing asks for at once; as many as the server likes if not given.
    :param patience: how often a request is tried.
    """

    #: Swift ignores ``If-Match`` on PUT without a word.
    conditional_writes = False
    #: It honours ``If-None-Match: *``; not atomically where its parts cannot reach each other.
    creates_once = True

    def __init__(
        self,
        location: str,
        container: str,
        prefix: str,
        credentials: Login,
        *,
        segment_size: int = SEGMENT_SIZE,
        page: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.location, self.segment_size = location, segment_size
        self._prefix = f"{prefix}/" if prefix else ""
        self._page = page
        self._container = Container(location, container, credentials, patience or Patience())
        self._segments = Segments(self._container, self._prefix)

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Upload an object; see :class:`sdr.stores.interface.Store`. Conditions are looked at, but not atomically."""
        name, sent = self._name(key), _sent(headers)
        if replaces is None:
            sent["If-None-Match"] = "*"
        elif isinstance(replaces, str):
            there = self.head(key)
            if there is None or there.version != replaces:
                raise Changed(self.location, key, "something else is there by now")
        reader = Reader(body)
        try:
            if body.size > self.segment_size:
                return self._segments.put(key, body, reader, sent, self.segment_size)
            data = Pieces(reader, 0, body.size)
            if body.size <= PIECE:
                return self._put_small(name, key, data, sent)
            return put_checked(self._container, name, key, data, sent)
        except Precondition as error:
            raise Changed(self.location, key, "something else is there by now") from error
        finally:
            reader.close()

    def _put_small(self, name: str, key: str, data: Pieces, headers: dict[str, str]) -> str:
        """Upload what fits into memory; the store is told its MD5 and refuses anything else."""
        with self._container.body(key):
            whole = b"".join(data)
        md5 = hashlib.md5(whole, usedforsecurity=False).hexdigest()
        try:
            self._container.ask(
                "PUT",
                name,
                key=key,
                headers={**headers, "ETag": md5, "Content-Length": str(len(whole))},
                data=whole,
                read=lambda _: None,
            )
        except NotThere as error:
            raise self._container.missing() from error
        return md5

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Have Swift copy an object, but no large one: it would join that in one, or have both share its segments."""
        from_name, name = self._name(source), self._name(key)
        large = self._container.ask(
            "HEAD",
            from_name,
            key=source,
            headers=NEWEST,
            read=lambda answer: _is_large(answer.headers) or "X-Object-Manifest" in answer.headers,
        )
        if large:
            return None
        copied = {"X-Copy-From": quote(f"/{self._container.name}/{from_name}"), "X-Fresh-Metadata": "true"}
        return self._container.ask(
            "PUT",
            name,
            key=key,
            headers={**_sent(headers), **copied, "Content-Length": "0"},
            read=lambda answer: answer.headers["Etag"].strip('"'),
        )

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read an object whole."""

        def read(answer: requests.Response) -> tuple[bytes, Stat]:
            data, stat = answer.raw.read(decode_content=False), _stat(key, answer.headers)
            if stat.content and hashlib.md5(data, usedforsecurity=False).hexdigest() != stat.content:
                raise NotReachable(self.location, key, "the store has sent other bytes than it has")
            return data, stat

        return self._container.ask("GET", self._name(key), key=key, headers=NEWEST, read=read)

    def open(self, key: str, *, start: int = 0, size: int | None = None) -> BinaryIO:
        """Read an object in pieces; a connection that breaks is made again where it broke."""
        reading = Reading(self._container, self._name(key), key, start, size)
        reading.connect()
        return BufferedReader(reading, PIECE)

    def head(self, key: str) -> Stat | None:
        """Look at an object."""
        try:
            return self._container.ask(
                "HEAD",
                self._name(key),
                key=key,
                headers=NEWEST,
                read=lambda answer: _stat(key, answer.headers),
            )
        except NotThere:
            return None

    def served(self, key: str) -> Served:
        """Return an object's headers."""

        def read(answer: requests.Response) -> Served:
            names = ("Content-Type", "Cache-Control", "Content-Encoding", "X-Object-Meta-Docker-Content-Digest")
            return Served(*(answer.headers.get(name) for name in names))

        return self._container.ask("HEAD", self._name(key), key=key, headers=NEWEST, read=read)

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List objects in the order of their keys; segments are not told."""
        hide = self._prefix + SEGMENTS
        for found in self._container.list(self._prefix + prefix, limit=self._page, delimiter=delimiter, hide=hide):
            if "subdir" in found:
                yield found["subdir"].removeprefix(self._prefix)
            else:
                yield _listed(found["name"].removeprefix(self._prefix), found)

    def delete(self, key: str) -> None:
        """Remove an object, and then its segments: a reader finds all of it or nothing."""
        name = self._name(key)
        segments: set[str] = set()
        with suppress(NotThere):
            large = self._container.ask(
                "HEAD", name, key=key, headers=NEWEST, read=lambda answer: _is_large(answer.headers)
            )
            if large:
                segments = self._segments.paths(key)
            self._container.ask("DELETE", name, key=key, read=lambda _: None)
        with suppress(NotThere):
            self._segments.remove(key, segments)

    def abandoned(self) -> Iterator[str]:
        """Return the keys that have segments and no object."""
        return (key for key in self._segments.uploaded() if self.head(key) is None)

    def _name(self, key: str) -> str:
        # urllib3 would resolve the dots.
        if key.startswith(SEGMENTS) or "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            raise StoreError(self.location, key, "not a key")
        return self._prefix + key


def _sent(headers: Headers) -> dict[str, str]:
    sent = {"Content-Type": headers.content_type, "Cache-Control": headers.cache_control}
    if headers.digest is not None:
        sent["X-Object-Meta-Docker-Content-Digest"] = str(headers.digest)
    return sent


def _is_large(headers: Mapping[str, str]) -> bool:
    return headers.get("X-Static-Large-Object", "").lower() == "true"


def _stat(key: str, headers: Mapping[str, str]) -> Stat:
    etag = headers["Etag"].strip('"')
    content = "" if _is_large(headers) else etag
    return Stat(key, int(headers["Content-Length"]), etag, float(headers["X-Timestamp"]), content)


def _listed(key: str, found: Mapping[str, str]) -> Stat:
    # A large object's "hash" is that of its manifest.
    large = found.get("slo_etag")
    etag = (large or found["hash"]).strip('"')
    modified = datetime.fromisoformat(found["last_modified"]).replace(tzinfo=UTC).timestamp()
    return Stat(key, int(found["bytes"]), etag, modified, "" if large else etag)
