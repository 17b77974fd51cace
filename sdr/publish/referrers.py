"""What a referrers list holds (OCI Distribution Specification 1.1, "Listing Referrers")."""

from collections.abc import Iterable, Mapping
from typing import Any

from sdr.publish.image import ImageManifest
from sdr.publish.truth import SLACK, Truth, parsed, read
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MalformedManifest, parse_manifest
from sdr.stores.interface import Store
from sdr.tree.keys import manifest_key

#: The descriptors of a subject's referrers, by their digest as text.
Entries = Mapping[str, Mapping[str, Any]]


def merged(
    store: Store,
    name: str,
    subject: Digest,
    listed: Iterable[Mapping[str, Any]],
    since: float | None,
    attached: Iterable[ImageManifest],
    truth: Truth,
) -> Entries:
    """Add to what is listed what has just been written, and what another publisher has listed and somebody overwrote.

    :param since: when the list was last written, by the store's clock.
    :param attached: manifests that are known to have this subject.
    """
    entries = {str(entry["digest"]): entry for entry in listed}
    entries |= {str(manifest.digest): referrer(manifest) for manifest in attached}
    # What was overwritten is among what was written lately.
    newest = max((stat.modified for stat in truth.manifests.values()), default=0.0)
    horizon = (newest if since is None else since) - SLACK
    for digest, stat in truth.manifests.items():
        if str(digest) not in entries and stat.modified >= horizon:
            manifest = _attached(store, name, digest, subject)
            if manifest is not None:
                entries[str(digest)] = referrer(manifest)
    return entries


def present(store: Store, name: str, subject: Digest, entries: Entries, attached: Iterable[ImageManifest]) -> Entries:
    """Return those of the entries whose manifests are there and have this subject.

    :param attached: manifests of which that is known.
    """
    sure = {str(manifest.digest) for manifest in attached}
    return {
        text: entry
        for text, entry in entries.items()
        if text in sure or _attached(store, name, parsed(text), subject) is not None
    }


def _attached(store: Store, name: str, digest: Digest | None, subject: Digest) -> ImageManifest | None:
    manifest = None if digest is None else manifest_of(store, name, digest)
    its = manifest.manifest.subject if manifest else None
    return manifest if its is not None and its.digest == subject else None


def manifest_of(store: Store, name: str, digest: Digest) -> ImageManifest | None:
    """Read a manifest by its digest; ``None`` where it is not there, or not what it should be."""
    data, _ = read(store, manifest_key(name, digest))
    if data is None or Digest.of(data, digest.algorithm) != digest:
        return None
    try:
        return ImageManifest(digest, data, parse_manifest(data))
    except MalformedManifest:
        return None


def referrer(attached: ImageManifest) -> dict[str, Any]:
    """Return the descriptor under which a manifest is listed among the referrers of its subject."""
    manifest = attached.manifest
    entry: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": str(attached.digest),
        "size": len(attached.data),
    }
    if manifest.artifact_type:
        entry["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return entry
