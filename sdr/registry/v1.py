"""Images of protocol v1, and how one is made of a config, as docker 1.10 to 17.05 do when they push to a v1 registry.

There each layer is an image with an id of its own, and the last of them is the image that a tag names.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdr.registry.grammar import Digest

_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")

#: A tar archive without members, for an image without layers, and its digest.
EMPTY_LAYER = bytes(1024)
EMPTY_DIFF = str(Digest.of(EMPTY_LAYER))

#: Members of a config that say what v1 says in another way (docker 17.05, ``image/v1.MakeV1ConfigFromConfig``).
_NOT_IN_V1 = ("rootfs", "history", "os.version", "os.features")
# What Go's encoding/json writes so that the result may stand in HTML.
_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


class NotForV1(ValueError):
    """An image that protocol v1 cannot carry; the message says why."""


def is_image_id(text: str) -> bool:
    """Tell whether this is the id of a v1 image; the registry of 2014 took 16 digits, too."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class V1Image:
    """One image, which is one layer.

    :param parent: the id of the image below it, if there is one.
    :param json: what is sent as ``images/<id>/json``.
    """

    id: str
    parent: str | None
    json: bytes


def v1_images(config: bytes, config_digest: Digest, layers: int) -> tuple[V1Image, ...]:
    """Return the images that stand for one image of protocol v2, the base first; at least one.

    :param config: the config's bytes.
    :param layers: how many the manifest has; an image without any gets :data:`EMPTY_LAYER`.
    :raise NotForV1: if this is no config of an image, or is at odds with the manifest.
    """
    if config_digest.algorithm != "sha256":
        raise NotForV1(f"the config's digest is of {config_digest.algorithm}; ids of protocol v1 are sha256")
    try:
        document = json.loads(config.decode())
    except (ValueError, RecursionError) as error:
        raise NotForV1("the config is not JSON") from error
    diffs = _diffs(document)
    if len(diffs) != layers:
        raise NotForV1(f"the config names {len(diffs)} layers, the manifest {layers}")
    chain = _chain(diffs or [EMPTY_DIFF])
    images: list[V1Image] = []
    parent: str | None = None
    for each in chain[:-1]:
        below = {"parent": parent} if parent else {}
        images.append(V1Image(each, parent, _go_json({"id": each, **below})))
        parent = each
    top: dict[str, Any] = {key: value for key, value in document.items() if key not in _NOT_IN_V1}
    top["id"] = config_digest.hex
    top.pop("parent", None)
    if parent:
        top["parent"] = parent
    return (*images, V1Image(config_digest.hex, parent, _go_json(top)))


def _diffs(document: object) -> list[str]:
    rootfs = document.get("rootfs") if isinstance(document, dict) else None
    diffs = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if diffs is None and isinstance(rootfs, dict):
        return []
    if not isinstance(diffs, list) or not all(isinstance(each, str) for each in diffs):
        raise NotForV1("the config names no layers, so this is no image that docker could run")
    try:
        return [str(Digest.parse(each)) for each in diffs]
    except ValueError as error:
        raise NotForV1(f"the config's layers: {error}") from error


def _chain(diffs: Sequence[str]) -> list[str]:
    """Return the hex of each chain id (OCI Image Specification 1.1, "Layer ChainID")."""
    chain = [diffs[0]]
    for diff in diffs[1:]:
        chain.append("sha256:" + hashlib.sha256(f"{chain[-1]} {diff}".encode()).hexdigest())
    return [each.partition(":")[2] for each in chain]


def _go_json(document: dict[str, Any]) -> bytes:
    # Go sorts the members of a map, and leaves what is in them as it was written.
    text = json.dumps(dict(sorted(document.items())), separators=(",", ":"))
    return "".join(_GO_ESCAPES.get(each, each) for each in text).encode()
