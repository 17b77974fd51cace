"""Tests of the thread in which a command runs."""

import threading

from twisted.trial.unittest import SynchronousTestCase

from sdr.cli.interruption import Interruption


class InterruptionTests(SynchronousTestCase):
    """A command that nobody interrupts."""

    def test_result(self) -> None:
        """What the command returns is returned, and it does not run in the main thread."""
        self.assertNotEqual(Interruption().run(threading.get_ident), threading.get_ident())

    def test_failure(self) -> None:
        """What it raises is raised, an exit too."""

        def leave() -> None:
            raise SystemExit(3)

        def fail() -> None:
            raise ZeroDivisionError

        self.assertEqual(self.assertRaises(SystemExit, Interruption().run, leave).code, 3)
        self.assertRaises(ZeroDivisionError, Interruption().run, fail)
