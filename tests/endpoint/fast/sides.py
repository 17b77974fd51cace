"""One endpoint with two faces, in memory: the fast way, and Twisted Web's alone."""

import re
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sdr.catalog.knowledge import Knowledge
from sdr.catalog.sources import Source
from sdr.cdn.locations import CDN, RemoteCDN
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.connections.addresses import NOBODY, Trusted
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.answers import Grounds
from sdr.endpoint.rules import Rules
from sdr.endpoint.site import EndpointSite
from sdr.endpoint.web import Questions, Root
from tests.catalog.polled import Polled
from tests.catalog.store import FakeStore, StoreSource

LIMITS = Limits()
REMOTE = RemoteCDN("https://cdn.example.com/tree")

_DATE = re.compile(rb"\r\nDate: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r\n")
_ID = re.compile(rb"(X-Request-Id: |\"requestId\":\")[0-9a-f]{16}(\r\n|\")")


class Face:
    """A site, and the connections to it.

    :param fast: whether it has the fast way.
    """

    def __init__(self, polled: Polled, rules: Rules, limits: Limits, trusted: Trusted, *, fast: bool) -> None:
        self.clock = polled.clock
        self.refused: list[str] = []
        self.counted: list[tuple[Any, ...]] = []
        self.connections = Connections(limits, self.clock, self.refused.append)
        self.questions = Questions(Knowledge(polled.catalog), rules)
        self.grounds = Grounds(self.questions, polled.catalog) if fast else None
        self.root = Root(self.questions)
        self.site = EndpointSite(
            self.root,
            cast(Any, self.clock),
            self.connections,
            trusted,
            Accounting(cast(Any, self), cast(Any, self)),
            fast=self.grounds,
        )
        self.gate = Gate(cast(Any, self.site), self.connections, cast(Any, self.clock), trusted)
        self.gate.doStart()

    # Who counts and logs.

    def answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """Note a request."""
        self.counted.append((route, method, code))

    def redirected(self, host: str) -> None:
        """Note a redirect."""
        self.counted.append(("redirected", host))

    def write(self, access: Any) -> None:
        """Note a line of the access log."""
        self.counted.append((access.peer, access.method, access.target, access.code, access.sent, access.cdn,
                             access.referer, access.user_agent, access.route, access.protocol))  # fmt: skip

    def connect(self, peer: str = "192.0.2.7") -> "Talk":
        """Open a connection."""
        return Talk(self, peer)


class Talk:
    """A connection."""

    def __init__(self, face: Face, peer: str) -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", peer, 4))
        self.protocol: Any = cast(Any, face.gate.buildProtocol(self.transport.getPeer()))
        self.protocol.makeConnection(cast(Any, self.transport))

    def receive(self, *pieces: bytes) -> None:
        """Have bytes of the client's arrive; a connection that is closing reads nothing any more."""
        for piece in pieces:
            if not self.transport.disconnecting:
                self.protocol.dataReceived(piece)

    def sent(self) -> bytes:
        """Return what was answered, less what is another each time: the date, and the requests' ids."""
        return _ID.sub(rb"\1ID\2", _DATE.sub(b"\r\nDate: now\r\n", self.transport.value()))

    def lose(self) -> None:
        """Lose the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


class Sides:
    """A fake store, and two endpoints before it, each with a catalog of its own, in one clock's time."""

    def __init__(
        self,
        store: FakeStore,
        clock: Clock,
        *,
        cdn: CDN = REMOTE,
        limits: Limits = LIMITS,
        trusted: Trusted = NOBODY,
        source: Source | None = None,
        **rules: Any,
    ) -> None:
        self.clock = clock
        made: list[Face] = []
        self.polled = [
            Polled(source or StoreSource(store), clock, keep_bodies=rules.get("inline", False)) for _ in "ab"
        ]
        for polled, fast in zip(self.polled, (True, False), strict=True):
            polled.run_poll()
            made.append(Face(polled, Rules(cdn, **rules), limits, trusted, fast=fast))
        self.fast, self.slow = made

    def both(self) -> tuple[Face, Face]:
        """Return the one with the fast way, and the one without."""
        return self.fast, self.slow

    def answers(self, pieces: Sequence[bytes], peer: str = "192.0.2.7") -> list[tuple[bytes, bool]]:
        """Send the same to both; return what each answered, and whether it closed."""
        found = []
        for face in self.both():
            talk = face.connect(peer)
            talk.receive(*pieces)
            self.clock.advance(0)
            found.append((talk.sent(), talk.transport.disconnecting))
            talk.lose()
        return found

    def stop(self) -> None:
        """Stop both."""
        for face in self.both():
            face.gate.doStop()
