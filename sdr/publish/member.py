"""One of the images that are published together."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from sdr.publish.expecting import Expected
from sdr.publish.image import PIECE, Blob, Image, ImageManifest
from sdr.publish.progress import Report
from sdr.publish.tags import Tags, put_blob, put_manifest, writes
from sdr.publish.touched import Touched
from sdr.publish.turns import Turn
from sdr.publish.writing import Total, Writing
from sdr.stores.interface import ANY_VERSION, AnyVersion, Changed, Store
from sdr.tree.keys import blob_key, manifest_key


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image that is to be published.

    :param name: the repository.
    :param tags: what is to name it there; at least one.
    """

    image: Image
    name: str
    tags: tuple[str, ...]


class Member:
    """One image, and how far it is.

    :param turn: its place among the others.
    :param others: the keys of what those before it bring along.
    :param total: counts what all of them write.
    """

    def __init__(
        self,
        store: Store,
        report: Report,
        turn: Turn,
        wanted: Wanted,
        if_tag: Expected | None,
        others: Collection[tuple[str, int]],
        total: Total,
    ) -> None:
        self._store, self.number, self.wanted = store, turn.number, wanted
        image, name = wanted.image, wanted.name
        self.writing = Writing(store, turn, report, total)
        self.naming = Tags(store, self.writing, name, image.root, wanted.tags, if_tag)
        self._objects = {(blob_key(blob.digest), blob.size): blob for blob in image.blobs} | {
            (manifest_key(name, each.digest), len(each.data)): each for each in image.manifests
        }
        self._own = dict.fromkeys(each for each in self._objects if each not in others)
        #: Whether one before it brings along any of its manifests.
        self.leans = any((manifest_key(name, each.digest), len(each.data)) not in self._own for each in image.manifests)
        self._present: set[str] = set()
        self._guessed: set[tuple[str, int]] = set()

    def touched(self, tags: Iterable[str]) -> Touched:
        """Return what its publishing does to the repository, as far as these tags go."""
        return Touched(dict.fromkeys(tags, self.wanted.image.root.digest), self.wanted.image.manifests)

    @property
    def objects(self) -> Collection[tuple[str, int]]:
        """The keys of its blobs and manifests, and their sizes in bytes."""
        return self._objects.keys()

    def looks(self, *, is_new: bool = False) -> list[Callable[[], None]]:
        """Return what looks which of its own objects are there.

        :param is_new: probably none is, and the store creates only what is not there: what is small is simply written.
        """
        self._guessed = {each for each in self._own if is_new and each[1] <= PIECE}
        return [partial(self._look, key, size) for key, size in self._own if (key, size) not in self._guessed]

    def _look(self, key: str, size: int) -> None:
        found = self._store.head(key)
        # A file of another size is none that a publisher left: it is mended.
        if found is not None and found.size == size:
            self._present.add(key)

    def blobs(self) -> list[Callable[[], None]]:
        """Return what writes the blobs that are not there, and notes those that are."""
        blobs = ((key, size, self._objects[key, size]) for key, size in self._objects)
        return [
            partial(self._write, key, size, partial(put_blob, self.writing, blob))
            for key, size, blob in blobs
            if isinstance(blob, Blob)
        ]

    def put_manifests(self) -> None:
        """Write the manifests that are not there, children before parents."""
        for (key, size), manifest in self._objects.items():
            if isinstance(manifest, ImageManifest):
                self._write(key, size, partial(put_manifest, self.writing, self.wanted.name, manifest))

    def _write(self, key: str, size: int, put: Callable[[AnyVersion | None], None]) -> None:
        if (key, size) in self._guessed:
            try:
                put(None)
                return
            except Changed:
                self._look(key, size)
        if key in self._present or (key, size) not in self._own:
            self.writing.skip(key, size)
        else:
            put(ANY_VERSION)

    def needed(self) -> dict[str, Callable[[], None]]:
        """Return, by key, what writes each of its objects, should a collection have taken it."""
        return writes(self.writing, self.wanted.name, self.wanted.image.manifests, self.wanted.image.blobs)
