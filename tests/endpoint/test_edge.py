"""Tests of the edge through the whole endpoint: ids, the access log, metrics, readiness, TLS, and the end."""

import json
import os
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from sdr.endpoint.life.notify import message
from sdr.endpoint.tap import makeService
from sdr.tree.keys import LISTS_KEY, manifest_key
from tests.endpoint.connections.responses import Sent, read_all
from tests.endpoint.tls.authority import Authority
from tests.endpoint.tls.test_serving import Client
from tests.endpoint.trees import DIGEST, NAME, write_tree
from tests.endpoint.whole import ADMIN_PORT, CDN, CLIENT, WholeCase, options

PROXY = IPv4Address("TCP", "10.0.0.1", 4)
AWAY = "http://192.0.2.9"
ADMIN = ("--admin", str(ADMIN_PORT))


def errors(sent: Sent) -> list[dict[str, Any]]:
    """Return the errors in an answer's body."""
    found: list[dict[str, Any]] = json.loads(sent.body)["errors"]
    return found


class RequestIdTests(WholeCase):
    """The ids of requests."""

    def test_every_answer(self) -> None:
        """Every answer has an id of its own: of questions, of files, and of what is refused."""
        self.start("--tls-acme", str(self.tree))
        ids = set()
        for method, path, status in (
            ("GET", "/", 200),
            ("GET", "/v2/", 200),
            ("HEAD", f"/v2/{NAME}/manifests/1.0", 200),
            ("GET", f"/v2/{NAME}/manifests/1.0", 307),
            ("GET", f"/tree/{manifest_key(NAME, '1.0')}", 200),
            ("HEAD", f"/tree/{manifest_key(NAME, '1.0')}", 200),
            ("GET", "/tree/nothing", 404),
            ("GET", "/v1/_ping", 200),
            ("GET", "/.well-known/acme-challenge/x", 404),
            ("PUT", "/v2/", 405),
        ):
            got = self.ask(path, method)
            self.assertEqual(got.status, status, path)
            self.assertRegex(got.headers["x-request-id"], r"\A[0-9a-f]{16}\Z", path)
            ids.add(got.headers["x-request-id"])
        self.assertEqual(len(ids), 10)

    def test_detail(self) -> None:
        """An error has it in its detail, too, but for the one by which old dockers decide."""
        self.start()
        got = self.ask(f"/v2/{NAME}/manifests/none")
        (error,) = errors(got)
        self.assertEqual(error["detail"]["requestId"], got.headers["x-request-id"])
        got = self.ask("/v2/acme/nothing/tags/list")
        self.assertEqual([error["code"] for error in errors(got)], ["NAME_UNKNOWN"])
        self.assertNotIn("detail", errors(got)[0])
        self.assertIn("x-request-id", got.headers)

    def test_of_a_proxy(self) -> None:
        """The id that a trusted proxy gave is taken over; a stranger's is not, nor one that could do harm."""
        self.start("--trusted-proxy", "10.0.0.0/8")
        self.assertEqual(self.ask("/v2/", "GET", "X-Request-Id: abc-1", peer=PROXY).headers["x-request-id"], "abc-1")
        for peer, header in ((CLIENT, "X-Request-Id: abc-1"), (PROXY, 'X-Request-Id: a"b'), (PROXY, "X-Request-Id: ")):
            got = self.ask("/v2/", "GET", header, peer=peer)
            self.assertRegex(got.headers["x-request-id"], r"\A[0-9a-f]{16}\Z")

    def test_star(self) -> None:
        """`OPTIONS *` gets the same 405 as any other, and not Twisted's own answer."""
        self.start()
        got = self.ask("*", "OPTIONS")
        self.assertEqual((got.status, got.headers["allow"], got.headers["server"]), (405, "GET, HEAD", "sdr"))
        self.assertEqual([error["code"] for error in errors(got)], ["UNSUPPORTED"])


