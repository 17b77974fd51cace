"""Tests of trying again."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.interface import NotAllowed, NotReachable, StoreError
from sdr.stores.retrying import Busy, Patience


class PatienceTests(SynchronousTestCase):
    """When something is tried again, and when."""

    def setUp(self) -> None:
        """Wait in no real time."""
        self.waits: list[float] = []
        self.tried = 0
        self.patience = Patience(attempts=4, first=1.0, longest=30.0, sleep=self.waits.append)

    def face(self, *failures: StoreError) -> str:
        """Fail so often and then succeed."""
        left = list(failures)

        def attempt() -> str:
            self.tried += 1
            if left:
                raise left.pop(0)
            return "done"

        return self.patience(attempt)

    def test_until_it_works(self) -> None:
        """What may pass by itself is tried again, after a wait that grows and that chance has a part in."""
        gone = NotReachable("store", "key", "gone")
        self.assertEqual(self.face(gone, gone, gone), "done")
        self.assertEqual(self.tried, 4)
        for wait, most in zip(self.waits, (1.0, 2.0, 4.0), strict=True):
            self.assertTrue(0 <= wait <= most, self.waits)
        self.face(gone, gone, gone)
        self.assertNotEqual(self.waits[:3], self.waits[3:])

    def test_not_for_ever(self) -> None:
        """The last failure comes out as it is."""
        failures = [NotReachable("store", "key", str(number)) for number in range(5)]
        error = self.assertRaises(NotReachable, self.face, *failures)
        self.assertIs(error, failures[3])
        self.assertEqual((self.tried, len(self.waits)), (4, 3))

    def test_what_stays_so(self) -> None:
        """What does not pass by itself is not tried again."""
        self.assertRaises(NotAllowed, self.face, NotAllowed("store", "key", "no"))
        self.assertEqual((self.tried, self.waits), (1, []))

    def test_asked_to_wait(self) -> None:
        """A store that says how long to wait is left alone for as long, but not for ever."""
        self.face(Busy("store", "key", "busy", 7.0), Busy("store", "key", "busy", 1e9), Busy("store", "key", "busy"))
        self.assertTrue(7.0 <= self.waits[0] <= 8.0, self.waits)
        self.assertTrue(30.0 <= self.waits[1] <= 31.0, self.waits)
        self.assertLessEqual(self.waits[2], 4.0)
