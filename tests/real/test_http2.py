"""HTTP/2 with real clients, with clients that never read, and with any frames."""

import contextlib
import hashlib
import random
import signal
import socket
import ssl
import subprocess
import time

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.edge import Watched, all_closed, listens
from tests.real.programs import environment, folder, required, run, until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

BLOBS = [random.Random(number).randbytes(1 << 20) for number in range(8)]
BIG = BLOBS[0] * 32


def path_of(blob: bytes) -> str:
    """Return where a blob is in a tree."""
    return f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"


def request(stream: int, path: str = "/v2/", *more: tuple[str, str], method: str = "GET", ends: bool = True) -> bytes:
    """Write a request."""
    fields = [(":method", method), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path), *more]
    frame = HeadersFrame(stream, Encoder().encode(fields))
    frame.flags |= {"END_HEADERS", *(["END_STREAM"] if ends else [])}
    return frame.serialize()


FRAMES = (
    *(PREFACE, SettingsFrame(0).serialize(), SettingsFrame(0, flags=["ACK"]).serialize()),
    *(SettingsFrame(0, {4: 0}).serialize(), SettingsFrame(0, {5: 1 << 24}).serialize(), b"\0\0\0\x04\0\0\0\0\3"),
    *(request(1), request(1, "/"), request(3), request(3, "/tree/x"), request(5, method="HEAD"), request(2)),
    *(request(7, method="PUT", ends=False), request(9, "*", method="OPTIONS"), request(11, "http://x/v2/")),
    *(request(1, "/v2/", ("host", "other")), request(3, "/v2/", ("content-length", "5")), request(5, "")),
    *(request(1, "/v2/", ("connection", "close")), request(3, "/v2/", ("te", "gzip")), request(5, "/v2/", ("X", "y"))),
    *(request(7, "/v2/", ("x", "a\r\nb: c")), request(7, "/" + "y" * 9000), request(9, "/", ("x", "y" * 20000))),
    *(DataFrame(7, b"x" * 100).serialize(), DataFrame(7, b"x", flags=["END_STREAM"]).serialize()),
    *(DataFrame(1, b"x").serialize(), DataFrame(99, b"x").serialize(), HeadersFrame(13, b"\xff" * 9).serialize()),
    *(RstStreamFrame(1, 8).serialize(), RstStreamFrame(7, 8).serialize(), RstStreamFrame(99, 8).serialize()),
    *(WindowUpdateFrame(0, 1 << 20).serialize(), WindowUpdateFrame(1, 1 << 20).serialize()),
    *(WindowUpdateFrame(0, (1 << 31) - 1).serialize(), WindowUpdateFrame(7, (1 << 31) - 1).serialize()),
    *(PingFrame(0, b"12345678").serialize(), PingFrame(0, b"12345678", flags=["ACK"]).serialize()),
    *(PriorityFrame(1, 0, 16, True).serialize(), PriorityFrame(1, 1, 16, True).serialize()),
    *(PriorityFrame(3, 99, 16, False).serialize(), GoAwayFrame(0, 0).serialize(), GoAwayFrame(0, 1, 2).serialize()),
    *(PushPromiseFrame(1, 2, b"").serialize(), ContinuationFrame(1, b"x").serialize(), b"\0\0\0\xff\0\0\0\0\1"),
    *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 20, b"\0" * 9),
)
STREAMS = st.lists(
    st.one_of(st.sampled_from(FRAMES), st.sampled_from(FRAMES[6:10]), st.binary(max_size=12)), max_size=14
)


class Served(Watched):
    """An endpoint with `--http2`, that serves blobs."""

    def __init__(self, *options: str) -> None:
        made, tree = certificates(), folder()
        for blob in (*BLOBS, BIG):
            path = tree / path_of(blob)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blob)
        pair = (f"--tls-cert={made.certificate}", f"--tls-key={made.key}")
        super().__init__(f"--cdn={tree}", "--http2", *pair, *options)
        self.url = f"https://{self.host}"

    def listening(self) -> list[str]:
        """Return the options that say where it listens."""
        return [f"--tls=tcp:{self.port}:interface=127.0.0.1"]

    def ready(self) -> bool:
        """Tell whether it listens."""
        return listens(self.port)

    def connect(self, *, receive_buffer: int | None = None) -> ssl.SSLSocket:
        """Connect, and agree on HTTP/2."""
        context = certificates().trusting()
        context.set_alpn_protocols(["h2"])
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(5)
        plain.connect(("127.0.0.1", self.port))
        made = context.wrap_socket(plain, server_hostname="127.0.0.1")
        assert made.selected_alpn_protocol() == "h2"
        return made


def begin(*frames: bytes) -> bytes:
    """Write the beginning of a connection."""
    return PREFACE + SettingsFrame(0).serialize() + b"".join(frames)


def frames_of(data: bytes) -> list[Frame]:
    """Read frames, and leave out the last one if it is not whole."""
    found = []
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if len(data) < 9 + length:
            break
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


