"""Checking, removing and collecting what protocol v1 has on real stores, segments of large layers too."""

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.checking import Checker
from sdr.publish.collection import Collection
from sdr.publish.findings import Checked
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.removal import Removal
from sdr.stores.interface import Stat, Store
from sdr.stores.opening import open_store
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from tests import images
from tests.directories import new_directory
from tests.publish.checked import layered
from tests.publish.v1_trees import publish_v1
from tests.real.programs import folder
from tests.real.s3 import moto
from tests.real.swift import swift

NAME = "acme/app"


def layout(text: str) -> str:
    """Write an image with a layer that all share and one of its own, and return its SOURCE."""
    made = images.Layout()
    layered(made, "image", ({"a": b"shared" * 100}, ""), ({"b": text.encode() * 1000}, ""))
    return f"oci:{made.write(folder() / 'layout')}"


class CollectingTests(SynchronousTestCase):
    """Images of protocol v1 from the first publish to nothing."""

    def keys(self, store: Store, prefix: str) -> set[str]:
        """Return what is there."""
        return {found.key for found in store.list(prefix) if isinstance(found, Stat)}

    def collect(self, store: Store, times: int = 2) -> None:
        """Mark and sweep."""
        for _ in range(times):
            Collection(store, Jobs(8), Silent()).collect(0)

    def check(self, store: Store) -> Checked:
        """Read all, layers whole."""
        return Checker(store, Jobs(8), Silent()).check(deep=True)

    def live(self, store: Store) -> None:
        """Publish, untag, collect, remove and collect; only what is of no use goes, and all of that."""
        publish_v1(store, layout("first"), NAME, "1")
        second = publish_v1(store, layout("second"), NAME, "2")
        checked = self.check(store)
        self.assertEqual((checked.findings, checked.notes), ((), ()))
        before = self.keys(store, "images/")
        self.collect(store)
        self.assertEqual(self.keys(store, "images/"), before)
        Removal(store, Jobs(8), Silent()).untag(NAME, "2")
        self.collect(store)
        gone = before - self.keys(store, "images/")
        self.assertEqual({key.split("/")[1] for key in gone}, {second.id})
        self.assertEqual(self.check(store).findings, ())
        # The blobs go without the layers of protocol v1, whatever the store shares between them.
        for key in self.keys(store, "v2/"):
            store.delete(key)
        # A directory's files with two names take a run more.
        self.collect(store, 3)
        self.assertEqual(self.keys(store, "blobs/"), set())
        self.assertEqual(self.check(store).findings, ())
        Removal(store, Jobs(8), Silent()).remove(NAME, None)
        self.collect(store, 3)
        self.assertEqual(self.keys(store, "images/") | self.keys(store, "repositories/"), set())

    def opened(self, text: str, environment: Mapping[str, str]) -> Store:
        """Open a store."""
        return open_store(text, environment)

    def test_directory(self) -> None:
        """In a directory, where a layer is its blob by another name."""
        self.live(self.opened(str(new_directory(self) / "store"), {}))

    def test_s3(self) -> None:
        """In S3."""
        server = moto()
        self.live(self.opened(f"s3://{server.make_bucket('v1-collecting')}", server.environment))

    def test_swift(self) -> None:
        """In Swift, with every layer in segments."""
        server = swift()
        server.make_container("v1-collecting")
        store = SwiftStore("swift://v1-collecting", "v1-collecting", "", login(server.environment), segment_size=400)
        self.live(store)
        self.assertEqual([name for name in server.objects("v1-collecting") if "_segments/" in name], [])
