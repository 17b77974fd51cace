"""A small tree in a directory, and an endpoint in memory over it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from sdr.catalog.catalog import Catalog
from sdr.catalog.knowledge import Knowledge
from sdr.catalog.polling import Poll
from sdr.catalog.sources import DirectorySource
from sdr.cdn.locations import RemoteCDN
from sdr.endpoint.rules import Rules
from sdr.endpoint.web import Questions, Root
from sdr.registry.grammar import Digest, Reference
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import (
    ManifestEntry,
    Repository,
    encode_list,
    encode_lists,
    encode_repository,
    encode_tags,
    revision,
)
from sdr.tree.keys import LISTS_KEY, list_key, list_of, manifest_key, repository_key, tags_key

R = TypeVar("R")

NAME = "acme/app"
BODY = b'{"schemaVersion":2,"manifests":[]}'
DIGEST = Digest.of(BODY)
ENTRY = ManifestEntry(DIGEST, OCI_INDEX, len(BODY))
REDIRECT = Rules(RemoteCDN("https://cdn.example.com/tree"))


def at_once(call: Callable[[], R], /) -> Deferred[R]:
    """Run a blocking call here and now, in the place of a thread."""
    done: Deferred[R] = execute(call)
    return done


def write(root: Path, key: str, data: bytes) -> None:
    """Write one object of a tree."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_tree(root: Path, name: str = NAME, tag: str = "1.0") -> None:
    """Write a whole tree with one tag."""
    references: tuple[Reference, ...] = (DIGEST, tag)
    for reference in references:
        write(root, manifest_key(name, reference), BODY)
    write(root, tags_key(name), encode_tags(name, [tag]))
    document = encode_repository(Repository(name, {tag: ENTRY}))
    write(root, repository_key(name), document)
    listing = encode_list({name: revision(document)})
    write(root, list_key(list_of(name)), listing)
    write(root, LISTS_KEY, encode_lists({list_of(name): revision(listing)}))


def polled_catalog(root: Path, clock: Clock, *, keep_bodies: bool = False) -> Catalog:
    """Return a catalog of a directory after its first poll."""
    source = DirectorySource(str(root), at_once, clock)
    catalog = Catalog(source, clock, 30.0, at_once, keep_bodies=keep_bodies)
    Deferred.fromCoroutine(Poll(catalog, at_once).run())
    return catalog


def endpoint(catalog: Catalog, rules: Rules = REDIRECT) -> Root:
    """Return the resource tree of an endpoint."""
    return Root(Questions(Knowledge(catalog), rules))
