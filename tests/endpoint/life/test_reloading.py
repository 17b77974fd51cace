"""Tests of what SIGHUP does."""

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.config import BadConfig
from sdr.endpoint.life.changes import Changes
from sdr.endpoint.life.reloading import Reconfiguring, Reloading

R = TypeVar("R")


def at_once(call: Callable[[], R], /) -> Deferred[R]:
    """Run a call in no thread."""
    return execute(call)


class ReloadingTests(SynchronousTestCase):
    """The steps."""

    def setUp(self) -> None:
        """Note what happens."""
        self.happened: list[str] = []
        self.waiting: Deferred[None] = Deferred()

    def reloading(self, *steps: Any) -> Reloading:
        """Return a reload of these steps, which notes when it begins and when it is over."""
        return Reloading(steps, lambda: self.happened.append("begun"), lambda: self.happened.append("over"))

    def step(self, name: str, wait: bool = False) -> Callable[[], Deferred[None] | None]:
        """Return a step that notes its name, and may wait."""

        def noted() -> Deferred[None] | None:
            self.happened.append(name)
            return self.waiting if wait else None

        return noted

    def test_in_order(self) -> None:
        """A step begins when the one before it is done; it is over after the last."""
        self.reloading(self.step("config"), self.step("certificates", wait=True), self.step("poll")).reload()
        self.assertEqual(self.happened, ["begun", "config", "certificates"])
        self.waiting.callback(None)
        self.assertEqual(self.happened[3:], ["poll", "over"])

    def test_failure(self) -> None:
        """A step that fails is logged, and the others are done."""

        def failing() -> None:
            raise OSError("no")

        self.reloading(failing, self.step("poll")).reload()
        self.assertEqual(self.happened, ["begun", "poll", "over"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_again(self) -> None:
        """Signals that come during a reload are one more reload after it."""
        reloading = self.reloading(self.step("config", wait=True))
        for _ in range(3):
            reloading.reload()
        first, self.waiting = self.waiting, Deferred()
        first.callback(None)
        self.waiting.callback(None)
        self.assertEqual(self.happened, ["begun", "config", "over"] * 2)

    def test_cancel(self) -> None:
        """The end of the program is the end of a reload."""
        reloading = self.reloading(self.step("config", wait=True), self.step("poll"))
        reloading.reload()
        reloading.reload()
        reloading.stopService()
        self.assertEqual(self.happened, ["begun", "config", "over"])


class ReconfiguringTests(SynchronousTestCase):
    """The step that reads the options again."""

    def setUp(self) -> None:
        """Start with some options."""
        self.values: dict[str, Any] = {"browse": 0, "poll": "30"}
        self.applied: list[tuple[dict[str, Any], Changes]] = []
        self.new: dict[str, Any] | Exception = dict(self.values)

    def reconfigure(self) -> tuple[Reconfiguring, list[str]]:
        """Read the options again, and return the lines that are logged."""

        def read() -> dict[str, Any]:
            if isinstance(self.new, Exception):
                raise self.new
            return self.new

        step = Reconfiguring(
            self.values, read, at_once, lambda values, found: self.applied.append((values, found)), (BadConfig,)
        )
        with capturedLogs() as captured:
            self.successResultOf(step())
        return step, [str(event["log_format"]).format(**event) for event in captured]

    def test_nothing_changed(self) -> None:
        """A file that says the same changes nothing, and nothing is said."""
        _, lines = self.reconfigure()
        self.assertEqual((lines, self.applied), ([], []))

    def test_taken_on(self) -> None:
        """What can be taken on at once is, and the rest is told in one line."""
        self.new = {"browse": True, "poll": "60"}
        step, lines = self.reconfigure()
        self.assertEqual(lines, ["changed: browse", "needs a restart: poll"])
        self.assertEqual(self.applied, [({"browse": True, "poll": "30"}, Changes(("browse",), ("poll",)))])
        self.assertEqual(step.values, {"browse": True, "poll": "30"})

    def test_bad_file(self) -> None:
        """A file with a mistake changes nothing, and says so in one line."""
        self.new = BadConfig("/etc/sdr.toml:1: there is no option brows; did you mean browse?")
        step, lines = self.reconfigure()
        self.assertEqual(
            lines,
            [
                "the configuration is as before, nothing of the new one is used:"
                " /etc/sdr.toml:1: there is no option brows; did you mean browse?"
            ],
        )
        self.assertEqual((self.applied, step.values), ([], self.values))
