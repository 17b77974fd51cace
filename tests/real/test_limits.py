"""Attacks from loopback, each bounded: the attacker is cut off, and a normal client gets its answers."""

import contextlib
import hashlib
import re
import signal
import socket
import struct
import time
from collections.abc import Iterable
from typing import ClassVar

from hypothesis import HealthCheck, given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.connections.responses import Sent, read_all
from tests.endpoint.connections.test_fuzz import STREAMS
from tests.endpoint.connections.test_strict import BAD
from tests.real.edge import Watched, all_closed
from tests.real.programs import answers, folder, until

#: Seconds in which a normal client's question is answered, whatever goes on beside it.
PATIENCE = 5.0

BIG = b"0123456789abcdef" * 65536 * 32
BIG_PATH = f"/tree/blobs/sha256/{hashlib.sha256(BIG).hexdigest()}"


class Limited(Watched):
    """An endpoint that serves a tree with one big blob, with the limits of a test."""

    def __init__(self, *options: str) -> None:
        tree = folder()
        blob = tree / BIG_PATH.removeprefix("/tree/")
        blob.parent.mkdir(parents=True)
        blob.write_bytes(BIG)
        self.access_log = folder() / "access.log"
        super().__init__(f"--cdn={tree}", f"--access-log={self.access_log}", *options)

    def connect(self, source: str = "127.0.0.1", *, receive_buffer: int | None = None) -> socket.socket:
        """Connect to it from one of this machine's many addresses."""
        made = socket.socket()
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(PATIENCE)
        made.bind((source, 0))
        made.connect(("127.0.0.1", self.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def ask(path: str = "/v2/", more: str = "") -> bytes:
    """Write a request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def received(connection: socket.socket, *, seconds: float = PATIENCE) -> tuple[bytes, bool]:
    """Return what comes until the connection ends or nothing comes for so long, and whether it has ended."""
    connection.settimeout(seconds)
    data = bytearray()
    try:
        while piece := connection.recv(1 << 20):
            data += piece
    except TimeoutError:
        return bytes(data), False
    except ConnectionResetError:
        pass
    return bytes(data), True


def alive(connections: Iterable[socket.socket]) -> list[socket.socket]:
    """Return those that the endpoint has not closed."""
    found = []
    for connection in connections:
        connection.setblocking(False)
        try:
            while connection.recv(65536):
                pass
        except BlockingIOError:
            found.append(connection)
        except OSError:
            pass
    return found


class AttackCase(SynchronousTestCase):
    """An endpoint that is attacked."""

    options: ClassVar[tuple[str, ...]] = (
        *("--max-connections=100", "--max-connections-per-address=20", "--max-requests=50"),
        *("--request-timeout=2", "--idle-timeout=3", "--write-timeout=2"),
    )

    def setUp(self) -> None:
        """Start it."""
        self.endpoint = Limited(*self.options)
        self.endpoint.start()
        self.addCleanup(self.endpoint.stop)
        self.quiet = self.endpoint.sockets()
        self.attackers: list[socket.socket] = []
        self.addCleanup(self.leave)

    def leave(self) -> None:
        """Close the attackers' connections."""
        for connection in self.attackers:
            connection.close()

    def attack(self, source: str, **options: int) -> socket.socket:
        """Open one more connection of an attacker."""
        self.attackers.append(self.endpoint.connect(source, **options))
        return self.attackers[-1]

    def assert_serves(self) -> None:
        """Fail unless a normal client gets its answer, soon."""
        began = time.monotonic()
        with self.endpoint.connect("127.0.0.9") as connection:
            connection.sendall(ask(more="Connection: close\r\n"))
            (answer,) = read_all(received(connection)[0])
        self.assertEqual((answer.status, answer.body), (200, b"{}"))
        self.assertLess(time.monotonic() - began, PATIENCE)

    def assert_all_forgotten(self) -> None:
        """Fail unless nothing of the attack stays open in the endpoint, and its log has no traceback."""
        all_closed(self.endpoint)
        until(lambda: self.endpoint.sockets() <= self.quiet, "every socket closed", seconds=10)
        self.assertNotIn("Traceback", self.endpoint.log())


class ConnectionTests(AttackCase):
    """Attacks by many connections."""

    def test_one_attacker(self) -> None:
        """One address gets so many connections, and the others are closed at once."""
        for _ in range(60):
            with contextlib.suppress(OSError):
                self.attack("127.0.0.2")
        self.assert_serves()
        until(lambda: len(alive(self.attackers)) <= 20, "the others closed", seconds=1)
        self.assertEqual(len(alive(self.attackers)), 20)
        self.leave()
        self.assert_all_forgotten()
        self.attack("127.0.0.2").sendall(ask())
        self.assertIn(b" 200 ", received(self.attackers[-1], seconds=0.5)[0])

    def test_many_attackers_that_wait(self) -> None:
        """Where connections that wait for a next request take all places, they make room for new ones."""
        for number in range(150):
            connection = self.attack(f"127.0.1.{number // 10 + 1}")
            with contextlib.suppress(OSError):
                connection.sendall(ask())
                connection.recv(1)
            if number % 10 == 0:
                self.assert_serves()
        self.assertLessEqual(len(alive(self.attackers)), 100)
        self.assert_serves()
        self.leave()
        self.assert_all_forgotten()

    def test_many_attackers_that_are_silent(self) -> None:
        """Where silent connections take all places, they lose them after the time that a request may take."""
        for number in range(150):
            with contextlib.suppress(OSError):
                self.attack(f"127.0.1.{number // 10 + 1}")
        until(lambda: answers(f"{self.endpoint.url}/v2/"), "a normal client's turn", seconds=4)
        until(lambda: not alive(self.attackers), "all closed", seconds=4)
        self.assert_serves()
        self.assert_all_forgotten()


class SlowTests(AttackCase):
    """Attacks by taking long."""

    def dribble(self, pieces: Iterable[bytes], *, seconds: float) -> None:
        """Send a piece now and then on every connection until all are closed, with a normal client in between."""
        end = time.monotonic() + seconds
        for piece in pieces:
            for connection in alive(self.attackers):
                with contextlib.suppress(OSError):
                    connection.send(piece)
            self.assert_serves()
            if not alive(self.attackers):
                return
            self.assertLess(time.monotonic(), end, "connections that dribble are still open")
            time.sleep(0.1)

    def test_slowloris(self) -> None:
        """Requests whose headers come a line now and then end in time."""
        for number in range(60):
            self.attack(f"127.0.0.{number // 15 + 2}").sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
        self.dribble((b"X-%d: y\r\n" % at for at in range(1000)), seconds=6)
        self.assert_all_forgotten()

    def test_slow_bytes(self) -> None:
        """Requests that come a byte now and then end in time."""
        for number in range(60):
            self.attack(f"127.0.0.{number // 15 + 2}")
        self.dribble((bytes([byte]) for byte in ask(more="X: " + "y" * 500)), seconds=6)
        self.assert_all_forgotten()

    def test_slow_body(self) -> None:
        """Bodies that come a byte now and then end in time."""
        for number in range(60):
            head = b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
            self.attack(f"127.0.0.{number // 15 + 2}").sendall(head)
        self.dribble((b"x" for _ in range(1000)), seconds=6)
        self.assert_all_forgotten()

    def test_idle(self) -> None:
        """A connection that makes no further request is closed in time, and not before."""
        connection = self.attack("127.0.0.2")
        connection.sendall(ask())
        data, ended = received(connection, seconds=2)
        self.assertEqual((len(read_all(data)), ended), (1, False))
        self.assertEqual(received(connection, seconds=3), (b"", True))

    def test_never_reads(self) -> None:
        """Clients that never read what they asked for are cut off, and cost no more than a few buffers."""
        before = self.endpoint.memory()
        for number in range(40):
            self.attack(f"127.0.0.{number // 15 + 2}", receive_buffer=4096).sendall(ask(BIG_PATH))
        self.assert_serves()
        self.assertLess(self.endpoint.memory() - before, 40 * 1024 * 1024)
        until(lambda: self.endpoint.sockets() <= self.quiet, "stalled readers cut off", seconds=8)
        self.assert_serves()
        self.assert_all_forgotten()

    def test_never_reads_its_last_answer(self) -> None:
        """A client that says goodbye with its request, and then does not read, is cut off too."""
        for number in range(20):
            connection = self.attack(f"127.0.0.{number // 15 + 2}", receive_buffer=4096)
            connection.sendall(ask(BIG_PATH, "Connection: close\r\n"))
        until(lambda: self.endpoint.sockets() <= self.quiet, "stalled readers cut off", seconds=8)
        self.assert_all_forgotten()

    def test_reads_slowly(self) -> None:
        """A client that reads slowly, for longer than any limit, gets all of it."""
        connection = self.endpoint.connect("127.0.0.2", receive_buffer=65536)
        self.addCleanup(connection.close)
        connection.sendall(ask(BIG_PATH, "Connection: close\r\n"))
        data, began = bytearray(), time.monotonic()
        while piece := connection.recv(1 << 20):
            data += piece
            time.sleep(0.01 if time.monotonic() - began < 6 else 0)
        (answer,) = read_all(bytes(data))
        self.assertEqual(answer.body, BIG)

    def test_pipelines_and_never_reads(self) -> None:
        """A client that asks and asks without reading is not read any further, and then cut off."""
        before = self.endpoint.memory()
        for number in range(20):
            connection = self.attack(f"127.0.0.{number // 15 + 2}", receive_buffer=4096)
            connection.settimeout(0.2)
            with contextlib.suppress(OSError):
                for _ in range(20):
                    connection.sendall(ask(BIG_PATH) * 1000)
        self.assert_serves()
        self.assertLess(self.endpoint.memory() - before, 40 * 1024 * 1024)
        until(lambda: self.endpoint.sockets() <= self.quiet, "stalled readers cut off", seconds=10)
        self.assert_all_forgotten()


class ShapeTests(AttackCase):
    """Attacks by what is sent."""

    def answered(self, *pieces: bytes, seconds: float = PATIENCE) -> tuple[list[Sent], bool]:
        """Send bytes from one connection, and return what was answered and whether it was closed."""
        before = self.endpoint.access_log.stat().st_size
        with self.endpoint.connect("127.0.0.2") as connection:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
            data, ended = received(connection, seconds=seconds)
            # The endpoint must not wait for a goodbye before it forgets.
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        methods = re.findall(rb'\] "(\S+) ', self.endpoint.access_log.read_bytes()[before:])
        return read_all(data, head_at=tuple(at for at, method in enumerate(methods) if method == b"HEAD")), ended

    def test_smuggling(self) -> None:
        """Each shape of two meanings is answered 400, or not at all, and nothing behind it is taken for a request."""
        for name, _, head in BAD:
            sent, ended = self.answered(head + b"\r\n" + ask())
            self.assertTrue(ended, name)
            self.assertIn([answer.status for answer in sent], ([400], [414], []), name)
        self.assert_serves()
        self.assert_all_forgotten()

    def test_smuggling_behind_a_request(self) -> None:
        """The same on a connection that was answered before: the earlier answer stays whole."""
        for name, _, head in BAD:
            sent, ended = self.answered(ask() + head + b"\r\n" + ask())
            self.assertTrue(ended, name)
            self.assertIn([answer.status for answer in sent], ([200, 400], [200, 414], [200], []), name)
        self.assert_all_forgotten()

    def test_many_requests(self) -> None:
        """A connection is closed after so many requests, and the last answer says so."""
        sent, ended = self.answered(ask() * 60)
        self.assertTrue(ended)
        self.assertEqual(len(sent), 50)
        self.assertEqual([at for at, answer in enumerate(sent) if answer.headers.get("connection") == "close"], [49])

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(STREAMS)
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """Whatever is sent, what comes back is HTTP, no traceback is logged and no connection stays."""
        sent, _ = self.answered(*pieces, seconds=0.05)
        statuses = [answer.status for answer in sent]
        self.assertTrue(all(status in (100, 200, 404, 405, 501) for status in statuses[:-1]), statuses)
        self.assert_serves()
        self.assert_all_forgotten()


class EndTests(AttackCase):
    """The end of the endpoint."""

    def test_drain(self) -> None:
        """SIGTERM closes who waits, lets an answer under way finish, and ends with 0."""
        idle = self.attack("127.0.0.2")
        idle.sendall(ask())
        received(idle, seconds=0.3)
        reading = self.attack("127.0.0.3")
        reading.sendall(ask(BIG_PATH))
        data = reading.recv(1000)
        self.endpoint.send(signal.SIGTERM)
        self.assertEqual(received(idle, seconds=2), (b"", True))
        with self.assertRaises(OSError):
            self.endpoint.connect("127.0.0.4")
        rest, ended = received(reading)
        (answer,) = read_all(data + rest)
        self.assertEqual((answer.body, ended), (BIG, True))
        self.assertEqual(self.endpoint.wait(5), 0)
        self.assertNotIn("Traceback", self.endpoint.log())
