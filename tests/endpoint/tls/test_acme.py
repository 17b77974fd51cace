"""Tests of the proof that certificate authorities look for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from sdr.endpoint.tls.acme import WELL_KNOWN, Challenges

R = TypeVar("R")
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
PROOF = f"{TOKEN}.LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"


class ChallengeTests(SynchronousTestCase):
    """The resource, over real HTTP bytes."""

    def setUp(self) -> None:
        """Make a webroot with one proof."""
        self.webroot = Path(self.mktemp()).absolute()
        self.folder = self.webroot / ".well-known" / "acme-challenge"
        self.folder.mkdir(parents=True)
        (self.folder / TOKEN).write_text(PROOF)
        self.waiting: list[Callable[[], None]] | None = None

    def in_thread(self, call: Callable[[], R], /) -> Deferred[R]:
        """Run a blocking call now, or when it is told to."""
        if self.waiting is None:
            now: Deferred[R] = execute(call)
            return now
        done: Deferred[R] = Deferred()
        self.waiting.append(lambda: done.callback(call()))
        return done

    def connect(self, root: Resource | None = None) -> tuple[Any, StringTransport]:
        """Open a connection."""
        if root is None:
            root = Resource()
            root.putChild(WELL_KNOWN, Challenges(str(self.webroot), self.in_thread))
        protocol: Any = Site(root, reactor=Clock()).buildProtocol(IPv4Address("TCP", "192.0.2.1", 4))
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, path: str, method: str = "GET", root: Resource | None = None) -> tuple[int, str, str]:
        """Return an answer's status, head and body."""
        protocol, transport = self.connect(root)
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        return int(head.split()[1]), head, body

    def test_proof(self) -> None:
        """The file is served as it is, and no cache keeps it."""
        status, head, body = self.ask(f"/.well-known/acme-challenge/{TOKEN}")
        self.assertEqual((status, body), (200, PROOF))
        self.assertIn("\r\nContent-Type: application/octet-stream\r\n", head)
        self.assertIn("\r\nCache-Control: no-store", head)
        self.assertEqual(self.ask(f"/.well-known/acme-challenge/{TOKEN}?x=/../y")[0], 200)

    def test_head(self) -> None:
        """HEAD is answered without the body, other methods are refused."""
        status, head, body = self.ask(f"/.well-known/acme-challenge/{TOKEN}", "HEAD")
        self.assertEqual((status, body), (200, ""))
        self.assertIn(f"Content-Length: {len(PROOF)}", head)
        self.assertEqual(self.ask(f"/.well-known/acme-challenge/{TOKEN}", "PUT")[0], 405)

    def test_nothing_else(self) -> None:
        """Only tokens are looked for, and nothing leads out of the directory."""
        (self.webroot / "secret").write_text("secret")
        (self.folder / "link").symlink_to(self.webroot / "secret")
        (self.folder / "sub").mkdir()
        (self.folder / "large").write_text("x" * 1025)
        (self.folder / "empty").write_text("")
        (self.folder / "with.dot").write_text("x")
        os.mkfifo(self.folder / "pipe")
        challenge = "/.well-known/acme-challenge"
        for path in (
            "/.well-known",
            "/.well-known/",
            "/.well-known/secret",
            challenge,
            f"{challenge}/",
            f"{challenge}/nobody",
            f"{challenge}/../../secret",
            f"{challenge}/..%2f..%2fsecret",
            f"{challenge}/%2e%2e/secret",
            f"{challenge}//{TOKEN}",
            f"{challenge}/{TOKEN}/",
            f"{challenge}/{TOKEN}%00",
            f"{challenge}/{TOKEN}%0A",
            f"{challenge}/{'x' * 129}",
            f"{challenge}/{'x' * 128}",
            *(f"{challenge}/{name}" for name in ("link", "sub", "large", "empty", "with.dot", "pipe")),
        ):
            status, _, body = self.ask(path)
            self.assertEqual(status, 404, path)
            self.assertNotIn("secret", body)

    def test_unreadable(self) -> None:
        """A file that cannot be read is 404: whose it is is nobody's business; the log says so once."""
        logged: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            logged.append(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        root = Resource()
        root.putChild(WELL_KNOWN, Challenges(str(self.webroot), lambda call: execute(_denied)))
        for _ in range(3):
            self.assertEqual(self.ask(f"/.well-known/acme-challenge/{TOKEN}", root=root)[0], 404)
        self.assertEqual(len([line for line in logged if line.endswith("cannot be read: Permission denied")]), 1)

    def test_client_has_left(self) -> None:
        """A client that leaves in the middle troubles nobody."""
        self.waiting = []
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        protocol.connectionLost(Failure(connectionDone.value))
        self.waiting.pop()()
        self.assertEqual(transport.value(), b"")


def _denied() -> Any:
    raise PermissionError(13, "Permission denied")
