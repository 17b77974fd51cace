"""What ``docker save`` wrote before version 25, and ``podman save`` and skopeo still do: tars and a ``manifest.json``.

Such an archive has no manifest in the registry's sense, so one is made (docker's image manifest, version 2, schema 2).
Formats: moby's ``image/tarexport/save.go`` before 25.0; containers/image's ``docker/internal/tarfile``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from sdr.publish.image import BadSource, Blob, Image, ImageManifest
from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.sources.choosing import Choice
from sdr.publish.sources.files import Files, read_small
from sdr.publish.sources.layout import platform_of_config
from sdr.publish.sources.packing import Packing
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, MalformedManifest, parse_manifest
from sdr.registry.media_types import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, FOREIGN_LAYER_TYPES

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One entry of ``manifest.json``.

    :param config: the path of the config, as are ``layers`` of the layers, lowest first.
    :param foreign: descriptors of layers that are elsewhere, by diff_id (``LayerSources``).
    """

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    foreign: Mapping[str, Mapping[str, Any]]


def read_archived(files: Files) -> list[ArchivedImage]:
    """Read ``manifest.json``.

    :raise BadSource: if it is not there, or malformed.
    """
    data = read_small(files, "manifest.json", MANIFEST_LIMIT)
    if data is None:
        reason = "there is neither an index.json nor a manifest.json, so it is no docker-archive"
        if files.size("repositories") is not None:
            reason = "written by a docker before 1.10; load it into a newer one and save it again"
        raise BadSource(f"{files.location}: {reason}")
    document = _json(data, f"{files.location}: manifest.json")
    if not isinstance(document, list):
        raise BadSource(f"{files.location}: manifest.json: not a list")
    return [_archived(entry, f"{files.location}: manifest.json[{number}]") for number, entry in enumerate(document)]


def _archived(entry: Any, where: str) -> ArchivedImage:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        raise BadSource(f"{where}: it names no Config")
    # Go writes an empty list as null.
    layers, names, foreign = entry.get("Layers") or [], entry.get("RepoTags") or [], entry.get("LayerSources") or {}
    for member, listed in ("Layers", layers), ("RepoTags", names):
        if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
            raise BadSource(f"{where}: {member} is not a list of texts")
    if not isinstance(foreign, dict) or not all(isinstance(source, dict) for source in foreign.values()):
        raise BadSource(f"{where}: LayerSources is malformed")
    return ArchivedImage(entry["Config"], tuple(names), tuple(layers), foreign)


def choices(archived: Sequence[ArchivedImage]) -> list[Choice[ArchivedImage]]:
    """Return what there is to choose from."""
    return [Choice(image, (image.config, image.layers), image.names) for image in archived]


class DockerArchive:
    """Makes a registry's image of an archived one."""

    def __init__(self, files: Files, packing: Packing, jobs: Jobs) -> None:
        self._files, self._packing, self._jobs = files, packing, jobs

    def image(self, archived: ArchivedImage, platform: Platform | None) -> Image:
        """Pack the layers and make the manifest; the same archive always makes the same.

        :param platform: what the image must be for, if that was asked.
        :raise BadSource: if anything is missing, or not what the config says.
        """
        config = self._config(archived, platform)
        diff_ids = self._diff_ids(archived, config)
        # A layer that occurs twice (an empty one, often) is packed once.
        paths = {
            diff_id: path
            for diff_id, path in zip(diff_ids, archived.layers, strict=True)
            if not _is_foreign(archived.foreign.get(str(diff_id)))
        }
        made = self._jobs.run(lambda item: self._packing.layer(item[1], item[0]), paths.items())
        layers = dict(zip(paths, made, strict=True))
        where = f"{self._files.location}: {archived.config}"
        config_blob = Blob(Digest.of(config), len(config), partial(self._files.open, archived.config), where)
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": _descriptor(DOCKER_CONFIG, config_blob),
            "layers": [
                _descriptor(DOCKER_LAYER_GZIP, layers[diff_id]) if diff_id in layers else archived.foreign[str(diff_id)]
                for diff_id in diff_ids
            ],
        }
        data = json.dumps(document, separators=(",", ":")).encode()
        try:
            manifest = ImageManifest(Digest.of(data), data, parse_manifest(data))
        except MalformedManifest as error:
            raise BadSource(f"{self._files.location}: manifest.json: {error}") from error
        return Image((manifest,), tuple({blob.digest: blob for blob in (config_blob, *made)}.values()))

    def _config(self, archived: ArchivedImage, platform: Platform | None) -> bytes:
        data = read_small(self._files, archived.config, MANIFEST_LIMIT)
        if data is None:
            raise self._bad(archived.config, "there is no such config in it")
        name = PurePosixPath(archived.config).stem
        if _HEX.fullmatch(name) and name != Digest.of(data).hex:
            raise self._bad(archived.config, f"its digest is {Digest.of(data)}, not what its name says")
        having = platform_of_config(data)
        if platform is not None and (having is None or having.distance(platform) is None):
            found = having or "no platform at all"
            raise self._bad(archived.config, f"nothing for --platform {platform}; the image is for {found}")
        return data

    def _diff_ids(self, archived: ArchivedImage, config: bytes) -> list[Digest]:
        """Return the digests of the plain layers, as the config has them (OCI Image Specification, "rootfs")."""
        document = _json(config, f"{self._files.location}: {archived.config}")
        rootfs = document.get("rootfs") if isinstance(document, dict) else None
        # Go writes an empty list as null, or not at all.
        listed = (rootfs.get("diff_ids") or []) if isinstance(rootfs, dict) else None
        if not isinstance(listed, list):
            raise self._bad(archived.config, "not an image's config: it has no rootfs with diff_ids")
        if len(listed) != len(archived.layers):
            raise self._bad(archived.config, f"{len(listed)} diff_ids for {len(archived.layers)} layers")
        try:
            return [Digest.parse(str(diff_id)) for diff_id in listed]
        except ValueError as error:
            raise self._bad(archived.config, f"diff_ids: {error}") from error

    def _bad(self, path: str, reason: str) -> BadSource:
        return BadSource(f"{self._files.location}: {path}: {reason}")


def _is_foreign(source: Mapping[str, Any] | None) -> bool:
    return source is not None and str(source.get("mediaType")) in FOREIGN_LAYER_TYPES


def _descriptor(media_type: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "size": blob.size, "digest": str(blob.digest)}


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadSource(f"{where}: not JSON") from error
