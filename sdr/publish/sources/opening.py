"""Where images come from, by skopeo's names: ``docker-archive:FILE[:REF]``, ``oci:…``, ``oci-archive:…``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sdr.publish.image import BadSource, Image
from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.progress import Report
from sdr.publish.sources.choosing import choose, digest_in
from sdr.publish.sources.files import DirectoryFiles, Files
from sdr.publish.sources.layout import Layout
from sdr.publish.sources.spool import OpenFiles

TRANSPORTS = ("docker-archive", "oci", "oci-archive")


@dataclass(frozen=True, slots=True)
class Source:
    """What a user writes for SOURCE.

    :param ref: which image in it: a name, ``@N``, ``@DIGEST``, or ``None`` if there is just one.
    """

    transport: str
    path: str
    ref: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``TRANSPORT:PATH[:REF]``; as with skopeo, a path has no colon.

        :raise ValueError: if it is none.
        """
        transport, _, rest = text.partition(":")
        path, colon, ref = rest.partition(":")
        if transport not in TRANSPORTS:
            raise ValueError(f"not one of docker-archive:FILE[:REF], oci:DIR[:REF], oci-archive:FILE[:REF]: {text!r}")
        if not path or "\0" in path or (colon and not ref):
            raise ValueError(f"not {transport}:PATH[:REF]: {text!r}")
        return cls(transport, path, ref or None)


@contextmanager
def open_image(source: Source, platform: Platform | None, jobs: Jobs, report: Report) -> Iterator[Image]:
    """Find the image that is meant and read its manifests; its blobs can be read within the ``with``.

    :param platform: publish this child of an index.
    :raise BadSource: if it is not there, not whole, or not what its digests and sizes say.
    """
    with Sources(jobs, report) as sources:
        yield sources.image(source, platform)


class Sources:
    """What images come from; several may come from one file or directory, which is opened once. Used in a ``with``.

    Blobs can be read until its end.

    :ivar open_files: what is open until then; others may add to it.
    """

    def __init__(self, jobs: Jobs, report: Report) -> None:
        self._jobs, self._report = jobs, report
        self.open_files = OpenFiles()
        self._files: dict[tuple[str, str], Files] = {}
        self._layouts: dict[tuple[str, str], Layout] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open_files.close()

    def image(self, source: Source, platform: Platform | None) -> Image:
        """Find the image that is meant and read its manifests.

        :param platform: publish this child of an index.
        :raise BadSource: if it is not there, not whole, or not what its digests and sizes say.
        """
        place = (source.transport, source.path)
        if place not in self._files:
            self._files[place] = _files(source)
            self.open_files.callback(self._files[place].close)
        files = self._files[place]
        if source.transport == "docker-archive":
            return self._docker_archive(source, platform, files)
        return self._layout(source, platform, files)

    def _docker_archive(self, source: Source, platform: Platform | None, files: Files) -> Image:
        from sdr.publish.sources.docker_archive import DockerArchive, choices, read_archived
        from sdr.publish.sources.packing import Packing

        if files.size("index.json") is not None:
            # docker since 25.0: an OCI layout, whose manifests stay as they are.
            archived = read_archived(files) if files.size("manifest.json") is not None else []
            names = {image.config.removeprefix("blobs/").replace("/", ":"): image.names for image in archived}
            return self._layout(source, platform, files, names)
        if digest_in(source.ref) is not None:
            raise BadSource(f"{files.location}: an older docker-archive has no digests; name the image, or say @0")
        chosen = choose(choices(read_archived(files)), source.ref, files.location)
        packing = Packing(files, self.open_files, self._jobs, self._report)
        return DockerArchive(files, packing, self._jobs).image(chosen, platform)

    def _layout(
        self, source: Source, platform: Platform | None, files: Files, names: Mapping[str, Sequence[str]] | None = None
    ) -> Image:
        place = (source.transport, source.path)
        if place not in self._layouts:
            self._layouts[place] = Layout(files, names)
        layout = self._layouts[place]
        digest = digest_in(source.ref)
        root = layout.descriptor(digest) if digest else choose(layout.choices, source.ref, files.location)
        return layout.image(layout.select(root, platform) if platform else root)


# What reads archives takes as long to import as a small layout to publish.


def _files(source: Source) -> Files:
    path = Path(source.path)
    if source.transport == "oci":
        return DirectoryFiles(path)
    from sdr.publish.sources.archive import TarFiles

    return TarFiles(path)
