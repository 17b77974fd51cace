"""What a lost connection leaves: nothing that the garbage collector would have to find while others are answered."""

import contextlib
import gc
import socket
import ssl
import weakref
from typing import Any, cast

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.eager import EagerServer
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.tls.certificates import parse_certificate
from sdr.endpoint.tls.serving import HTTP1, StandardTLS
from tests.catalog.store import FakeStore
from tests.endpoint.fast.sides import Face, Sides
from tests.endpoint.tls.authority import Authority

ASK = b"GET /v2/acme/app/manifests/1.0 HTTP/1.1\r\nHost: x\r\n\r\n"


class _Socket:
    """One end of a pair, which is no TCP."""

    def __init__(self, pair: socket.socket) -> None:
        self._pair = pair

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pair, name)

    def setsockopt(self, *_: int) -> None:
        """Do nothing."""

    def getsockname(self) -> tuple[str, int]:
        """Say where it is, as TCP does."""
        return "192.0.2.1", 5000


class LostTests(SynchronousTestCase):
    """A connection with Twisted's own transport below it."""

    def setUp(self) -> None:
        """Make endpoints."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        store = FakeStore(self.clock.seconds)
        store.publish("acme/app", "1.0")
        self.sides = Sides(store, self.clock)
        self.addCleanup(self.sides.stop)

    def connect(self, factory: IProtocolFactory) -> tuple[EagerServer, socket.socket]:
        """Open a connection."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        for end in (ours, theirs):
            end.setblocking(False)
        protocol = factory.buildProtocol(cast(Any, None))
        assert protocol is not None
        address = ("192.0.2.7", 4)
        server = EagerServer(cast(Any, _Socket(ours)), protocol, address, cast(Any, None), 1, MemoryReactorClock())
        server.repstr = "a connection"
        protocol.makeConnection(server)
        return server, theirs

    def lose(self, server: EagerServer, theirs: socket.socket) -> list[weakref.ref[Any]]:
        """Have the client leave; return watchers of each part of the connection, the transport first."""
        inside: Any = server.protocol
        parts: list[Any] = [server]
        while inside is not None:
            parts.append(inside)
            inside = getattr(inside, "wrappedProtocol", None) or getattr(inside, "_inside", None)
        theirs.close()
        server.connectionLost(Failure(cast(Exception, server.doRead())))
        return [weakref.ref(part) for part in parts]

    def assert_gone(self, watched: list[weakref.ref[Any]], parts: int) -> None:
        """All of it must be gone, though nobody collected it."""
        self.assertEqual(len(watched), parts)
        self.assertEqual([part() for part in watched if part() is not None], [])

    def uncollected(self) -> None:
        """Collect no garbage until the end of the test."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def test_plain(self) -> None:
        """A connection in the clear is gone with its last request, which way that ever went."""
        self.uncollected()
        for face in self.sides.both():
            for requests in (0, 1, 2):
                server, theirs = self.connect(face.gate)
                for _ in range(requests):
                    theirs.send(ASK)
                    server.doRead()
                    server.doWrite()
                    self.assertIn(b" 307 ", theirs.recv(65536))
                watched = self.lose(server, theirs)
                del server
                self.assert_gone(watched, 3)

    def test_tls(self) -> None:
        """So is one in TLS, whoever says goodbye."""
        import time

        self.uncollected()
        authority = Authority(time.time())
        chain, key = authority.issue("a.example")
        tls = StandardTLS(self.clock, HTTP1, lambda _: None)
        tls.prepare([parse_certificate("a.pem", chain, "a.pem", key)])()
        context = ssl.create_default_context(cadata=authority.root.decode())
        for face in self.sides.both():
            for goodbye in (False, True):
                gate = self.gate(face, tls)
                server, theirs = self.connect(gate)
                client = _Client(context, server, theirs)
                self.assertIn(b" 307 ", client.ask(ASK))
                if goodbye:
                    client.leave()
                watched = self.lose(server, theirs)
                del server, client
                self.assert_gone(watched, 4)

    def gate(self, face: Face, tls: StandardTLS) -> Gate:
        """Put TLS before a site."""
        return Gate(tls.wrap(face.site), face.connections, cast(Any, self.clock))


class _Client:
    """Speaks TLS over a socket to a transport of this process."""

    def __init__(self, context: ssl.SSLContext, server: EagerServer, theirs: socket.socket) -> None:
        self._server, self._theirs = server, theirs
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="a.example")
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            self._carry()

    def ask(self, request: bytes) -> bytes:
        """Return what is answered."""
        self._tls.write(request)
        self._carry()
        return self._tls.read(65536)

    def leave(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._carry()

    def _carry(self) -> None:
        if self._out.pending:
            self._theirs.send(self._out.read())
        self._server.doRead()
        self._server.doWrite()
        with contextlib.suppress(BlockingIOError):
            self._in.write(self._theirs.recv(65536))
