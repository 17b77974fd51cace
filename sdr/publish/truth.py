"""What the tags' own objects say, from which the derived documents can always be made again."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sdr.registry.grammar import Digest, is_tag
from sdr.registry.manifests import MalformedManifest, parse_manifest
from sdr.stores.interface import NotThere, Stat, Store
from sdr.tree.documents import ManifestEntry
from sdr.tree.keys import manifest_key, manifests_prefix

#: Seconds by which an object may be older than a document and still have been overlooked by it: stores keep whole
#: seconds, and between reading a document and writing it back some time passes.
SLACK = 5.0


def read(store: Store, key: str) -> tuple[bytes | None, Stat | None]:
    """Read a small object; ``None`` twice where there is none."""
    try:
        return store.get(key)
    except NotThere:
        return None, None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one repository's tags.

    :param manifests: what was listed by digest, if that was looked at.
    """

    tags: Mapping[str, ManifestEntry]
    manifests: Mapping[Digest, Stat]


def tags_of(
    store: Store,
    name: str,
    known: Mapping[str, ManifestEntry],
    since: float | None,
    touched: Mapping[str, Digest | None] | None = None,
    sure: Collection[Digest] = (),
    *,
    manifests: Mapping[Digest, Stat] | None = None,
    attached: bool = True,
) -> Truth:
    """Return what each tag of a repository names by now.

    Where the store has conditional writes, a document cannot have lost anything that is older than itself; so only
    what is newer, or missing there, is read. Elsewhere a publisher may have overwritten another's work, whenever that
    was done; so each tag is compared with what is listed by digest, and read where that tells nothing.

    :param known: the tags according to the repository's document.
    :param since: when that document was last written, by the store's clock.
    :param touched: tags to be read in any case, with the digest that each was given, if any.
    :param sure: digests by which manifests are known to be there.
    :param manifests: what was listed by digest a while ago, where that will do: it never changes, and may be long. A
        tag that names what has been written since is read.
    :param attached: whether the manifests are wanted for what is attached to others, and so must be the latest.
    """
    touched = touched or {}
    began = time.monotonic()
    wants_all = manifests is None and not store.conditional_writes
    listed, found_by_digest = _listed(store, name, by_digest=wants_all)
    manifests = found_by_digest if manifests is None else manifests
    by_digest = {digest: (stat.size, stat.content) for digest, stat in manifests.items() if stat.content}

    def look(tag: str) -> ManifestEntry | None:
        entry, stat = known.get(tag), listed.get(tag)
        if entry is None or stat is None or tag in touched:
            is_sure = False
        elif store.conditional_writes:
            is_sure = since is not None and stat.modified < since - SLACK
        else:
            is_sure = by_digest.get(entry.digest) == (stat.size, stat.content)
        hints = [hint for hint in (touched.get(tag), entry.digest if entry else None) if hint]
        return entry if is_sure else tagged(store, name, tag, hints, sure)

    # A listing may lag behind, so a tag that it lacks is read before it is believed to be gone.
    found = {tag: look(tag) for tag in sorted({*known, *listed, *touched})}
    while time.monotonic() - began > SLACK / 2:
        # What has moved while all that was read would count as older than the document that is written from it.
        began, before = time.monotonic(), listed
        listed, latest = _listed(store, name, by_digest=wants_all and attached)
        manifests = latest or manifests
        moved = [tag for tag in {*before, *listed} if before.get(tag) != listed.get(tag)]
        if not moved:
            break
        found |= {tag: tagged(store, name, tag, (), sure) for tag in moved}
    return Truth({tag: entry for tag, entry in sorted(found.items()) if entry is not None}, manifests)


def tagged(
    store: Store, name: str, tag: str, hints: Iterable[Digest] = (), sure: Collection[Digest] = ()
) -> ManifestEntry | None:
    """Return what a tag names, or ``None`` where it is not there, or names nothing that a client could use.

    :param hints: digests to be tried first: the bytes do not tell by which of their digests they are stored.
    :param sure: digests by which manifests are known to be there.
    """
    data, _ = read(store, manifest_key(name, tag))
    if data is None:
        return None
    try:
        media_type = parse_manifest(data).media_type
    except MalformedManifest:
        return None
    its = {algorithm: Digest.of(data, algorithm) for algorithm in ("sha256", "sha512")}
    for digest in dict.fromkeys([hint for hint in hints if hint in its.values()] + [*its.values()]):
        if digest in sure or store.head(manifest_key(name, digest)) is not None:
            return ManifestEntry(digest, media_type, len(data))
    return None


def _listed(store: Store, name: str, *, by_digest: bool) -> tuple[dict[str, Stat], dict[Digest, Stat]]:
    """List a repository's tags, and its manifests by digest if they are wanted: there may be many more of them."""
    prefix = manifests_prefix(name)
    tags, manifests = {}, {}
    try:
        for found in store.list(prefix, delimiter="" if by_digest else ":"):
            if isinstance(found, str):
                continue
            last = found.key.removeprefix(prefix)
            if is_tag(last):
                tags[last] = found
            elif (digest := parsed(last)) is not None:
                manifests[digest] = found
    except NotThere:
        # The store itself is still to be made.
        return {}, {}
    return tags, manifests


def parsed(text: str) -> Digest | None:
    """Read a digest; ``None`` if it is none."""
    try:
        return Digest.parse(text)
    except ValueError:
        return None
