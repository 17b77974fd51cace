"""The publisher: writes an image into a store, in the order of :class:`sdr.tree.keys.Stage`.

At every moment, and if it dies at any, each reference that a reader can find leads to something whole.
"""

from dataclasses import dataclass

from sdr.publish.image import Blob, Image, ImageManifest
from sdr.publish.index import Index
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Report
from sdr.publish.writing import Account, Writing
from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, NotThere, Store
from sdr.tree.headers import blob_headers, manifest_headers
from sdr.tree.keys import blob_key, manifest_key


@dataclass(frozen=True, slots=True)
class Publication:
    """What has been published.

    :param size: of the manifest that the tag names, in bytes.
    """

    name: str
    tag: str
    digest: Digest
    media_type: str
    size: int
    account: Account

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}@{self.digest}"


class Publisher:
    """Publishes into one store."""

    def __init__(self, store: Store, jobs: Jobs, report: Report) -> None:
        self._store, self._jobs, self._report = store, jobs, report

    def publish(self, image: Image, name: str, tag: str) -> Publication:
        """Write what is not there yet of an image, and let a tag name it.

        :raise sdr.stores.interface.StoreError: if the store fails.
        :raise sdr.publish.image.BadSource: if a blob is not what its digest says; no reader sees any of it.
        """
        writing = Writing(self._store, self._jobs, self._report)
        index = Index(self._store, writing)
        # Everything that can be refused is refused before the first write.
        missing = self._missing(image, name)
        index.check(name, tag, image.root, image.manifests)

        self._jobs.run(lambda blob: self._put_blob(blob, writing), image.blobs)
        for manifest in image.manifests:
            key = manifest_key(name, manifest.digest)
            if manifest.digest in missing:
                headers = manifest_headers(manifest.manifest.media_type, manifest.digest, by_tag=False)
                writing.put(key, Bytes(manifest.data), headers)
            else:
                writing.skip(key, len(manifest.data))
        self._put_tag(image.root, name, tag, writing)
        index.update(name, tag, image.root, image.manifests)
        root = image.root
        return Publication(name, tag, root.digest, root.manifest.media_type, len(root.data), writing.account)

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
            writing.put(key, blob, blob_headers(blob.digest))

    def _put_tag(self, root: ImageManifest, name: str, tag: str, writing: Writing) -> None:
        key = manifest_key(name, tag)
        try:
            there, _ = self._store.get(key)
        except NotThere:
            there = None
        if there == root.data:
            writing.skip(key, len(root.data))
        else:
            headers = manifest_headers(root.manifest.media_type, root.digest, by_tag=True)
            writing.put(key, Bytes(root.data), headers)
