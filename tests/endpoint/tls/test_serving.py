"""Tests of TLS in memory: Python's own TLS client talks to what the endpoint serves."""

import gc
import ssl
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tls.certificates import BadCertificate, Certificate, parse_certificate
from sdr.endpoint.tls.interface import Handshake, Outcome
from sdr.endpoint.tls.serving import HTTP1, HTTP2, StandardTLS
from tests.endpoint.tls.authority import Authority
from tests.endpoint.wires import Wire


class Echo(Protocol):
    """Says back what it hears."""

    lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Say it back."""
        assert self.transport is not None
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note why."""
        self.lost = reason


class Client:
    """A TLS client whose wire is memory.

    :param protocol: the server's side of the connection.
    """

    def __init__(
        self, protocol: Any, clock: Clock, context: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None
    ) -> None:
        self.protocol, self.clock = protocol, clock
        self.said, self.closed = b"", False
        self.wire = Wire()
        self.wire.abortConnection = self.wire.loseConnection  # type: ignore[method-assign]
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name, session=session)
        protocol.makeConnection(self.wire)

    def pump(self) -> None:
        """Carry what was written to the other side."""
        self.clock.advance(0)
        sent = self._out.read()
        if sent:
            self.protocol.dataReceived(sent)
        self.clock.advance(0)
        self._in.write(self.wire.value())
        self.wire.clear()

    def shake(self) -> None:
        """Do the handshake."""
        for _ in range(5):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.pump()
            except ssl.SSLError:
                self.pump()  # the alert
                raise
        self.pump()

    def echo(self, text: bytes) -> bytes:
        """Say something, and return what comes back."""
        self.tls.write(text)
        self.pump()
        return self.tls.read(1000)

    def shown(self) -> str:
        """Return the first name in the certificate that was shown."""
        certificate = self.tls.getpeercert()
        assert certificate is not None
        return str(certificate["subjectAltName"][0][1])


class ServingCase(SynchronousTestCase):
    """TLS over echo, on a clock."""

    def setUp(self) -> None:
        """Make an authority whose certificates are valid now: the client's library looks at the machine's clock."""
        import time

        self.clock = Clock()
        self.authority = Authority(time.time())
        self.handshakes: list[Handshake] = []
        self.echoes: list[Echo] = []
        self.trust = self.mktemp()
        Path(self.trust).write_bytes(self.authority.root)

    def certificate(self, *names: str, **how: Any) -> Certificate:
        """Issue a certificate."""
        chain, key = self.authority.issue(*names, **how)
        return parse_certificate(f"{names[0]}.pem", chain, f"{names[0]}.pem", key)

    def serve(self, *certificates: Certificate, protocols: Sequence[bytes] = HTTP1) -> StandardTLS:
        """Serve some certificates."""
        self.tls = StandardTLS(self.clock, protocols, self.handshakes.append)
        self.tls.prepare(certificates)()
        self.factory = self.tls.wrap(Factory.forProtocol(self.built))
        return self.tls

    def built(self) -> Echo:
        """Make an echo, and keep it."""
        self.echoes.append(Echo())
        return self.echoes[-1]

    def context(self, **attributes: Any) -> ssl.SSLContext:
        """Return a client's context that trusts the authority."""
        context = ssl.create_default_context(cafile=self.trust)
        for name, value in attributes.items():
            setattr(context, name, value)
        return context

    def connect(
        self,
        name: str | None,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Client:
        """Connect and do the handshake."""
        client = self.begin(name, context, session)
        client.shake()
        return client

    def begin(
        self,
        name: str | None,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Client:
        """Connect."""
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4))
        return Client(protocol, self.clock, context or self.context(), name, session)

    def outcomes(self) -> list[Outcome]:
        """Return how the handshakes ended."""
        return [handshake.outcome for handshake in self.handshakes]


