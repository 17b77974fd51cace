"""Tests of the access log: its lines, and its file."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.access import FORMS, Access, combined_line, json_access_line
from sdr.endpoint.access_log import AccessLog, AccessLogService

ACCESS = Access(
    at=1_000_000_000.25,
    request_id="0123456789abcdef",
    peer="::ffff:192.0.2.7",
    method="GET",
    target="/v2/app/manifests/1.0?ns=docker.io",
    protocol="HTTP/1.1",
    code=307,
    sent=0,
    seconds=0.00012345,
    route="manifest",
    cdn="cdn.example.com",
    user_agent="docker/27",
)

TEXT = st.text(alphabet=st.characters(max_codepoint=255))


class LineTests(SynchronousTestCase):
    """Lines."""

    def test_combined(self) -> None:
        """The combined format is that of Apache and nginx; a query is not logged, only that there was one."""
        self.assertEqual(
            combined_line(replace(ACCESS, sent=12, code=200)),
            '192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] "GET /v2/app/manifests/1.0? HTTP/1.1" 200 12 "-" "docker/27"',
        )
        self.assertIn('" 307 - "', combined_line(ACCESS))

    def test_json(self) -> None:
        """The line of JSON has the id, the route, the CDN and how long it took, too."""
        self.assertEqual(
            json.loads(json_access_line(ACCESS)),
            {
                "time": "2001-09-09T01:46:40.250Z",
                "request_id": "0123456789abcdef",
                "peer": "192.0.2.7",
                "method": "GET",
                "path": "/v2/app/manifests/1.0?",
                "protocol": "HTTP/1.1",
                "route": "manifest",
                "code": 307,
                "seconds": 0.000123,
                "bytes": 0,
                "cdn": "cdn.example.com",
                "user_agent": "docker/27",
            },
        )

    def test_quotation(self) -> None:
        """Nothing that a client sends ends a quotation."""
        line = combined_line(replace(ACCESS, user_agent='a" "b\\\n\xe4', referer='"'))
        self.assertTrue(line.endswith(' "\\x22" "a\\x22 \\x22b\\x5C\\x0A\\xE4"'), line)

    def test_referer(self) -> None:
        """Of where a client came from, neither the query nor a password is logged."""
        for form in FORMS.values():
            line = form(replace(ACCESS, referer="https://u:hunter2@a.example/?token=hunter2"))
            self.assertIn("https://***@a.example/?", line)
            self.assertNotIn("hunter2", line)

    @given(TEXT, TEXT, TEXT, TEXT)
    def test_any_request(self, method: str, target: str, agent: str, referer: str) -> None:
        """Every request is one line of printable ASCII."""
        access = replace(ACCESS, method=method, target=target, user_agent=agent, referer=referer)
        for form in FORMS.values():
            line = form(access)
            self.assertTrue(line.isascii() and line.isprintable(), line)
        json.loads(json_access_line(access))


class FileTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        """Open one."""
        self.path = Path(self.mktemp())
        self.log = AccessLog(str(self.path), lambda access: access.target)
        self.log.open()
        self.addCleanup(self.log.close)

    def write(self, *texts: str) -> None:
        """Log requests."""
        for text in texts:
            self.log.write(replace(ACCESS, target=text))

    def test_write(self) -> None:
        """A line is in the file at once, behind what was there."""
        self.write("a", "b")
        self.log.close()
        self.log.open()
        self.write("c")
        self.assertEqual(self.path.read_text(), "a\nb\nc\n")

    def test_reopen(self) -> None:
        """A file that was moved away gets no more lines, and a new one is there."""
        self.write("a")
        self.path.rename(f"{self.path}.1")
        self.write("b")
        self.log.reopen()
        self.write("c")
        self.assertEqual(Path(f"{self.path}.1").read_text(), "a\nb\n")
        self.assertEqual(self.path.read_text(), "c\n")

    def test_reopen_fails(self) -> None:
        """Where the new file cannot be opened, the old one is kept, and the log says so."""
        self.path.rename(f"{self.path}.1")
        self.path.mkdir()
        with capturedLogs() as captured:
            self.log.reopen()
        self.write("a")
        self.assertEqual(Path(f"{self.path}.1").read_text(), "a\n")
        self.assertIn("cannot be opened anew: Is a directory", formatEvent(captured[0]))

    def test_no_leak(self) -> None:
        """Opening anew again and again holds one file open."""
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            self.log.reopen()
            self.log.open()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_closed(self) -> None:
        """Before it is opened and after it is closed, requests are not logged, and nothing fails."""
        self.log.close()
        self.write("a")
        self.log.reopen()
        self.log.close()
        self.assertEqual(self.path.read_text(), "")

    def test_full_disk(self) -> None:
        """A full disk fails no request; the log says so once, and not again for each."""
        log = AccessLog("/dev/full", lambda access: access.target)
        log.open()
        self.addCleanup(log.close)
        with capturedLogs() as captured:
            for _ in range(3):
                log.write(ACCESS)
        said = os.strerror(errno.ENOSPC)
        self.assertEqual(
            [formatEvent(event) for event in captured],
            [f"the access log /dev/full cannot be written: {said}; requests are not logged until it can"],
        )

    def test_torn_line(self) -> None:
        """A pipe whose reader sleeps holds nobody up, and the line after one that was cut off is a line of its own."""
        fifo = self.mktemp()
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        log = AccessLog(fifo, lambda access: access.target)
        log.open()
        self.addCleanup(log.close)
        with capturedLogs():
            for _ in range(40):
                log.write(replace(ACCESS, target="x" * 10000))
            got = bytearray()
            while len(piece := os.read(reader, 65536)) == 65536:
                got += piece
            got += piece
            log.write(replace(ACCESS, target="last"))
        got += os.read(reader, 65536)
        lines = bytes(got).decode().splitlines()
        self.assertEqual(lines[-1], "last")
        self.assertLess(len(lines), 40)

    def test_standard_output(self) -> None:
        """Standard output is written to as it is, and left open."""
        log = AccessLog("-", lambda access: access.target)
        log.open()
        log.reopen()
        log.close()
        os.fstat(1)


class ServiceTests(SynchronousTestCase):
    """The service that has the file open."""

    def setUp(self) -> None:
        """Have one."""
        self.path = Path(self.mktemp()).absolute()
        self.log = AccessLog(str(self.path), lambda access: access.target)
        self.service = AccessLogService(self.log)
        self.addCleanup(self.log.close)

    def test_open(self) -> None:
        """The file is opened once, as long as the program may, and closed at the end."""
        before = len(os.listdir("/proc/self/fd"))
        self.service.privilegedStartService()
        self.path.unlink()
        self.service.startService()
        self.assertFalse(self.path.exists())
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.service.stopService()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_unprivileged(self) -> None:
        """A program that starts without privileges opens it as it starts; started again, it opens it again."""
        for _ in range(2):
            self.service.startService()
            self.log.write(ACCESS)
            self.service.stopService()
        self.assertEqual(len(self.path.read_text().splitlines()), 2)

    def test_mistake(self) -> None:
        """A file that cannot be opened ends the program with one line."""
        self.path.mkdir()
        error = self.assertRaises(SystemExit, self.service.startService)
        self.assertEqual(error.code, f"sdr: --access-log {self.path}: it cannot be written: Is a directory")
