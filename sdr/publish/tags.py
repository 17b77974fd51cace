"""Letting a tag name a manifest: the one write that moves anything."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from sdr.publish.expecting import Expected
from sdr.publish.image import Blob, ImageManifest
from sdr.publish.index import Index, Touched
from sdr.publish.jobs import Jobs
from sdr.publish.marks import Guard
from sdr.publish.progress import Report
from sdr.publish.refused import Refused
from sdr.publish.truth import read
from sdr.publish.writing import Writing
from sdr.stores.interface import ANY_VERSION, AnyVersion, Bytes, Changed, Store
from sdr.tree.headers import blob_headers, manifest_headers
from sdr.tree.keys import RESERVED_TAG, blob_key, manifest_key


class Tags:
    """The tags of one repository.

    :param expected: what each must be before it is moved; one that names the same bytes already is left as it is.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        report: Report,
        writing: Writing,
        name: str,
        expected: Expected | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._store, self._jobs, self._report, self._writing = store, jobs, report, writing
        self._name, self._expected = name, expected
        self._before: dict[str, bytes | None] = {}
        self._guard, self._index = Guard(store, jobs, report, sleep=sleep), Index(store, jobs, writing, sleep=sleep)

    def check(self, root: ImageManifest, tags: Sequence[str], touched: Touched) -> None:
        """Look whether the tags are as expected, and the derived documents well-formed; nothing is written.

        :raise Refused: if a tag is not as expected, or cannot be one.
        """
        for tag in tags:
            if tag == RESERVED_TAG:
                raise Refused(f"{tag!r} is the name of a file that sdr itself writes; use another tag")
        looks: list[Callable[[], None]] = [partial(self._look, tag) for tag in tags]
        looks.append(partial(self._index.check, self._name, touched))
        self._jobs.run(_do, looks)
        for tag, data in self._before.items():
            if self._expected is not None and data != root.data:
                self._expected.require(f"{self._name}:{tag}", data)
        if self._expected is not None and not self._store.conditional_writes:
            self._report.say(
                "this store has no conditional writes: --if-tag does not see a publisher at the same moment"
            )

    def move(
        self, root: ImageManifest, tags: Sequence[str], needed: Mapping[str, Callable[[], None]], touched: Touched
    ) -> None:
        """Let tags name a manifest that is there by its digest, and bring the derived documents level.

        :param needed: by key, what writes each object that the manifest needs, should a collection have taken it.
        :raise Refused: if a tag is not as expected.
        """
        self._guard.keep(needed)
        try:
            for tag in tags:
                self._put(root, tag)
        except Refused:
            # Those before it have moved.
            self._index.level(self._name, touched)
            raise
        keys = [manifest_key(self._name, tag) for tag in tags]
        # Somebody may have begun to remove what nothing named until now, or the tags as they were.
        while self._guard.keep(needed, keys):
            for tag, key in zip(tags, keys, strict=True):
                if self._store.head(key) is None:
                    self._put(root, tag)
        self._index.level(self._name, touched)
        # Who removed them while the documents were written has not seen those.
        if any(self._store.head(key) is None for key in keys):
            self._index.level(self._name, touched)

    def _look(self, tag: str) -> None:
        self._before[tag] = read(self._store, manifest_key(self._name, tag))[0]

    def _put(self, root: ImageManifest, tag: str) -> None:
        key = manifest_key(self._name, tag)
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


def _do(look: Callable[[], None]) -> None:
    look()


def put_blob(writing: Writing, blob: Blob) -> None:
    """Write a blob."""
    writing.put(blob_key(blob.digest), blob, blob_headers(blob.digest))


def put_manifest(writing: Writing, name: str, manifest: ImageManifest) -> None:
    """Write a manifest by its digest."""
    headers = manifest_headers(manifest.manifest.media_type, manifest.digest, by_tag=False)
    writing.put(manifest_key(name, manifest.digest), Bytes(manifest.data), headers)


def writes(
    writing: Writing, name: str, manifests: Iterable[ImageManifest], blobs: Iterable[Blob]
) -> dict[str, Callable[[], None]]:
    """Return, by key, what writes each object of an image."""
    found: dict[str, Callable[[], None]] = {blob_key(blob.digest): partial(put_blob, writing, blob) for blob in blobs}
    return found | {manifest_key(name, each.digest): partial(put_manifest, writing, name, each) for each in manifests}
