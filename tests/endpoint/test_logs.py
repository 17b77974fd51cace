"""Tests of the log as JSON."""

import io
import json
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from sdr.endpoint.logs import json_line, json_lines, lines_to
from sdr.endpoint.timestamps import rfc3339


def logged(severity: str, text: str, /, **fields: Any) -> dict[str, Any]:
    """Return a line that something is logged as, parsed."""
    file = io.StringIO()
    getattr(Logger("sdr.tests", observer=LogPublisher(lines_to(file))), severity)(text, **fields)
    lines = file.getvalue().splitlines()
    assert len(lines) == 1, lines
    found: dict[str, Any] = json.loads(lines[0])
    return found


class LineTests(SynchronousTestCase):
    """One line an event."""

    def test_line(self) -> None:
        """It has the time, level, namespace, message and the event's fields."""
        line = logged("warn", "polling {location} fails: {failures}", location="https://a.example", failures=3)
        self.assertRegex(line.pop("time"), r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
        self.assertEqual(
            line,
            {
                "level": "warn",
                "namespace": "sdr.tests",
                "message": "polling https://a.example fails: 3",
                "location": "https://a.example",
                "failures": 3,
            },
        )

    def test_time(self) -> None:
        """Times are UTC as RFC 3339 has them."""
        self.assertEqual(rfc3339(0), "1970-01-01T00:00:00.000Z")
        self.assertEqual(rfc3339(1_000_000_000.5), "2001-09-09T01:46:40.500Z")

    def test_traceback(self) -> None:
        """A traceback is in one field of the one line."""
        try:
            raise ValueError("broken\nin two")
        except ValueError:
            line = logged("failure", "cannot answer {path}", path="/v2/", failure=Failure())
        self.assertEqual((line["message"], line["level"]), ("cannot answer /v2/", "critical"))
        self.assertIn("ValueError: broken", line["traceback"])

    def test_fields_that_json_has_not(self) -> None:
        """What JSON cannot hold is in the message at most, and costs no line."""
        line = logged(
            "info", "{it}", it=object(), deep=[[[[[[1]]]]]], nan=float("nan"), yes=True, none=None, t=(1, {2})
        )
        self.assertLessEqual({"time", "yes", "none"}, set(line))
        self.assertEqual(line["t"], [1])
        self.assertNotIn("it", line)
        self.assertNotIn("nan", line)

    def test_names_are_ours(self) -> None:
        """A field cannot take the place of what every line has."""
        line = logged("info", "{message}", message="hello", time="field", namespace="field")
        self.assertEqual((line["message"], line["namespace"]), ("hello", "sdr.tests"))
        self.assertNotEqual(line["time"], "field")

    def test_no_credentials(self) -> None:
        """Credentials and queries are hidden in the message, in fields, within them, and in a traceback."""
        try:
            raise ValueError("https://u:hunter2@a.example/x?sig=hunter2")
        except ValueError:
            line = logged(
                "failure",
                "{url}",
                url="https://u:hunter2@a.example/x?sig=hunter2",
                password="hunter2",
                headers={"X-Auth-Token": "hunter2", "Accept": "*/*", "n": ["Authorization: Basic hunter2"]},
                failure=Failure(),
            )
        self.assertNotIn("hunter2", json.dumps(line))
        self.assertEqual(line["headers"]["Accept"], "*/*")

    def test_said_once(self) -> None:
        """A message that is one field alone is not there twice."""
        self.assertNotIn("greeting", logged("info", "{greeting}", greeting="listening"))

    def test_message_that_cannot_be_formatted(self) -> None:
        """A mistake in a message is logged, too."""
        self.assertIn("nable to format event", logged("info", "{nothing.here}", nothing=1)["message"])

    @given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.binary()))
    def test_any_event(self, text: str, fields: dict[str, Any]) -> None:
        """Every event is exactly one line of JSON."""
        fields = {name: each for name, each in fields.items() if not name.startswith("log_")}
        line = json_line({**fields, "log_format": "{text}", "text": text, "log_time": 1.0})
        self.assertEqual(line.count("\n"), 1)
        self.assertIsInstance(json.loads(line), dict)
        line.encode()


class LoggerOptionTests(SynchronousTestCase):
    """What twistd is given."""

    def test_factory(self) -> None:
        """The name can be called without arguments and makes an observer."""
        self.assertTrue(verifyObject(ILogObserver, json_lines()))

    def test_begun(self) -> None:
        """Once it logs as twistd begins it, every line on standard output is JSON, prints included."""
        code = (
            "from twisted.logger import globalLogBeginner, Logger; from sdr.endpoint.logs import json_lines;"
            "globalLogBeginner.beginLoggingTo([json_lines()]); Logger('x').info('hello'); print('printed')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["message"] for line in lines], ["hello", "printed"])
