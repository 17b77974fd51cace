"""Keeping the derived documents level with the manifests, beside other publishers that do the same.

Each document is read, merged with what it stands for, and put back on the condition that nobody has changed it
meanwhile; else all that again. What it stands for (the tag's own object, the repository's document) is read after the
document itself, so whoever comes last writes what is true.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sdr.publish.image import ImageManifest
from sdr.publish.writing import Writing
from sdr.registry.grammar import Digest
from sdr.registry.manifests import MalformedManifest, parse_manifest
from sdr.stores.interface import ANY_VERSION, Bytes, Changed, NotThere, Store, StoreError
from sdr.tree import documents, headers, keys

#: How often a document is merged anew before giving up, and the longest pause between two tries, in milliseconds.
TRIES = 100
PAUSE = 500


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived document.

    :param merge: from what is there (``None`` for nothing) to what should be; raises
        :class:`sdr.tree.documents.BadDocument` where nothing can be made of it.
    """

    key: str
    headers: headers.Headers
    merge: Callable[[bytes | None], bytes]


class Index:
    """The derived documents of one store.

    :param writing: puts, and keeps count.
    """

    def __init__(self, store: Store, writing: Writing) -> None:
        self._store, self._writing = store, writing

    def check(self, name: str, tag: str, published: ImageManifest, manifests: Iterable[ImageManifest]) -> None:
        """Read what :meth:`update` would, and write nothing: a broken document is better known before the tag moves.

        :raise StoreError: if one is not what sdr writes there.
        """
        for derived in self._derived(name, tag, published, manifests):
            self._merged(derived, self._read(derived.key)[0])

    def update(self, name: str, tag: str, published: ImageManifest, manifests: Iterable[ImageManifest]) -> None:
        """Bring each document level that a newly published tag changes.

        :param manifests: those published; the ones with a subject are its referrers.
        :raise StoreError: if one cannot be written, or is not what sdr writes there.
        """
        for derived in self._derived(name, tag, published, manifests):
            self._update(derived)

    def _derived(
        self, name: str, tag: str, published: ImageManifest, manifests: Iterable[ImageManifest]
    ) -> Iterator[Derived]:
        """Yield the documents in the order of :class:`sdr.tree.keys.Stage`."""
        prefix = keys.list_of(name)
        yield Derived(keys.tags_key(name), headers.TAGS_HEADERS, lambda data: self._tags(data, name, tag))
        for subject, attached in _by_subject(manifests).items():
            key = keys.referrers_key(name, subject)
            yield Derived(key, headers.REFERRERS_HEADERS, partial(_referrers, attached))
        yield Derived(
            keys.repository_key(name),
            headers.REPOSITORY_HEADERS,
            lambda data: self._repository(data, name, tag, published),
        )
        yield Derived(keys.list_key(prefix), headers.LIST_HEADERS, lambda data: self._list(data, name))
        yield Derived(keys.LISTS_KEY, headers.LISTS_HEADERS, lambda data: self._lists(data, prefix))

    def _update(self, derived: Derived) -> None:
        for attempt in range(TRIES):
            data, version = self._read(derived.key)
            merged = self._merged(derived, data)
            if merged == data:
                # Written by the attempt before this one, where that could not be conditional.
                if not attempt or self._store.conditional_writes:
                    self._writing.skip(derived.key, len(merged))
                return
            try:
                replaces = version if self._store.conditional_writes else ANY_VERSION
                self._writing.put(derived.key, Bytes(merged), derived.headers, replaces=replaces)
            except Changed:
                time.sleep(secrets.randbelow(min(PAUSE, 2 ** min(attempt, 16)) + 1) / 1000)
                continue
            if self._store.conditional_writes:
                return
        raise StoreError(self._store.location, derived.key, f"others changed it {TRIES} times; run the command again")

    def _merged(self, derived: Derived, data: bytes | None) -> bytes:
        try:
            return derived.merge(data)
        except documents.BadDocument as error:
            reason = f"this is not what sdr writes there ({error}); move it away and publish again all that it listed"
            raise StoreError(self._store.location, derived.key, reason) from error

    def _read(self, key: str) -> tuple[bytes | None, str | None]:
        try:
            data, stat = self._store.get(key)
        except NotThere:
            return None, None
        return data, stat.version

    def _tags(self, data: bytes | None, name: str, tag: str) -> bytes:
        tags = set() if data is None else set(documents.decode_tags(data, name))
        is_there = self._store.head(keys.manifest_key(name, tag)) is not None
        return documents.encode_tags(name, tags | {tag} if is_there else tags - {tag})

    def _repository(self, data: bytes | None, name: str, tag: str, published: ImageManifest) -> bytes:
        tags = {} if data is None else dict(documents.decode_repository(data, name).tags)
        there, _ = self._read(keys.manifest_key(name, tag))
        entry = None if there is None else self._entry(there, name, tags.get(tag), published)
        if entry is None:
            tags.pop(tag, None)
        else:
            tags[tag] = entry
        return documents.encode_repository(documents.Repository(name, tags))

    def _entry(
        self, data: bytes, name: str, known: documents.ManifestEntry | None, published: ImageManifest
    ) -> documents.ManifestEntry | None:
        """Describe what a tag names by now, which another publisher may have moved."""
        try:
            media_type = parse_manifest(data).media_type
        except MalformedManifest:
            return None
        # The bytes do not tell by which of their digests they are stored.
        candidates = [published.digest, *([known.digest] if known else [])]
        candidates += [Digest.of(data, algorithm) for algorithm in ("sha256", "sha512")]
        for digest in candidates:
            is_it = Digest.of(data, digest.algorithm) == digest
            if is_it and self._store.head(keys.manifest_key(name, digest)) is not None:
                return documents.ManifestEntry(digest, media_type, len(data))
        return None

    def _list(self, data: bytes | None, name: str) -> bytes:
        repositories = {} if data is None else documents.decode_list(data, keys.list_of(name))
        return documents.encode_list(_with_revision(repositories, name, self._read(keys.repository_key(name))[0]))

    def _lists(self, data: bytes | None, prefix: str) -> bytes:
        lists = {} if data is None else documents.decode_lists(data)
        return documents.encode_lists(_with_revision(lists, prefix, self._read(keys.list_key(prefix))[0]))


def _with_revision(revisions: Mapping[str, str], key: str, document: bytes | None) -> dict[str, str]:
    if document is None:
        return {having: revision for having, revision in revisions.items() if having != key}
    return {**revisions, key: documents.revision(document)}


def _by_subject(manifests: Iterable[ImageManifest]) -> dict[Digest, list[ImageManifest]]:
    found: dict[Digest, list[ImageManifest]] = {}
    for manifest in manifests:
        if manifest.manifest.subject is not None:
            found.setdefault(manifest.manifest.subject.digest, []).append(manifest)
    return found


def _referrers(attached: Iterable[ImageManifest], data: bytes | None) -> bytes:
    """Add descriptors as the OCI Distribution Specification 1.1 asks for in "Listing Referrers"."""
    entries = {} if data is None else {str(entry["digest"]): entry for entry in documents.decode_referrers(data)}
    entries |= {str(manifest.digest): referrer(manifest) for manifest in attached}
    return documents.encode_referrers(entries.values())


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
