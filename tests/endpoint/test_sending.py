"""Tests of sending a file to clients that are slow, or leave."""

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from sdr.endpoint.sending import PIECE
from sdr.tree.keys import blob_key
from tests.endpoint.serving import BLOB, BLOB_DIGEST, BLOB_PATH, STALL_SECONDS, Got, TreeCase


class SlowClientTests(TreeCase):
    """Clients that are slower than the disk, or leave."""

    def setUp(self) -> None:
        """Hold every blocking call until the test lets it go."""
        super().setUp()
        self.calls: list[tuple[Any, Deferred[Any]]] = []

        def held(call: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            self.calls.append((call, done))
            return done

        self.in_thread = held

    def let_go(self) -> None:
        """Run the next blocking call."""
        call, done = self.calls.pop(0)
        done.callback(call())

    def test_waits_for_the_client(self) -> None:
        """No more of a file is read while the client takes none of it."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()  # opens the file
        self.let_go()
        producer: Any = transport.producer
        producer.pauseProducing()
        self.let_go()
        self.assertEqual(self.calls, [])
        producer.resumeProducing()
        while self.calls:
            self.let_go()
        self.assertEqual(Got(transport.value()).body, BLOB)

    def test_client_stalls(self) -> None:
        """A client that takes nothing for two minutes is given up, with the file that it held; no line is logged."""
        protocol, transport = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        producer: Any = transport.producer
        producer.pauseProducing()
        self.let_go()
        self.clock.advance(STALL_SECONDS - 1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(transport.disconnected)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_pauses(self) -> None:
        """A client that takes something now and then may take as long as it wants."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        producer: Any = transport.producer
        for _ in range(len(BLOB) // PIECE):
            producer.pauseProducing()
            self.let_go()
            self.clock.advance(STALL_SECONDS - 1)
            producer.resumeProducing()
        self.let_go()
        self.assertEqual(Got(transport.value()).body, BLOB)

    def test_client_leaves(self) -> None:
        """A client that leaves in the middle costs no error and no open file."""
        protocol, _ = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_leaves_before_the_file_is_open(self) -> None:
        """A client that leaves while its file is being opened leaves no open file behind."""
        protocol, _ = self.connect()
        before = len(os.listdir("/proc/self/fd"))
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        protocol.connectionLost(Failure(ConnectionLost()))
        self.let_go()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_file_shrinks(self) -> None:
        """A file that becomes shorter while it is sent ends the connection: the length was promised."""
        protocol, transport = self.connect()
        protocol.dataReceived(f"GET {BLOB_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.let_go()
        self.let_go()
        (self.tree / blob_key(BLOB_DIGEST)).write_bytes(b"")
        self.let_go()
        self.assertTrue(transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
