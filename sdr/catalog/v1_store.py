"""One store of protocol v1, read: the tree's own part, or what a docker-registry of 2014 has written."""

import json
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote_plus

from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults

from sdr.catalog.lookups import DOCUMENT_LIMIT
from sdr.catalog.memory import Memory
from sdr.catalog.sources import LARGE, CannotList, InThread, ListingSource
from sdr.catalog.v1_lookups import (
    FoundImage,
    FoundTags,
    V1ImageLookup,
    V1IndexLookup,
    V1Lookup,
    V1TagLookup,
    V1TagsLookup,
)
from sdr.registry.grammar import is_tag
from sdr.registry.v1 import is_image_id
from sdr.tree.documents import BadDocument
from sdr.tree.v1 import (
    ANCESTRY,
    IN_PROGRESS,
    JSON,
    LAYER,
    LIBRARY,
    PARTS,
    REPOSITORIES_PREFIX,
    decode_images,
    decode_tag,
    decode_tags,
    image_key,
    repository_prefix,
)

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R")

#: The deadline of one request, in seconds.
REQUEST_SECONDS = 5.0
#: Requests under way at once: a tag of an old store costs up to five.
REQUESTS_AT_ONCE = 32
#: The largest ``json`` of an image, and the largest ``tag_<TAG>``, in bytes.
JSON_LIMIT, TAG_LIMIT = 4 * 1024 * 1024, 1000
#: The longest list of images of which each is looked at, whether it is whole.
INDEX_IDS = 200
#: Tags of one repository that are written in a thread.
MANY_TAGS = 1000
#: Images known to be whole, and ids of tags, that are remembered.
_REMEMBERED = 100_000


