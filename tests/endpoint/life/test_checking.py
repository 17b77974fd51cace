"""Tests of `--check-config`."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.life.checking import complaints, verdict


class CheckingTests(SynchronousTestCase):
    """All checks, and what they come to."""

    def test_well(self) -> None:
        """Where nothing is wrong it says OK and succeeds."""
        self.assertEqual(verdict(complaints([lambda: 1], (ValueError,))), ("OK", 0))

    def test_all_that_is_wrong(self) -> None:
        """Each thing that is wrong is a line, whatever went before it, and it fails."""

        def wrong(text: str) -> None:
            raise ValueError(text)

        found = complaints([lambda: wrong("one\ntwo"), lambda: 1, lambda: wrong("sdr: three")], (ValueError,))
        self.assertEqual(verdict(found), ("sdr: one two\nsdr: three", 1))

    def test_mistake_of_the_program(self) -> None:
        """What nobody expects is not taken for a line to read."""
        self.assertRaises(ZeroDivisionError, complaints, [lambda: 1 // 0], (ValueError,))