class AccessLogTests(WholeCase):
    """The access log."""

    def setUp(self) -> None:
        """Choose a file."""
        super().setUp()
        self.log = Path(self.mktemp()).absolute()

    def test_json(self) -> None:
        """As JSON a line tells the id that the client saw, the route, the CDN, and who it was behind the proxy."""
        self.start_as(
            *("--cdn", CDN, "--store", str(self.tree), "--trusted-proxy", "10.0.0.0/8"),
            *("--access-log", str(self.log), "--access-log-format", "json"),
        )
        redirected = self.ask(f"/v2/{NAME}/blobs/{DIGEST}?x=hunter2", "GET", "X-Forwarded-For: 192.0.2.77", peer=PROXY)
        refused = self.ask("/v2/", "PUT")
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        self.assertEqual([line["request_id"] for line in lines], [_id(redirected), _id(refused)])
        self.assertEqual([(line["route"], line["code"]) for line in lines], [("blob", 307), ("base", 405)])
        self.assertEqual([line["peer"] for line in lines], ["192.0.2.77", "192.0.2.1"])
        self.assertEqual(lines[0]["cdn"], "cdn.example.com")
        self.assertNotIn("cdn", lines[1])
        self.assertNotIn("hunter2", self.log.read_text())

    def test_combined(self) -> None:
        """In the combined format it is what Apache and nginx write; files are in it, too."""
        self.start("--access-log", str(self.log))
        self.ask(f"/tree/{manifest_key(NAME, '1.0')}")
        self.ask("/v2/", "HEAD")
        file, head = self.log.read_text().splitlines()
        self.assertRegex(file, r'\A192\.0\.2\.1 - - \[[^\]]+\] "GET /tree/v2/\S+ HTTP/1\.1" 200 34 "-" "-"\Z')
        self.assertRegex(head, r'"HEAD /v2/ HTTP/1\.1" 200 - ')

    def test_opened_anew(self) -> None:
        """At SIGUSR1 the file is opened anew, and whoever else listens for that signal hears of it, too."""
        heard: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
        self.start("--access-log", str(self.log))
        self.ask("/v2/")
        self.log.rename(f"{self.log}.1")
        os.kill(os.getpid(), signal.SIGUSR1)
        self.ask("/v1/_ping")
        self.assertIn("/v2/", Path(f"{self.log}.1").read_text())
        self.assertIn("/v1/_ping", self.log.read_text())
        self.assertEqual(heard, [signal.SIGUSR1])

    def test_opened_at_the_start(self) -> None:
        """It is there once the endpoint listens, and closed at the end."""
        before = len(os.listdir("/proc/self/fd"))
        service = self.start("--access-log", str(self.log))
        self.assertEqual(self.log.read_text(), "")
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.stop(service)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_cannot_be_opened(self) -> None:
        """Where it cannot be opened by then, the program ends with one line."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        read = options("--cdn", CDN, "--access-log", str(folder / "log"))
        folder.rmdir()
        service: Any = makeService(read, self.reactor)
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(
            error.code, f"sdr: --access-log {folder / 'log'}: it cannot be written: No such file or directory"
        )


class MetricsTests(WholeCase):
    """Metrics, as they are scraped."""

    def test_requests(self) -> None:
        """Requests are counted by route, code and method, redirects by where they lead."""
        self.start_as("--cdn", CDN, "--store", str(self.tree), *ADMIN)
        for method in ("GET", "GET", "HEAD"):
            self.ask(f"/v2/{NAME}/blobs/{DIGEST}", method)
        self.ask("/v2/", "PUT")
        for method, count in (("GET", 2), ("HEAD", 1)):
            self.assertEqual(self.metric("sdr_requests_total", route="blob", code="307", method=method), count)
        self.assertEqual(self.metric("sdr_requests_total", route="base", code="405", method="other"), 1)
        self.assertEqual(self.metric("sdr_redirects_total", cdn="cdn.example.com"), 3)
        self.assertEqual(self.metric("sdr_request_duration_seconds_count", route="blob"), 3)

    def test_own_files(self) -> None:
        """Files that the endpoint serves itself have a route, and redirects to them a name."""
        self.start(*ADMIN)
        self.ask(f"/tree/{manifest_key(NAME, '1.0')}")
        self.ask(f"/v2/{NAME}/manifests/1.0")
        self.assertEqual(self.metric("sdr_requests_total", route="tree", code="200", method="GET"), 1)
        self.assertEqual(self.metric("sdr_redirects_total", cdn="own"), 1)

    def test_lookups(self) -> None:
        """Looks at the store are counted by how they end, those of protocol v1, too."""
        self.start(*ADMIN)
        self.assertEqual(self.metric("sdr_lookups_total", result="found"), 0)
        self.ask(f"/v2/{NAME}/manifests/1.0")
        self.ask(f"/v2/{NAME}/manifests/none")
        self.assertEqual(self.metric("sdr_lookups_total", result="found"), 1)
        self.assertEqual(self.metric("sdr_lookups_total", result="absent"), 1)
        self.ask(f"/v1/images/{'0' * 64}/json")
        self.assertEqual(self.metric("sdr_lookups_total", result="absent"), 2)

    def test_polls(self) -> None:
        """Polls are counted, and by why they failed."""
        self.start(*ADMIN)
        self.assertEqual(self.metric("sdr_catalog_polls_total"), 1)
        (self.tree / LISTS_KEY).write_bytes(b"[]")
        self.reactor.advance(40)
        self.assertEqual(self.metric("sdr_catalog_polls_total"), 2)
        self.assertEqual(self.metric("sdr_catalog_poll_failures_total", reason="malformed"), 1)
        self.assertEqual(self.metric("sdr_catalog_poll_failures_total", reason="unreachable"), 0)
        self.assertEqual(self.metric("sdr_catalog_state", state="failing"), 1)
        self.assertEqual(self.metric("sdr_catalog_repositories"), 1)
        self.assertEqual(self.metric("sdr_catalog_last_success_timestamp_seconds"), 0)

    def test_connections(self) -> None:
        """Connections are counted, and those of whoever scrapes are not among them."""
        self.start("--max-connections-per-address", "2", *ADMIN)
        held = [self.connect() for _ in range(2)]
        held[0][0].dataReceived(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIsNone(self.factory().buildProtocol(CLIENT))
        self.assertEqual(self.metric("sdr_connections_open"), 2)
        self.assertEqual(self.metric("sdr_connections_idle"), 1)
        self.assertEqual(self.metric("sdr_connections_max"), 4096)
        self.assertEqual(self.metric("sdr_connections_refused_total", reason="connections_of_an_address"), 1)
        for protocol, _ in held:
            protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.metric("sdr_connections_open"), 0)

    def test_not_asked_for(self) -> None:
        """Without an admin listener there is one port, and what is for it is not found on that."""
        self.start()
        self.assertEqual([port for port, _, _, _ in self.reactor.tcpServers], [5000])
        for path in ("/metrics", "/livez", "/readyz", "/hosts"):
            self.assertEqual(self.ask(path).status, 404)

    def test_where(self) -> None:
        """The admin listener is this machine's only, and says where it is."""
        with capturedLogs() as captured:
            self.start(*ADMIN)
        self.assertEqual(
            [(port, interface) for port, _, _, interface in self.reactor.tcpServers],
            [(ADMIN_PORT, "127.0.0.1"), (5000, "::")],
        )
        self.assertIn("health and metrics on ", str([formatEvent(event) for event in captured]))
        self.assertEqual(self.ask("/v2/", port=ADMIN_PORT).status, 404)


