"""A site in memory, for tests of requests as they come over the wire to an endpoint."""

import os
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from sdr.endpoint.accounting import Accounting
from sdr.endpoint.connections.addresses import NOBODY, Trusted
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.files import TreeFiles
from sdr.endpoint.site import EndpointSite
from tests.endpoint.connections.responses import Sent, read_all
from tests.endpoint.serving import STALL_SECONDS
from tests.endpoint.trees import at_once, endpoint, polled_catalog, write_tree

#: A client, as a socket for both families of addresses tells it, and a proxy.
CLIENT = IPv6Address("TCP", "::ffff:192.0.2.7", 4)
PROXY = IPv4Address("TCP", "10.0.0.1", 4)


class SiteCase(SynchronousTestCase):
    """A site over a tree in a directory, which it serves below /tree/, too."""

    limits = Limits()

    def setUp(self) -> None:
        """Make a tree, and a site before it."""
        self.folder = Path(self.mktemp())
        write_tree(self.folder)
        self.reactor = MemoryReactorClock()
        root = endpoint(polled_catalog(self.folder, self.reactor))
        root.putChild(b"tree", TreeFiles(os.path.abspath(self.folder), at_once, self.reactor, STALL_SECONDS))
        self.serve(root)

    def serve(
        self, root: Resource, trusted: Trusted = NOBODY, accounting: Accounting | None = None, *, http2: bool = False
    ) -> None:
        """Put a site before a resource."""
        self.root = root
        self.refused: list[str] = []
        self.connections = Connections(self.limits, self.reactor, self.refused.append)
        self.site = EndpointSite(root, self.reactor, self.connections, trusted, accounting, http2=http2)

    def connect(self, peer: Any = CLIENT) -> None:
        """Open another connection."""
        self.protocol: Any = self.site.buildProtocol(peer)
        self.transport = StringTransport(peerAddress=peer)
        self.protocol.makeConnection(self.transport)

    def ask(self, path: str, method: str = "GET", *headers: str, peer: Any = CLIENT) -> Sent:
        """Make one request, on a connection of its own."""
        self.connect(peer)
        lines = [f"{method} {path} HTTP/1.1", "Host: registry.example.com", *headers, "", ""]
        self.protocol.dataReceived("\r\n".join(lines).encode("latin-1"))
        (sent,) = read_all(self.transport.value(), head_at=(0,) if method == "HEAD" else ())
        self.protocol.connectionLost(Failure(ConnectionDone()))
        return sent
