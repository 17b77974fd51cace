"""Tests of how publishers heed the marks of collections; what comes of it is in test_collection."""

from sdr.publish.jobs import Jobs
from sdr.publish.marks import DEAD, PATIENCE, Guard, Lost, Marks, Sweep
from sdr.publish.progress import Silent
from sdr.publish.refused import Refused
from sdr.stores.interface import Bytes, NotReachable, Stat
from sdr.tree.headers import GC_HEADERS
from sdr.tree.marks import Candidate, Mark, State
from tests.publish.publishing import MemoryTestCase

KEY = "_gc/x.json"


class GuardTests(MemoryTestCase):
    """One publisher and one mark."""

    def setUp(self) -> None:
        """Make a guard, and something that it needs."""
        super().setUp()
        self.marks = Marks(self.store)
        self.slept: list[float] = []
        self.written: list[str] = []
        self.guard = Guard(self.store, Jobs(1), Silent(), sleep=self.slept.append)
        keys = ["v2/a/manifests/sha256:1", "blobs/sha256/2", "blobs/sha256/3"]
        self.needed = {key: (lambda key=key: self.written.append(key)) for key in keys}

    def mark(self, state: State, *keys: str, since: float = 1.0) -> None:
        """Write a mark."""
        self.marks.write(KEY, Mark(state, since, False, {key: Candidate("v", 0.0) for key in keys}))

    def test_no_mark(self) -> None:
        """Without a mark nothing is written."""
        self.guard.keep(self.needed)
        self.assertEqual((self.written, self.slept), ([], []))

    def test_marked(self) -> None:
        """What is marked and needed is written anew, once, blobs first; the rest is not."""
        self.mark(State.MARKED, "v2/a/manifests/sha256:1", "blobs/sha256/2", "blobs/sha256/9")
        for _ in range(2):
            self.guard.keep(self.needed)
            self.assertEqual(self.written, ["blobs/sha256/2", "v2/a/manifests/sha256:1"])

    def test_swept(self) -> None:
        """What was swept is written again where it is gone."""
        self.mark(State.SWEPT, "blobs/sha256/2", "blobs/sha256/3")
        self.store.objects["blobs/sha256/3"] = b"", GC_HEADERS, Stat("blobs/sha256/3", 0, "v", 0.0)
        self.guard.keep(self.needed)
        self.assertEqual(self.written, ["blobs/sha256/2"])

    def test_patience(self) -> None:
        """A sweep is waited for as long as it shows signs of life, and a while longer."""
        self.mark(State.SWEEPING, "blobs/sha256/2")

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            if sum(self.slept) == PATIENCE - 1:
                self.marks.beat(KEY, "1")

        guard = Guard(self.store, Jobs(1), Silent(), sleep=sleep)
        error = self.assertRaises(NotReachable, guard.keep, self.needed)
        self.assertIn("sdr gc", str(error))
        self.assertEqual(sum(self.slept), 2 * PATIENCE - 1)

    def test_of_no_concern(self) -> None:
        """A sweep of what is not needed is not waited for."""
        self.mark(State.SWEEPING, "blobs/sha256/9")
        self.assertFalse(self.guard.keep(self.needed))

    def test_written_during_a_sweep(self) -> None:
        """What was written while a sweep went on is written again: it may share parts with what was deleted."""
        self.store.now = lambda: 1000.0
        self.mark(State.SWEPT, "blobs/sha256/2", "blobs/sha256/3")
        for number, now in ((2, 999.0), (3, 1100.0)):
            self.store.now = lambda now=now: now  # type: ignore[misc]
            self.store.put(f"blobs/sha256/{number}", Bytes(b""), GC_HEADERS)
        self.assertTrue(self.guard.keep(self.needed))
        self.assertEqual(self.written, ["blobs/sha256/2"])

    def test_lost(self) -> None:
        """A sweep that may count as dead deletes no more."""
        sweep = Sweep(self.marks, KEY, Mark(State.MARKED, 1.0, False, {}), lambda: 7.0)
        with sweep:
            sweep.go_on()
            sweep.alive -= DEAD
            self.assertRaises(Lost, sweep.go_on)

    def test_sweep(self) -> None:
        """A sweep says so while it lasts, and afterwards that it is over, also if it failed; not if it was refused."""
        mark = Mark(State.MARKED, 1.0, False, {"a": Candidate("v", 0.0)})
        for failure, after in ((None, State.SWEPT), (ZeroDivisionError, State.SWEPT), (Refused, None)):
            try:
                with Sweep(self.marks, KEY, mark, lambda: 7.0):
                    self.assertEqual(self.read(), {KEY: mark.now(State.SWEEPING, 7.0)})
                    if failure is not None:
                        raise failure
            except (ZeroDivisionError, Refused):
                pass
            self.assertEqual(self.read(), {KEY: mark.now(after, 7.0)} if after else {})
            self.assertEqual(set(self.store.objects), {KEY} if after else set())

    def read(self) -> dict[str, Mark]:
        """Return the marks that are there."""
        return {key: found.mark for key, found in self.marks.read().items()}