def received(connection: ssl.SSLSocket, *, seconds: float) -> tuple[bytes, bool]:
    """Return what comes until the connection ends or nothing comes for so long, and whether it has ended."""
    connection.settimeout(seconds)
    data = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            data += piece
    except TimeoutError:
        return bytes(data), False
    except OSError:
        pass
    return bytes(data), True


class HTTP2Case(SynchronousTestCase):
    """An endpoint that speaks HTTP/2."""

    def serve(self, *options: str) -> Served:
        """Start it, and see at the end that nothing is left."""
        endpoint = Served(*options)
        endpoint.start()
        self.addCleanup(self.ended, endpoint)
        return endpoint

    def ended(self, endpoint: Served) -> None:
        """Stop it; no client may have left anything."""
        all_closed(endpoint)
        self.assertEqual(endpoint.stop(), 0)
        self.assertNotIn("Traceback", endpoint.log())

    def curl(self, *options: str) -> list[str]:
        """Return a command line of curl."""
        trusting = ["--cacert", str(certificates().authority)]
        return [required("curl", "curl"), "-sS", "--fail", "--http2", "--noproxy", "*", *trusting, *options]


class ClientTests(HTTP2Case):
    """Real clients."""

    def test_many_at_once(self) -> None:
        """Downloads beside each other on one connection are each whole."""
        endpoint, got = self.serve(), folder()
        wanted = [
            word
            for at, blob in enumerate(BLOBS)
            for word in ("-o", str(got / str(at)), f"{endpoint.url}/tree/{path_of(blob)}")
        ]
        said = run(self.curl("--parallel", "-w", "%{http_version} %{num_connects}\n", *wanted)).stdout.splitlines()
        self.assertEqual([line.split()[0] for line in said], ["2"] * len(BLOBS))
        self.assertEqual(sum(int(line.split()[1]) for line in said), 1)
        self.assertEqual([(got / str(at)).read_bytes() for at in range(len(BLOBS))], BLOBS)

    def test_drain(self) -> None:
        """A download goes on to its end while the endpoint drains; then it ends with 0."""
        endpoint, got = self.serve(), folder() / "got"
        url = f"{endpoint.url}/tree/{path_of(BIG)}"
        with subprocess.Popen(self.curl("--limit-rate", "8M", "-o", str(got), url), env=environment()) as pulling:
            until(lambda: got.exists() and got.stat().st_size > 1 << 20, "the download has begun")
            endpoint.send(signal.SIGTERM)
            until(lambda: not listens(endpoint.port), "nobody new is let in")
            self.assertEqual(pulling.wait(30), 0)
        self.assertEqual(got.read_bytes(), BIG)
        self.assertEqual(endpoint.wait(10), 0)
        self.assertIn("drained after", endpoint.log())

    def ended(self, endpoint: Served) -> None:
        """Stop it, if it has not been."""
        if listens(endpoint.port):
            super().ended(endpoint)
        self.assertNotIn("Traceback", endpoint.log())


