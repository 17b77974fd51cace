"""The publisher: writes an image into a store, in the order of :class:`sdr.tree.keys.Stage`.

At every moment, and if it dies at any, each reference that a reader can find leads to something whole.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdr.publish.expecting import Expected
from sdr.publish.image import Blob, Image, ImageManifest
from sdr.publish.index import Touched
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.tags import Tags, put_blob, put_manifest, writes
from sdr.publish.writing import Account, Writing
from sdr.registry.grammar import Digest
from sdr.stores.interface import Store
from sdr.tree.keys import blob_key, manifest_key


@dataclass(frozen=True, slots=True)
class Publication:
    """What has been published.

    :param size: of the manifest that the tags name, in bytes.
    """

    name: str
    tags: tuple[str, ...]
    digest: Digest
    media_type: str
    size: int
    account: Account

    @property
    def tag(self) -> str:
        """The first of the tags."""
        return self.tags[0]

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}"


class Publisher:
    """Publishes into one store.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._sleep = store, jobs, report, sleep

    def publish(self, image: Image, name: str, tags: Sequence[str], if_tag: Expected | None = None) -> Publication:
        """Write what is not there yet of an image, and let tags name it.

        :param tags: at least one.
        :param if_tag: what each tag must be before it is moved.
        :raise sdr.stores.interface.StoreError: if the store fails.
        :raise sdr.publish.image.BadSource: if a blob is not what its digest says; no reader sees any of it.
        :raise sdr.publish.refused.Refused: if a tag is not as expected.
        """
        writing = Writing(self._store, self._jobs, self._report)
        naming = Tags(self._store, self._jobs, self._report, writing, name, if_tag, self._sleep)
        touched = Touched(dict.fromkeys(tags, image.root.digest), image.manifests)
        # Everything that can be refused is refused before the first write.
        missing = self._missing(image, name)
        naming.check(image.root, tags, touched)

        self._jobs.run(lambda blob: self._put_blob(blob, writing), image.blobs)
        for manifest in image.manifests:
            if manifest.digest in missing:
                put_manifest(writing, name, manifest)
            else:
                writing.skip(manifest_key(name, manifest.digest), len(manifest.data))
        naming.move(image.root, tags, writes(writing, name, image.manifests, image.blobs), touched)
        root = image.root
        return Publication(name, tuple(tags), root.digest, root.manifest.media_type, len(root.data), writing.account)

    def _missing(self, image: Image, name: str) -> set[Digest]:
        """Return the digests of the manifests that are not there."""

        def is_there(manifest: ImageManifest) -> bool:
            found = self._store.head(manifest_key(name, manifest.digest))
            return found is not None and found.size == len(manifest.data)

        there = self._jobs.run(is_there, image.manifests)
        return {manifest.digest for manifest, found in zip(image.manifests, there, strict=True) if not found}

    def _put_blob(self, blob: Blob, writing: Writing) -> None:
        key = blob_key(blob.digest)
        found = self._store.head(key)
        # A file of another size is none that a publisher left: it is mended.
        if found is not None and found.size == blob.size:
            writing.skip(key, blob.size)
        else:
            put_blob(writing, blob)
