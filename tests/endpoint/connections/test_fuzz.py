"""Any bytes, in any pieces: what comes back is HTTP, in order, and nothing stays behind."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from sdr.endpoint.connections.addresses import read_trusted
from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.connections.request import request_factory
from sdr.endpoint.request_ids import request_ids
from tests.endpoint.connections.responses import Sent, read_all

LIMITS = Limits(line_bytes=100, head_bytes=400, headers=6, body_bytes=50, requests=5)
TRUSTED = read_trusted(["10.0.0.0/8"])

PIECES = (
    *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"),
    *(b"HEAD /later HTTP/1.1\r\nHost: x\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\n"),
    *(b"POST /later HTTP/1.1\r\nHost: x\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
    *(b"5\r\n12345\r\n", b"0\r\n\r\n", b"GET", b" ", b"/", b"http://x/", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Host: x\r\n", b"Host: y\r\n", b"Content-Length: 5\r\n"),
    *(b"Content-Length: 5\r\n\r\n12345", b"Content-Length: 99\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"X: y\r\n", b" fold\r\n"),
    *(b"Forwarded: for=1.2.3.4\r\n", b"X-Forwarded-For: 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
    *(b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", b"\x16\x03\x01", b"Cookie: a=b; c\r\n"),
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b":", b"\t", b"\xff", b"x" * 120, b"Y: " + b"y" * 300),
)
STREAMS = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES[:9]), st.binary(max_size=8)), max_size=14)


class Both(Resource):
    """Answers at once or later, and remembers what it was asked."""

    isLeaf = True

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.asked: list[bytes] = []
        self.gone = 0

    def render(self, request: Request) -> int:
        """Answer."""
        self.asked.append(request.method)
        if request.uri != b"/later":
            self._answer(request)
            return NOT_DONE_YET
        later = self._clock.callLater(1, self._answer, request)
        request.notifyFinish().addErrback(self._leave, later)
        return NOT_DONE_YET

    def _leave(self, failure: Failure, later: Any) -> None:
        self.gone += 1
        if later.active():
            later.cancel()

    def _answer(self, request: Request) -> None:
        request.write(
            b"" if request.method == b"HEAD" else b"%b %b" % (request.uri, request.getClientAddress().host.encode())
        )
        request.finish()


class FuzzTests(SynchronousTestCase):
    """The whole stack in memory, under any bytes."""

    def outcome(self, pieces: list[bytes], peer: str, waits: list[bool]) -> tuple[list[Sent], list[bytes], bool]:
        """Send pieces, with a second between some, and return what came back, what was asked, and whether it ended."""
        clock = Clock()
        connections = Connections(LIMITS, clock)
        resource = Both(clock)
        site: Any = Site(resource, request_factory(TRUSTED, request_ids(), clock), reactor=clock)
        site.protocol = partial(Channel, connections)
        site.noisy = False
        gate = Gate(site, connections, clock, TRUSTED)
        gate.doStart()
        transport = StringTransport(peerAddress=IPv4Address("TCP", peer, 4))
        protocol: Any = gate.buildProtocol(transport.getPeer())
        protocol.makeConnection(cast(Any, transport))
        for at, piece in enumerate(pieces):
            if not transport.disconnecting:
                protocol.dataReceived(piece)
            if at < len(waits) and waits[at]:
                clock.advance(1)
        clock.pump([1.0] * 10)
        ended = transport.disconnecting
        answered_before = len(transport.value())
        clock.pump([1.0] * 300)
        self.assertTrue(transport.disconnecting, "a connection stays for ever")
        refused = transport.value()[answered_before:]
        self.assertTrue(refused in (b"",) or refused.startswith(b"HTTP/1.1 408 "), refused)
        protocol.connectionLost(Failure(ConnectionDone()))
        gate.doStop()
        self.assertEqual(connections.open(), 0)
        self.assertEqual(connections.waiting(), 0)
        self.assertEqual(clock.getDelayedCalls(), [], "a clock runs on")
        self.assertEqual(self.flushLoggedErrors(), [])
        heads = tuple(at for at, method in enumerate(resource.asked) if method == b"HEAD")
        sent = read_all(transport.value(), head_at=heads)
        return sent, resource.asked, ended

    @settings(max_examples=300, deadline=None)
    @given(STREAMS, st.sampled_from(["192.0.2.7", "10.0.0.1"]), st.lists(st.booleans(), max_size=14))
    def test_any_stream(self, pieces: list[bytes], peer: str, waits: list[bool]) -> None:
        """Every response is well-formed, one is given to each request, in order, and a refusal is the last."""
        sent, asked, _ = self.outcome(pieces, peer, waits)
        finals = [response for response in sent if response.status != 100]
        answered = [response for response in finals if response.status == 200]
        self.assertEqual(len(answered), len(asked))
        self.assertTrue(all(response.status == 200 for response in finals[:-1]))
        if finals and finals[-1].status != 200:
            self.assertEqual(finals[-1].headers["connection"], "close")
        self.assertLessEqual(len(asked), LIMITS.requests)

    @settings(max_examples=200, deadline=None)
    @given(STREAMS, st.sampled_from(["192.0.2.7", "10.0.0.1"]), st.data())
    def test_any_split(self, pieces: list[bytes], peer: str, data: st.DataObject) -> None:
        """However the same bytes are cut into pieces, the same comes back."""
        stream = b"".join(pieces)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        edges = [0, *cuts, len(stream)]
        cut = [stream[start:end] for start, end in pairwise(edges) if start < end]
        whole = self.seen([stream] if stream else [], peer)
        self.assertEqual(self.seen(cut, peer), whole)
        if len(stream) < 200:
            self.assertEqual(self.seen([stream[at : at + 1] for at in range(len(stream))], peer), whole)

    def seen(self, pieces: list[bytes], peer: str) -> object:
        """Return what a client sees; a line may be too long and malformed, and which is found first depends."""
        sent, asked, ended = self.outcome(pieces, peer, [])
        return [replace(one, status=400) if one.status == 414 else one for one in sent], asked, ended
