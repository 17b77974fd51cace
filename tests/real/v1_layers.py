"""Layers, as an old docker unpacks them."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.real.samples import Tree, unpacked
from tests.real.v1_wire import PullFailed


@dataclass(frozen=True)
class Layer:
    """An image of protocol v1, or a layer of protocol v2.

    :param id: the image's id, or the layer's digest.
    :param json: what was said of it; over v2 the config, with the last layer only.
    :param data: the layer as it came.
    :param size: what ``X-Docker-Size`` promised; 0 if nothing.
    """

    id: str
    json: bytes
    data: bytes
    size: int


def laid_over(layers: Iterable[bytes]) -> Tree:
    """Return the files of layers, each laid over those before; docker then knew no zstd.

    :raise PullFailed: if one is no whole archive.
    """
    return unpacked(tarfile.open(fileobj=io.BytesIO(_uncompressed(layer))) for layer in layers)


def _uncompressed(data: bytes) -> bytes:
    kinds: Mapping[bytes, Callable[[bytes], bytes]] = {
        b"\x1f\x8b\x08": gzip.decompress,
        b"BZh": bz2.decompress,
        b"\xfd7zXZ": lzma.decompress,
    }
    try:
        for magic, decompress in kinds.items():
            if data.startswith(magic):
                data = decompress(data)
        # Read to its end, as unpacking would.
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            archive.getmembers()
    except (OSError, EOFError, ValueError, lzma.LZMAError, tarfile.TarError) as error:
        raise PullFailed(f"ApplyLayer exit status 1: {error}") from error
    return data
