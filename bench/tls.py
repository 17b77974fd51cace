"""Compares what TLS costs a server in Twisted: pyOpenSSL by ``TLSMemoryBIOFactory``, and the endpoint's own.

    python -m bench.tls [--rounds N]

Everything is in memory, on one thread: a client of the standard library, and a protocol that gives each request of 450
bytes an answer of 420. Only the processor time of the server's side counts: what it takes for a connection up to its
first byte, with and without a ticket, and for a request. The two libraries may come with different versions of OpenSSL.
"""

import argparse
import ssl
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from bench.tables import Row, table
from sdr.endpoint.tls.certificates import Certificate, parse_certificate
from sdr.endpoint.tls.serving import StandardTLS
from tests.endpoint.tls.authority import Authority
from tests.real.programs import folder

REQUEST, ANSWER = b"x" * 450, b"y" * 420
REQUESTS = 50


class Answering(Protocol):
    """Answers."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        assert self.transport is not None
        self.transport.write(ANSWER)


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """Begins connections by pyOpenSSL, with what the endpoint's have."""

    def __init__(self, path: str) -> None:
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate_chain_file(path)
        context.use_privatekey_file(path)
        context.set_alpn_select_callback(lambda _, offered: offered[0])
        context.set_tlsext_servername_callback(lambda _: None)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Begin one."""
        return SSL.Connection(self._context)


class Server:
    """A server's side, and how long it has worked."""

    def __init__(self, factory: Any, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 0.0
        self.wire = StringTransport()
        self._protocol = self._timed(lambda: factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4)))
        self._timed(lambda: self._protocol.makeConnection(self.wire))

    def hear(self, data: bytes) -> bytes:
        """Take what the client says, and return what it is told."""
        self._timed(lambda: self._protocol.dataReceived(data))
        self._timed(lambda: self._clock.advance(0))
        said: bytes = self.wire.value()
        self.wire.clear()
        return said

    def _timed(self, call: Callable[[], Any]) -> Any:
        began = time.thread_time()
        try:
            return call()
        finally:
            self.seconds += time.thread_time() - began


def talk(
    factory: Any, clock: Clock, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[float, float, ssl.SSLSession | None]:
    """Connect and ask; return the seconds for the connection, those for a request, and the session."""
    server = Server(factory, clock)
    read, written = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client.wrap_bio(read, written, server_hostname="registry.example.com", session=session)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            read.write(server.hear(written.read()))
    read.write(server.hear(written.read()))
    began = server.seconds
    for _ in range(REQUESTS):
        tls.write(REQUEST)
        read.write(server.hear(written.read()))
        assert tls.read(1000) == ANSWER
    return began, (server.seconds - began) / REQUESTS, tls.session


def measure(factory: Any, clock: Clock, rounds: int) -> list[list[float]]:
    """Return microseconds for a connection, for a resumed one, and for a request, a round each."""
    found: list[list[float]] = [[], [], []]
    client = ssl._create_unverified_context()
    client.set_alpn_protocols(["http/1.1"])
    for _ in range(rounds):
        first, request, session = talk(factory, clock, client, None)
        again, _, _ = talk(factory, clock, client, session)
        for values, seconds in zip(found, (first, again, request), strict=True):
            values.append(seconds * 1e6)
    return found


def main() -> None:
    """Measure, in turn, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.tls")
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    file = Authority(time.time()).write(folder(), "registry", "registry.example.com")
    pem, clock = file.read_bytes(), Clock()
    certificate: Certificate = parse_certificate(str(file), pem, str(file), pem)
    own = StandardTLS(clock)
    own.prepare([certificate])()
    inside = Factory.forProtocol(Answering)
    factories = [
        TLSMemoryBIOFactory(cast(Any, Creator(str(file))), False, cast(Any, inside), clock),
        own.wrap(cast(Any, inside)),
    ]
    turns: list[list[list[float]]] = [[[], [], []] for _ in factories]
    for _ in range(rounds):
        for factory, found in zip(factories, turns, strict=True):
            for values, more in zip(found, measure(factory, clock, 1), strict=True):
                values += more
    labels = ("a new connection, µs", "a resumed connection, µs", "a request, µs")
    rows = [
        Row(label, [[statistics.median(found[number])] for found in turns], "{:.0f}".format)
        for number, label in enumerate(labels)
    ]
    print(table(["pyOpenSSL by Twisted", "the endpoint's own"], rows))
    print(f"\n{SSL.SSLeay_version(0).decode()} and {ssl.OPENSSL_VERSION}; medians of {rounds} rounds.")


if __name__ == "__main__":
    main()
