"""Small images made from nothing: for the tests, and for ``make demo``.

A :class:`Layout` is an OCI image layout in memory. Each method that makes something returns its descriptor, a plain
``dict`` that goes into other manifests and into :meth:`Layout.tag`::

    layout = Layout()
    amd64 = layout.image({"etc/motd": b"hello"}, platform="linux/amd64")
    arm64 = layout.image({"etc/motd": b"hello"}, platform="linux/arm64")
    layout.tag(layout.index([amd64, arm64]), "1.0")
    layout.write(Path("layout"))            # oci:layout:1.0
    layout.write_tar(Path("layout.tar"))    # oci-archive:layout.tar:1.0

Everything is reproducible: the same calls make the same bytes. The standard library is enough; zstandard is needed
for zstd layers only. As a program::

    python -m tests.images oci DIR --tag 1.0 --platforms linux/amd64,linux/arm64 --add /bin/busybox:bin/sh:755
"""

import argparse
import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

#: A descriptor, as JSON has it.
Descriptor = dict[str, Any]
#: Content, or content and mode.
File = bytes | tuple[bytes, int]

CREATED = "2024-01-01T00:00:00Z"
FILES: Mapping[str, File] = {"etc/motd": b"hello from sdr\n", "www/index.html": b"<h1>sdr</h1>\n"}


def to_json(document: object) -> bytes:
    """Return a document's bytes, always the same."""
    return json.dumps(document, separators=(",", ":")).encode()


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return ``algorithm:hex``."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def layer_tar(files: Mapping[str, File]) -> bytes:
    """Return an uncompressed layer with these files, and the folders they need."""
    folders = sorted({str(folder) for path in files for folder in Path(path).parents if str(folder) != "."})
    members = [_member(folder, tarfile.DIRTYPE, mode=0o755) for folder in folders]
    for path, file in sorted(files.items()):
        content, mode = file if isinstance(file, tuple) else (file, 0o644)
        members.append(_member(path, content=content, mode=mode))
    return tar(members)


