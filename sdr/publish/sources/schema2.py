"""An OCI image made into one of docker's image manifest version 2, schema 2: all that docker 1.10 to 17.05 read.

Config and layers stay the same bytes under docker's types, and the manifests become others. Only layers in zstd, which
such a docker cannot unpack, are packed anew. What schema 2 has no word for is left out: annotations, subjects.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from sdr.publish.image import BadSource, Blob, Image, ImageManifest
from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.progress import Report
from sdr.publish.sources.compression import Gzip, pieces
from sdr.publish.sources.spool import Spool
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, Descriptor, MalformedManifest, parse_manifest
from sdr.registry.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
)

_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer."
_DOCKER_LAYER = "application/vnd.docker.image.rootfs."

#: Docker looks at a layer's first bytes and not at its type, so a plain one needs no packing.
_LAYERS = {
    f"{_OCI_LAYER}v1.tar": f"{_DOCKER_LAYER}diff.tar",
    f"{_OCI_LAYER}v1.tar+gzip": DOCKER_LAYER_GZIP,
    f"{_OCI_LAYER}nondistributable.v1.tar": f"{_DOCKER_LAYER}foreign.diff.tar",
    f"{_OCI_LAYER}nondistributable.v1.tar+gzip": f"{_DOCKER_LAYER}foreign.diff.tar.gzip",
}
_ZSTD_LAYERS = frozenset({f"{_OCI_LAYER}v1.tar+zstd", f"{_DOCKER_LAYER}diff.tar.zstd"})

#: On what buildkit attaches to an image in its index.
_ATTESTATION = "vnd.docker.reference.type"

#: What docker's manifest lists say of a platform, in their order.
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant", "features")


def to_schema2(image: Image, where: str, open_files: ExitStack, jobs: Jobs, report: Report) -> Image:
    """Return the same image in docker's schema 2, always the same; one that is in it already comes back as it is.

    An index becomes one list of images: what is nested is lifted, and attestations and other artifacts are left out.

    :param where: the source's name, for messages.
    :param open_files: closes the layers that had to be packed anew, which are temporary files, at its end.
    :raise BadSource: if it is no image, or has a layer of a kind that schema 2 does not know.
    """
    return _Conversion(image, where, _Packing(open_files, jobs, report)).image()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An image, and the platform that the index above it tells."""

    manifest: ImageManifest
    platform: Mapping[str, Any]


