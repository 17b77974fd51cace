"""Where images come from, by skopeo's names: ``docker-archive:FILE[:REF]``, ``oci:…``, ``oci-archive:…``."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sdr.publish.archive import TarFiles
from sdr.publish.choosing import choose, digest_in
from sdr.publish.docker_archive import DockerArchive, choices, read_archived
from sdr.publish.files import DirectoryFiles, Files
from sdr.publish.image import BadSource, Image
from sdr.publish.jobs import Jobs
from sdr.publish.layout import Layout
from sdr.publish.packing import Packing
from sdr.publish.platforms import Platform
from sdr.publish.progress import Report

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
    with ExitStack() as open_files:
        path = Path(source.path)
        files: Files = DirectoryFiles(path) if source.transport == "oci" else TarFiles(path)
        open_files.enter_context(closing(files))
        if source.transport == "docker-archive":
            yield _docker_archive(source, platform, files, jobs, Packing(files, open_files, jobs, report))
        else:
            yield _layout(source, platform, files)


def _docker_archive(source: Source, platform: Platform | None, files: Files, jobs: Jobs, packing: Packing) -> Image:
    if files.size("index.json") is not None:
        # docker since 25.0: an OCI layout, whose manifests stay as they are.
        return _layout(source, platform, files, has_names=files.size("manifest.json") is not None)
    if digest_in(source.ref) is not None:
        raise BadSource(f"{files.location}: an older docker-archive has no digests; name the image, or say @0")
    archived = choose(choices(read_archived(files)), source.ref, files.location)
    return DockerArchive(files, packing, jobs).image(archived, platform)


def _layout(source: Source, platform: Platform | None, files: Files, *, has_names: bool = False) -> Image:
    names = {}
    if has_names:
        names = {image.config.removeprefix("blobs/").replace("/", ":"): image.names for image in read_archived(files)}
    layout = Layout(files, names)
    digest = digest_in(source.ref)
    root = layout.descriptor(digest) if digest else choose(layout.choices(), source.ref, files.location)
    return layout.image(layout.select(root, platform) if platform else root)
