"""Tests of the budget of looks."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.budget import Budget


def _spend(budget: Budget, at: float, times: int) -> int:
    return sum(budget.spend(at) for _ in range(times))


class BudgetTests(SynchronousTestCase):
    """A token bucket."""

    def test_burst(self) -> None:
        """After a quiet time, as many looks as the burst are there at once."""
        self.assertEqual(_spend(Budget(10.0, 20.0), 1000.0, 100), 20)

    def test_full_at_the_start(self) -> None:
        """A new budget is full, whatever the clock says."""
        self.assertEqual(_spend(Budget(10.0, 20.0), 0.0, 100), 20)

    def test_refill(self) -> None:
        """It refills at its rate, and no further than the burst."""
        budget = Budget(10.0, 20.0)
        _spend(budget, 0.0, 100)
        self.assertEqual(_spend(budget, 0.5, 100), 5)
        self.assertEqual(_spend(budget, 100.0, 100), 20)

    def test_pieces(self) -> None:
        """Pieces of a look add up: asking often neither wins nor loses any."""
        budget = Budget(10.0, 20.0)
        _spend(budget, 0.0, 100)
        self.assertEqual(sum(budget.spend(step / 128) for step in range(1, 129)), 10)

    def test_clock_that_goes_back(self) -> None:
        """A clock that was set back gives nothing, and takes nothing."""
        budget = Budget(10.0, 20.0)
        _spend(budget, 100.0, 15)
        self.assertEqual(_spend(budget, 50.0, 100), 5)

    @given(
        st.floats(0.1, 1000.0),
        st.floats(1.0, 1000.0),
        st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, 50)), max_size=20),
    )
    def test_never_more_than_promised(self, rate: float, burst: float, steps: list[tuple[float, int]]) -> None:
        """Over any time, no more looks are allowed than the burst and the rate for that time."""
        budget, now, allowed = Budget(rate, burst), 0.0, 0
        for seconds, times in steps:
            now += seconds
            allowed += _spend(budget, now, times)
            self.assertLessEqual(allowed, burst + rate * now + 1e-6)

    @given(st.floats(1.0, 100.0), st.floats(1.0, 100.0), st.integers(1, 50))
    def test_no_less_than_promised(self, rate: float, burst: float, steps: int) -> None:
        """Who asks no faster than the rate is never refused."""
        budget = Budget(rate, burst)
        self.assertTrue(all(budget.spend(step * 1.001 / rate) for step in range(steps)))
