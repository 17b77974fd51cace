"""Tests of connections that send at once, with the kernel's own buffers."""

import socket
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sdr.endpoint.connections.eager import EagerServer, send_eagerly

#: More than the kernel takes at once.
LARGE = bytes(range(256)) * 64 * 1024


def receive(client: socket.socket, most: int) -> bytes:
    """Return what comes, until it is so much or the end."""
    found = b""
    while len(found) < most and (piece := client.recv(most - len(found))):
        found += piece
    return found


class Held(Protocol):
    """A connection that a test writes to; it notes whether it was told to wait."""

    def __init__(self, made: "Deferred[Held]") -> None:
        self.lost: Deferred[None] = Deferred()
        self.told: list[str] = []
        self._made = made

    def connectionMade(self) -> None:
        """Hand itself out."""
        self._made.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell."""
        self.lost.callback(None)

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Do nothing."""


class EagerTests(TestCase):
    """A listener on 127.0.0.1."""

    timeout = 60

    async def connected(self) -> tuple[Any, socket.socket]:
        """Return both sides of a connection."""
        from twisted.internet import reactor as global_reactor

        self.reactor: Any = global_reactor
        made: Deferred[Held] = Deferred()
        port: Any = self.reactor.listenTCP(0, cast(Any, Factory.forProtocol(lambda: Held(made))), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        send_eagerly(port)
        client = await deferToThread(socket.create_connection, ("127.0.0.1", port.getHost().port))
        client.settimeout(30)
        self.addCleanup(client.close)
        return await made, client

    def test_at_once(self) -> Deferred[None]:
        """What is written is there before the reactor has had its turn."""
        return Deferred.fromCoroutine(self._at_once())

    async def _at_once(self) -> None:
        held, client = await self.connected()
        self.assertIsInstance(held.transport, EagerServer)
        held.transport.write_at_once(b"one ")
        held.transport.write_at_once(b"two")
        held.transport.write_at_once(b"")
        client.setblocking(False)
        self.assertEqual(client.recv(100), b"one two")
        held.transport.loseConnection()
        await held.lost

    def test_slow_reader(self) -> Deferred[None]:
        """What the kernel does not take goes later, in order, and whoever writes is told to wait."""
        return Deferred.fromCoroutine(self._slow_reader())

    async def _slow_reader(self) -> None:
        held, client = await self.connected()
        held.transport.registerProducer(held, True)
        held.transport.write_at_once(LARGE)
        held.transport.write(b"behind")
        self.assertEqual(set(held.told), {"pause"})
        wanted = len(LARGE) + len(b"behind")
        got = await deferToThread(receive, client, wanted)
        self.assertTrue(got == LARGE + b"behind")
        while held.told[-1] != "resume":
            await deferLater(self.reactor, 0.01)
        held.transport.write_at_once(b"again")
        client.setblocking(False)
        self.assertEqual(client.recv(100), b"again")
        held.transport.unregisterProducer()
        held.transport.loseConnection()
        await held.lost

    def test_last_words(self) -> Deferred[None]:
        """All that was written comes before the end."""
        return Deferred.fromCoroutine(self._last_words())

    async def _last_words(self) -> None:
        held, client = await self.connected()
        held.transport.write_at_once(LARGE)
        held.transport.loseConnection()
        held.transport.write_at_once(b"last")
        got = await deferToThread(receive, client, len(LARGE) + 5)
        self.assertTrue(got == LARGE + b"last", len(got))
        await held.lost

    def test_abort(self) -> Deferred[None]:
        """Nothing is sent on a connection that was aborted, or is lost, and nothing is raised."""
        return Deferred.fromCoroutine(self._abort())

    async def _abort(self) -> None:
        held, client = await self.connected()
        transport = held.transport
        transport.abortConnection()
        transport.write_at_once(b"x")
        await held.lost
        transport.write_at_once(b"y")
        with self.assertRaises(ConnectionResetError):
            client.recv(100)

    def test_client_is_gone(self) -> Deferred[None]:
        """Writing to a client that has left ends the connection, later, and raises nothing."""
        return Deferred.fromCoroutine(self._client_is_gone())

    async def _client_is_gone(self) -> None:
        held, client = await self.connected()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
        for _ in range(3):
            held.transport.write_at_once(b"x" * 1000)
        self.assertFalse(held.lost.called)
        await held.lost

    def test_only_tcp(self) -> None:
        """Other ports than Twisted's own for TCP are left as they are."""
        send_eagerly(object())  # type: ignore[arg-type]
        self.assertFalse(issubclass(Server, EagerServer))