class ReadinessTests(WholeCase):
    """Whether the endpoint is ready, in each of its states."""

    def ready(self) -> tuple[int, str, str]:
        """Ask."""
        self.assertEqual(self.ask("/livez", port=ADMIN_PORT).status, 200)
        got = self.ask("/readyz", port=ADMIN_PORT)
        said = json.loads(got.body)
        self.assertEqual(said["ready"], got.status == 200)
        return got.status, said["serving"], said["catalog"]

    def test_starting(self) -> None:
        """Before the first poll has ended it is not, and is once it has seen that there is no store to be had."""
        self.start_as("--cdn", CDN, "--store", AWAY, *ADMIN)
        self.assertEqual(self.ready(), (503, "listening", "unknown"))

    def test_fresh(self) -> None:
        """With a catalog it is."""
        self.start(*ADMIN)
        self.assertEqual(self.ready(), (200, "listening", "fresh"))

    def test_failing(self) -> None:
        """With an old one it is, too, unless that is too old for its operator."""
        for age, later in (("600", (200, "listening", "stale")), ("60", (503, "listening", "too old"))):
            write_tree(self.tree)
            service = self.start(*ADMIN, "--ready-max-age", age)
            (self.tree / LISTS_KEY).write_bytes(b"[]")
            self.reactor.advance(40)
            self.assertEqual(self.ready(), (200, "listening", "stale"))
            self.reactor.advance(21)
            self.assertEqual(self.ready(), later)
            self.stop(service)
            self.reactor.tcpServers.clear()

    def test_saved(self) -> None:
        """With the catalog of the last run it is, though the store is gone."""
        state = self.mktemp()
        os.makedirs(state)
        service = self.start("--state-dir", state)
        self.reactor.advance(40)
        self.stop(service)
        self.reactor.tcpServers.clear()
        self.start_as("--cdn", CDN, "--store", AWAY, "--state-dir", state, *ADMIN)
        self.assertEqual(self.ready(), (200, "listening", "saved"))

    def test_none(self) -> None:
        """Where there knowingly is no catalog it is: everything is redirected."""
        (self.tree / LISTS_KEY).unlink()
        self.start(*ADMIN)
        self.assertEqual(self.ready(), (200, "listening", "absent"))

    def test_draining(self) -> None:
        """While it drains it is not, and is alive."""
        self.start(*ADMIN)
        self.reactor.begin()
        self.connect()[0].dataReceived(b"GET /v2/ HTTP/1.1\r\n")
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.ready(), (503, "draining", "fresh"))


