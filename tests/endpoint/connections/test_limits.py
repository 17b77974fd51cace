"""Tests of the limits' options."""

from dataclasses import fields

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.limits import OPTIONS, ROWS, BadLimit, Limits, read_limits


class LimitsTests(SynchronousTestCase):
    """Reading limits."""

    def test_every_limit_has_an_option(self) -> None:
        """Each limit can be chosen, and its default is among what may be chosen."""
        self.assertEqual([field.name for field in fields(Limits)], list(OPTIONS))
        defaults = {str(row[0]): str(row[2]) for row in ROWS}
        self.assertEqual(read_limits(defaults), Limits())
        self.assertEqual(read_limits({}), Limits())

    def test_chosen(self) -> None:
        """What is chosen is used; other options are left alone."""
        limits = read_limits({"max-connections": "7", "idle-timeout": "0.5", "cdn": "https://x/"})
        self.assertEqual(limits, Limits(connections=7, idle_seconds=0.5))

    def test_unusable(self) -> None:
        """What cannot be used is named, with what can."""
        for option, text, message in (
            ("max-connections", "many", "--max-connections many: it is a whole number, from 1 to 10000000"),
            ("max-connections", "0", "--max-connections 0: it is a whole number, from 1 to 10000000"),
            ("max-requests", "1.5", "--max-requests 1.5: it is a whole number, from 1 to 1000000000"),
            ("idle-timeout", "nan", "--idle-timeout nan: it is a number of seconds, from 0.1 to 86400"),
            ("idle-timeout", "", "--idle-timeout : it is a number of seconds, from 0.1 to 86400"),
            (
                "max-head",
                "256",
                "--max-request-line 8192: it is part of the head; give at most --max-head, which is 256",
            ),
        ):
            with self.assertRaises(BadLimit) as caught:
                read_limits({option: text})
            self.assertEqual(str(caught.exception), message)