class ServingTests(ServingCase):
    """Certificates and sessions."""

    def test_echo(self) -> None:
        """Bytes go both ways, and the handshake is told with its version and its time."""
        self.serve(self.certificate("a.example"))
        client = self.begin("a.example")
        self.clock.advance(2)
        client.shake()
        self.assertEqual(client.echo(b"hello"), b"hello")
        self.assertEqual(self.handshakes, [Handshake(Outcome.DONE, "TLSv1.3", 2.0)])
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])

    def test_names(self) -> None:
        """Each name has its certificate, whatever its case; a wildcard is for one label; an exact name comes first."""
        self.serve(
            self.certificate("default.example"),
            self.certificate("one.example", "two.example"),
            self.certificate("*.wild.example"),
            self.certificate("x.wild.example"),
        )
        for name, shown in (
            ("one.example", "one.example"),
            ("TWO.example", "one.example"),
            ("a.wild.example", "*.wild.example"),
            ("x.wild.example", "x.wild.example"),
            ("default.example", "default.example"),
        ):
            client = self.connect(name)
            self.assertEqual((client.shown(), client.echo(b"x")), (shown, b"x"))

    def test_default(self) -> None:
        """Who asks for no name, or for one that nobody has, gets the first certificate."""
        self.serve(self.certificate("default.example"), self.certificate("*.wild.example"))
        context = self.context(check_hostname=False)
        for name in (None, "unknown.example", "a.b.wild.example", "192.0.2.1"):
            self.assertEqual(self.connect(name, context).shown(), "default.example")

    def test_floor(self) -> None:
        """TLS 1.2 and 1.3 are spoken."""
        self.serve(self.certificate("a.example"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(minimum_version=version, maximum_version=version)
            self.assertEqual(self.connect("a.example", context).echo(b"x"), b"x")
        self.assertEqual([handshake.version for handshake in self.handshakes], ["TLSv1.2", "TLSv1.3"])

    def test_resumption(self) -> None:
        """A ticket of TLS 1.2 or 1.3 saves the next handshake, for the default certificate and any other."""
        self.serve(self.certificate("a.example"), self.certificate("b.example"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name in ("a.example", "b.example"):
                context = self.context(minimum_version=version, maximum_version=version)
                first = self.connect(name, context)
                first.echo(b"x")
                again = self.connect(name, context, first.tls.session)
                self.assertTrue(again.tls.session_reused, (version, name))
                self.assertEqual(again.echo(b"x"), b"x")

    def test_renewed(self) -> None:
        """The next handshake has the new certificate; a connection that there is goes on; old tickets are refused."""
        self.serve(self.certificate("a.example", "old.example"))
        context = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        old = self.connect("a.example", context)
        half = self.begin("a.example", context)
        self.tls.prepare([self.certificate("a.example", "new.example")])()
        half.shake()
        new = self.connect("a.example", context, old.tls.session)
        self.assertFalse(new.tls.session_reused)
        names = [client.tls.getpeercert()["subjectAltName"][1][1] for client in (old, half, new)]  # type: ignore[index]
        self.assertEqual(names, ["old.example", "old.example", "new.example"])
        self.assertEqual([client.echo(b"x") for client in (old, half, new)], [b"x"] * 3)

    def test_renewed_twice(self) -> None:
        """A connection keeps the context that it began with, and nobody keeps it any longer."""
        own, other = self.certificate("a.example"), self.certificate("b.example")
        self.serve(own, other)
        assert self.tls.shown is not None
        front, named = weakref.ref(self.tls.shown.front), weakref.ref(self.tls.shown.by_name["b.example"])
        client = self.connect("b.example")
        for _ in range(2):
            self.tls.prepare([own, other])()
        gc.collect()
        self.assertEqual((front(), named() is None), (None, False))
        self.assertEqual(client.echo(b"x"), b"x")
        client.protocol.connectionLost(Failure(connectionDone.value))
        gc.collect()
        self.assertIsNone(named())

    def test_alpn(self) -> None:
        """HTTP/1.1 is chosen unless HTTP/2 was asked for; who offers nothing gets nothing."""
        for protocols, offered, chosen in (
            (HTTP1, ["h2", "http/1.1"], "http/1.1"),
            (HTTP2, ["http/1.1", "h2"], "h2"),
            (HTTP2, ["http/1.1"], "http/1.1"),
            (HTTP1, [], None),
        ):
            self.serve(self.certificate("a.example"), self.certificate("b.example"), protocols=protocols)
            for name in ("a.example", "b.example"):
                context = self.context()
                if offered:
                    context.set_alpn_protocols(offered)
                self.assertEqual(self.connect(name, context).tls.selected_alpn_protocol(), chosen)

    def test_keys(self) -> None:
        """RSA keys serve; what OpenSSL would not serve is refused with its reason."""
        self.serve(self.certificate("a.example", key=rsa.generate_private_key(65537, 2048)))
        self.assertEqual(self.connect("a.example").echo(b"x"), b"x")
        with self.assertRaises(BadCertificate) as caught:
            self.tls.check(self.certificate("a.example", key=rsa.generate_private_key(65537, 1024)))
        self.assertIn("a.example.pem: OpenSSL refuses it: ee key too small", str(caught.exception))
        self.tls.check(self.certificate("a.example", key=ed25519.Ed25519PrivateKey.generate()))

    def test_refused_connection(self) -> None:
        """A factory inside that wants no connection has its way."""

        class Nobody(Factory):
            def buildProtocol(self, addr: object) -> None:
                return None

        self.serve(self.certificate("a.example"))
        self.assertIsNone(self.tls.wrap(Nobody()).buildProtocol(IPv4Address("TCP", "192.0.2.1", 4)))


class FailureTests(ServingCase):
    """Handshakes that fail: each is counted, and none leaves a traceback."""

    def setUp(self) -> None:
        """Serve a certificate."""
        super().setUp()
        self.serve(self.certificate("a.example"))

    def fail(self, context: ssl.SSLContext) -> None:  # type: ignore[override]
        """Do a handshake that fails, and lose the connection."""
        client = self.begin("a.example", context)
        self.assertRaises(ssl.SSLError, client.shake)
        client.pump()
        client.protocol.connectionLost(Failure(connectionDone.value))

    def say(self, *parts: bytes) -> Client:
        """Say something else than TLS, and leave."""
        client = self.begin("a.example")
        for part in parts:
            client.protocol.dataReceived(part)
        client.said, client.closed = client.wire.value(), client.wire.disconnecting
        client.protocol.connectionLost(Failure(connectionDone.value))
        return client

    def tearDown(self) -> None:
        """See that the protocol inside was told, and that no timer is left."""
        self.assertTrue(all(echo.lost is not None for echo in self.echoes))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_old_version(self) -> None:
        """TLS 1.1 is refused."""
        context = self.context(check_hostname=False, minimum_version=ssl.TLSVersion.TLSv1)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        self.fail(context)
        self.assertEqual(self.outcomes(), [Outcome.VERSION])

    def test_old_cipher(self) -> None:
        """What is not forward secret or not authenticated is refused."""
        for ciphers in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
            context = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(ciphers)
            self.fail(context)
        self.assertEqual(self.outcomes(), [Outcome.CIPHER] * 3)

    def test_untrusted(self) -> None:
        """A client that does not trust the certificate is counted as such."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=None, cadata=Authority().root.decode())
            context.maximum_version = version
            self.fail(context)
        self.assertEqual(self.outcomes(), [Outcome.CERTIFICATE] * 2)

    def test_unknown_protocol(self) -> None:
        """Who offers other protocols only is refused (RFC 7301, section 3.2)."""
        context = self.context()
        context.set_alpn_protocols(["smtp"])
        self.fail(context)
        self.assertEqual(self.outcomes(), [Outcome.PROTOCOL])

    def test_plain_http(self) -> None:
        """HTTP in the clear is told in the clear what is wrong, once, however it is cut."""
        for parts in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",), (b"P", b"RI * HTTP/2.0\r\n"), (b"HEAD / ", b"x")):
            client = self.say(*parts)
            said: bytes = client.said
            self.assertTrue(said.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
            self.assertTrue(said.endswith(b"\r\n\r\nThis port speaks TLS: the URL begins with https://\n"))
            self.assertEqual((said.count(b"HTTP/1.1"), client.closed), (1, True))
        self.assertEqual(self.outcomes(), [Outcome.PLAIN_HTTP] * 3)

    def test_nonsense(self) -> None:
        """What is not TLS is closed."""
        for text in (
            b"\x00" * 100,
            b"SSH-2.0-x\r\n".lower(),
            b"\x16\x09\x09" + b"x" * 50,
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        ):
            self.assertTrue(self.say(text).closed, text)
        self.assertEqual(set(self.outcomes()), {Outcome.NOT_TLS})

    def test_leaving(self) -> None:
        """Who says nothing is told from who leaves in the middle."""
        self.say()
        self.say(b"\x16\x03\x01")
        self.assertEqual(self.outcomes(), [Outcome.SILENT, Outcome.LEFT])

    def test_deadline(self) -> None:
        """A handshake that is not over in time is cut off, also one that dribbles."""
        for parts in ((), (b"\x16", b"\x03")):
            client = self.begin("a.example")
            for part in parts:
                self.clock.advance(4)
                client.protocol.dataReceived(part)
            self.clock.advance(9.9 - 4 * len(parts))
            self.assertFalse(client.wire.disconnecting)
            self.clock.advance(0.1)
            self.assertTrue(client.wire.disconnecting)
            client.protocol.connectionLost(Failure(connectionDone.value))
        self.assertEqual(self.outcomes(), [Outcome.TIMEOUT] * 2)
        self.assertEqual([handshake.seconds for handshake in self.handshakes], [10.0] * 2)
