"""Layers as clients of protocol v1 know them: plain, gzip, bzip2 or xz, and so never zstd."""

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sdr.publish.image import BadSource, Blob
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.sources.compression import Gzip, pieces, sniff
from sdr.publish.sources.spool import Spool
from sdr.publish.writing import Watched
from sdr.registry.grammar import Digest
from sdr.registry.v1 import EMPTY_LAYER
from sdr.stores.interface import Body, Bytes


def is_zstd(blob: Blob) -> bool:
    """Tell by its first bytes whether a layer has to be packed anew."""
    with blob.source() as file:
        return sniff(file.read(6)) == "zstd"


def empty_layer() -> Body:
    """Return the layer of an image that has none."""
    packing = Gzip()
    return Bytes(packing.compress(EMPTY_LAYER) + packing.flush())


@contextmanager
def in_gzip(blob: Blob, diff: Digest, jobs: Jobs, report: Report) -> Iterator[Body]:
    """Give a layer that is in zstd packed with gzip, in a temporary file that is gone afterwards.

    :param diff: the digest of what it holds; that tells whether it is cut short, too.
    :raise BadSource: if it is broken or holds something else, or there is no room for it.
    """
    task = report.begin(f"layer {blob.digest}", blob.size)
    with closing(Spool(blob.where)) as spool:
        packing, digest = Gzip(), hashlib.new(diff.algorithm)
        with Watched(blob, task.moved, jobs).open() as file:
            for piece in pieces(file, "zstd", blob.where):
                digest.update(piece)
                spool.write(packing.compress(piece))
        if digest.hexdigest() != diff.hex:
            found = f"{diff.algorithm}:{digest.hexdigest()}"
            raise BadSource(f"{blob.where}: what it holds is {found}, and the image's config says {diff}")
        spool.write(packing.flush())
        task.ended("packed")
        yield spool
