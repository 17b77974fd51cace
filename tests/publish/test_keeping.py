"""Tests of documents that several publishers keep: what is read ahead, and when it is read again."""

import json

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.jobs import Jobs
from sdr.publish.keeping import Documents
from sdr.publish.progress import Silent
from sdr.publish.writing import Writing
from sdr.stores.interface import Bytes, Changed, Stat
from sdr.tree.headers import GC_HEADERS
from tests.stores.memory import MemoryStore

KEY, OTHER = "v2/a/tags/list", "v2/a/_repository.json"


class Counting(MemoryStore):
    """Counts what is read."""

    def __init__(self, *, conditional_writes: bool = True) -> None:
        super().__init__(conditional_writes=conditional_writes)
        self.read: list[str] = []

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read."""
        self.read.append(key)
        return super().get(key)


class DocumentsTests(SynchronousTestCase):
    """One command's documents, beside another's."""

    def start(self, *, conditional: bool = True) -> None:
        """Begin with two documents."""
        self.store = Counting(conditional_writes=conditional)
        self.others(KEY, ["a"])
        self.others(OTHER, ["a"])
        writing = Writing(self.store, Jobs(2), Silent())
        self.documents = Documents(self.store, Jobs(2), writing, mends=False, sleep=lambda _: None)

    def others(self, key: str, value: list[str]) -> None:
        """Write as somebody else."""
        self.store.put(key, Bytes(json.dumps(value).encode()), GC_HEADERS)

    def add(self, key: str, member: str) -> bool:
        """Put a member into a document, unless it is there; a step."""
        found = self.documents.read(key)
        members = self.documents.decoded(found, json.loads) or []
        return self.documents.write(found, json.dumps(sorted({*members, member})).encode(), GC_HEADERS)

    def there(self, key: str) -> list[str]:
        """Return a document."""
        members: list[str] = json.loads(self.store.snapshot()[key])
        return members

    def test_read_once(self) -> None:
        """What is held is not read again before it is put back, where that is conditional."""
        self.start()
        self.documents.settle([lambda: self.add(KEY, "b"), lambda: self.add(OTHER, "b")], lambda: [KEY, OTHER])
        self.assertEqual(sorted(self.store.read), sorted([KEY, OTHER]))
        self.assertEqual((self.there(KEY), self.there(OTHER)), (["a", "b"], ["a", "b"]))

    def test_level_already(self) -> None:
        """Where nothing is written, one reading of each document is enough."""
        for conditional in (True, False):
            self.start(conditional=conditional)
            self.documents.settle([lambda: self.add(KEY, "a"), lambda: self.add(OTHER, "a")], lambda: [KEY, OTHER])
            self.assertEqual(sorted(self.store.read), sorted([KEY, OTHER]))

    def test_changed_meanwhile(self) -> None:
        """A document that others change after it was held keeps what they wrote."""
        for conditional in (True, False):
            self.start(conditional=conditional)
            self.documents.hold([KEY])
            self.others(KEY, ["a", "c"])
            self.documents.settle([lambda: self.add(KEY, "b")])
            self.assertEqual(self.there(KEY), ["a", "b", "c"])

    def test_spoilt_meanwhile(self) -> None:
        """A document that is right when it is held, and wrong once something was written, is mended."""
        for conditional in (True, False):
            self.start(conditional=conditional)
            self.others(KEY, ["a", "b"])
            self.documents.hold([KEY, OTHER])
            self.others(KEY, ["a"])
            self.documents.settle([lambda: self.add(OTHER, "b"), lambda: self.add(KEY, "b")])
            self.assertEqual(self.there(KEY), ["a", "b"])

    def test_hold_is_for_one_use(self) -> None:
        """After all steps were taken, the next command's reading is a new one."""
        self.start()
        self.documents.settle([lambda: False], lambda: [KEY])
        self.others(KEY, ["z"])
        self.assertEqual(self.documents.read(KEY).data, b'["z"]')

    def test_without_settling(self) -> None:
        """A document that somebody else has changed is not overwritten; who asked is told."""
        self.start()
        found = self.documents.read(KEY)
        self.others(KEY, ["c"])
        self.assertRaises(Changed, self.documents.write, found, b'["b"]', GC_HEADERS)
        self.assertEqual(self.there(KEY), ["c"])
