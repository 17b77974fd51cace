"""The whole endpoint in memory, put together by its own composition root: connections and time are the test's."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tap import Options, makeService
from tests.endpoint.connections.responses import Sent, read_all
from tests.endpoint.trees import write_tree
from tests.endpoint.wires import Wire

CDN = "https://cdn.example.com/tree"
CLIENT = IPv4Address("TCP", "192.0.2.1", 4)
ADMIN_PORT = 9090
SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class Threads:
    """A thread pool that does its work at once."""

    def callInThreadWithCallback(self, done: Any, call: Any, *args: Any, **kwargs: Any) -> None:
        """Do the work."""
        try:
            result = call(*args, **kwargs)
        except BaseException:
            done(False, Failure())
        else:
            done(True, result)


class Reactor(MemoryReactorClock):
    """A reactor in memory with threads, and with ports that may be busy."""

    busy: int | None = None

    def getThreadPool(self) -> Threads:
        """Return the pool."""
        return Threads()

    def callFromThread(self, call: Any, *args: Any) -> None:
        """Call at once."""
        call(*args)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen, or not."""
        if self.busy is not None and (interface == "::" or self.busy == errno.EADDRINUSE):
            raise CannotListenError(interface, port, OSError(self.busy, os.strerror(self.busy)))
        return super().listenTCP(port, factory, backlog, interface)

    def begin(self) -> None:
        """Begin to run."""
        self.running = True
        for call, args, kwargs in self.whenRunningHooks:
            call(*args, **kwargs)


def options(*arguments: str) -> Options:
    """Read a command line."""
    read = Options()
    read.parseOptions(list(arguments))
    return read


class WholeCase(SynchronousTestCase):
    """An endpoint on a tree in a directory."""

    def setUp(self) -> None:
        """Make a tree."""
        self.tree = Path(self.mktemp()).absolute()
        write_tree(self.tree)
        self.reactor = Reactor()
        for number in SIGNALS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def start(self, *arguments: str) -> Any:
        """Start an endpoint on the directory."""
        return self.start_as("--cdn", str(self.tree), *arguments)

    def start_as(self, *arguments: str) -> Any:
        """Start an endpoint by a command line."""
        service: Any = makeService(options(*arguments), self.reactor)
        self.assertEqual(self.reactor.tcpServers, [], "nothing happens before the start")
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, service)
        return service

    def stop(self, service: Any) -> None:
        """Stop an endpoint, unless it was."""
        if service.running:
            self.successResultOf(service.stopService())

    def factory(self, port: int = 5000) -> Any:
        """Return what is listened for on a port."""
        return next(factory for number, factory, _, _ in self.reactor.tcpServers if number == port)

    def connect(self, port: int = 5000, peer: Any = CLIENT) -> tuple[Any, Wire]:
        """Open a connection."""
        protocol: Any = self.factory(port).buildProtocol(peer)
        transport = Wire(peerAddress=peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def send(self, head: str, port: int = 5000, peer: Any = CLIENT) -> bytes:
        """Send a request's head on a connection of its own, and return what comes back."""
        protocol, transport = self.connect(port, peer)
        protocol.dataReceived(head.encode("latin-1"))
        value: bytes = transport.value()
        protocol.connectionLost(Failure(ConnectionDone()))
        return value

    def ask(self, path: str, method: str = "GET", *headers: str, port: int = 5000, peer: Any = CLIENT) -> Sent:
        """Make a request."""
        lines = (f"{method} {path} HTTP/1.1", "Host: localhost:5000", *headers, "Connection: close", "", "")
        (sent,) = read_all(self.send("\r\n".join(lines), port, peer), head_at=(0,) if method == "HEAD" else ())
        return sent

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of one sample on the admin listener, or nothing if it is not there."""
        text = self.ask("/metrics", port=ADMIN_PORT).body.decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None
