"""What is wrong with the bytes of a layer, as clients of protocol v1 read it."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sdr.publish.check.findings import Fault
from sdr.publish.check.inspecting import Wrong
from sdr.publish.image import PIECE, BadSource
from sdr.publish.sources.compression import pieces, sniff


def begins(beginning: bytes) -> Wrong:
    """Tell what is wrong with the beginning of a layer: one block of tar."""
    if not beginning:
        return Fault.LENGTH, "empty; no layer is"
    compression = sniff(beginning)
    if compression == "zstd":
        return Fault.MALFORMED, "compressed with zstd, which no client of protocol v1 reads"
    if compression:
        return None
    try:
        tarfile.TarInfo.frombuf(beginning, "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        # Zeros: an archive without members.
        return None
    except tarfile.HeaderError:
        return Fault.MALFORMED, "neither tar nor gzip, bzip2 or xz, so no client of protocol v1 reads it"
    return None


@dataclass(frozen=True, slots=True)
class LayerJudge:
    """Reads a layer whole.

    :param key: where it is.
    :param diff: the digest of its files, if that is known.
    :param checksums: what an old registry wrote down: SHA-256 of the image's json, a line end and the layer, in hex.
    :param json: the image's.
    :param is_known: tells of the digest of its bytes whether there is a reason for just these.
    :param note: is told of what deserves a word.
    """

    key: str
    diff: str | None
    checksums: frozenset[str]
    json: bytes
    is_known: Callable[[str], bool]
    note: Callable[[str], None]

    def __call__(self, coming: Iterator[bytes]) -> Wrong:
        """Tell what is wrong with it."""
        stream = _Hashed(coming, self.json + b"\n")
        algorithm = self.diff.partition(":")[0] if self.diff else "sha256"
        files = hashlib.new(algorithm)
        try:
            with io.BufferedReader(stream, PIECE) as body:
                for piece in pieces(body, sniff(body.peek(6)), self.key):
                    files.update(piece)
                while body.read(PIECE):
                    # What follows the end of the archive is a part of the layer, too.
                    pass
        except BadSource as error:
            return Fault.MALFORMED, str(error).removeprefix(f"{self.key}: ")
        found = f"{algorithm}:{files.hexdigest()}"
        if self.diff is not None and found != self.diff:
            return Fault.DIGEST, f"what it holds is {found}, and its image has {self.diff}"
        if self.checksums and stream.checksum.hexdigest() not in self.checksums:
            return Fault.DIGEST, "it is not what its registry wrote down in _checksum"
        if self.diff is not None and not self.is_known(digest := f"sha256:{stream.bytes.hexdigest()}"):
            self.note(f"{self.key}: holds what it should, in bytes that no image here has: {digest}")
        return None


class _Hashed(io.RawIOBase):
    """A stream of pieces that are hashed as they come."""

    def __init__(self, coming: Iterator[bytes], before: bytes) -> None:
        super().__init__()
        self._coming, self._rest = coming, b""
        self.bytes, self.checksum = hashlib.sha256(), hashlib.sha256(before)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(self._coming, b"")
            self.bytes.update(self._rest)
            self.checksum.update(self._rest)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