def _member(
    name: str, kind: bytes = tarfile.REGTYPE, *, content: bytes = b"", mode: int = 0o644, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.linkname = kind, len(content), mode, link
    return info, content


def file_member(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """Return a regular file for :func:`tar`."""
    return _member(name, content=content)


def symlink_member(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a symbolic link for :func:`tar`."""
    return _member(name, tarfile.SYMTYPE, link=target)


def hardlink_member(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a hard link for :func:`tar`."""
    return _member(name, tarfile.LNKTYPE, link=target)


def fifo_member(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a named pipe for :func:`tar`."""
    return _member(name, tarfile.FIFOTYPE)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar archive of exactly these members, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def compress(data: bytes, compression: str) -> bytes:
    """Compress with ``gzip``, ``zstd``, ``bzip2``, ``xz``, or not at all with the empty string."""
    match compression:
        case "":
            return data
        case "gzip":
            return gzip.compress(data, mtime=0)
        case "bzip2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zstd":
            import zstandard

            return zstandard.ZstdCompressor().compress(data)
    raise ValueError(compression)


def platform_of(text: str) -> dict[str, str]:
    """Return the ``platform`` member for ``os/architecture[/variant]``."""
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def config_json(platform: str, diff_ids: Sequence[str], command: Sequence[str] = ("/bin/sh",)) -> bytes:
    """Return an image's config."""
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return to_json({"created": CREATED, **platform_of(platform), "config": {"Cmd": list(command)}, "rootfs": rootfs})


class Layout:
    """An OCI image layout (OCI Image Specification 1.1, "Image Layout"), in memory.

    :ivar blobs: content by digest; change it to break the layout.
    :ivar entries: what ``index.json`` lists.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.entries: list[Descriptor] = []

    def add(self, data: bytes, media_type: str, *, algorithm: str = "sha256", **members: Any) -> Descriptor:
        """Add content of any type; ``members`` go into the descriptor."""
        digest = digest_of(data, algorithm)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data), **members}

    def add_json(self, document: Mapping[str, Any], media_type: str, **members: Any) -> Descriptor:
        """Add a JSON document; ``members`` go into the descriptor."""
        return self.add(to_json(document), media_type, **members)

    def layer(
        self, files: Mapping[str, File], compression: str = "gzip", *, docker: bool = False, algorithm: str = "sha256"
    ) -> Descriptor:
        """Add a layer."""
        media_type = DOCKER_LAYER if docker else OCI_LAYER
        if compression:
            media_type += f"{'.' if docker else '+'}{compression}"
        return self.add(compress(layer_tar(files), compression), media_type, algorithm=algorithm)

    def image(
        self,
        files: Mapping[str, File] = FILES,
        *,
        platform: str = "linux/amd64",
        layers: Sequence[Descriptor] | None = None,
        compression: str = "gzip",
        docker: bool = False,
        algorithm: str = "sha256",
        typed: bool = True,
        command: Sequence[str] = ("/bin/sh",),
        **members: Any,
    ) -> Descriptor:
        """Add an image and return its descriptor, with its platform.

        :param files: what its one layer holds.
        :param layers: these instead of a layer of ``files``; their diff_ids are invented.
        :param docker: use docker's types (schema 2), not OCI's.
        :param typed: give the manifest its ``mediaType``.
        :param members: further members of the manifest, such as ``annotations``.
        """
        if layers is None:
            layers = [self.layer(files, compression, docker=docker, algorithm=algorithm)]
            diff_ids = [digest_of(layer_tar(files))]
        else:
            diff_ids = [digest_of(str(layer["digest"]).encode()) for layer in layers]
        config = self.add(
            config_json(platform, diff_ids, command), DOCKER_CONFIG if docker else OCI_CONFIG, algorithm=algorithm
        )
        media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
        manifest = {
            "schemaVersion": 2,
            **({"mediaType": media_type} if typed else {}),
            "config": config,
            "layers": list(layers),
            **members,
        }
        return self.add_json(manifest, media_type, algorithm=algorithm, platform=platform_of(platform))

    def foreign_layer(self, *, size: int = 1000) -> Descriptor:
        """Return the descriptor of a layer that is elsewhere and not in the layout."""
        digest = digest_of(b"a base layer of Windows")
        return {
            "mediaType": DOCKER_FOREIGN_LAYER,
            "digest": digest,
            "size": size,
            "urls": [f"https://foreign.invalid/{digest}"],
        }

    def artifact(
        self,
        content: bytes = b"{}",
        *,
        artifact_type: str | None = "application/vnd.example.sbom.v1",
        subject: Descriptor | None = None,
        **members: Any,
    ) -> Descriptor:
        """Add an artifact: a manifest with the empty config, and with ``content`` for its one layer.

        :param subject: the descriptor of what it is attached to.
        """
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add(b"{}", OCI_EMPTY),
            "layers": [self.add(content, "application/octet-stream")],
            **members,
        }
        if artifact_type is not None:
            manifest["artifactType"] = artifact_type
        if subject is not None:
            manifest["subject"] = {member: subject[member] for member in ("mediaType", "digest", "size")}
        return self.add_json(manifest, OCI_MANIFEST)

    def index(
        self,
        children: Sequence[Descriptor],
        *,
        docker: bool = False,
        typed: bool = True,
        algorithm: str = "sha256",
        **members: Any,
    ) -> Descriptor:
        """Add an index (or, with ``docker``, a manifest list) of these children."""
        media_type = DOCKER_LIST if docker else OCI_INDEX
        document = {
            "schemaVersion": 2,
            **({"mediaType": media_type} if typed else {}),
            "manifests": list(children),
            **members,
        }
        return self.add_json(document, media_type, algorithm=algorithm)

    def tag(self, descriptor: Descriptor, ref: str | None = None, **annotations: str) -> Descriptor:
        """List a manifest in ``index.json``, under a name if one is given; returns the descriptor for chaining."""
        if ref is not None:
            annotations["org.opencontainers.image.ref.name"] = ref
        self.entries.append({**descriptor, **({"annotations": annotations} if annotations else {})})
        return descriptor

    def files(self) -> dict[str, bytes]:
        """Return the layout's files by path."""
        return {
            "oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
            "index.json": to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries}),
            **{f"blobs/{digest.replace(':', '/')}": data for digest, data in self.blobs.items()},
        }

    def write(self, directory: Path) -> Path:
        """Write the layout into a directory, for ``oci:DIR``."""
        for path, data in self.files().items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return directory

    def write_tar(self, path: Path, compression: str = "", *, more: Mapping[str, bytes] | None = None) -> Path:
        """Write the layout into one tar, for ``oci-archive:FILE``; ``more`` are further files."""
        members = [_member(name, content=data) for name, data in {**self.files(), **(more or {})}.items()]
        path.write_bytes(compress(tar(members), compression))
        return path

    def write_docker_archive(self, path: Path, names: Sequence[str], compression: str = "") -> Path:
        """Write what ``docker save`` writes since version 25: this layout in a tar, with a ``manifest.json`` beside.

        :param names: an image's names, such as ``docker.io/library/app:1.0``, in the order of ``entries``.
        """
        for entry, name in zip(self.entries, names, strict=True):
            entry["annotations"] = {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": name.rpartition(":")[2],
            }
        manifests = [
            {"Config": "blobs/" + self._config_of(entry).replace(":", "/"), "RepoTags": [name], "Layers": []}
            for entry, name in zip(self.entries, names, strict=True)
        ]
        return self.write_tar(path, compression, more={"manifest.json": to_json(manifests)})

    def _config_of(self, descriptor: Descriptor) -> str:
        document = json.loads(self.blobs[descriptor["digest"]])
        if "config" in document:
            return str(document["config"]["digest"])
        present = [child for child in document["manifests"] if child["digest"] in self.blobs]
        return self._config_of(present[0])


def old_docker_archive(
    images: Mapping[str, Sequence[bytes]],
    *,
    platform: str = "linux/amd64",
    compression: str = "",
    links: bool = True,
) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the members of what ``docker save`` wrote before version 25, for :func:`tar`.

    :param images: by name (``app:1.0``; the empty string for none), the uncompressed layers of each.
    :param compression: of the layers inside the archive; docker itself leaves them plain.
    :param links: write a layer that occurs again as a symbolic link to the first, as docker does.
    """
    members: list[tuple[tarfile.TarInfo, bytes]] = []
    seen: dict[str, str] = {}
    listed = []
    for number, (name, layers) in enumerate(images.items()):
        diff_ids, paths = [digest_of(layer) for layer in layers], []
        for position, (layer, diff_id) in enumerate(zip(layers, diff_ids, strict=True)):
            folder = hashlib.sha256(f"{number} {position} {diff_id}".encode()).hexdigest()
            path = f"{folder}/layer.tar"
            members += [_member(folder, tarfile.DIRTYPE, mode=0o755), _member(f"{folder}/VERSION", content=b"1.0")]
            if links and diff_id in seen:
                members.append(symlink_member(path, f"../{seen[diff_id]}"))
            else:
                members.append(_member(path, content=compress(layer, compression)))
                seen[diff_id] = path
            paths.append(path)
        config = config_json(platform, diff_ids)
        config_path = f"{hashlib.sha256(config).hexdigest()}.json"
        if config_path not in [info.name for info, _ in members]:
            members.append(_member(config_path, content=config))
        listed.append({"Config": config_path, "RepoTags": [name] if name else None, "Layers": paths})
    members.append(_member("manifest.json", content=to_json(listed)))
    return members


def _added(text: str) -> tuple[str, File]:
    source, path, mode = (*text.split(":"), "", "")[:3]
    if not path:
        raise argparse.ArgumentTypeError(f"not FILE:PATH[:MODE]: {text}")
    return path.lstrip("/"), (Path(source).read_bytes(), int(mode or "644", 8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a small image; the same arguments always write the same bytes."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=main.__doc__)
    parser.add_argument("form", choices=["oci", "oci-archive", "docker-archive"])
    parser.add_argument("target", type=Path, help="the directory, or the archive, to write")
    parser.add_argument("--platforms", default="linux/amd64", help="comma-separated; more than one makes an index")
    parser.add_argument("--tag", default="latest", help="the name inside the layout (default: latest)")
    parser.add_argument("--name", default="docker.io/library/demo", help="the image's name inside a docker-archive")
    parser.add_argument("--add", type=_added, action="append", default=[], metavar="FILE:PATH[:MODE]")
    parser.add_argument("--text", help="put this into /etc/motd, to tell one image from another")
    parser.add_argument("--command", nargs="+", default=["/bin/sh"])
    options = parser.parse_args(arguments)
    files = {**FILES, **dict(options.add)}
    if options.text is not None:
        files["etc/motd"] = options.text.encode() + b"\n"
    layout = Layout()
    images = [
        layout.image(files, platform=platform, command=options.command) for platform in options.platforms.split(",")
    ]
    layout.tag(images[0] if len(images) == 1 else layout.index(images), options.tag)
    match options.form:
        case "oci":
            layout.write(options.target)
        case "oci-archive":
            layout.write_tar(options.target)
        case "docker-archive":
            layout.write_docker_archive(options.target, [f"{options.name}:{options.tag}"])
    print(layout.entries[0]["digest"])


if __name__ == "__main__":
    main()
