"""The PROXY protocol and forwarded headers between real programs: HAProxy, curl, TLS, and strangers."""

import http.client
import socket
import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.connections.responses import read_all
from tests.real.programs import Process, folder, free_port, required, run, until
from tests.real.test_limits import Limited, ask, received

V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n"


class HAProxy(Process):
    """HAProxy before an endpoint.

    :param mode: ``tcp`` or ``http``.
    :param server: what its server line has besides the address.
    """

    def __init__(self, port: int, mode: str, server: str, *lines: str) -> None:
        self.port = free_port()
        configuration = folder() / "haproxy.cfg"
        configuration.write_text(
            "defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
            f"listen front\n  mode {mode}\n  bind 127.0.0.1:{self.port}\n"
            + "".join(f"  {line}\n" for line in lines)
            + f"  server endpoint 127.0.0.1:{port} {server}\n"
        )
        super().__init__([required("haproxy", "haproxy"), "-db", "-f", str(configuration)])

    def ready(self) -> bool:
        """Tell whether it listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class ProxyTests(SynchronousTestCase):
    """An endpoint that trusts the proxies at 127.0.0.1 and 127.0.0.2."""

    def setUp(self) -> None:
        """Start it, with TLS on a second port."""
        place = folder()
        self.log = place / "access.log"
        self.tls = free_port()
        key, certificate = str(place / "key.pem"), str(place / "cert.pem")
        openssl = [required("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        run([*openssl, "-keyout", key, "-out", certificate])
        self.endpoint = Limited(
            *("--trusted-proxy=127.0.0.1", "--trusted-proxy=127.0.0.2", f"--access-log={self.log}"),
            *(f"--tls={self.tls}", f"--tls-cert={certificate}", f"--tls-key={key}"),
        )
        self.endpoint.start()
        self.addCleanup(self.endpoint.stop)

    def logged(self, path: str) -> str:
        """Return the address from which a path was asked for."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in Path(self.log).read_text().splitlines() if path in line]
            return bool(found)

        until(look, f"{path} in the access log", seconds=5)
        return found[-1].split()[0]

    def asked(self, source: str, *pieces: bytes) -> int | None:
        """Send pieces from somewhere, and return the status of the answer."""
        with self.endpoint.connect(source) as connection:
            for piece in pieces:
                connection.sendall(piece)
            sent = read_all(received(connection)[0])
        return sent[0].status if sent else None

    def test_trusted_and_not(self) -> None:
        """A trusted proxy says whose a connection is, in one piece or byte by byte; a stranger's header is an error."""
        last = "Connection: close\r\n"
        self.assertEqual(self.asked("127.0.0.2", V1 + ask("/v2/?whole", last)), 200)
        self.assertEqual(self.logged("?whole"), "192.0.2.7")
        pieces = [bytes([byte]) for byte in V1]
        self.assertEqual(self.asked("127.0.0.2", *pieces, ask("/v2/?bytes", last)), 200)
        self.assertEqual(self.logged("?bytes"), "192.0.2.7")
        self.assertEqual(self.asked("127.0.0.2", ask("/v2/?without", last)), 200)
        self.assertEqual(self.logged("?without"), "127.0.0.2")
        self.assertEqual(self.asked("127.0.0.3", V1 + ask("/v2/?stranger", last)), 400)
        self.assertIsNone(self.asked("127.0.0.2", b"PROXY garbage\r\n" + ask("/v2/", last)))
        self.assertEqual(self.asked("127.0.0.3", ask("/v2/?forged", f"X-Forwarded-For: 6.6.6.6\r\n{last}")), 200)
        self.assertEqual(self.logged("?forged"), "127.0.0.3")

    def test_before_tls(self) -> None:
        """The header stands before TLS."""
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.tls)) as plain:
            plain.sendall(V1)
            with context.wrap_socket(plain) as connection:
                connection.sendall(ask("/v2/?tls"))
                self.assertIn(b" 200 ", connection.recv(4096))
        self.assertEqual(self.logged("?tls"), "192.0.2.7")

    def through(self, proxy: HAProxy, path: str) -> str:
        """Ask through HAProxy from an address of its own, and return which one was logged."""
        with proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, source_address=("127.0.0.5", 0), timeout=5)
            connection.request("GET", path, headers={"X-Forwarded-For": "6.6.6.6"})
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            return self.logged(path)

    def test_haproxy(self) -> None:
        """HAProxy's headers of both versions, and its X-Forwarded-For, name the client, and not who it claims to be."""
        port = self.endpoint.port
        self.assertEqual(self.through(HAProxy(port, "tcp", "send-proxy"), "/v2/?v1"), "127.0.0.5")
        self.assertEqual(self.through(HAProxy(port, "tcp", "send-proxy-v2"), "/v2/?v2"), "127.0.0.5")
        self.assertEqual(self.through(HAProxy(port, "http", "", "option forwardfor"), "/v2/?xff"), "127.0.0.5")

    def test_curl(self) -> None:
        """The header that curl sends is read."""
        url = f"{self.endpoint.url}/v2/?curl"
        run([required("curl", "curl"), "-sf", "--noproxy", "*", "--haproxy-protocol", "--interface", "127.0.0.2", url])
        self.assertEqual(self.logged("?curl"), "127.0.0.2")
