"""A directory served in memory, for tests of the tree that the endpoint serves itself."""

import os
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.catalog.sources import InThread
from sdr.cdn.locations import OLD_TREE
from sdr.endpoint.files import TreeFiles, old_headers_of
from sdr.registry.grammar import Digest
from sdr.tree.keys import blob_key
from tests.endpoint.trees import at_once, write, write_tree

BLOB = b"0123456789" * 100_000
BLOB_DIGEST = Digest.of(BLOB)
BLOB_PATH = f"/tree/{blob_key(BLOB_DIGEST)}"
#: Seconds after which a client that takes nothing is given up.
STALL_SECONDS = 120.0


class Got:
    """An answer, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}


class TreeCase(SynchronousTestCase):
    """A directory, served."""

    def setUp(self) -> None:
        """Make a tree with a blob of a megabyte."""
        self.tree = Path(self.mktemp())
        write_tree(self.tree)
        write(self.tree, blob_key(BLOB_DIGEST), BLOB)
        self.in_thread: InThread = at_once
        self.clock = Clock()

    def connect(self) -> tuple[Any, StringTransport]:
        """Open a connection in memory."""
        root = Resource()
        path = os.path.abspath(self.tree)
        root.putChild(b"tree", TreeFiles(path, self.in_thread, self.clock, STALL_SECONDS))
        root.putChild(b"old", TreeFiles(path, self.in_thread, self.clock, STALL_SECONDS, OLD_TREE, old_headers_of))
        protocol: Any = Site(root, reactor=self.clock).buildProtocol(IPv4Address("TCP", "192.0.2.1", 4))
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, path: str, method: str = "GET", **headers: str) -> Got:
        """Make one request."""
        protocol, transport = self.connect()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode("latin-1"))
        return Got(transport.value())
