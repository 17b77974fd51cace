"""Tests of the specification's error bodies."""

import json

from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.errors import MANIFEST_UNKNOWN, PAGINATION_NUMBER_INVALID


class ErrorTests(SynchronousTestCase):
    """The JSON that clients read."""

    def test_body(self) -> None:
        """A body is the specification's list of one error."""
        self.assertEqual(
            json.loads(MANIFEST_UNKNOWN.body({"Tag": "1.0"})),
            {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "1.0"}}]},
        )

    def test_no_detail(self) -> None:
        """Without a detail there is no such member, not a null."""
        self.assertNotIn("detail", json.loads(PAGINATION_NUMBER_INVALID.body())["errors"][0])
