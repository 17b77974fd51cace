"""Compressed streams: what they are by their first bytes, what they hold, and gzip that is the same every time."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from sdr.publish.image import PIECE, BadSource

#: Magic numbers: RFC 1952, RFC 8878, bzip2's and xz's own descriptions.
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0"}

#: What a broken stream raises, depending on the format.
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)

#: zlib's default, and docker's.
LEVEL = 6


def sniff(beginning: bytes) -> str:
    """Return ``gzip``, ``zstd``, ``bzip2``, ``xz``, or the empty string for what is none of them.

    :param beginning: the first six bytes or more.
    """
    return next((name for name, magic in _MAGIC.items() if beginning.startswith(magic)), "")


def pieces(stream: BinaryIO, compression: str, where: str) -> Iterator[bytes]:
    """Yield what a stream holds, decompressed, piece by piece.

    :param compression: what :func:`sniff` said.
    :param where: the stream's name in messages.
    :raise BadSource: if it is broken or cut short.
    """
    if compression == "zstd":
        yield from _zstd_pieces(stream, where)
        return
    try:
        plain = _decompressed(stream, compression)
        while piece := plain.read(PIECE):
            yield piece
    except _BROKEN as error:
        raise BadSource(f"{where}: broken {compression or 'data'}: {error}") from error


def _decompressed(stream: BinaryIO, compression: str) -> BinaryIO:
    match compression:
        case "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
        case "bzip2":
            return cast(BinaryIO, bz2.BZ2File(stream))
        case "xz":
            return cast(BinaryIO, lzma.LZMAFile(stream))
    return stream


def _zstd_pieces(stream: BinaryIO, where: str) -> Iterator[bytes]:
    """Yield what a zstd stream holds; where it is cut short between two blocks, no error tells."""
    try:
        import zstandard
    except ImportError as error:
        raise BadSource(f"{where}: compressed with zstd; install zstandard to read it") from error
    try:
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as plain:
            while piece := plain.read(PIECE):
                yield piece
    except (zstandard.ZstdError, OSError) as error:
        raise BadSource(f"{where}: broken zstd: {error}") from error


class Gzip:
    """Compresses the same bytes to the same bytes: no time, no name, one level.

    That holds for one zlib; another version of it, or zlib-ng, may find a shorter way and so make another digest.
    """

    def __init__(self) -> None:
        # 31: a gzip header around deflate's largest window; zlib leaves time and name out.
        self._zlib = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
        self.compress, self.flush = self._zlib.compress, self._zlib.flush
