"""The bytes of an object on their way into a bucket: whole, or in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sdr.stores.interface import Body, StoreError

#: As many parts an upload may have.
MAX_PARTS = 10_000

_MEBIBYTE = 1024 * 1024


class Failing(StoreError):
    """Reading the body failed, which is not the store's doing.

    :param error: what was raised.
    """

    def __init__(self, store: str, key: str, error: BaseException) -> None:
        super().__init__(store, key, str(error))
        self.error = error


def part_size_for(size: int, part: int) -> int:
    """Return the size of parts of which an upload may have enough for an object of this size.

    :param part: what it is for all but the largest.
    """
    needed = -(-size // MAX_PARTS)
    return part if needed <= part else -(-needed // _MEBIBYTE) * _MEBIBYTE


def whole(body: Body, store: str, key: str) -> bytes:
    """Read a body whole.

    :raise StoreError: if it is of another size than it says.
    """
    with body.open() as source:
        return b"".join(_pieces(source, max(body.size, 1), body.size, store, key))


class Parts:
    """A body in parts, and what failed when it was read.

    :param size: of each part but the last, in bytes.
    """

    def __init__(self, body: Body, size: int, store: str, key: str) -> None:
        self._body, self._size, self._store, self._key = body, size, store, key
        self._failure: BaseException | None = None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Tell a failure of the body from one of the store.

        :raise Failing: whatever the upload made of what reading the body raised.
        """
        try:
            yield
        except Exception:
            if self._failure is not None:
                raise Failing(self._store, self._key, self._failure) from None
            raise

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self._body.open() as source:
                yield from _pieces(source, self._size, self._body.size, self._store, self._key)
        except BaseException as error:
            if not isinstance(error, GeneratorExit):
                self._failure = error
            raise


def _pieces(source: BinaryIO, size: int, announced: int, store: str, key: str) -> Iterator[bytes]:
    total = 0
    while piece := _read(source, size):
        total += len(piece)
        if total > announced:
            break
        yield piece
    if total != announced:
        found = f"over {announced}" if total > announced else str(total)
        raise StoreError(store, key, f"{found} bytes to write where {announced} were announced")


def _read(source: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or to the end."""
    piece = source.read(size)
    if not piece or len(piece) == size:
        return piece
    pieces = [piece]
    left = size - len(piece)
    while left and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
