"""Tests of sockets that were passed; with real ones in `tests.real.test_service_manager`."""

import socket

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.life.activation import BadActivation, PassedSocket, chosen, is_activation, passed_descriptors

HTTP = PassedSocket(3, "http", socket.AF_INET, "0.0.0.0:80")
HTTP6 = PassedSocket(4, "http", socket.AF_INET6, "[::]:80")
ADMIN = PassedSocket(5, "admin", socket.AF_UNIX, "/run/sdr/admin")
ALL = (HTTP, HTTP6, ADMIN)


class ActivationTests(SynchronousTestCase):
    """Which sockets a listening address means."""

    def test_ours(self) -> None:
        """All sockets, or those of a name; what says more is left to Twisted."""
        for description, ours in (
            ("systemd:", True),
            ("systemd:name=http", True),
            ("systemd:domain=INET:index=0", False),
            ("systemd:name=http:domain=INET", False),
            ("tcp:80", False),
        ):
            self.assertEqual(is_activation(description), ours, description)

    def test_chosen(self) -> None:
        """All of them are used, also those that have the same name."""
        self.assertEqual(chosen("systemd:", ALL), ALL)
        self.assertEqual(chosen("systemd:name=http", ALL), (HTTP, HTTP6))

    def test_none(self) -> None:
        """Where nothing was passed, or nothing of that name, one line says what is there and what to do."""
        error = self.assertRaises(BadActivation, chosen, "systemd:", ())
        self.assertRegex(str(error), r"\Asystemd:: no socket was passed: start it by a \.socket unit .*\Z")
        error = self.assertRaises(BadActivation, chosen, "systemd:name=web", ALL)
        self.assertEqual(str(error), "systemd:name=web: no socket of this name was passed; there is admin, http")

    def test_nothing_passed(self) -> None:
        """Started by hand, nothing was passed."""
        self.assertEqual(passed_descriptors(MemoryReactorClock()), ())
