"""Tests of publishers that die, and of publishers side by side."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.rebuilding import Rebuilding
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, NotReachable, Stat, Store
from sdr.tree.headers import Headers
from tests.directories import new_directory
from tests.images import Layout
from tests.publish.publishing import NAME, PublishingTestCase, publish
from tests.publish.trees import broken_references, snapshot, snapshot_of, stale_documents
from tests.stores.memory import MemoryStore

T = TypeVar("T")

#: Publishes, and kills itself (-9) instead of the write of a given number, or right after it.
SUICIDAL = """
import os, signal, sys, threading
from pathlib import Path
from sdr.stores.directory import DirectoryStore
from tests.publish.publishing import publish

root, source, tag, dies_at, when = sys.argv[1:]

class Suicidal(DirectoryStore):
    left, lock = int(dies_at), threading.Lock()
    def put(self, *arguments, **options):
        return self.write(super().put, *arguments, **options)
    def copy(self, *arguments):
        return self.write(super().copy, *arguments)
    def write(self, write, *arguments, **options):
        with self.lock:
            self.left -= 1
            dies = self.left == 0
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        version = write(*arguments, **options)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return version

publish(Suicidal(Path(root)), source, tag=tag)
"""


class FailingStore:
    """Another store, whose N-th write fails.

    :param written: fail after the write was done (the answer was lost), not before it.
    """

    conditional_writes = True

    def __init__(self, store: Store, fails_at: int, *, written: bool) -> None:
        self._store, self._left, self._written = store, fails_at, written
        self._lock = threading.Lock()
        self.location, self.creates_once = store.location, store.creates_once
        self.get, self.open, self.head, self.delete = store.get, store.open, store.head, store.delete
        self.served, self.abandoned = store.served, store.abandoned

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write, or fail."""
        return self._write(key, lambda: self._store.put(key, body, headers, replaces=replaces))

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy, or fail: that is a write too."""
        return self._write(key, lambda: self._store.copy(source, key, headers))

    def _write(self, key: str, write: Callable[[], T]) -> T:
        with self._lock:
            self._left -= 1
            fails = self._left == 0
        if fails and not self._written:
            raise NotReachable(self.location, key, "the connection was lost")
        done = write()
        if fails:
            raise NotReachable(self.location, key, "the connection was lost")
        return done

    @property
    def came_to_it(self) -> bool:
        """Tell whether there were so many writes."""
        return self._left <= 0

    def list(self, prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
        """List."""
        return self._store.list(prefix, delimiter=delimiter)


class UnconditionalStore(FailingStore):
    """Another store, without conditional writes."""

    conditional_writes = False

    def __init__(self, store: Store) -> None:
        super().__init__(store, 0, written=False)
        self.creates_once = False

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write whatever is there, as such a store does."""
        assert isinstance(replaces, AnyVersion), "it was told that conditions mean nothing here"
        return self._store.put(key, body, headers)


def no_time(seconds: float) -> None:
    """Sleep not at all."""


def two_layouts(folder: Path) -> tuple[str, str]:
    """Write two images that share little: an index with an artifact attached, and another."""
    first, second = Layout(), Layout()
    first.tag(first.image({"a": b"before"}))
    images = [second.image({"a": each.encode()}, platform=f"linux/{each}") for each in ("amd64", "arm64")]
    index = second.index([second.index(images), second.artifact(subject=images[0])])
    second.tag(index)
    return f"oci:{first.write(folder / 'first')}", f"oci:{second.write(folder / 'second')}"


