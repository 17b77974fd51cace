"""Tests of what the service manager is told."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.life.notify import message, sender, watchdog_seconds
from sdr.endpoint.life.supervision import SupervisionService


class NotifyTests(SynchronousTestCase):
    """What the environment says, and the messages."""

    def test_message(self) -> None:
        """Each field is a line; no value can begin a second one."""
        self.assertEqual(message(READY=1, STATUS="a\nSTOPPING=1"), b"READY=1\nSTATUS=a STOPPING=1")

    def test_nobody(self) -> None:
        """Without a service manager nobody is told."""
        for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            self.assertIsNone(sender(environment))

    def test_gone(self) -> None:
        """A service manager that has gone is no reason to end."""
        send = sender({"NOTIFY_SOCKET": "/nonexistent/notify"})
        assert send is not None
        send(b"READY=1")

    def test_watchdog(self) -> None:
        """The watchdog is heeded when it is meant for this process."""
        for environment, seconds in (
            ({}, None),
            ({"WATCHDOG_USEC": "3000000"}, 3.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "x"}, None),
        ):
            self.assertEqual(watchdog_seconds(environment, 7), seconds, environment)


class SupervisionTests(SynchronousTestCase):
    """The service, with time in the test's hands."""

    def setUp(self) -> None:
        """Listen in the service manager's place."""
        self.clock = Clock()
        self.heard: list[bytes] = []
        self.status = "12 repositories"

    def service(self, watchdog: float | None = None) -> SupervisionService:
        """Start the service."""
        made = SupervisionService(self.clock, self.heard.append, watchdog, lambda: self.status, lambda: 42)
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def test_ready(self) -> None:
        """Once it is started it is ready, and says how it is."""
        self.service()
        self.assertEqual(self.heard, [b"READY=1\nSTATUS=12 repositories"])

    def test_reload(self) -> None:
        """A reload begins at a time that systemd can compare, and ends with being ready."""
        service = self.service()
        self.status = ""
        service.reloading()
        service.reloaded()
        self.assertEqual(self.heard[1:], [b"RELOADING=1\nMONOTONIC_USEC=42", b"READY=1"])

    def test_watchdog(self) -> None:
        """Signs of life come twice as often as is asked for, with the state, also while it ends."""
        service = self.service(10.0)
        self.heard.clear()
        self.status = "13 repositories"
        self.clock.advance(5)
        self.assertEqual(self.heard, [b"WATCHDOG=1\nSTATUS=13 repositories"])
        service.stopping("draining 3 connections")
        self.clock.advance(5)
        self.assertEqual(self.heard[1:], [b"STOPPING=1\nSTATUS=draining 3 connections", b"WATCHDOG=1"])

    def test_stopping(self) -> None:
        """The end is told once, no reload is after it, and no timer is left."""
        service = self.service(10.0)
        self.heard.clear()
        service.stopping()
        service.stopService()
        service.reloading()
        service.reloaded()
        self.assertEqual(self.heard, [b"STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody(self) -> None:
        """Without a service manager nothing is told, and no timer runs."""
        service = SupervisionService(self.clock, None, 10.0)
        service.startService()
        service.reloading()
        service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
