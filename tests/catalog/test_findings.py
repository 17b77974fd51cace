"""Tests of what looks have found, and for how long it is good."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.findings import TRUSTED_POLLS, is_current

POLL = 30.0


class IsCurrentTests(SynchronousTestCase):
    """When a repository's document may be used without a look."""

    def test_table(self) -> None:
        """Five polls where the lists agree, one where they lag, none once they have moved on."""
        for listed_then, listed_now, age, expected in [
            ("a", "a", 0.0, True),
            ("a", "a", 149.0, True),
            ("a", "a", 150.0, False),
            ("b", "a", 149.0, True),  # the lists have caught up with the document
            (None, "a", 149.0, True),
            ("b", "b", 29.0, True),  # the lists lag behind the document, or it behind them
            ("b", "b", 30.0, False),
            (None, None, 29.0, True),
            (None, None, 30.0, False),
            ("a", "b", 0.0, False),  # it has changed
            ("b", "c", 0.0, False),
            ("a", None, 0.0, False),  # it is no longer listed
            ("a", "a", float("inf"), False),
        ]:
            got = is_current("a", listed_then, listed_now, age, POLL)
            self.assertEqual(got, expected, (listed_then, listed_now, age))

    @given(st.sampled_from("abc"), st.sampled_from(["a", "b", None]), st.sampled_from(["a", "b", None]))
    def test_never_for_ever(self, found: str, then: str | None, now: str | None) -> None:
        """However the lists stand, a document is looked at again after five polls at the latest."""
        self.assertFalse(is_current(found, then, now, TRUSTED_POLLS * POLL, POLL))