class DyingTests(PublishingTestCase):
    """A publisher that dies at any of its writes."""

    def test_every_write_in_turn(self) -> None:
        """Before and after each write the tree is whole, what was there is there, and a second run completes it."""
        first, second = two_layouts(self.folder)
        for tag in ("1.0", "2.0"):
            wanted, writes = self._wanted(first, second, tag)
            self.assertGreater(writes, 12)
            for fails_at in range(1, writes + 1):
                for written in (False, True):
                    root = self.folder / f"{tag}-{fails_at}-{written}"
                    store = DirectoryStore(root)
                    publish(store, first)
                    before = snapshot(root)
                    failing = FailingStore(store, fails_at, written=written)
                    self.assertRaises(NotReachable, publish, failing, second, tag=tag)
                    after = snapshot(root)
                    self.assertEqual(broken_references(after), [])
                    self.assertEqual([key for key in before if key not in after], [])
                    publish(store, second, tag=tag)
                    self.assertEqual(snapshot(root), wanted)

    def test_what_brings_it_level(self) -> None:
        """What a dead publisher left half done is made level by the next publish there, or by index."""
        first, second = two_layouts(self.folder)
        for conditional in (True, False):
            for fails_at in range(1, 40):
                for mend in ("publish", "index"):
                    memory = MemoryStore(conditional_writes=conditional)
                    publish(memory, first, sleep=no_time)
                    failing = FailingStore(memory, fails_at, written=bool(fails_at % 2))
                    failing.conditional_writes = conditional
                    try:
                        publish(failing, second, sleep=no_time)
                    except NotReachable:
                        self.assertEqual(broken_references(snapshot_of(memory)), [])
                    if mend == "index":
                        Rebuilding(memory, Jobs(2), Silent(), sleep=no_time).rebuild()
                    else:
                        publish(memory, first, tag="another", sleep=no_time)
                    tree = snapshot_of(memory)
                    self.assertEqual(broken_references(tree) + stale_documents(tree), [], f"{mend} after {fails_at}")

    def _wanted(self, first: str, second: str, tag: str) -> tuple[dict[str, bytes], int]:
        """Return the tree that should be there in the end, and how many writes the second image takes."""
        root = self.folder / f"wanted-{tag}"
        publish(DirectoryStore(root), first)
        writes = len(publish(DirectoryStore(root), second, tag=tag).account.written)
        tree = snapshot(root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        return tree, writes

    def test_killed(self) -> None:
        """The same when the process is killed at some of them, with nothing left over in the end."""
        first, second = two_layouts(self.folder)
        wanted, writes = self._wanted(first, second, "1.0")
        deaths = ((1, "before"), (3, "after"), (writes - 4, "before"), (writes - 2, "after"), (writes, "before"))
        for dies_at, when in deaths:
            root = self.folder / f"{dies_at}-{when}"
            publish(DirectoryStore(root), first)
            command = [sys.executable, "-c", SUICIDAL, str(root), second, "1.0", str(dies_at), when]
            self.assertEqual(subprocess.run(command, check=False).returncode, -signal.SIGKILL)
            self.assertEqual(broken_references(snapshot(root)), [])
            publish(DirectoryStore(root), second)
            self.assertEqual(snapshot(root), wanted)
            self.assertEqual(list(root.glob(".sdr/*.part")), [])

    def test_a_layer_that_is_bad_at_its_end(self) -> None:
        """A layer that turns out wrong while it is written never gets its name in the store."""
        layout = Layout()
        image = layout.tag(layout.image({"a": b"a" * 3_000_000}, compression=""))
        layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
        layout.blobs[layer] = layout.blobs[layer][:-1] + b"x"
        self.refused(layout, layer, "its digest is")
        self.assertNotIn(f"blobs/{layer.replace(':', '/')}", snapshot(self.root))
        self.assertEqual(list(self.root.glob(".sdr/*.part")), [])


class SideBySideTests(SynchronousTestCase):
    """Several publishers at once."""

    def test_processes(self) -> None:
        """Nothing is lost from the derived documents when processes publish into one repository, and into others."""
        folder = new_directory(self, make=True)
        source = two_layouts(folder)[0]
        root = folder / "store"
        script = (
            "import sys\nfrom pathlib import Path\nfrom sdr.stores.directory import DirectoryStore\n"
            "from tests.publish.publishing import publish\n"
            "root, source, number = sys.argv[1:]\n"
            "for each in range(6):\n"
            "    publish(DirectoryStore(Path(root)), source, tag=f't{number}-{each}')\n"
            "    publish(DirectoryStore(Path(root)), source, name=f'other/n{number}-{each}')\n"
        )
        command = [sys.executable, "-c", script, str(root), source]
        processes = [subprocess.Popen([*command, str(number)]) for number in range(4)]
        self.assertEqual([process.wait() for process in processes], [0] * 4)
        tree = snapshot(root)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        self.assertEqual(len(json.loads(tree[f"v2/{NAME}/tags/list"])["tags"]), 24)
        self.assertEqual(sum(tree[key].count(b"\n") for key in tree if key.endswith(".ndjson")), 25)

    @settings(max_examples=10)
    @given(
        st.lists(st.tuples(st.sampled_from(["a", "a/b", "c"]), st.sampled_from(["1", "2"]), st.booleans()), max_size=6)
    )
    def test_any_history(self, history: list[tuple[str, str, bool]]) -> None:
        """Whatever is published in whatever order, the tree is whole and its documents are level."""
        folder = new_directory(self, make=True)
        sources = two_layouts(folder)
        store = DirectoryStore(folder / "store")
        expected = {}
        for name, tag, second in history:
            expected[name, tag] = publish(store, sources[second], name, tag).digest
            tree = snapshot(folder / "store")
            self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        for (name, tag), digest in expected.items():
            tags = json.loads(store.get(f"v2/{name}/_repository.json")[0])["tags"]
            self.assertEqual(tags[tag][0], str(digest))

    def test_without_conditional_writes(self) -> None:
        """Where a store has none, documents are written and read back; a second run still writes nothing."""
        folder = new_directory(self, make=True)
        sources = two_layouts(folder)
        store = UnconditionalStore(DirectoryStore(folder / "store"))
        for source in sources:
            publish(store, source)
        tree = snapshot(folder / "store")
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        self.assertEqual(publish(store, sources[1]).account.written, ())
