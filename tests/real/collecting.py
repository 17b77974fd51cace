"""Where what is removed and collected is tried: in each kind of store, from the first publish to nothing."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.checking import Checker
from sdr.publish.check.findings import Checked
from sdr.publish.collection import Collection
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.stores.interface import Stat, Store
from sdr.stores.opening import open_store
from sdr.stores.swift import SwiftStore
from sdr.stores.swift_credentials import login
from tests.directories import new_directory
from tests.real.s3 import moto
from tests.real.swift import swift


class CollectingTestCase(SynchronousTestCase):
    """One life of a store, in each kind of store."""

    #: The bucket or container: these tests' own.
    place: str

    def live(self, store: Store) -> None:
        """Publish, remove and collect; only what is of no use goes, and all of that."""
        raise NotImplementedError

    def keys(self, store: Store, prefix: str = "blobs/") -> set[str]:
        """Return what is there."""
        return {found.key for found in store.list(prefix) if isinstance(found, Stat)}

    def collect(self, store: Store, times: int = 2) -> tuple[str, ...]:
        """Mark and sweep, and return what the last run deleted."""
        collection = Collection(store, Jobs(8), Silent())
        return [collection.collect(0) for _ in range(times)][-1].deleted

    def check(self, store: Store) -> Checked:
        """Read all, to the end."""
        return Checker(store, Jobs(8), Silent()).check(deep=True)

    def segmented(self) -> SwiftStore:
        """Return a container in which every layer is in segments."""
        server = swift()
        server.make_container(self.place)
        return SwiftStore(f"swift://{self.place}", self.place, "", login(server.environment), segment_size=400)

    def segments(self, prefix: str) -> list[str]:
        """Return the names of the segments there of objects with these keys."""
        return [name for name in swift().objects(self.place) if f"_segments/{prefix}" in name]

    def test_directory(self) -> None:
        """In a directory."""
        self.live(open_store(str(new_directory(self) / "store"), {}))

    def test_s3(self) -> None:
        """In S3."""
        server = moto()
        self.live(open_store(f"s3://{server.make_bucket(self.place)}", server.environment))
