"""Finding the images of protocol v1 that no tag leads to, and telling which may go.

An image stands or falls as a whole: who finds its ``json`` takes the rest for granted. What an old docker-registry
keeps beside it goes with it; what is still being uploaded to one stays.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sdr.publish.jobs import Jobs
from sdr.publish.truth import read
from sdr.registry.v1 import is_image_id
from sdr.stores.interface import NotThere, Stat, Store, StoreError
from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.marks import Candidate, candidate

T = TypeVar("T")


@dataclass(slots=True)
class _Repository:
    tags: set[str] = field(default_factory=set)
    has_list: bool = False


class V1Survey:
    """One look at the images of protocol v1 in a store."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self._store, self._jobs = store, jobs
        # What is above is deleted first.
        self._heights: dict[str, int] = {}

    def unused(self) -> dict[str, Stat | None]:
        """Return the files of the images that no tag leads to, by key; ``None`` for what is there in parts only.

        :raise StoreError: if a tag, or the ancestry of what it names, cannot be read: what it needs is not known then.
        """
        # Images first: what is written from now on does not count as unused.
        images: dict[str, dict[str, Stat | None]] = {}
        for stat in self._listed(v1.IMAGES_PREFIX):
            if image := image_in(stat.key):
                images.setdefault(image, {})[stat.key] = stat
        for key in self._store.abandoned():
            if image := image_in(key):
                images.setdefault(image, {})[key] = None
        if not images:
            return {}
        for ancestry in self._jobs.run(self._needed, self._roots()):
            for image in ancestry:
                images.pop(image, None)
        uploading = [image for image, parts in images.items() if v1.image_key(image, v1.IN_PROGRESS) in parts]
        for image in uploading:
            for each in (image, *self._ancestry(image)):
                images.pop(each, None)
        self._heights = dict(zip(images, self._jobs.run(lambda each: len(self._ancestry(each)), images), strict=True))
        return {key: stat for parts in images.values() for key, stat in parts.items()}

    def in_order(self, keys: Iterable[str]) -> list[str]:
        """Return these keys in the order in which they may be deleted: what stands for an image before its layer."""
        order = {part: place for place, part in enumerate((v1.JSON, v1.ANCESTRY, "", v1.LAYER))}

        def place(key: str) -> tuple[int, int, str]:
            part = order.get(key.rpartition("/")[2], order[""])
            return part, -self._heights.get(image_in(key), 0), key

        return sorted(keys, key=place)

    def _roots(self) -> list[tuple[str, str]]:
        """Return what the tags name: the key that says so, and the image's id."""
        repositories: dict[str, _Repository] = {}
        for stat in self._listed(v1.REPOSITORIES_PREFIX):
            entry = v1.entry_of(stat.key)
            if entry is not None and entry.tag is not None:
                repositories.setdefault(entry.name, _Repository()).tags.add(entry.tag)
            elif entry is not None and stat.key == v1.tags_key(entry.name):
                repositories.setdefault(entry.name, _Repository()).has_list = True
        tags = [v1.tag_key(name, tag) for name, its in repositories.items() for tag in its.tags]
        named = zip(tags, self._jobs.run(self._named, tags), strict=True)
        found = [(key, image) for key, image in named if image is not None]
        lists = {v1.tags_key(name): its.tags for name, its in repositories.items() if its.has_list}
        for key, more in zip(lists, self._jobs.run(self._listed_tags, lists), strict=True):
            # Some registries of 2014 kept these alone.
            found += [(key, image) for tag, image in more.items() if tag not in lists[key]]
        return list({image: (key, image) for key, image in found}.values())

    def _named(self, key: str) -> str | None:
        """Return what a tag names; ``None`` if somebody has removed it meanwhile."""
        data, _ = read(self._store, key)
        return None if data is None else self._decoded(key, data, v1.decode_tag)

    def _listed_tags(self, key: str) -> Mapping[str, str]:
        data, _ = read(self._store, key)
        return {} if data is None else self._decoded(key, data, v1.decode_tags)

    def _needed(self, root: tuple[str, str]) -> Collection[str]:
        """Return the ids of an image and of all below it."""
        named_by, image = root
        key = v1.image_key(image, v1.ANCESTRY)
        data, _ = read(self._store, key)
        if data is None:
            raise self._unknown(key, f"it is missing, and {named_by} names the image")
        ancestry = self._decoded(key, data, v1.decode_ancestry)
        if ancestry[0] != image:
            raise self._unknown(key, f"it is another image's, {ancestry[0]}")
        return ancestry

    def _ancestry(self, image: str) -> Collection[str]:
        """Return the ids that an image which no tag names says that it needs, as far as that can be read."""
        try:
            data, _ = read(self._store, v1.image_key(image, v1.ANCESTRY))
            return () if data is None else v1.decode_ancestry(data)
        except BadDocument:
            return ()

    def _decoded(self, key: str, data: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(data)
        except BadDocument as error:
            raise self._unknown(key, str(error)) from error

    def _unknown(self, key: str, reason: str) -> StoreError:
        told = "so what is needed for protocol v1 is not known; publish that with --v1 again, or untag it"
        return StoreError(self._store.location, key, f"{reason}, {told}")

    def _listed(self, prefix: str) -> Iterable[Stat]:
        try:
            yield from (found for found in self._store.list(prefix) if isinstance(found, Stat))
        except NotThere as error:
            raise StoreError(self._store.location, "", error.reason) from error


def image_in(key: str) -> str:
    """Return the id of the image to which a file belongs, whatever its name; empty for any other key."""
    image, _, rest = key.removeprefix(v1.IMAGES_PREFIX).partition("/")
    return image if key.startswith(v1.IMAGES_PREFIX) and rest and is_image_id(image) else ""


def whole_images(unused: Iterable[str], doomed: Mapping[str, Stat | None]) -> dict[str, Stat | None]:
    """Return what is doomed, without what belongs to an image of which something is not."""
    torn = {image_in(key) for key in unused if key not in doomed} - {""}
    return {key: stat for key, stat in doomed.items() if image_in(key) not in torn}


class Sparing:
    """Says of each file, right before it is deleted, whether it may go: as it was when it was marked.

    Of an image of protocol v1 all files are looked at before the first of them goes; one that was written again spares
    those that are still there.

    :param candidates: what is to be deleted, by key.
    """

    def __init__(self, store: Store, candidates: Mapping[str, Candidate]) -> None:
        self._store, self._candidates = store, candidates
        self._files: dict[str, list[str]] = {}
        for key in candidates:
            if image := image_in(key):
                self._files.setdefault(image, []).append(key)
        self._spared: dict[str, bool] = {}

    def may_go(self, key: str) -> bool:
        """Tell whether this is still what was marked."""
        image = image_in(key)
        if not image:
            return self._is_still(key)
        if image not in self._spared:
            parts = [v1.image_key(image, part) for part in (*v1.PARTS, v1.IN_PROGRESS)]
            known = dict.fromkeys([*parts, *self._files[image]])
            self._spared[image] = not all(self._is_still(each) for each in known)
        elif not self._is_still(key):
            self._spared[image] = True
        return not self._spared[image]

    def _is_still(self, key: str) -> bool:
        stat = self._store.head(key)
        if key not in self._candidates:
            return stat is None
        return self._candidates[key].is_still(candidate(stat))