class EndTests(WholeCase):
    """SIGTERM."""

    def begin(self, *arguments: str) -> Any:
        """Start an endpoint whose store does not answer."""
        service = self.start_as("--cdn", CDN, "--store", AWAY, *arguments)
        self.reactor.begin()
        return service

    def terminate(self) -> None:
        """Send the signal."""
        os.kill(os.getpid(), signal.SIGTERM)

    def test_nothing_open(self) -> None:
        """Without connections it ends at once."""
        service = self.begin()
        self.terminate()
        self.assertTrue(self.reactor.hasStopped)
        self.stop(service)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_answers_finish(self) -> None:
        """Who waits is closed at once, who is being answered gets the answer and a goodbye, and then it ends."""
        service = self.begin()
        idle, its_transport = self.connect()
        idle.dataReceived(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        busy, transport = self.connect()
        busy.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.terminate()
        self.assertTrue(its_transport.disconnecting)
        idle.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((transport.value(), transport.disconnecting), (b"", False))
        self.reactor.pump([1.0] * 3)  # the look at the store is given up
        (answer,) = read_all(transport.value())
        self.assertEqual((answer.status, answer.headers["connection"]), (307, "close"))
        self.assertTrue(transport.disconnecting)
        self.assertFalse(self.reactor.hasStopped)
        busy.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.reactor.hasStopped)
        self.stop(service)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """It takes no longer than it may: then connections are cut."""
        self.begin("--drain", "0")
        protocol, transport = self.connect()
        protocol.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.terminate()
        self.reactor.advance(0)
        self.assertTrue(transport.disconnected)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.reactor.hasStopped)

    def test_again(self) -> None:
        """A second signal ends it at once."""
        self.begin()
        protocol, _ = self.connect()
        protocol.dataReceived(b"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.terminate()
        self.assertFalse(self.reactor.hasStopped)
        with capturedLogs() as captured:
            os.kill(os.getpid(), signal.SIGINT)
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(formatEvent(captured[0]), "ending at once; connections cut: 1")

    def test_told(self) -> None:
        """A service manager is told that it is ready, that it reloads, and that it stops, in this order."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
            address = f"\0sdr-{os.getpid()}-{id(self)}"
            plug.bind(address)
            plug.setblocking(False)
            self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": f"@{address[1:]}"})
            self.begin()
            self.connect()[0].dataReceived(b"GET /v2/ HTTP/1.1\r\n")
            os.kill(os.getpid(), signal.SIGHUP)
            self.terminate()
            said = [plug.recv(4096) for _ in range(4)]
        status = "catalog starting; repositories: 0, connections: "
        self.assertEqual(said[0], message(READY=1, STATUS=f"{status}0"))
        self.assertRegex(said[1], rb"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
        self.assertEqual(said[2], message(READY=1, STATUS=f"{status}1"))
        self.assertEqual(said[3], message(STOPPING=1, STATUS="draining; connections: 1"))


class TLSTests(WholeCase):
    """TLS."""

    def setUp(self) -> None:
        """Have a certificate."""
        super().setUp()
        self.reactor.rightNow = time.time()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        file = Authority(time.time()).write(folder, "default", "r.example.com")
        self.tls = ("--tls", "8443", "--tls-cert", str(file), "--tls-key", str(file))

    def shake(self, *protocols: str) -> Client:
        """Connect, and agree."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(protocols)
        client = Client(self.factory(8443).buildProtocol(PROXY), self.reactor, context, "r.example.com", None)
        client.shake()
        return client

    def test_answers(self) -> None:
        """A client that speaks TLS is answered, and its redirects begin with https; there is no port in the clear."""
        self.start(*self.tls, *ADMIN)
        self.assertEqual([port for port, _, _, _ in self.reactor.tcpServers], [ADMIN_PORT, 8443])
        client = self.shake("h2", "http/1.1")
        self.assertEqual(client.tls.selected_alpn_protocol(), "http/1.1")
        client.tls.write(f"GET /v2/{NAME}/blobs/{DIGEST} HTTP/1.1\r\nHost: r.example.com\r\n\r\n".encode())
        client.pump()
        (got,) = read_all(client.tls.read(10000))
        self.assertTrue(got.headers["location"].startswith("https://r.example.com/tree/blobs/"))
        self.assertEqual(self.metric("sdr_tls_handshakes_total", version="TLSv1.3"), 1)
        client.protocol.connectionLost(Failure(ConnectionDone()))

    def test_http2(self) -> None:
        """With --http2 that is spoken, too."""
        self.start(*self.tls, "--http2")
        client = self.shake("h2", "http/1.1")
        self.assertEqual(client.tls.selected_alpn_protocol(), "h2")
        client.protocol.connectionLost(Failure(ConnectionDone()))

    def test_both(self) -> None:
        """A port in the clear is there for who asks for it, and tells where TLS is spoken what to do."""
        self.start(*self.tls, "--listen", "5000", *ADMIN)
        self.assertEqual(self.ask("/v2/").status, 200)
        self.assertEqual(self.ask("/v2/", port=8443).status, 400)
        self.assertEqual(self.metric("sdr_tls_handshake_failures_total", reason="plain_http"), 1)

    def test_bad_certificate(self) -> None:
        """A certificate that cannot be used ends the program with one line before anything is listened on."""
        Path(self.tls[3]).write_bytes(b"nothing")
        error = self.assertRaises(SystemExit, self.start, *self.tls)
        self.assertTrue(str(error.code).startswith(f"sdr: {self.tls[3]}: "))
        self.assertNotIn("\n", str(error.code))

    def test_proof(self) -> None:
        """A certificate authority finds its proof."""
        folder = Path(self.mktemp()).absolute() / ".well-known" / "acme-challenge"
        folder.mkdir(parents=True)
        (folder / "token").write_bytes(b"token.key")
        self.start("--tls-acme", str(folder.parents[1]))
        got = self.ask("/.well-known/acme-challenge/token")
        self.assertEqual((got.status, got.body), (200, b"token.key"))


def _id(sent: Sent) -> str:
    return sent.headers["x-request-id"]
