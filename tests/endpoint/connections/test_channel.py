"""Tests of one connection: strict, in order, bounded in time and memory."""

from functools import partial
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from sdr.endpoint.connections.channel import AT_A_TURN, Channel
from sdr.endpoint.connections.connections import FIRST_REQUEST_SECONDS, Connections
from sdr.endpoint.connections.limits import Limits
from tests.endpoint.connections.responses import read_all

ASK = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render(self, request: Request) -> int:
        """Remember a request."""
        self.requests.append(request)
        return NOT_DONE_YET


class Quick(Resource):
    """Answers at once, with the path."""

    isLeaf = True
    size = 0

    def render(self, request: Request) -> bytes:
        """Answer."""
        return request.uri + b"x" * self.size


class ChannelCase(SynchronousTestCase):
    """A connection to a resource."""

    limits = Limits()
    #: Makes a connection, if that is not to be the channel itself.
    channel: Any = None

    def setUp(self) -> None:
        """Connect."""
        self.clock = Clock()
        self.refused: list[str] = []
        self.connections = Connections(self.limits, self.clock, self.refused.append)
        self.slow = Slow()
        self.connect(self.slow)

    def connect(self, resource: Resource) -> Site:
        """Open a connection."""
        site: Any = Site(resource, reactor=self.clock)
        site.protocol = self.channel or partial(Channel, self.connections)
        site.noisy = False
        self.transport = StringTransport()
        self.protocol: Any = site.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return cast(Site, site)

    def receive(self, data: bytes) -> None:
        """Have bytes of the client's arrive."""
        self.protocol.dataReceived(data)

    def lose(self) -> None:
        """Lose the connection."""
        IProtocol(self.protocol).connectionLost(Failure(ConnectionDone()))

    def statuses(self) -> list[int]:
        """Return the statuses that were answered."""
        return [response.status for response in read_all(self.transport.value())]


