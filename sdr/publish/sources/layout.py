"""An OCI image layout (OCI Image Specification 1.1, "Image Layout"): choosing an image in it, and reading it whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sdr.publish.image import BadSource, Blob, Image, ImageManifest
from sdr.publish.platforms import Platform
from sdr.publish.sources.choosing import Choice
from sdr.publish.sources.files import Files, read_small
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, Descriptor, MalformedManifest, Manifest, parse_manifest
from sdr.registry.media_types import INDEX_TYPES

REF_NAME = "org.opencontainers.image.ref.name"
#: Where docker and containerd put an image's whole name.
IMAGE_NAME = "io.containerd.image.name"

#: How deep indexes may nest.
DEPTH = 16


class Layout:
    """A layout.

    :param files: where it is.
    :param names: further names of images, by the digest of their config (an archive's ``manifest.json`` has them).
    :raise BadSource: if it has no ``index.json``, or a malformed one.
    """

    def __init__(self, files: Files, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self._files = files
        self._names = names or {}
        data = read_small(files, "index.json", MANIFEST_LIMIT)
        if data is None:
            raise BadSource(f"{files.location}: there is no index.json, so it is not an OCI layout")
        try:
            self.entries = parse_manifest(data).children
        except MalformedManifest as error:
            raise BadSource(f"{files.location}: index.json: {error}") from error

    @cached_property
    def choices(self) -> list[Choice[Descriptor]]:
        """What ``index.json`` lists, with all names."""
        return [Choice(entry, entry.digest, self._names_of(entry)) for entry in self.entries]

    def _names_of(self, entry: Descriptor) -> tuple[str, ...]:
        names = [entry.annotations[key] for key in (IMAGE_NAME, REF_NAME) if key in entry.annotations]
        if self._names and (manifest := self._find(entry)) is not None and manifest.manifest.blobs:
            config = str(manifest.manifest.blobs[0].digest)
            names += [name for name in self._names.get(config, ()) if name not in names]
        return tuple(names)

    def descriptor(self, digest: Digest) -> Descriptor:
        """Return the descriptor of a manifest that is named by its digest.

        :raise BadSource: if it is not there.
        """
        data = read_small(self._files, blob_path(digest), MANIFEST_LIMIT)
        if data is None:
            raise BadSource(f"{self._files.location}: {digest} is not in it")
        return Descriptor(self._parse(digest, data).media_type, digest, len(data))

    def select(self, root: Descriptor, platform: Platform) -> Descriptor:
        """Return the manifest for one platform, in an index or by itself.

        :raise BadSource: if there is none, or more than one.
        """
        leaves = self._leaves(root, set(), DEPTH)
        found = [(platform_of, leaf) for platform_of, leaf in leaves if platform_of is not None]
        for distance in (0, 1):
            matches = {leaf.digest: leaf for having, leaf in found if having.distance(platform) == distance}
            if len(matches) == 1:
                return next(iter(matches.values()))
            if matches:
                several = ", ".join(f"{leaf.digest} ({having})" for having, leaf in found if leaf.digest in matches)
                raise BadSource(
                    f"{self._files.location}: --platform {platform} fits several; name one @DIGEST: {several}"
                )
        listed = ", ".join(sorted({str(having) for having, _ in found})) or "no platform at all"
        raise BadSource(f"{self._files.location}: nothing for --platform {platform}; it has {listed}")

    def _leaves(
        self, descriptor: Descriptor, seen: set[Digest], depth: int
    ) -> list[tuple[Platform | None, Descriptor]]:
        """List the manifests that run on something, with what they run on; an index that occurs again adds nothing."""
        if descriptor.media_type not in INDEX_TYPES:
            return [(Platform.of(descriptor.platform) or self._platform_of(descriptor), descriptor)]
        if descriptor.digest in seen or not depth:
            return []
        seen.add(descriptor.digest)
        index = self._find(descriptor)
        children = [child for child in index.manifest.children if child.is_manifest] if index else []
        return [leaf for child in children for leaf in self._leaves(child, seen, depth - 1)]

    def _platform_of(self, descriptor: Descriptor) -> Platform | None:
        found = self._find(descriptor)
        if found is None:
            return None
        data = read_small(self._files, blob_path(found.manifest.blobs[0].digest), MANIFEST_LIMIT)
        return None if data is None else platform_of_config(data)

    def image(self, root: Descriptor) -> Image:
        """Read an image's manifests, and find its blobs.

        :raise BadSource: if anything is missing, malformed, or not what its digest or size say.
        """
        walk = _Walk()
        self._walk(root, None, walk, DEPTH)
        if walk.missing:
            raise BadSource(self._incomplete(walk))
        return Image(tuple(walk.manifests.values()), tuple(walk.blobs.values()))

    def _walk(self, descriptor: Descriptor, platform: Platform | None, walk: "_Walk", depth: int) -> bool:
        """Add a manifest after what it refers to; tell whether all of it is there."""
        if descriptor.digest in walk.whole:
            if (known := walk.manifests.get(descriptor.digest)) is not None:
                self._compare(descriptor, len(known.data), known.manifest.media_type)
            return walk.whole[descriptor.digest]
        if not depth:
            raise BadSource(f"{self._files.location}: indexes are nested more than {DEPTH} deep")
        platform = Platform.of(descriptor.platform) or platform
        found = self._find(descriptor)
        if found is None:
            walk.missing.append((descriptor, platform))
            whole = False
        else:
            blobs = [blob for blob in found.manifest.blobs if not blob.is_foreign]
            blobs += [child for child in found.manifest.children if not child.is_manifest]
            children = [child for child in found.manifest.children if child.is_manifest]
            # Lists first: all() alone would stop at the first that is missing.
            parts = [self._add_blob(blob, platform, walk) for blob in blobs]
            parts += [self._walk(child, platform, walk, depth - 1) for child in children]
            whole = all(parts)
            walk.manifests[descriptor.digest] = found
            if whole and platform is not None and found.manifest.blobs:
                walk.platforms.append(platform)
        walk.whole[descriptor.digest] = whole
        return whole

    def _add_blob(self, blob: Descriptor, platform: Platform | None, walk: "_Walk") -> bool:
        path = blob_path(blob.digest)
        size = self._files.size(path)
        if size is None:
            walk.missing.append((blob, platform))
            return False
        self._compare(blob, size, blob.media_type)
        where = f"{self._files.location}: {path}"
        walk.blobs[blob.digest] = Blob(blob.digest, size, lambda: self._files.open(path), where)
        return True

    def _find(self, descriptor: Descriptor) -> ImageManifest | None:
        """Read a manifest and compare it with its descriptor; ``None`` if it is not there."""
        path = blob_path(descriptor.digest)
        data = read_small(self._files, path, MANIFEST_LIMIT)
        if data is None:
            return None
        self._compare(descriptor, len(data), descriptor.media_type)
        manifest = self._parse(descriptor.digest, data)
        self._compare(descriptor, len(data), manifest.media_type)
        return ImageManifest(descriptor.digest, data, manifest)

    def _compare(self, descriptor: Descriptor, size: int, media_type: str) -> None:
        """Require that a descriptor tells what is there; one digest may have several."""
        where = f"{self._files.location}: {blob_path(descriptor.digest)}"
        if size != descriptor.size:
            raise BadSource(f"{where}: {size} bytes where its descriptor says {descriptor.size}")
        if media_type != descriptor.media_type:
            raise BadSource(f"{where}: it is a {media_type}, and its descriptor says {descriptor.media_type}")

    def _parse(self, digest: Digest, data: bytes) -> Manifest:
        where = f"{self._files.location}: {blob_path(digest)}"
        found = Digest.of(data, digest.algorithm)
        if found != digest:
            raise BadSource(f"{where}: its digest is {found}, not {digest}")
        try:
            return parse_manifest(data)
        except MalformedManifest as error:
            raise BadSource(f"{where}: {error}") from error

    def _incomplete(self, walk: "_Walk") -> str:
        descriptor, platform = walk.missing[0]
        of = f" (for {platform})" if platform else ""
        more = f", nor are {len(walk.missing) - 1} others" if len(walk.missing) > 1 else ""
        message = f"{self._files.location}: {descriptor.digest}{of} is not in it{more}"
        whole = sorted({str(platform) for platform in walk.platforms if platform.os != "unknown"})
        if whole:
            message += f"; publish one platform with --platform, here {' or '.join(whole)}"
        return message


@dataclass(slots=True)
class _Walk:
    """What has been found so far, in the order of writing."""

    manifests: dict[Digest, ImageManifest] = field(default_factory=dict)
    blobs: dict[Digest, Blob] = field(default_factory=dict)
    whole: dict[Digest, bool] = field(default_factory=dict)
    missing: list[tuple[Descriptor, Platform | None]] = field(default_factory=list)
    platforms: list[Platform] = field(default_factory=list)


def blob_path(digest: Digest) -> str:
    """Return where a layout keeps content."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def platform_of_config(data: bytes) -> Platform | None:
    """Read the platform from an image's config; ``None`` if it is no such config."""
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return Platform.of(document) if isinstance(document, dict) else None
