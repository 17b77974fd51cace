"""Writing an image as clients of protocol v1 know it, beside the one of protocol v2.

Of an image the layer comes first and the json last, so that what has a json is whole; the base is written before what
stands on it, and the tag when all of that is there.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from sdr.publish.image import Blob, Image
from sdr.publish.jobs import Jobs
from sdr.publish.marks import Guard
from sdr.publish.platforms import Platform
from sdr.publish.progress import Report
from sdr.publish.references import stored_image
from sdr.publish.refused import Refused
from sdr.publish.truth import read, tagged
from sdr.publish.v1.chain import Chain, Link, chain_of
from sdr.publish.v1.index import V1Index
from sdr.publish.v1.layers import empty_layer, in_gzip, is_zstd
from sdr.publish.writing import Account, Writing
from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, NotThere, Store
from sdr.tree.headers import V1_IMAGE_HEADERS, V1_LAYER_HEADERS, V1_TAG_HEADERS, blob_headers
from sdr.tree.keys import blob_key, manifest_key
from sdr.tree.v1 import ANCESTRY, IN_PROGRESS, JSON, LAYER, PARTS, encode_ancestry, encode_tag, image_key, tag_key


@dataclass(frozen=True, slots=True)
class V1Publication:
    """What has been published for protocol v1.

    :param ids: of the images, the base first.
    """

    name: str
    tags: tuple[str, ...]
    ids: tuple[str, ...]
    account: Account

    @property
    def id(self) -> str:
        """What the tags name."""
        return self.ids[-1]


class V1Publishing:
    """Publishes one image into one store.

    :param sleep: waits for so many seconds.
    """

    def __init__(
        self, store: Store, jobs: Jobs, report: Report, name: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._jobs, self._report, self._name = store, jobs, report, name
        self._writing = Writing(store, jobs, report)
        self._guard = Guard(store, jobs, report, sleep=sleep)
        self._index = V1Index(store, jobs, report, self._writing, sleep=sleep)

    def check(self, image: Image, platform: Platform | None = None) -> Chain:
        """Return what is to be written for an image; nothing is written by this.

        :param platform: which one of several; ``linux/amd64`` if not given.
        :raise Refused: if protocol v1 cannot carry it.
        :raise sdr.stores.interface.StoreError: if a document in the store is malformed.
        """
        chain = chain_of(image, platform, self._name)
        self._index.check(self._name)
        return chain

    def publish(self, chain: Chain, tags: Sequence[str]) -> V1Publication:
        """Write what is not there yet, and let tags name it.

        :param tags: at least one.
        :raise sdr.stores.interface.StoreError: if the store fails.
        :raise sdr.publish.image.BadSource: if a layer is not what its digest says; no tag names any of it.
        """
        # By key, in the order of writing.
        writes: dict[str, Callable[[], None]] = {
            image_key(link.image.id, part): partial(self._put, link, part) for part in PARTS for link in chain.links
        }
        missing = {key for keys in self._jobs.run(self._missing, chain.links) for key in keys}
        for part in PARTS:
            wanted = [key for key in writes if key in missing and key.endswith(f"/{part}")]
            if part == JSON:
                for key in wanted:
                    writes[key]()
            else:
                self._jobs.run(lambda key: writes[key](), wanted)
        for link in chain.links:
            # It is whole now, whoever began to upload it into an old registry.
            if image_key(link.image.id, IN_PROGRESS) in missing:
                self._store.delete(image_key(link.image.id, IN_PROGRESS))
        self._guard.keep(writes)
        self._tag(chain, tags, writes)
        return V1Publication(self._name, tuple(tags), chain.ids, self._writing.account)

    def _tag(self, chain: Chain, tags: Sequence[str], writes: dict[str, Callable[[], None]]) -> None:
        top = chain.ids[-1]
        keys = [tag_key(self._name, tag) for tag in tags]
        for key in keys:
            if read(self._store, key)[0] == encode_tag(top):
                self._writing.skip(key, len(encode_tag(top)))
            else:
                self._put_tag(key, top)
        # Somebody may have begun to remove what nothing named until now, or the tags as they were.
        while self._guard.keep(writes, keys):
            for key in keys:
                if self._store.head(key) is None:
                    self._put_tag(key, top)
        self._index.level(self._name, tags)
        # Who removed them while the documents were written has not seen those.
        if any(self._store.head(key) is None for key in keys):
            self._index.level(self._name, tags)
        for tag in tags:
            data, _ = read(self._store, manifest_key(self._name, tag))
            if data is not None and Digest.of(data, chain.root.algorithm) != chain.root:
                named = f"{self._name}:{tag}"
                self._report.say(f"{named} was moved meanwhile; sdr v1 {named} makes protocol v1 say the same")

    def _missing(self, link: Link) -> Collection[str]:
        """Return the keys of an image that are to be written, and that of the sign that it is being uploaded."""
        layer, ancestry, json, in_progress = (image_key(link.image.id, part) for part in (*PARTS, IN_PROGRESS))
        if self._store.head(in_progress) is not None:
            return {layer, ancestry, json, in_progress}
        missing = set()
        stat = self._store.head(layer)
        if stat is None:
            missing.add(layer)
        else:
            # Packed in another way it has another size, and is the same layer.
            self._writing.skip(layer, stat.size)
        for key, wanted in ((ancestry, encode_ancestry(link.ancestry)), (json, link.image.json)):
            if read(self._store, key)[0] == wanted:
                self._writing.skip(key, len(wanted))
            else:
                missing.add(key)
        return missing

    def _put(self, link: Link, part: str) -> None:
        key = image_key(link.image.id, part)
        if part == LAYER:
            self._put_layer(key, link.layer, link.diff)
            return
        data = encode_ancestry(link.ancestry) if part == ANCESTRY else link.image.json
        self._writing.put(key, Bytes(data), V1_IMAGE_HEADERS)

    def _put_layer(self, key: str, layer: Blob | None, diff: Digest) -> None:
        if layer is None:
            self._writing.put(key, empty_layer(), V1_LAYER_HEADERS)
        elif is_zstd(layer):
            with in_gzip(layer, diff, self._jobs, self._report) as packed:
                self._writing.put(key, packed, V1_LAYER_HEADERS)
        elif not self._copied(key, layer):
            self._writing.put(key, layer, blob_headers(layer.digest))

    def _copied(self, key: str, layer: Blob) -> bool:
        try:
            # S3 copies only what has the same headers, so the digest is kept with it as well.
            return self._writing.copy(blob_key(layer.digest), key, layer.size, blob_headers(layer.digest))
        except NotThere:
            # A collection was quicker, and there may be a source to read it from.
            return False

    def _put_tag(self, key: str, image_id: str) -> None:
        self._writing.put(key, Bytes(encode_tag(image_id)), V1_TAG_HEADERS)


def published_image(store: Store, name: str, tag: str) -> Image:
    """Return what a tag in the store names.

    :raise Refused: if there is no such tag.
    :raise sdr.stores.interface.StoreError: if what it names is not whole.
    """
    entry = tagged(store, name, tag)
    if entry is None:
        raise Refused(f"{store.location}: there is no {name}:{tag}")
    manifests, blobs = stored_image(store, name, entry.digest)
    return Image(tuple(manifests), tuple(blobs))
