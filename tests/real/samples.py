"""The images that real clients pull, and what is in them once unpacked."""

import io
import os
import platform
import random
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import images

#: A file's mode and content, or a link's target, by path.
Tree = dict[str, tuple[int, bytes] | str]

#: Clients pull for this machine unless told otherwise.
HOST = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(platform.machine(), "linux/amd64")
OTHER = "linux/arm64" if HOST == "linux/amd64" else "linux/amd64"


def unpacked(archives: Iterable[tarfile.TarFile]) -> Tree:
    """Return what archives hold, each laid over those before."""
    tree: Tree = {}
    for archive in archives:
        for member in archive:
            path = member.name.removeprefix("./").strip("/")
            if member.issym():
                tree[path] = member.linkname
            elif member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                tree[path] = stat.S_IMODE(member.mode), content.read()
    return tree


def on_disk(folder: Path) -> Tree:
    """Return what a folder holds."""
    tree: Tree = {}
    for path in folder.rglob("*"):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            tree[name] = os.readlink(path)
        elif stat.S_ISREG(mode):
            tree[name] = stat.S_IMODE(mode), path.read_bytes()
    return tree


@dataclass
class Sample:
    """An image or artifact: what it is called in the layout, its digest, and what each platform's files are."""

    ref: str
    digest: str
    manifest: bytes
    trees: Mapping[str, Tree] = field(default_factory=dict)

    @property
    def platforms(self) -> list[str]:
        """The platforms, the one that is pulled by default first."""
        return sorted(self.trees, key=lambda platform: platform != HOST)


class Samples:
    """A layout on disk with images of one and of several platforms, and an artifact that refers to one of them."""

    def __init__(self, folder: Path, text: str = "first") -> None:
        self.folder = folder
        self._layout = images.Layout()
        alone, files = self._image(HOST, text, docker=True)
        self.single = self._tag("single", alone, {HOST: files})
        children = {platform: self._image(platform, text) for platform in (HOST, OTHER)}
        index = self._layout.index([child for child, _ in children.values()])
        self.multi = self._tag("multi", index, {platform: tree for platform, (_, tree) in children.items()})
        self.artifact_files = {"sbom.json": f'{{"of": "{text}"}}'.encode(), "notes.txt": b"none\n"}
        self.artifact_type = "application/vnd.example.sbom.v1"
        self.artifact = self._tag("sbom", self._artifact(index), {})
        self._layout.write(folder)

    def source(self, sample: Sample) -> str:
        """Return a sample's name for ``sdr publish``."""
        return f"oci:{self.folder}:{sample.ref}"

    def _tag(self, ref: str, descriptor: images.Descriptor, trees: Mapping[str, Tree]) -> Sample:
        self._layout.tag(descriptor, ref)
        digest = str(descriptor["digest"])
        return Sample(ref, digest, self._layout.blobs[digest], trees)

    def _image(self, platform: str, text: str, *, docker: bool = False) -> tuple[images.Descriptor, Tree]:
        content: dict[str, images.File] = {
            "etc/motd": f"{text} for {platform}\n".encode(),
            "bin/run": (b"#!/bin/sh\necho run\n", 0o755),
            # Large enough to reach a client in several pieces, and incompressible.
            "data/noise": random.Random(text + platform).randbytes(3 << 20),
        }
        over = [images.file_member("etc/motd2", platform.encode()), images.symlink_member("bin/again", "run")]
        archives = [images.layer_tar(content), images.tar(over)]
        suffix = images.DOCKER_LAYER + ".gzip" if docker else images.OCI_LAYER + "+gzip"
        config = images.config_json(platform, [images.digest_of(archive) for archive in archives])
        manifest_type = images.DOCKER_MANIFEST if docker else images.OCI_MANIFEST
        descriptor = self._layout.add_json(
            {
                "schemaVersion": 2,
                "mediaType": manifest_type,
                "config": self._layout.add(config, images.DOCKER_CONFIG if docker else images.OCI_CONFIG),
                "layers": [self._layout.add(images.compress(archive, "gzip"), suffix) for archive in archives],
            },
            manifest_type,
            platform=images.platform_of(platform),
        )
        return descriptor, unpacked(tarfile.open(fileobj=io.BytesIO(archive)) for archive in archives)

    def _artifact(self, subject: images.Descriptor) -> images.Descriptor:
        return self._layout.add_json(
            {
                "schemaVersion": 2,
                "mediaType": images.OCI_MANIFEST,
                "artifactType": self.artifact_type,
                "config": self._layout.add(b"{}", images.OCI_EMPTY),
                "layers": [
                    self._layout.add(
                        content, "application/octet-stream", annotations={"org.opencontainers.image.title": name}
                    )
                    for name, content in self.artifact_files.items()
                ],
                "subject": {member: subject[member] for member in ("mediaType", "digest", "size")},
            },
            images.OCI_MANIFEST,
        )