class OrderTests(ChannelCase):
    """Requests behind one another."""

    def test_pipelined(self) -> None:
        """Requests that are sent at once are answered one after another, in their order."""
        self.receive(b"".join(ASK.replace(b"/v2/", b"/%d" % at) for at in range(3)))
        for at in range(3):
            self.assertEqual([request.uri for request in self.slow.requests], [b"/%d" % n for n in range(at + 1)])
            self.slow.requests[at].finish()
        self.assertEqual(self.statuses(), [200, 200, 200])
        self.assertFalse(self.transport.disconnecting)

    def test_garbage_behind_a_request(self) -> None:
        """An answer under way is whole before what is behind its request is refused."""
        self.receive(ASK + b"garbage\r\n\r\n")
        self.assertEqual(self.transport.value(), b"")
        self.slow.requests[0].write(b"half")
        self.slow.requests[0].write(b"half")
        self.slow.requests[0].finish()
        first, _, second = self.transport.value().partition(b"0\r\n\r\nHTTP/1.1 ")
        self.assertIn(b"half\r\n4\r\nhalf\r\n", first)
        self.assertTrue(second.startswith(b"400 "))
        self.assertTrue(self.transport.disconnecting)

    def test_nothing_after_a_refusal(self) -> None:
        """What follows a refused request is not read, however good it looks."""
        self.receive(b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n" + ASK)
        self.receive(ASK)
        self.assertEqual(self.statuses(), [400])
        self.assertEqual(self.slow.requests, [])
        self.assertEqual(self.refused, ["target"])

    def test_byte_by_byte(self) -> None:
        """Requests with and without bodies mean the same when each byte comes by itself."""
        chunked = b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
        sized = b"PUT /s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        self.connect(Quick())
        data = sized + chunked + b"\r\n" + ASK + sized + ASK
        for byte in data:
            self.receive(bytes([byte]))
        self.assertEqual(self.statuses(), [200] * 5)
        apart = self.transport.value()
        self.connect(Quick())
        self.receive(data)
        self.assertEqual(self.transport.value(), apart)

    def test_body_is_no_request(self) -> None:
        """What looks like a request inside a body is a body."""
        self.connect(Quick())
        inner = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
        self.receive(b"PUT /outer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner + ASK)
        self.assertEqual(self.statuses(), [200, 200])
        self.assertNotIn(b"/inner", self.transport.value())

    def test_turns(self) -> None:
        """Many requests at once are answered a few at a time, so that others have their turn."""
        self.connect(Quick())
        self.receive(ASK * (AT_A_TURN + 1))
        self.assertEqual(len(self.statuses()), AT_A_TURN)
        self.clock.advance(0)
        self.assertEqual(len(self.statuses()), AT_A_TURN + 1)
        self.lose()

    def test_bad_chunks(self) -> None:
        """Chunks that are none end the connection, and nothing behind them is read."""
        for body in (
            b"x\r\n",
            b"-1\r\n",
            b"0x1\r\na\r\n0\r\n\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            b"1;\x00\r\n",
            b"1\na\n0\n\n",
        ):
            self.connect(Quick())
            self.receive(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + ASK)
            self.assertEqual(self.statuses(), [400], body)
            self.assertTrue(self.transport.disconnecting)

    def test_expectation_without_a_body(self) -> None:
        """Nobody is invited to send a body of no bytes."""
        self.connect(Quick())
        self.receive(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(self.statuses(), [200])
        self.receive(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        self.assertEqual(self.statuses(), [200, 100])


class LimitTests(ChannelCase):
    """What a connection may cost."""

    limits = Limits(requests=3, request_seconds=5, idle_seconds=10, write_seconds=7, head_bytes=512, line_bytes=128)

    def test_requests(self) -> None:
        """The last request that a connection may make is answered with a goodbye."""
        self.connect(Quick())
        for at in range(3):
            self.assertFalse(self.transport.disconnecting)
            self.receive(ASK)
            self.assertEqual(b"Connection: close" in self.transport.value(), at == 2)
        self.assertTrue(self.transport.disconnecting)

    def test_first_request(self) -> None:
        """A connection on which no request comes ends sooner than one that waits for its next."""
        self.clock.advance(5.1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.transport.value(), b"")

    def test_slow_request(self) -> None:
        """A request that does not come whole in time is told so."""
        self.receive(b"GET / HTTP/1.1\r\n")
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.statuses(), [408])
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.refused, ["slow request"])

    def test_answering_has_no_clock(self) -> None:
        """While the endpoint thinks, no clock of the client's runs."""
        self.receive(ASK)
        self.clock.advance(1000)
        self.assertFalse(self.transport.disconnecting)
        self.slow.requests[0].finish()
        self.assertEqual(self.statuses(), [200])

    def test_stray_line(self) -> None:
        """An empty line behind a request begins no other: the connection waits as long as without it."""
        self.receive(ASK)
        self.slow.requests[0].finish()
        self.receive(b"\r\n")
        self.clock.advance(9)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.statuses(), [200])

    def test_long_line(self) -> None:
        """A first line that is too long is refused while it still comes."""
        self.receive(b"GET /" + b"x" * 200)
        self.assertEqual(self.statuses(), [414])

    def test_large_head(self) -> None:
        """Headers that are too large are refused while they still come."""
        self.receive(b"GET / HTTP/1.1\r\nX: " + b"x" * 600)
        self.assertEqual(self.statuses(), [400])

    def test_many_headers(self) -> None:
        """Too many headers are refused."""
        self.connections = Connections(Limits(headers=3), self.clock, self.refused.append)
        self.connect(Quick())
        self.receive(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 2 + b"\r\n")
        self.receive(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 3 + b"\r\n")
        self.assertEqual(self.statuses(), [200, 400])

    def test_read_ahead(self) -> None:
        """What comes while a request is answered is read up to a bound, and read on after the answer."""
        self.receive(ASK * 20)
        self.assertEqual(self.transport.producerState, "paused")
        self.slow.requests[0].finish()
        self.slow.requests[1].finish()
        self.slow.requests[2].finish()
        self.assertEqual(self.statuses(), [200] * 3)

    def test_answers_wait_for_the_client(self) -> None:
        """Requests that wait are not answered before the client has read what it was sent."""
        self.connections = Connections(Limits(), self.clock, self.refused.append)
        self.connect(Quick())
        channel: Any = self.transport.producer
        channel.pauseProducing()
        self.receive(ASK * 3)
        self.assertEqual(self.statuses(), [])
        channel.resumeProducing()
        self.assertEqual(self.statuses(), [200] * 3)
        self.assertEqual(self.transport.producerState, "producing")

    def test_closing_ends(self) -> None:
        """A client that does not take its last answer is cut off after a while."""
        self.receive(CLOSE)
        self.slow.requests[0].finish()
        self.assertTrue(self.transport.disconnecting)
        self.clock.advance(6.9)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.disconnected)

    def test_nothing_stays(self) -> None:
        """A lost connection leaves no clock running, whatever was under way on it."""
        self.lose()
        before = len(self.clock.getDelayedCalls())
        for resource in (Slow(), Quick()):
            for data in (b"", b"GET", ASK, ASK * 20, CLOSE, b"garbage\r\n\r\n"):
                site = self.connect(resource)
                self.receive(data)
                self.lose()
                site.doStop()
                self.assertEqual(len(self.clock.getDelayedCalls()), before, data)
        self.assertEqual(self.connections.waiting(), 0)