class _Conversion:
    def __init__(self, image: Image, where: str, packing: "_Packing") -> None:
        self._root, self._where, self._packing = image.root, where, packing
        self._manifests = {manifest.digest: manifest for manifest in image.manifests}
        self._blobs = {blob.digest: blob for blob in image.blobs}

    def image(self) -> Image:
        """Convert it."""
        root = self._root
        is_index = root.manifest.media_type in INDEX_TYPES
        leaves = list(self._leaves(root, {}, set())) if is_index else [_Leaf(root, {})]
        if not leaves:
            raise self._bad(root, "no image is in this index, only artifacts, which a docker before 17.06 cannot pull")
        if not is_index and not _is_image(root):
            reason = f"an artifact of the type {root.manifest.artifact_type}, and no image: schema 2 has none"
            raise self._bad(root, reason)
        layers = {blob.digest: blob for leaf in leaves for blob in self._in_zstd(leaf.manifest)}
        packed = dict(zip(layers, self._packing.layers(list(layers.values())), strict=True))
        made = {leaf.manifest.digest: self._manifest(leaf.manifest, packed) for leaf in leaves}
        manifests = {one.digest: one for one in made.values()}
        there = self._blobs | {blob.digest: blob for blob in packed.values()}
        needed = [blob for one in manifests.values() for blob in one.manifest.blobs if not blob.is_foreign]
        blobs = {blob.digest: there[blob.digest] for blob in needed}
        if is_index:
            index = self._list(leaves, made)
            manifests[index.digest] = index
        return Image(tuple(manifests.values()), tuple(blobs.values()))

    def _leaves(self, index: ImageManifest, platform: Mapping[str, Any], seen: set[Digest]) -> Iterator[_Leaf]:
        """Yield the images of an index and of those in it; docker reads no list in a list."""
        seen.add(index.digest)
        for child in index.manifest.children:
            if not child.is_manifest or _is_attestation(child):
                continue
            manifest, told = self._manifests[child.digest], child.platform or platform
            if manifest.manifest.media_type not in INDEX_TYPES:
                if _is_image(manifest):
                    yield _Leaf(manifest, told)
            elif manifest.digest not in seen:
                yield from self._leaves(manifest, told, seen)

    def _in_zstd(self, manifest: ImageManifest) -> Iterator[Blob]:
        for layer in manifest.manifest.blobs[1:]:
            if layer.media_type in _ZSTD_LAYERS:
                yield self._blobs[layer.digest]

    def _manifest(self, manifest: ImageManifest, packed: Mapping[Digest, Blob]) -> ImageManifest:
        config, *layers = manifest.manifest.blobs
        is_docker = manifest.manifest.media_type == DOCKER_MANIFEST
        if is_docker and not any(layer.media_type in _LAYERS or layer.media_type in _ZSTD_LAYERS for layer in layers):
            return manifest
        written = json.loads(manifest.data)["layers"] or []
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": _descriptor(config.media_type if is_docker else DOCKER_CONFIG, config),
            "layers": [
                self._layer(manifest, layer, packed, one.get("urls"))
                for layer, one in zip(layers, written, strict=True)
            ],
        }
        return self._made(manifest, document)

    def _layer(
        self, manifest: ImageManifest, layer: Descriptor, packed: Mapping[Digest, Blob], urls: object
    ) -> dict[str, Any]:
        if layer.media_type in _ZSTD_LAYERS:
            return _descriptor(DOCKER_LAYER_GZIP, packed[layer.digest])
        media_type = _LAYERS.get(layer.media_type, layer.media_type)
        if not media_type.startswith(_DOCKER_LAYER):
            raise self._bad(manifest, f"a layer of the type {media_type}, which docker's schema 2 does not know")
        # Where a layer is that the registry does not carry.
        return _descriptor(media_type, layer) | ({"urls": urls} if urls else {})

    def _list(self, leaves: list[_Leaf], made: Mapping[Digest, ImageManifest]) -> ImageManifest:
        root = self._root
        images = [made[leaf.manifest.digest] for leaf in leaves]
        is_same = [one.digest for one in images] == [child.digest for child in root.manifest.children]
        is_told = all(Platform.of(leaf.platform) for leaf in leaves)
        if is_same and is_told and root.manifest.media_type == DOCKER_LIST:
            return root
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST,
            "manifests": [
                {
                    "mediaType": one.manifest.media_type,
                    "size": len(one.data),
                    "digest": str(one.digest),
                    "platform": self._platform(leaf),
                }
                for one, leaf in zip(images, leaves, strict=True)
            ],
        }
        return self._made(root, document)

    def _platform(self, leaf: _Leaf) -> dict[str, Any]:
        """Return what an image is for, as its index tells or else its config: docker chooses by nothing else."""
        for told in (leaf.platform, self._config(leaf.manifest)):
            if Platform.of(told) is not None:
                return {member: told[member] for member in _PLATFORM if told.get(member)}
        raise self._bad(leaf.manifest, "neither the index nor the config tells what platform it is for")

    def _config(self, manifest: ImageManifest) -> Mapping[str, Any]:
        blob = self._blobs[manifest.manifest.blobs[0].digest]
        if blob.size > MANIFEST_LIMIT:
            return {}
        with blob.open() as file:
            data = file.read()
        try:
            document = json.loads(data.decode())
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    def _made(self, of: ImageManifest, document: Mapping[str, Any]) -> ImageManifest:
        # As docker itself writes it.
        data = json.dumps(document, indent=3).encode()
        try:
            return ImageManifest(Digest.of(data), data, parse_manifest(data))
        except MalformedManifest as error:
            raise self._bad(of, str(error)) from error

    def _bad(self, manifest: ImageManifest, reason: str) -> BadSource:
        return BadSource(f"{self._where}: {manifest.digest}: {reason}")


def _is_attestation(child: Descriptor) -> bool:
    names = child.platform.get("os"), child.platform.get("architecture")
    return names == ("unknown", "unknown") or _ATTESTATION in child.annotations


def _is_image(manifest: ImageManifest) -> bool:
    """Tell an image from an artifact; docker's own manifests are let pass, as docker may know what they are."""
    if manifest.manifest.media_type == DOCKER_MANIFEST:
        return True
    config, *layers = manifest.manifest.blobs
    return config.media_type in (_OCI_CONFIG, DOCKER_CONFIG) and all(
        layer.media_type.startswith((_OCI_LAYER, _DOCKER_LAYER)) for layer in layers
    )


def _descriptor(media_type: str, content: Descriptor | Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "size": content.size, "digest": str(content.digest)}


class _Packing:
    """Packs layers anew, in gzip."""

    def __init__(self, open_files: ExitStack, jobs: Jobs, report: Report) -> None:
        self._open_files, self._jobs, self._report = open_files, jobs, report

    def layers(self, layers: list[Blob]) -> list[Blob]:
        """Pack each, several at once."""
        return self._jobs.run(self._layer, layers) if layers else []

    def _layer(self, layer: Blob) -> Blob:
        task = self._report.begin(f"layer {layer.digest}", layer.size)
        spool = Spool(layer.where)
        self._open_files.callback(spool.close)
        digest, packing = hashlib.sha256(), Gzip()

        def keep(packed: bytes) -> None:
            digest.update(packed)
            spool.write(packed)

        with layer.open() as file:
            counted = cast(BinaryIO, _Counted(file, task.moved))
            for piece in pieces(counted, "zstd", layer.where):
                self._jobs.go_on()
                keep(packing.compress(piece))
        keep(packing.flush())
        task.ended("packed")
        return Blob(Digest("sha256", digest.hexdigest()), spool.size, spool.open, layer.where)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A stream that tells how far it was read."""

    stream: BinaryIO
    moved: Callable[[int], None]

    def read(self, size: int = -1) -> bytes:
        piece = self.stream.read(size)
        self.moved(len(piece))
        return piece