class V1Store:
    """Images and repositories of protocol v1.

    :param source: where they are.
    :param in_thread: runs a blocking call elsewhere: for reading large documents.
    :param old: whether they were written in 2014, and nobody keeps half an image out of sight.
    """

    def __init__(self, source: ListingSource, in_thread: InThread, *, old: bool) -> None:
        self.source = source
        self._in_thread = in_thread
        self._old = old
        self._requests = DeferredSemaphore(REQUESTS_AT_ONCE)
        self._whole: Memory[str, bool] = Memory(_REMEMBERED)
        self._ids: Memory[tuple[str, str], str] = Memory(_REMEMBERED)

    async def seek(self, lookup: V1Lookup[Any]) -> Any:
        """Look; ``None`` if there is no such thing, or it must not be offered.

        :raise FetchFailed: if that could not be seen.
        :raise BadDocument: if an object is not what it should be.
        """
        match lookup:
            case V1ImageLookup(image_id):
                return await self._image(image_id)
            case V1IndexLookup(name):
                return await self._index(self._prefix(name))
            case V1TagsLookup(name):
                tags = await self._tags(self._prefix(name))
                if len(tags) < MANY_TAGS:
                    return FoundTags.of(tags) if tags else None
                return await self._in_thread(lambda: FoundTags.of(tags))
            case V1TagLookup(name, tag):
                return await self._tag(f"{self._prefix(name)}tag_{tag}")
        raise AssertionError(lookup)

    def _prefix(self, name: str) -> str:
        if not self._old:
            return repository_prefix(name)
        # docker-registry 0.9.1, lib/core: parse_repository_name splits at the first slash, and quotes the rest.
        namespace, _, rest = (name if "/" in name else f"{LIBRARY}/{name}").partition("/")
        return f"{REPOSITORIES_PREFIX}{quote_plus(namespace)}/{quote_plus(rest)}/"

    async def _image(self, image_id: str) -> FoundImage | None:
        # In the tree its json is written last, and what once has all its parts keeps them.
        is_whole = not self._old or self._whole.get(image_id)
        others = (LAYER,) if is_whole else (LAYER, ANCESTRY, IN_PROGRESS)
        body, size, *rest = await together(
            self._get(image_key(image_id, JSON), JSON_LIMIT),
            *(self._size(image_key(image_id, part)) for part in others),
        )
        if body is None or size is None or (not is_whole and (rest[0] is None or rest[1] is not None)):
            return None
        if not is_whole:
            self._whole.put(image_id, True)
        await self._read(lambda data: check_image(data, image_id), body)
        return FoundImage(body, size)

    async def _index(self, prefix: str) -> bytes | None:
        for name in ("images", "_index_images") if self._old else ("images",):
            body = await self._get(f"{prefix}{name}", DOCUMENT_LIMIT)
            if body is None:
                continue
            if not self._old:
                return await self._read(lambda data: encode_index(decode_index(data)), body)
            ids = await self._read(decode_index, body)
            # No docker needs them, and each costs a few requests.
            return encode_index(await self._whole_of(ids) if len(ids) <= INDEX_IDS else ())
        # They are not the truth: the tags are.
        return b"[]" if await self._tags(prefix) else None

    async def _tags(self, prefix: str) -> Mapping[str, str]:
        body = await self._get(f"{prefix}tags", DOCUMENT_LIMIT)
        if not self._old:
            return {} if body is None else await self._read(decode_tags, body)
        tags = await self._listed(prefix) if body is None else await self._read(decode_tags, body)
        whole = await self._whole_of(sorted(set(tags.values())))
        return {tag: image_id for tag, image_id in sorted(tags.items()) if image_id in whole}

    async def _listed(self, prefix: str) -> dict[str, str]:
        try:
            listed = await self.source.list(f"{prefix}tag_", seconds=REQUEST_SECONDS)
        except CannotList:
            return {}
        tags = [each for each in listed if is_tag(each.name)]
        ids = await of_each(lambda each: self._id(f"{prefix}tag_{each.name}", each.validator), tags)
        return {each.name: image_id for each, image_id in zip(tags, ids, strict=True) if image_id is not None}

    async def _id(self, key: str, validator: str) -> str | None:
        """Return the id in a tag's object, which is read once for as long as it stays as it is."""
        known = self._ids.get((key, validator))
        if known is not None:
            return known
        body = await self._get(key, TAG_LIMIT)
        try:
            image_id = None if body is None else decode_tag(body)
        except BadDocument:
            return None
        if image_id is not None:
            self._ids.put((key, validator), image_id)
        return image_id

    async def _tag(self, key: str) -> str | None:
        body = await self._get(key, TAG_LIMIT)
        image_id = None if body is None else decode_tag(body)
        if image_id is None or (self._old and not await self._is_whole(image_id)):
            return None
        return image_id

    async def _whole_of(self, ids: Sequence[str]) -> dict[str, None]:
        """Return those of an old store's images that have all their parts, in the same order."""
        whole = await of_each(self._is_whole, ids)
        return dict.fromkeys(each for each, is_whole in zip(ids, whole, strict=True) if is_whole)

    async def _is_whole(self, image_id: str) -> bool:
        """Tell whether an image of an old store has all its parts; what once has them keeps them."""
        if self._whole.get(image_id):
            return True
        busy, *parts = await together(*(self._size(image_key(image_id, part)) for part in (IN_PROGRESS, *PARTS)))
        whole = busy is None and None not in parts
        if whole:
            self._whole.put(image_id, True)
        return whole

    async def _get(self, key: str, limit: int) -> bytes | None:
        fetch = self.source.fetch
        got = await self._requests.run(lambda: Deferred.fromCoroutine(fetch(key, limit=limit, seconds=REQUEST_SECONDS)))
        # 403 is what S3 says of a missing object to those who may not list.
        return got.body if got.status == 200 else None

    async def _size(self, key: str) -> int | None:
        size = self.source.size
        return await self._requests.run(lambda: Deferred.fromCoroutine(size(key, seconds=REQUEST_SECONDS)))

    async def _read(self, read: Callable[[bytes], T], body: bytes) -> T:
        return read(body) if len(body) < LARGE else await self._in_thread(lambda: read(body))


def check_image(data: bytes, image_id: str) -> None:
    """Check an image's ``json``: docker takes the id of what it downloads from there.

    :raise BadDocument: if it is not this image's.
    """
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadDocument("not JSON") from error
    if not isinstance(document, dict) or document.get("id") != image_id:
        raise BadDocument("it is not this image's")


def decode_index(data: bytes) -> list[str]:
    """Return the ids in a list of images.

    :raise BadDocument: if it is no such list.
    """
    ids = dict.fromkeys(image["id"] for image in decode_images(data) if isinstance(image["id"], str))
    return [each for each in ids if is_image_id(each)]


def encode_index(ids: Iterable[str]) -> bytes:
    """Write a list of images as ids alone: with ``docker pull -a`` a ``Tag`` in it is pulled, offered or not."""
    return json.dumps([{"id": each} for each in ids]).encode()


async def together(*each: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
    """Do all of these at once; the first failure is the whole's."""
    try:
        return await gatherResults([Deferred.fromCoroutine(one) for one in each], consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
        raise


async def of_each(ask: Callable[[K], Coroutine[Deferred[Any], Any, R]], items: Sequence[K]) -> list[R]:
    """Ask of each of many, some at a time: to start with thousands would hold up everybody else."""
    found: list[R] = []
    for start in range(0, len(items), REQUESTS_AT_ONCE):
        found += await together(*map(ask, items[start : start + REQUESTS_AT_ONCE]))
    return found
