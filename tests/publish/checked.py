"""What the tests of checking have in common: a tree that has everything, and a CDN in memory."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sdr.publish.check.checking import Checker
from sdr.publish.check.findings import Checked
from sdr.publish.check.reading import NOT_FOUND, OK, PARTIAL, Reader, Reply
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.stores.interface import Bytes, Served, Store
from sdr.tree.headers import LISTS_HEADERS, Headers, headers_of
from tests.images import OCI_CONFIG, OCI_MANIFEST, Layout, config_json, digest_of, layer_tar
from tests.publish.publishing import publish
from tests.stores.memory import MemoryStore

NAME, NESTED, OTHER = "acme/app", "acme/app/manifests", "other"

#: Changes an answer of a CDN: the method (``GET``, ``HEAD`` or ``PART``), the key, the answer.
Change = Callable[[str, str, Reply], Reply]


def layered(layout: Layout, ref: str, *layers: tuple[dict[str, bytes], str]) -> None:
    """Tag an image with layers of these files, in these compressions."""
    config = layout.add(config_json("linux/amd64", [digest_of(layer_tar(files)) for files, _ in layers]), OCI_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [layout.layer(files, compression) for files, compression in layers],
    }
    layout.tag(layout.add_json(manifest, OCI_MANIFEST), ref)


@functools.cache
def _published() -> MemoryStore:
    layout = Layout()
    index = layout.index([layout.image(platform=f"linux/{each}") for each in ("amd64", "arm64")])
    layout.tag(index, "1.0")
    layout.tag(layout.artifact(b"{}  ", subject=index), "sbom")
    foreign = [layout.foreign_layer(), layout.layer({"b": b"b" * 1000}, docker=True)]
    layout.tag(layout.index([layout.image(layers=foreign, docker=True)], docker=True), "docker")
    layout.tag(layout.image({"c": b""}, algorithm="sha512"), "sha512")
    layout.tag(layout.image({"d": b"d"}, typed=False), "untyped")
    store = MemoryStore()
    with TemporaryDirectory() as folder:
        source = f"oci:{layout.write(Path(folder))}"
        for name, tag in [
            *((NAME, tag) for tag in ("1.0", "sbom", "docker", "sha512", "untyped")),
            (NESTED, "1.0"),
            (OTHER, "docker"),
        ]:
            publish(store, f"{source}:{tag}", name, tag)
    return store


def new_store() -> MemoryStore:
    """Return a store with images of every kind, in repositories that share some."""
    store = MemoryStore()
    store.objects = dict(_published().objects)
    return store


def check(store: Store, reader: Reader | None = None, *, name: str | None = None, deep: bool = False) -> Checked:
    """Check as the command does."""
    return Checker(store, Jobs(4), Silent(), reader).check(name=name, deep=deep)


def put(store: Store, key: str, data: bytes) -> None:
    """Put other bytes under a key, with its headers."""
    found = headers_of(key)
    kept = store.objects[key][1] if isinstance(store, MemoryStore) and key in store.objects else None
    store.put(key, Bytes(data), kept or found or LISTS_HEADERS)


def reheader(store: MemoryStore, key: str, change: Callable[[Headers], Headers]) -> None:
    """Give an object other headers."""
    data, headers, stat = store.objects[key]
    store.objects[key] = data, change(headers), stat


class MemoryCDN:
    """A CDN that serves a store as it should, but for what is changed."""

    location = "https://cdn.example.com"

    def __init__(self, store: MemoryStore, change: Change = lambda method, key, reply: reply) -> None:
        self._store, self._change = store, change
        #: What was asked for: method and key.
        self.asked: list[tuple[str, str]] = []

    def head(self, key: str) -> Reply:
        """Answer HEAD."""
        return self._answered("HEAD", key, 0, None)

    @contextmanager
    def get(self, key: str, *, start: int = 0, size: int | None = None) -> Iterator[Reply]:
        """Answer GET."""
        yield self._answered("GET" if size is None else "PART", key, start, size)

    def _answered(self, method: str, key: str, start: int, size: int | None) -> Reply:
        self.asked.append((method, key))
        found = self._store.objects.get(key)
        if found is None:
            return self._change(method, key, Reply(NOT_FOUND, 0, Served("text/plain", None, None, None)))
        data, headers, _ = found
        served = Served(headers.content_type, headers.cache_control, None, str(headers.digest or "") or None)
        reply = Reply(OK, len(data), served, None, iter([data]))
        if size is not None:
            part = data[start : start + size]
            reply = Reply(
                PARTIAL, len(part), served, f"bytes {start}-{start + len(part) - 1}/{len(data)}", iter([part])
            )
        return self._change(method, key, reply)


def with_headers(reply: Reply, **changes: str | None) -> Reply:
    """Return an answer with other headers."""
    assert reply.served is not None
    return replace(reply, served=replace(reply.served, **changes))
