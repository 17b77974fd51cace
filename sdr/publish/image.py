"""An image that is ready to be published: its manifests, checked, and its blobs, checked while they are read."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from sdr.registry.grammar import Digest
from sdr.registry.manifests import Manifest

#: How much of a file is in memory at once, in bytes.
PIECE = 1024 * 1024


class BadSource(Exception):
    """A source does not hold what it should; the message is one line that begins with the source's name."""


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """A manifest or an index as its bytes.

    :param digest: of the bytes, recomputed.
    """

    digest: Digest
    data: bytes
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Blob:
    """A config, a layer, or another file that a manifest refers to; a body for :meth:`sdr.stores.interface.Store.put`.

    :param size: in bytes.
    :param source: begins to read it.
    :param where: the file's name in messages.
    """

    digest: Digest
    size: int
    source: Callable[[], BinaryIO]
    where: str

    def open(self) -> BinaryIO:
        """Start reading; what differs from the digest or the size raises before its last piece is given out.

        :raise BadSource: from this call and from reading.
        """
        return io.BufferedReader(_Verified(self), PIECE)


@dataclass(frozen=True, slots=True)
class Image:
    """Everything that one reference needs.

    :param manifests: each once, children before parents; the last is what the tag names.
    :param blobs: each once.
    """

    manifests: tuple[ImageManifest, ...]
    blobs: tuple[Blob, ...]

    @property
    def root(self) -> ImageManifest:
        """The manifest that the tag names."""
        return self.manifests[-1]


class _Verified(io.RawIOBase):
    """Reads a blob and compares its size and digest at the end, before a store can take it for whole."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self._blob = blob
        self._hash = hashlib.new(blob.digest.algorithm)
        self._left = blob.size
        self._stream = blob.source()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._stream.read(min(len(buffer), self._left))
        except OSError as error:
            raise BadSource(f"{self._blob.where}: {error.strerror or error}") from error
        if not piece and self._left:
            raise BadSource(f"{self._blob.where}: cut short by {self._left} bytes")
        self._hash.update(piece)
        self._left -= len(piece)
        if not self._left and self._hash.hexdigest() != self._blob.digest.hex:
            found = f"{self._blob.digest.algorithm}:{self._hash.hexdigest()}"
            raise BadSource(f"{self._blob.where}: its digest is {found}, not {self._blob.digest}")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()
