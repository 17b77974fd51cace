"""The tree of 2014: the keys and documents of protocol v1, as the docker-registry of that time stored them.

An image is ``images/<id>/{json,ancestry,layer}``. A repository is ``repositories/<namespace>/<name>/``: an object
``tag_<TAG>`` for each tag, with the bare id in it, and derived from those ``tags`` and ``images`` (the files that
ActiveState's docker-registry added).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdr.registry.grammar import is_tag
from sdr.registry.v1 import is_image_id
from sdr.tree.documents import BadDocument

#: What the keys of all images, and of all repositories, begin with.
IMAGES_PREFIX = "images/"
REPOSITORIES_PREFIX = "repositories/"

#: The namespace of names with one part.
LIBRARY = "library"

#: The parts of an image that clients ask for, in the order in which they are written.
LAYER, ANCESTRY, JSON = "layer", "ancestry", "json"
PARTS = (LAYER, ANCESTRY, JSON)
#: What the registry of 2014 keeps beside an image that is being uploaded.
IN_PROGRESS = "_inprogress"

_PART = re.compile(r"images/([0-9a-f]+)/([a-z_]+)")


def image_key(image_id: str, part: str) -> str:
    """Return where a part of an image is."""
    return f"{IMAGES_PREFIX}{image_id}/{part}"


def image_of(key: str) -> tuple[str, str] | None:
    """Return the id and the part that a key of an image names, or ``None`` for any other key."""
    found = _PART.fullmatch(key)
    return (found[1], found[2]) if found is not None and is_image_id(found[1]) else None


def repository_prefix(name: str) -> str:
    """Return what the keys of a repository begin with; docker knows ``app`` as ``library/app``, too."""
    return f"{REPOSITORIES_PREFIX}{name if '/' in name else f'{LIBRARY}/{name}'}/"


def tag_key(name: str, tag: str) -> str:
    """Return where a tag's image id is."""
    return f"{repository_prefix(name)}tag_{tag}"


def tags_key(name: str) -> str:
    """Return where the ids by tag are."""
    return f"{repository_prefix(name)}tags"


def images_key(name: str) -> str:
    """Return where the list of a repository's images is."""
    return f"{repository_prefix(name)}images"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a key below ``repositories/`` names.

    :param name: with its namespace: ``library/app`` and ``app`` are one.
    :param tag: for ``tag_<TAG>``; ``None`` for anything else.
    :param last: the key's last segment.
    """

    name: str
    tag: str | None
    last: str


def entry_of(key: str) -> Entry | None:
    """Return what a key of a repository says, or ``None`` for any other key."""
    name, _, last = key.removeprefix(REPOSITORIES_PREFIX).rpartition("/")
    if not key.startswith(REPOSITORIES_PREFIX) or "/" not in name or not last:
        return None
    tag = last.removeprefix("tag_") if last.startswith("tag_") else None
    return Entry(name, tag if tag is not None and is_tag(tag) else None, last)


def encode_ancestry(ids: Sequence[str]) -> bytes:
    """Write an image's ``ancestry``: its own id first, the base last."""
    return json.dumps(list(ids)).encode()


def decode_ancestry(data: bytes) -> tuple[str, ...]:
    """Read an ``ancestry``.

    :raise BadDocument: if it is not a list of ids, or an empty one.
    """
    ids = _json(data)
    if not isinstance(ids, list) or not ids or not all(isinstance(each, str) and is_image_id(each) for each in ids):
        raise BadDocument("not a list of image ids")
    return tuple(ids)


def encode_tag(image_id: str) -> bytes:
    """Write ``tag_<TAG>``: the bare id."""
    return image_id.encode()


def decode_tag(data: bytes) -> str:
    """Read ``tag_<TAG>``.

    :raise BadDocument: if it is no id.
    """
    text = data.decode("latin-1").strip().strip('"')
    if not is_image_id(text):
        raise BadDocument("not an image id")
    return text


def encode_tags(tags: Mapping[str, str]) -> bytes:
    """Write ``tags``: the image id by tag."""
    return json.dumps(dict(tags), sort_keys=True).encode()


def decode_tags(data: bytes) -> dict[str, str]:
    """Read ``tags``.

    :raise BadDocument: if it does not map tags to ids.
    """
    tags = _json(data)
    if not isinstance(tags, dict) or not all(isinstance(each, str) and is_image_id(each) for each in tags.values()):
        raise BadDocument("not image ids by tag")
    return {tag: each for tag, each in tags.items() if is_tag(tag)}


def encode_images(tags: Mapping[str, str], ancestors: Iterable[str] = ()) -> bytes:
    """Write ``images``: all that the tags need, as docker pushes it.

    :param tags: the image id by tag.
    :param ancestors: further ids.
    """
    named = [{"id": image_id, "Tag": tag} for tag, image_id in sorted(tags.items())]
    others = [{"id": each} for each in sorted({*ancestors} - {*tags.values()})]
    return json.dumps([*others, *named]).encode()


def decode_images(data: bytes) -> tuple[Mapping[str, Any], ...]:
    """Read ``images`` or ``_index_images``.

    :raise BadDocument: if it is not a list of objects with an ``id``.
    """
    images = _json(data)
    if not isinstance(images, list) or not all(isinstance(each, dict) and "id" in each for each in images):
        raise BadDocument("not a list of images")
    return tuple(images)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadDocument("not JSON") from error
