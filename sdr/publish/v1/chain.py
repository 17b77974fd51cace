"""What an image is to protocol v1: which of its platforms, and the layers by the ids that they have there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sdr.publish.image import Blob, Image, ImageManifest
from sdr.publish.platforms import Platform
from sdr.publish.refused import Refused
from sdr.publish.sources.layout import platform_of_config
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MANIFEST_LIMIT, Descriptor
from sdr.registry.v1 import EMPTY_DIFF, NotForV1, V1Image, v1_images

#: What is meant where no platform is said: all that clients of protocol v1 ran on.
USUAL = Platform("linux", "amd64")


@dataclass(frozen=True, slots=True)
class Link:
    """One image of protocol v1.

    :param ancestry: its own id, then those of the images below it, down to the base.
    :param layer: its files; ``None`` for an empty layer, which the image does not have itself.
    :param diff: the digest of the layer as a plain tar, according to the config.
    """

    image: V1Image
    ancestry: tuple[str, ...]
    layer: Blob | None
    diff: Digest


@dataclass(frozen=True, slots=True)
class Chain:
    """The images of protocol v1 that stand for one image, the base first.

    :param root: what the tag of protocol v2 names.
    """

    root: Digest
    links: tuple[Link, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, the base first."""
        return tuple(link.image.id for link in self.links)


def chain_of(image: Image, platform: Platform | None, name: str) -> Chain:
    """Return the images of protocol v1 that stand for an image; only its config is read.

    :param platform: which one of several; :data:`USUAL` if not given.
    :param name: the image's, for messages.
    :raise Refused: if protocol v1 cannot carry it, or it has no such platform.
    """
    blobs = {blob.digest: blob for blob in image.blobs}
    chosen = _chosen(image, blobs, platform, name)
    config, layers = chosen.manifest.blobs[0], chosen.manifest.blobs[1:]
    for layer in layers:
        if layer.is_foreign:
            raise Refused(f"{name}: its layer {layer.digest} is not for distribution; protocol v1 cannot carry it")
    data = _config(blobs[config.digest], name)
    try:
        images = v1_images(data, config.digest, len(layers))
    except NotForV1 as error:
        raise Refused(f"{name}: {error}; protocol v1 cannot carry it") from error
    ids = [each.id for each in images]
    bodies: list[Blob | None] = [blobs[layer.digest] for layer in layers]
    diffs = [Digest.parse(each) for each in json.loads(data)["rootfs"].get("diff_ids") or [EMPTY_DIFF]]
    links = (
        Link(each, tuple(reversed(ids[: position + 1])), body, diff)
        for position, (each, body, diff) in enumerate(zip(images, bodies or [None], diffs, strict=True))
    )
    return Chain(image.root.digest, tuple(links))


def _chosen(image: Image, blobs: dict[Digest, Blob], platform: Platform | None, name: str) -> ImageManifest:
    manifests = {each.digest: each for each in image.manifests}
    if image.root.manifest.blobs and platform is None:
        return image.root
    found = list(_leaves(image.root, None, manifests, blobs, name))
    asked = platform or USUAL
    fitting = [(distance, each) for each, its in found if (distance := its.distance(asked)) is not None]
    if not fitting:
        there = sorted({str(its) for _, its in found if its.os != "unknown"})
        only = ", ".join(there) or "what does not say what it is for"
        raise Refused(f"{name}: there is no {asked} in it, only {only}; --platform of sdr v1 says which")
    return min(fitting, key=lambda each: each[0])[1]


def _leaves(
    each: ImageManifest,
    descriptor: Descriptor | None,
    manifests: dict[Digest, ImageManifest],
    blobs: dict[Digest, Blob],
    name: str,
) -> Iterator[tuple[ImageManifest, Platform]]:
    """Yield the images in an image, with the platform of each; what says none is for no platform."""
    for child in each.manifest.children:
        if child.digest in manifests:
            yield from _leaves(manifests[child.digest], child, manifests, blobs, name)
    if each.manifest.blobs:
        its = Platform.of(descriptor.platform) if descriptor else None
        if its is None and (config := blobs.get(each.manifest.blobs[0].digest)) is not None:
            its = platform_of_config(_config(config, name))
        if its is not None:
            yield each, its


def _config(blob: Blob, name: str) -> bytes:
    if blob.size > MANIFEST_LIMIT:
        raise Refused(f"{name}: its config has more than {MANIFEST_LIMIT} bytes; protocol v1 cannot carry it")
    with blob.open() as file:
        return file.read()
