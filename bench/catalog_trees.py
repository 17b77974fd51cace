"""Trees with very many repositories, or one very large: what a catalog reads of them, and no more."""

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import (
    ManifestEntry,
    Repository,
    decode_list,
    decode_lists,
    encode_list,
    encode_lists,
    encode_repository,
    revision,
)
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key

TAGS = 5
#: One repository of so many has a document: the others are never asked for.
HOT = 1000


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
