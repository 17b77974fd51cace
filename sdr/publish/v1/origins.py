"""What the images of protocol v1 in a store were made of, as far as protocol v2 has that."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sdr.publish.truth import parsed, read
from sdr.publish.v1.layers import empty_layer
from sdr.registry.grammar import Digest, Reference, is_name
from sdr.registry.manifests import MalformedManifest, parse_manifest
from sdr.registry.v1 import EMPTY_DIFF, NotForV1, v1_images
from sdr.stores.interface import Store
from sdr.tree.keys import blob_key, manifest_key
from sdr.tree.v1 import LIBRARY


@dataclass(frozen=True, slots=True)
class Origin:
    """What one image of protocol v1 has to be.

    :param ancestry: its own id first.
    :param diff: the digest of its layer's files.
    :param layers: digest and size of the blobs that its layer may be.
    :param packed: whether it may have been packed anew, so that its bytes are no blob's.
    """

    json: bytes
    ancestry: tuple[str, ...]
    diff: str
    layers: frozenset[tuple[str, int]] = frozenset()
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, as a manifest of protocol v2 has it."""

    digest: Digest
    size: int
    is_zstd: bool


def v2_names(name: str) -> tuple[str, ...]:
    """Return the repositories of protocol v2 that have this place in protocol v1.

    :param name: with its namespace.
    """
    namespace, _, rest = name.partition("/")
    names = (rest, name) if namespace == LIBRARY and "/" not in rest else (name,)
    return tuple(each for each in names if is_name(each))


def images_of(store: Store, name: str, tag: str) -> Mapping[str, tuple[Layer, ...]] | None:
    """Return the layers of the images that a tag of protocol v2 names, by the hex digits of their configs.

    :return: ``None`` if there is no such tag.
    """
    found: dict[str, tuple[Layer, ...]] = {}
    waiting: list[Reference] = [tag]
    seen: set[Reference] = set()
    while waiting:
        reference = waiting.pop()
        seen.add(reference)
        data, _ = read(store, manifest_key(name, reference))
        if data is None and reference == tag:
            return None
        try:
            manifest = parse_manifest(data or b"")
        except MalformedManifest:
            # A fault of its own.
            continue
        waiting += [each.digest for each in manifest.children if each.is_manifest and each.digest not in seen]
        if manifest.blobs:
            layers = (Layer(each.digest, each.size, "zstd" in each.media_type) for each in manifest.blobs[1:])
            found[manifest.blobs[0].digest.hex] = tuple(layers)
    return found


def origins_of(store: Store, image: str, layers: tuple[Layer, ...] | None) -> Mapping[str, Origin]:
    """Return what an image and those below it have to be, by id; nothing where its config is not in the store.

    :param layers: its layers, if they are known.
    """
    digest = parsed(f"sha256:{image}")
    config, _ = read(store, blob_key(digest)) if digest else (None, None)
    if digest is None or config is None or Digest.of(config) != digest:
        return {}
    try:
        document = json.loads(config)
        diffs = document["rootfs"].get("diff_ids") or []
        images = v1_images(config, digest, len(diffs))
    except (NotForV1, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    if not diffs:
        body = empty_layer()
        with body.open() as file:
            known = [Layer(Digest.of(file.read()), body.size, False)]
    else:
        known = list(layers) if layers is not None and len(layers) == len(diffs) else []
    ids = [each.id for each in images]
    origins = {}
    for place, (each, diff) in enumerate(zip(images, diffs or [EMPTY_DIFF], strict=True)):
        its = known[place] if known else None
        origins[each.id] = Origin(
            each.json,
            tuple(reversed(ids[: place + 1])),
            diff,
            frozenset({(str(its.digest), its.size)}) if its else frozenset(),
            its.is_zstd if its else False,
        )
    return origins
