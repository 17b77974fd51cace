"""Layers of an older docker-archive, made into what a registry carries: gzip."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from sdr.publish.image import BadSource, Blob
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.sources.compression import Gzip, pieces, sniff
from sdr.publish.sources.files import Files
from sdr.publish.sources.spool import Spool
from sdr.registry.grammar import Digest


class Packing:
    """Packs layers.

    :param open_files: closes the packed layers, which are temporary files, at its end.
    """

    def __init__(self, files: Files, open_files: ExitStack, jobs: Jobs, report: Report) -> None:
        self._files, self._open_files, self._jobs, self._report = files, open_files, jobs, report

    def layer(self, path: str, diff_id: Digest) -> Blob:
        """Return a layer in gzip: as it stands where it is that already, else packed anew.

        What a layer holds is compared with its diff_id, the digest of the plain tar. As skopeo does, other compressions
        are undone: docker's manifest has a type for plain and gzip layers only.

        :raise BadSource: if it is not there, is broken, or is not what the config says.
        """
        where = f"{self._files.location}: {path}"
        size = self._files.size(path)
        if size is None:
            raise BadSource(f"{where}: there is no such layer in it")
        with self._files.open(path) as file:
            compression = sniff(file.read(6))
        task = self._report.begin(f"layer {diff_id}", size)
        if compression == "gzip":
            self._unpack(path, compression, diff_id, lambda piece: None, task.moved)
            blob = Blob(self._digest(path), size, partial(self._files.open, path), where)
        else:
            blob = self._packed(path, compression, diff_id, task.moved)
        task.ended("read" if compression == "gzip" else "packed")
        return blob

    def _packed(self, path: str, compression: str, diff_id: Digest, moved: Callable[[int], None]) -> Blob:
        where = f"{self._files.location}: {path}"
        spool = Spool(where)
        self._open_files.callback(spool.close)
        digest, packing = hashlib.sha256(), Gzip()

        def keep(packed: bytes) -> None:
            digest.update(packed)
            spool.write(packed)

        self._unpack(path, compression, diff_id, lambda piece: keep(packing.compress(piece)), moved)
        keep(packing.flush())
        return Blob(Digest("sha256", digest.hexdigest()), spool.size, spool.open, where)

    def _unpack(
        self,
        path: str,
        compression: str,
        diff_id: Digest,
        take: Callable[[bytes], None],
        moved: Callable[[int], None],
    ) -> None:
        """Give out what a layer holds, piece by piece, and compare it with its diff_id at the end."""
        where = f"{self._files.location}: {path}"
        digest, at = hashlib.new(diff_id.algorithm), 0
        with self._files.open(path) as file:
            for piece in pieces(file, compression, where):
                self._jobs.go_on()
                digest.update(piece)
                take(piece)
                moved(file.tell() - at)
                at = file.tell()
        if digest.hexdigest() != diff_id.hex:
            found = f"{diff_id.algorithm}:{digest.hexdigest()}"
            raise BadSource(f"{where}: what it holds is {found}, and the image's config says {diff_id}")

    def _digest(self, path: str) -> Digest:
        digest = hashlib.sha256()
        with self._files.open(path) as file:
            for piece in pieces(file, "", f"{self._files.location}: {path}"):
                self._jobs.go_on()
                digest.update(piece)
        return Digest("sha256", digest.hexdigest())
