"""The PROXY protocol and forwarded headers between real programs: HAProxy, curl, TLS, and strangers."""

import contextlib
import http.client
import socket
import ssl

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoint.connections.responses import read_all
from tests.real.edge import all_closed
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
        self.tls = free_port()
        key, certificate = str(place / "key.pem"), str(place / "cert.pem")
        openssl = [required("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        run([*openssl, "-keyout", key, "-out", certificate])
        self.endpoint = Limited(
            *("--trusted-proxy=127.0.0.1", "--trusted-proxy=127.0.0.2"),
            *(f"--tls=tcp:{self.tls}:interface=127.0.0.1", f"--tls-cert={certificate}", f"--tls-key={key}"),
        )
        self.endpoint.start()
        self.addCleanup(self.endpoint.stop)

    def logged(self, client: str) -> str:
        """Return the address from which a client asked."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                line for line in self.endpoint.access_log.read_text().splitlines() if line.endswith(f'"{client}"')
            ]
            return bool(found)

        until(look, f"{client} in the access log", seconds=5)
        return found[-1].split()[0]

    def ask(self, client: str, more: str = "Connection: close\r\n") -> bytes:
        """Write the request of a client, whose name the access log has."""
        return ask(more=f"User-Agent: {client}\r\n{more}")

    def asked(self, source: str, *pieces: bytes) -> int | None:
        """Send pieces from somewhere, and return the status of the answer."""
        with self.endpoint.connect(source) as connection:
            for piece in pieces:
                connection.sendall(piece)
            sent = read_all(received(connection)[0])
        return sent[0].status if sent else None

    def test_trusted_and_not(self) -> None:
        """A trusted proxy says whose a connection is, in one piece or byte by byte; a stranger's header is an error."""
        self.assertEqual(self.asked("127.0.0.2", V1 + self.ask("whole")), 200)
        self.assertEqual(self.logged("whole"), "192.0.2.7")
        pieces = [bytes([byte]) for byte in V1]
        self.assertEqual(self.asked("127.0.0.2", *pieces, self.ask("bytes")), 200)
        self.assertEqual(self.logged("bytes"), "192.0.2.7")
        self.assertEqual(self.asked("127.0.0.2", self.ask("without")), 200)
        self.assertEqual(self.logged("without"), "127.0.0.2")
        self.assertEqual(self.asked("127.0.0.3", V1 + self.ask("stranger")), 400)
        self.assertIsNone(self.asked("127.0.0.2", b"PROXY garbage\r\n" + self.ask("garbage")))
        forged = "X-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n"
        self.assertEqual(self.asked("127.0.0.3", self.ask("forged", forged)), 200)
        self.assertEqual(self.logged("forged"), "127.0.0.3")

    def test_limits_are_the_clients(self) -> None:
        """A proxy may have more connections than one address; the client that it names may not."""
        endpoint = Limited("--trusted-proxy=127.0.0.2", "--max-connections-per-address=3")
        endpoint.start()
        self.addCleanup(endpoint.stop)
        for header, most in ((b"", 8), (V1, 3)):
            with contextlib.ExitStack() as stack:
                made = [stack.enter_context(endpoint.connect("127.0.0.2")) for _ in range(8)]
                for connection in made:
                    connection.sendall(header + ask())
                answered = [connection for connection in made if received(connection, seconds=0.3)[0]]
                self.assertEqual(len(answered), most)
            all_closed(endpoint)

    def test_before_tls(self) -> None:
        """The header stands before TLS."""
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.tls)) as plain:
            plain.sendall(V1)
            with context.wrap_socket(plain) as connection:
                connection.sendall(self.ask("tls"))
                self.assertIn(b" 200 ", connection.recv(4096))
        self.assertEqual(self.logged("tls"), "192.0.2.7")

    def through(self, proxy: HAProxy, client: str) -> str:
        """Ask through HAProxy from an address of its own, and return which one was logged."""
        with proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, source_address=("127.0.0.5", 0), timeout=5)
            connection.request("GET", "/v2/", headers={"X-Forwarded-For": "6.6.6.6", "User-Agent": client})
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            return self.logged(client)

    def test_haproxy(self) -> None:
        """HAProxy's headers of both versions, and its X-Forwarded-For, name the client, and not who it claims to be."""
        port = self.endpoint.port
        self.assertEqual(self.through(HAProxy(port, "tcp", "send-proxy"), "v1"), "127.0.0.5")
        self.assertEqual(self.through(HAProxy(port, "tcp", "send-proxy-v2"), "v2"), "127.0.0.5")
        self.assertEqual(self.through(HAProxy(port, "http", "", "option forwardfor"), "xff"), "127.0.0.5")

    def test_curl(self) -> None:
        """The header that curl sends is read."""
        curl = [required("curl", "curl"), "-sf", "--noproxy", "*", "-A", "it is curl", "--interface", "127.0.0.2"]
        run([*curl, "--haproxy-protocol", f"{self.endpoint.url}/v2/"])
        self.assertEqual(self.logged("it is curl"), "127.0.0.2")
