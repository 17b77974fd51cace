"""What a manifest is and what it refers to (OCI Image Specification 1.1; docker schema 2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdr.registry.grammar import Digest
from sdr.registry.media_types import (
    FOREIGN_LAYER_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)

#: The size in bytes that the specification asks every registry to take, and above which clients refuse.
MANIFEST_LIMIT = 4 * 1024 * 1024


class MalformedManifest(ValueError):
    """These bytes are no manifest that a client could use; the message says why."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content.

    :param size: in bytes.
    :param platform: the ``platform`` member as it stands (``os``, ``architecture``, ``variant`` …), or empty.
    :param annotations: the ``annotations`` member, or empty.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Mapping[str, Any] = field(default_factory=dict, compare=False)
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_foreign(self) -> bool:
        """Tell whether a registry only refers to this layer and does not carry it."""
        return self.media_type in FOREIGN_LAYER_TYPES

    @property
    def is_manifest(self) -> bool:
        """Tell whether this refers to a manifest or an index."""
        return self.media_type in MANIFEST_TYPES or self.media_type in INDEX_TYPES


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index, read.

    :param media_type: from the ``mediaType`` member, or by shape where there is none.
    :param blobs: config and layers, in that order; empty for an index.
    :param children: an index's entries; empty for a manifest.
    :param subject: what this is attached to, if anything.
    :param artifact_type: what the referrers API reports: ``artifactType``, else the config's media type.
    """

    media_type: str
    blobs: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str | None
    annotations: Mapping[str, str]


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest or an index.

    :raise MalformedManifest: if it is not JSON, has no recognisable type, or refers to something malformed.
    """
    if len(data) > MANIFEST_LIMIT:
        raise MalformedManifest(f"larger than {MANIFEST_LIMIT} bytes")
    try:
        # A duplicated key or NaN would be read differently by another parser; digests make that harmless here.
        # Decoded first: json would take UTF-16 too, which no client reads.
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedManifest("not JSON") from error
    if not isinstance(document, dict):
        raise MalformedManifest("not a JSON object")
    media_type = _media_type(document)
    annotations = _strings(document.get("annotations"), "annotations")
    artifact_type = document.get("artifactType")
    if artifact_type is not None and not isinstance(artifact_type, str):
        raise MalformedManifest("artifactType is not a string")
    subject = document.get("subject")
    attached = None if subject is None else _descriptor(subject, "subject")
    if media_type in INDEX_TYPES:
        children = _descriptors(document, "manifests")
        return Manifest(media_type, (), children, attached, artifact_type, annotations)
    config = _descriptor(document.get("config"), "config")
    layers = _descriptors(document, "layers")
    return Manifest(media_type, (config, *layers), (), attached, artifact_type or config.media_type, annotations)


def _media_type(document: dict[str, Any]) -> str:
    """Find the type: the member where there is one, else by shape; never a guess."""
    declared = document.get("mediaType")
    if document.get("schemaVersion") == 1:
        raise MalformedManifest("docker schema 1: no current client reads it")
    is_index, is_image = "manifests" in document, "layers" in document or "config" in document
    if is_index and is_image:
        raise MalformedManifest("both an index and an image")
    if declared is None:
        if is_index:
            return OCI_INDEX
        if "layers" in document and "config" in document:
            return OCI_MANIFEST
        raise MalformedManifest("no mediaType, and neither an index nor an image by shape")
    if isinstance(declared, str) and declared in (INDEX_TYPES if is_index else MANIFEST_TYPES):
        return declared
    raise MalformedManifest(f"mediaType {declared!r} is none that clients know for this shape")


def _descriptors(document: dict[str, Any], member: str) -> tuple[Descriptor, ...]:
    found = document.get(member)
    if found is None and member in document:
        found = []  # as Go writes an empty slice
    if not isinstance(found, list):
        raise MalformedManifest(f"{member} is not a list")
    return tuple(_descriptor(value, f"{member}[{number}]") for number, value in enumerate(found))


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise MalformedManifest(f"{where} is not a descriptor")
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise MalformedManifest(f"{where} has no mediaType")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise MalformedManifest(f"{where} has no size")
    try:
        parsed = Digest.parse(digest if isinstance(digest, str) else "")
    except ValueError as error:
        raise MalformedManifest(f"{where}: {error}") from error
    platform = value.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise MalformedManifest(f"{where}: platform is not an object")
    return Descriptor(media_type, parsed, size, platform or {}, _strings(value.get("annotations"), where))


def _strings(value: object, where: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise MalformedManifest(f"{where}: annotations are not strings")
    return value
