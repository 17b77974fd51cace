"""Trees with very many repositories, or one very large: what a catalog reads of them, and no more."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX, OCI_MANIFEST
from sdr.tree.documents import (
    ManifestEntry,
    Repository,
    decode_list,
    decode_lists,
    encode_list,
    encode_lists,
    encode_referrers,
    encode_repository,
    encode_tags,
    revision,
)
from sdr.tree.keys import (
    LISTS_KEY,
    list_key,
    list_of,
    manifest_key,
    referrers_key,
    repository_key,
    tags_key,
)

TAGS = 5
#: One repository of so many has a document: the others are never asked for.
HOT = 1000


def listed(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield what is listed of a tree with so many repositories, and no more."""
    return (each for each in documents(count) if not each[0].endswith("_repository.json"))


def name_of(number: int) -> str:
    """Return the name of one of the repositories; every ``HOT``-th is hot."""
    return f"team-{number % 997:03d}/application-{number:07d}"


def tag_of(number: int) -> str:
    """Return one of the tags of a hot repository."""
    return f"1.{number}"


def document(name: str, salt: str = "") -> bytes:
    """Return the document of a hot repository; another salt makes other digests."""
    digests = [Digest.of(f"{name}:{number}{salt}".encode()) for number in range(TAGS)]
    return encode_repository(
        Repository(
            name, {tag_of(number): ManifestEntry(found, OCI_INDEX, 1613) for number, found in enumerate(digests)}
        )
    )


def documents(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield key and bytes of each document of a tree with so many repositories, in the order of writes."""
    lists: dict[str, dict[str, str]] = {}
    for number in range(count):
        name = name_of(number)
        if number % HOT:
            found = hashlib.sha256(name.encode()).hexdigest()[:16]
        else:
            data = document(name)
            found = revision(data)
            yield repository_key(name), data
        lists.setdefault(list_of(name), {})[name] = found
    revisions = {}
    for prefix, names in lists.items():
        data = encode_list(names)
        revisions[prefix] = revision(data)
        yield list_key(prefix), data
    yield LISTS_KEY, encode_lists(revisions)


def write(root: Path, key: str, data: bytes) -> None:
    """Write a file whole."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".aside")
    aside.write_bytes(data)
    os.replace(aside, path)


def change(root: Path, count: int, changes: int, salt: str) -> None:
    """Change so many of the repositories of a tree in a directory, one in ten of them hot."""
    chosen = random.Random(salt)
    lists = decode_lists((root / LISTS_KEY).read_bytes())
    for place in range(changes):
        number = chosen.randrange(count)
        if place % 10 == 0:
            number -= number % HOT
        name = name_of(number)
        data = document(name, salt)
        if number % HOT == 0:
            write(root, repository_key(name), data)
        prefix = list_of(name)
        names = decode_list((root / list_key(prefix)).read_bytes(), prefix)
        names[name] = revision(data)
        found = encode_list(names)
        write(root, list_key(prefix), found)
        lists[prefix] = revision(found)
    write(root, LISTS_KEY, encode_lists(lists))


#: The one very large repository, and which of its manifests the others are attached to.
LARGE = "team/large"
LARGE_TAGS, LARGE_MANIFESTS, LARGE_REFERRERS = 10_000, 50_000, 10_000


def large_manifest(number: int, subject: Digest | None = None) -> bytes:
    """Return one of its manifests; it has no layers."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(Digest.of(b"{}")), "size": 2}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": f"application/vnd.bench.{number % 10}",
        "config": empty,
        "layers": [empty],
        "annotations": {"number": f"{number}"},
    }
    if subject is not None:
        manifest["subject"] = {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 400}
    return json.dumps(manifest).encode()


def large() -> Iterator[tuple[str, bytes]]:
    """Yield key and bytes of each object of the large repository: the first manifests have tags, the last a subject."""
    tags: dict[str, ManifestEntry] = {}
    referrers: list[dict[str, object]] = []
    subject = large_subject()
    for number in range(LARGE_MANIFESTS):
        attached = number >= LARGE_MANIFESTS - LARGE_REFERRERS
        data = large_manifest(number, subject if attached else None)
        digest = Digest.of(data)
        yield manifest_key(LARGE, digest), data
        if number < LARGE_TAGS:
            tags[large_tag(number)] = ManifestEntry(digest, OCI_MANIFEST, len(data))
            yield manifest_key(LARGE, large_tag(number)), data
        if attached:
            kind = f"application/vnd.bench.{number % 10}"
            descriptor = {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(data), "artifactType": kind}
            referrers.append({**descriptor, "annotations": {"number": f"{number}"}})
    yield tags_key(LARGE), encode_tags(LARGE, tags)
    yield referrers_key(LARGE, subject), encode_referrers(referrers)
    repository = encode_repository(Repository(LARGE, tags))
    yield repository_key(LARGE), repository
    listed = encode_list({LARGE: revision(repository)})
    yield list_key(list_of(LARGE)), listed
    yield LISTS_KEY, encode_lists({list_of(LARGE): revision(listed)})


def large_tag(number: int) -> str:
    """Return one of its tags."""
    return f"v1.{number}.{number % 7}"


def large_subject() -> Digest:
    """Return what the others are attached to."""
    return Digest.of(large_manifest(0))
