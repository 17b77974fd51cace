"""Tests of when an endpoint is ready."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.admin.readiness import Readiness, readiness
from sdr.endpoint.admin.standing import Standing


def ask(
    standing: Standing, max_age: float | None = None, *, listening: bool = True, draining: bool = False
) -> Readiness:
    """Ask at 1000 seconds."""
    return readiness(standing, listening=listening, draining=draining, now=1000.0, max_age=max_age)


class ReadinessTests(SynchronousTestCase):
    """Readiness."""

    def test_table(self) -> None:
        """It follows from the catalog's state, from what is known, and from the age that is allowed."""
        for state, repositories, polled_at, max_age, ready, word in (
            ("loaded", 3, 990.0, None, True, "fresh"),
            ("loaded", 0, 990.0, None, True, "fresh"),
            ("loaded", 3, 990.0, 60.0, True, "fresh"),
            ("loaded", 3, 100.0, 60.0, False, "too old"),
            ("failing", 3, 100.0, None, True, "stale"),
            ("failing", 0, 100.0, None, True, "stale"),
            ("failing", 3, 950.0, 60.0, True, "stale"),
            ("failing", 3, 100.0, 60.0, False, "too old"),
            ("failing", 3, None, None, True, "saved"),
            ("failing", 3, None, 60.0, False, "too old"),
            ("failing", 0, None, None, False, "unknown"),
            ("failing", 0, None, 60.0, False, "unknown"),
            ("starting", 0, None, None, False, "unknown"),
            ("starting", 3, None, None, True, "saved"),
            ("none", 0, 990.0, None, True, "absent"),
            ("none", 0, 100.0, 60.0, False, "too old"),
        ):
            got = ask(Standing(state, repositories, polled_at), max_age)
            self.assertEqual((got.ready, got.catalog), (ready, word), (state, repositories, polled_at, max_age))

    def test_serving(self) -> None:
        """Who does not listen, or does not listen any more, is not ready, whatever it knows."""
        standing = Standing("loaded", 3, 990.0)
        self.assertEqual(ask(standing, listening=False).serving, "not listening")
        self.assertEqual(ask(standing, draining=True).serving, "draining")
        self.assertFalse(ask(standing, listening=False).ready)
        self.assertFalse(ask(standing, draining=True).ready)

    def test_body(self) -> None:
        """The body says what, why and how old, in one line."""
        body = ask(Standing("failing", 3, 900.0, 4, "timeout")).body()
        self.assertEqual(body.count(b"\n"), 1)
        self.assertEqual(
            json.loads(body),
            {
                "ready": True,
                "serving": "listening",
                "catalog": "stale",
                "age_seconds": 100.0,
                "repositories": 3,
                "failed_polls": 4,
                "trouble": "timeout",
            },
        )

    @given(
        st.sampled_from(["starting", "loaded", "failing", "none"]),
        st.integers(0, 3),
        st.none() | st.floats(0, 2000),
        st.none() | st.floats(1, 2000),
    )
    def test_age_only_takes_away(self, state: str, count: int, at: float | None, max_age: float | None) -> None:
        """An age that is allowed makes nobody ready who would not be without it."""
        standing = Standing(state, count, at)
        self.assertLessEqual(ask(standing, max_age).ready, ask(standing).ready)
        json.loads(ask(standing, max_age).body())
