"""Reading an object of any size from Swift."""

import io

import requests

from sdr.stores.interface import Changed, NotReachable
from sdr.stores.swift_requests import NEWEST, Container, Precondition


class Reading(io.RawIOBase):
    """An object, or a part of it, while it is read; a connection that breaks is made again where it broke.

    :param name: the object's name in the container.
    :param key: what messages call it.
    :param start: the first byte, counted from 0.
    :param size: how many bytes; to the end if not given.
    """

    def __init__(self, container: Container, name: str, key: str, start: int, size: int | None) -> None:
        super().__init__()
        self._container, self._name, self._key = container, name, key
        self._position, self._end = start, None if size is None else start + size
        self._etag: str | None = None
        self._answer: requests.Response | None = None
        self._lost = False

    def connect(self) -> None:
        """Ask for what is to be read."""
        self._container.patience(self._connect)

    def _connect(self) -> None:
        self._lost = False
        if self._end is not None and self._position >= self._end:
            return
        headers = dict(NEWEST)
        if self._position or self._end is not None:
            headers["Range"] = f"bytes={self._position}-{'' if self._end is None else self._end - 1}"
        if self._etag is not None:
            headers["If-Match"] = self._etag
        try:
            answer = self._container.send("GET", self._name, key=self._key, headers=headers, accept={416})
        except NotReachable:
            self._lost = True
            raise
        except Precondition as error:
            raise Changed(self._container.store, self._key, "it was written again while it was read") from error
        if answer.status_code == 416:
            # It ends before what was asked for.
            answer.close()
            return
        self._answer, self._etag = answer, answer.headers.get("Etag")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some more."""

        def attempt() -> bytes:
            if self._lost:
                self._connect()
            if self._answer is None:
                return b""
            try:
                with self._container.reading(self._key):
                    piece: bytes = self._answer.raw.read(len(buffer), decode_content=False)
                return piece
            except NotReachable:
                self._close_answer()
                self._lost = True
                raise

        piece = self._container.patience(attempt)
        self._position += len(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def _close_answer(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = None

    def close(self) -> None:
        """Let go of the connection."""
        self._close_answer()
        super().close()
