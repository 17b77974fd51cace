"""What a manifest in a store needs to be there, by key."""

from collections.abc import Iterator

from sdr.publish.image import Blob, ImageManifest
from sdr.publish.truth import read
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MalformedManifest, Manifest, parse_manifest
from sdr.stores.interface import Store, StoreError
from sdr.tree.keys import blob_key, manifest_key


def children_of(manifest: Manifest) -> Iterator[Digest]:
    """Return the digests of the manifests that an index lists."""
    return (child.digest for child in manifest.children if child.is_manifest)


def blobs_of(manifest: Manifest) -> Iterator[tuple[Digest, int]]:
    """Return the digests and sizes, in bytes, of the files that a manifest refers to and a registry carries."""
    others = (child for child in manifest.children if not child.is_manifest)
    return ((each.digest, each.size) for each in (*manifest.blobs, *others) if not each.is_foreign)


def keys_of(name: str, manifest: Manifest) -> Iterator[str]:
    """Return the keys to which a manifest of a repository refers directly."""
    yield from (manifest_key(name, digest) for digest in children_of(manifest))
    yield from (blob_key(digest) for digest, _ in blobs_of(manifest))


def stored_image(store: Store, name: str, digest: Digest) -> tuple[list[ImageManifest], list[Blob]]:
    """Read the manifests below a manifest, children before parents, and say where the blobs are.

    :raise StoreError: if one of the manifests is missing or malformed.
    """
    manifests: dict[Digest, ImageManifest] = {}
    blobs: dict[Digest, Blob] = {}

    def walk(each: Digest) -> None:
        if each in manifests:
            return
        key = manifest_key(name, each)
        data, _ = read(store, key)
        if data is None or Digest.of(data, each.algorithm) != each:
            reason = "there is no such manifest" if data is None else "its bytes have another digest"
            raise StoreError(store.location, key, f"{reason}; publish the image again")
        try:
            manifest = parse_manifest(data)
        except MalformedManifest as error:
            raise StoreError(store.location, key, f"{error}; publish the image again") from error
        for child in children_of(manifest):
            walk(child)
        for blob, size in blobs_of(manifest):
            blobs[blob] = stored_blob(store, blob, size)
        manifests[each] = ImageManifest(each, data, manifest)

    walk(digest)
    return list(manifests.values()), list(blobs.values())


def stored_blob(store: Store, digest: Digest, size: int) -> Blob:
    """Return a blob that is in the store, as something to write.

    :param size: in bytes.
    """
    key = blob_key(digest)
    return Blob(digest, size, lambda: store.open(key), f"{store.location}: {key}")