class DrainTests(ChannelCase):
    """The end of the endpoint."""

    def test_idle(self) -> None:
        """A connection that waits for a next request is closed at once."""
        self.receive(ASK)
        self.slow.requests[0].finish()
        self.connections.drain(10)
        self.assertTrue(self.transport.disconnecting)

    def test_answer_on_its_way(self) -> None:
        """An answer that has not left whole is no idle connection: it has its time, and is not closed to make room."""
        self.receive(ASK)
        self.protocol.pauseProducing()  # as the transport does when it is full
        self.slow.requests[0].finish()
        self.assertEqual(self.connections.waiting(), 0)
        self.clock.advance(self.limits.idle_seconds + self.protocol.abortTimeout + 1)
        self.assertFalse(self.transport.disconnecting)
        self.connections.drain(1000)
        self.assertTrue(self.transport.disconnecting)
        self.clock.advance(self.protocol.abortTimeout + 1)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(self.limits.write_seconds)
        self.assertTrue(self.transport.disconnected)

    def test_idle_once_it_has_left(self) -> None:
        """Once the answer has left the connection waits for the next request, for as long as it may."""
        self.receive(ASK)
        self.protocol.pauseProducing()
        self.slow.requests[0].finish()
        self.clock.advance(self.limits.idle_seconds * 2)
        self.protocol.resumeProducing()
        self.assertEqual(self.connections.waiting(), 1)
        self.clock.advance(self.limits.idle_seconds - 1)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(2)
        self.assertTrue(self.transport.disconnecting)

    def test_new(self) -> None:
        """A client that has only just connected may make its request yet, and is answered."""
        self.connections.drain(10)
        self.assertFalse(self.transport.disconnecting)
        self.receive(ASK)
        self.slow.requests[0].finish()
        self.assertEqual(self.statuses(), [200])
        self.assertIn(b"Connection: close", self.transport.value())

    def test_new_and_silent(self) -> None:
        """One that says nothing in that time is closed."""
        self.connections.drain(10)
        self.clock.advance(FIRST_REQUEST_SECONDS)
        self.assertTrue(self.transport.disconnecting)

    def test_answering(self) -> None:
        """An answer under way finishes, says goodbye, and is the last one."""
        self.receive(ASK * 2)
        self.connections.drain(10)
        self.assertFalse(self.transport.disconnecting)
        self.slow.requests[0].finish()
        self.assertIn(b"Connection: close", self.transport.value())
        self.assertEqual(self.statuses(), [200])
        self.assertTrue(self.transport.disconnecting)

    def test_receiving(self) -> None:
        """A request that has begun to come is answered."""
        self.receive(ASK[:10])
        self.connections.drain(10)
        self.receive(ASK[10:])
        self.slow.requests[0].finish()
        self.assertIn(b"Connection: close", self.transport.value())
        self.assertTrue(self.transport.disconnecting)
