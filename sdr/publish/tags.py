"""Letting a tag name a manifest: the one write that moves anything."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sdr.publish.expecting import Expected
from sdr.publish.image import Blob, ImageManifest
from sdr.publish.refused import Refused
from sdr.publish.truth import read
from sdr.publish.writing import Writing
from sdr.stores.interface import ANY_VERSION, AnyVersion, Bytes, Changed, Store
from sdr.tree.headers import blob_headers, manifest_headers
from sdr.tree.keys import RESERVED_TAG, blob_key, manifest_key


class Tags:
    """The tags that are to name one manifest.

    :param name: the repository.
    :param expected: what each must be before it is moved; one that names the same bytes already is left as it is.
    """

    def __init__(
        self,
        store: Store,
        writing: Writing,
        name: str,
        root: ImageManifest,
        tags: Sequence[str],
        expected: Expected | None,
    ) -> None:
        self._store, self._writing, self._name = store, writing, name
        self._root, self._tags, self._expected = root, tags, expected
        self._before: dict[str, bytes | None] = {}
        #: Those that name the manifest by now.
        self.named: list[str] = []

    @property
    def keys(self) -> list[str]:
        """Where those tags are that name the manifest by now."""
        return [manifest_key(self._name, tag) for tag in self.named]

    def looks(self) -> list[Callable[[], None]]:
        """Return what looks at the tags as they are; :meth:`check` is to follow.

        :raise Refused: if one cannot be a tag.
        """
        for tag in self._tags:
            if tag == RESERVED_TAG:
                raise Refused(f"{tag!r} is the name of a file that sdr itself writes; use another tag")
        return [partial(self._look, tag) for tag in self._tags]

    def check(self) -> None:
        """Return if the tags were as expected when they were looked at.

        :raise Refused: if one was not.
        """
        for tag, data in self._before.items():
            if self._expected is not None and data != self._root.data:
                self._expected.require(f"{self._name}:{tag}", data)

    @property
    def stand(self) -> bool:
        """Tell whether all named the manifest when they were looked at, so that none will be moved."""
        return self._expected is None and all(data == self._root.data for data in self._before.values())

    def move(self) -> None:
        """Let the tags name the manifest, which is there by its digest.

        :raise Refused: if a tag is not as expected; those before it have moved.
        """
        for tag in self._tags:
            self._put(tag)
            self.named.append(tag)

    def move_again(self) -> None:
        """Do so with those that somebody has removed meanwhile."""
        for tag, key in zip(self.named, self.keys, strict=True):
            if self._store.head(key) is None:
                self._put(tag)

    def _look(self, tag: str) -> None:
        self._before[tag] = read(self._store, manifest_key(self._name, tag))[0]

    def _put(self, tag: str) -> None:
        key, root = manifest_key(self._name, tag), self._root
        # As it was before the image was written will do, once, where nothing is expected: the last one wins.
        if self._expected is None and tag in self._before:
            data, stat = self._before.pop(tag), None
        else:
            data, stat = read(self._store, key)
        if data == root.data:
            self._writing.skip(key, len(root.data))
            return
        replaces: str | AnyVersion | None = ANY_VERSION
        if self._expected is not None:
            self._expected.require(f"{self._name}:{tag}", data)
            if self._store.conditional_writes:
                replaces = stat.version if stat else None
        headers = manifest_headers(root.manifest.media_type, root.digest, by_tag=True)
        try:
            self._writing.put(key, Bytes(root.data), headers, replaces=replaces)
        except Changed as error:
            if read(self._store, key)[0] == root.data:
                # Written by the first of two tries, whose answer was lost.
                return
            raise Refused(
                f"{self._name}:{tag} was moved by another publisher just now; --if-tag leaves it be"
            ) from error


def put_blob(writing: Writing, blob: Blob, replaces: AnyVersion | None = ANY_VERSION) -> None:
    """Write a blob.

    :param replaces: see :meth:`sdr.stores.interface.Store.put`.
    """
    writing.put(blob_key(blob.digest), blob, blob_headers(blob.digest), replaces=replaces)


def put_manifest(
    writing: Writing, name: str, manifest: ImageManifest, replaces: AnyVersion | None = ANY_VERSION
) -> None:
    """Write a manifest by its digest.

    :param replaces: see :meth:`sdr.stores.interface.Store.put`.
    """
    headers = manifest_headers(manifest.manifest.media_type, manifest.digest, by_tag=False)
    writing.put(manifest_key(name, manifest.digest), Bytes(manifest.data), headers, replaces=replaces)


def writes(
    writing: Writing, name: str, manifests: Iterable[ImageManifest], blobs: Iterable[Blob]
) -> dict[str, Callable[[], None]]:
    """Return, by key, what writes each object of an image."""
    found: dict[str, Callable[[], None]] = {blob_key(blob.digest): partial(put_blob, writing, blob) for blob in blobs}
    return found | {manifest_key(name, each.digest): partial(put_manifest, writing, name, each) for each in manifests}
