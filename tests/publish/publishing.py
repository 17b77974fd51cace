"""What the tests of publishing have in common: a store in a directory, and layouts published into it."""

import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.image import BadSource
from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publication, Publisher
from sdr.publish.removal import Removal
from sdr.publish.sources.opening import Source, open_image
from sdr.registry.grammar import Digest
from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Store
from tests.directories import new_directory
from tests.images import Layout
from tests.publish.trees import broken_references, snapshot, snapshot_of, stale_documents
from tests.stores.memory import MemoryStore

NAME = "acme/app"


def publish(
    store: Store,
    source: str,
    name: str = NAME,
    tag: str = "1.0",
    platform: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Publication:
    """Publish as the command does."""
    jobs, report = Jobs(4), Silent()
    with open_image(Source.parse(source), Platform.parse(platform) if platform else None, jobs, report) as image:
        return Publisher(store, jobs, report, sleep=sleep).publish(image, name, [tag])


class PublishingTestCase(SynchronousTestCase):
    """Has an empty store, and room for sources."""

    def setUp(self) -> None:
        """Make both."""
        self.folder = new_directory(self, make=True)
        self.root = self.folder / "store"
        self.store = DirectoryStore(self.root)

    def oci(self, layout: Layout) -> str:
        """Write a layout and return its SOURCE."""
        path = self.folder / f"layout{len(list(self.folder.iterdir()))}"
        return f"oci:{layout.write(path)}"

    def archive(self, data: bytes, transport: str = "docker-archive") -> str:
        """Write an archive and return its SOURCE."""
        path = self.folder / f"archive{len(list(self.folder.iterdir()))}.tar"
        path.write_bytes(data)
        return f"{transport}:{path}"

    def publish(
        self, source: str | Layout, tag: str = "1.0", name: str = NAME, platform: str | None = None
    ) -> Publication:
        """Publish into the store."""
        text = self.oci(source) if isinstance(source, Layout) else source
        return publish(self.store, text, name, tag, platform)

    def tree(self) -> dict[str, bytes]:
        """Return what is in the store, once all of it is found to be whole and level."""
        tree = snapshot(self.store.root)
        self.assertEqual(broken_references(tree), [])
        self.assertEqual(stale_documents(tree), [])
        return tree

    def refused(self, source: str | Layout, *words: str, platform: str | None = None) -> None:
        """Require that a source is refused with one line that has these words, and that nothing was written."""
        before = self._referred()
        error = self.assertRaises(BadSource, self.publish, source, platform=platform)
        for word in words:
            self.assertIn(word, str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(self._referred(), before)

    def _referred(self) -> dict[str, bytes]:
        """Return the tree but for the blobs: other threads may have written some before the bad one was found."""
        return {key: data for key, data in snapshot(self.store.root).items() if not key.startswith("blobs/")}

    def path_of(self, source: str) -> Path:
        """Return where a SOURCE is."""
        return Path(source.split(":")[1])


class MemoryTestCase(SynchronousTestCase):
    """Has an image in a store, and a source of it and of another that shares a layer."""

    def setUp(self) -> None:
        """Publish."""
        self.folder = new_directory(self, make=True)
        self.store = MemoryStore()
        layout = Layout()
        image = layout.image({"a": b"shared"})
        other = layout.image({"a": b"shared", "b": b"own"})
        index = layout.index([image, layout.image({"c": b"c"}, platform="linux/arm64")])
        signature = layout.artifact(subject=index)
        layout.tag(image, "image")
        layout.tag(other, "other")
        layout.tag(index, "index")
        layout.tag(signature, "signature")
        self.path = layout.write(self.folder / "layout")
        self.digests = {
            ref: Digest.parse(each["digest"])
            for ref, each in {"image": image, "other": other, "index": index, "signature": signature}.items()
        }

    def publish(
        self, ref: str, tag: str, store: Store | None = None, sleep: Callable[[float], None] | None = None
    ) -> None:
        """Publish one of the images."""
        with open_image(Source.parse(f"oci:{self.path}:{ref}"), None, Jobs(1), Silent()) as image:
            publisher = Publisher(store or self.store, Jobs(1), Silent(), sleep=sleep or (lambda _: None))
            publisher.publish(image, NAME, [tag])

    def removal(self, store: Store | None = None) -> Removal:
        """Return what removes."""
        return Removal(store or self.store, Jobs(1), Silent(), sleep=lambda _: None)

    def tree(self) -> dict[str, bytes]:
        """Return what is there, marks aside, once it is found whole and level."""
        tree = snapshot_of(self.store)
        self.assertEqual(broken_references(tree) + stale_documents(tree), [])
        return tree

    def blobs(self) -> set[str]:
        """Return the keys of the blobs."""
        return {key for key in self.store.objects if key.startswith("blobs/")}
