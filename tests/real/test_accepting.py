"""Tests of sockets that several processes accept on, with the kernel's own queue of connections."""

import socket
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sdr.endpoint.listening import accept_singly


class SinglyTests(TestCase):
    """A listener on 127.0.0.1 that is not given its turn by the reactor."""

    def test_one_at_a_turn(self) -> None:
        """Each turn takes one connection, however many wait, and leaves the others for whoever is ready."""
        from twisted.internet import reactor as global_reactor

        reactor: Any = global_reactor
        made: list[Protocol] = []

        def build() -> Protocol:
            made.append(Protocol())
            return made[-1]

        port: Any = reactor.listenTCP(0, cast(Any, Factory.forProtocol(build)), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        accept_singly(port)
        clients = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(5)]
        try:
            for turn in range(1, 6):
                port.doRead()
                self.assertEqual(len(made), turn)
        finally:
            for protocol in made:
                cast(Any, protocol.transport).connectionLost(Failure(ConnectionDone()))
            for client in clients:
                client.close()

    def test_only_tcp(self) -> None:
        """Other ports are left as they are."""
        accept_singly(object())  # type: ignore[arg-type]