class LimitTests(HTTP2Case):
    """What a connection may cost."""

    def test_idle(self) -> None:
        """A connection without requests is closed in time, and told so."""
        endpoint = self.serve("--idle-timeout=1")
        with endpoint.connect() as connection:
            connection.sendall(begin(request(1)))
            began = time.monotonic()
            data, ended = received(connection, seconds=5)
            self.assertTrue(ended)
            self.assertLess(abs(time.monotonic() - began - 1), 1)
            self.assertIsInstance(frames_of(data)[-1], GoAwayFrame)

    def test_pings(self) -> None:
        """Pings now and then do not hold a connection without requests."""
        endpoint = self.serve("--idle-timeout=1")
        began = time.monotonic()
        with endpoint.connect() as connection:
            connection.sendall(begin())
            with contextlib.suppress(OSError):
                while time.monotonic() - began < 8 and not received(connection, seconds=0.2)[1]:
                    connection.sendall(PingFrame(0, b"12345678").serialize())
        self.assertLess(time.monotonic() - began, 4)

    def test_many_requests(self) -> None:
        """After so many requests the client is told to go, and what it has asked is answered."""
        endpoint = self.serve("--max-requests=5")
        with endpoint.connect() as connection:
            connection.sendall(begin(*(request(2 * at + 1) for at in range(9))))
            frames = frames_of(received(connection, seconds=5)[0])
        answered = {frame.stream_id for frame in frames if isinstance(frame, HeadersFrame)}
        self.assertEqual(answered, {1, 3, 5, 7, 9})
        goaway = next(frame for frame in frames if isinstance(frame, GoAwayFrame))
        self.assertEqual(goaway.error_code, 0)
        self.assertGreaterEqual(goaway.last_stream_id, 9)

    def test_never_reads(self) -> None:
        """Clients that never read what they asked for are cut off, and cost no more than a few buffers."""
        endpoint = self.serve("--write-timeout=2", "--idle-timeout=3")
        quiet, before = endpoint.sockets(), endpoint.memory()
        wide = SettingsFrame(0, {4: (1 << 31) - 1}).serialize() + WindowUpdateFrame(0, (1 << 30)).serialize()
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                connection = stack.enter_context(endpoint.connect(receive_buffer=4096))
                connection.sendall(
                    PREFACE + wide + b"".join(request(2 * at + 1, f"/tree/{path_of(BIG)}") for at in range(8))
                )
            self.assertEqual(run(self.curl(f"{endpoint.url}/v2/")).stdout, "{}")
            until(lambda: endpoint.sockets() <= quiet, "stalled readers cut off", seconds=15)
        self.assertLess(endpoint.memory() - before, 150 << 20)

    def test_closed_window(self) -> None:
        """Clients that let nothing be sent to them are cut off in time, too."""
        endpoint = self.serve("--write-timeout=2", "--idle-timeout=3")
        quiet = endpoint.sockets()
        shut = SettingsFrame(0, {4: 0}).serialize()
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                connection = stack.enter_context(endpoint.connect())
                connection.sendall(PREFACE + shut + request(1, f"/tree/{path_of(BIG)}") + request(3, "/"))
            # While it waits it does nothing: the clock of the processor stands still, nearly.
            time.sleep(0.5)
            before = endpoint.processor_seconds()
            time.sleep(1)
            self.assertLess(endpoint.processor_seconds() - before, 0.3)
            until(lambda: endpoint.sockets() <= quiet, "cut off", seconds=15)

    def test_opened_window(self) -> None:
        """A client that opens its window later, by an update or by a setting, gets all of what it asked for."""
        endpoint = self.serve()
        for opens in (
            WindowUpdateFrame(1, 1 << 24).serialize() + WindowUpdateFrame(0, 1 << 24).serialize(),
            SettingsFrame(0, {4: 1 << 24}).serialize() + WindowUpdateFrame(0, 1 << 24).serialize(),
        ):
            with endpoint.connect() as connection:
                connection.sendall(PREFACE + SettingsFrame(0, {4: 0}).serialize())
                connection.sendall(request(1, f"/tree/{path_of(BLOBS[0])}"))
                frames = frames_of(received(connection, seconds=0.5)[0])
                self.assertEqual([frame for frame in frames if isinstance(frame, DataFrame)], [])
                connection.sendall(opens)
                frames = frames_of(received(connection, seconds=1)[0])
                body = b"".join(frame.data for frame in frames if isinstance(frame, DataFrame))
                self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(BLOBS[0]).digest())
                self.assertIn("END_STREAM", frames[-1].flags)

    def test_shapes(self) -> None:
        """What HTTP/1.1 refuses is refused, and the next request on the connection is answered."""
        endpoint = self.serve("--max-body=1000", "--max-headers=50")
        refused = (
            request(1, "http://x/v2/"),
            request(1, "v2/"),
            request(1, "/a b"),
            request(1, "/v2/", ("host", "other")),
            request(1, "/v2/", ("content-length", "2000"), method="PUT", ends=False),
            request(1, "/v2/", ("x", "a\x01b")),
            request(1, "/" + "y" * 9000),
            request(1, "/v2/", *((f"x{at}", "y") for at in range(60))),
            request(1, method="PUT", ends=False) + DataFrame(1, b"x" * 1001).serialize(),
        )
        for shape in refused:
            with endpoint.connect() as connection:
                connection.sendall(begin(shape, request(3)))
                frames = frames_of(received(connection, seconds=0.3)[0])
            resets = {frame.stream_id for frame in frames if isinstance(frame, RstStreamFrame)}
            answered = {frame.stream_id for frame in frames if isinstance(frame, HeadersFrame)}
            # Where h2 itself knows that it cannot be, the connection is over.
            over = any(isinstance(frame, GoAwayFrame) and frame.error_code for frame in frames)
            self.assertEqual((resets, answered), (set(), set()) if over else ({1}, {3}), shape)
        with endpoint.connect() as connection:
            connection.sendall(begin(request(1, "/v2/", ("host", "127.0.0.1"))))
            frames = frames_of(received(connection, seconds=0.3)[0])
        self.assertEqual({frame.stream_id for frame in frames if isinstance(frame, HeadersFrame)}, {1})

    def test_rapid_reset(self) -> None:
        """Requests that are taken back at once cost nobody else anything (CVE-2023-44487)."""
        endpoint = self.serve()
        with endpoint.connect() as connection:
            rush = (request(2 * at + 1) + RstStreamFrame(2 * at + 1, 8).serialize() for at in range(5000))
            with contextlib.suppress(OSError):
                connection.sendall(begin(*rush))
            self.assertEqual(run(self.curl(f"{endpoint.url}/v2/")).stdout, "{}")
            received(connection, seconds=5)


class FuzzTests(HTTP2Case):
    """Any frames."""

    def setUp(self) -> None:
        """Start it."""
        self.endpoint = self.serve("--idle-timeout=3", "--request-timeout=3")

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(STREAMS, st.booleans())
    def test_any_frames(self, frames: list[bytes], well: bool) -> None:
        """Whatever is sent, frames come back, no traceback is logged and no connection stays."""
        with self.endpoint.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall((begin() if well else b"") + b"".join(frames))
            frames_of(received(connection, seconds=0.05)[0])
        all_closed(self.endpoint)
        self.assertNotIn("Traceback", self.endpoint.log())
        self.assertNotIn("Unhandled", self.endpoint.log())
