"""A client that speaks HTTP/2 by the h2 library, over a wire that is memory."""

from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from tests.endpoint.wires import Wire


class TLSTransport(Wire):
    """A transport as TLS makes one, after a handshake.

    :param negotiated: what was agreed on.
    """

    def __init__(self, negotiated: bytes | None, peer: Any) -> None:
        super().__init__(peerAddress=peer)
        self.negotiatedProtocol = negotiated
        # As far as anybody asks; it has no settings of TCP.
        directlyProvides(self, providedBy(self), ISSLTransport)
        self._closes = False

    def getPeerCertificate(self) -> None:
        """Return nothing: clients have none."""

    def loseConnection(self) -> None:
        """Close, unless a producer is still there: TLS waits for it."""
        self._closes = True
        if self.producer is None:
            super().loseConnection()

    def unregisterProducer(self) -> None:
        """Close, where that was asked for."""
        super().unregisterProducer()
        if self._closes:
            super().loseConnection()


@dataclass
class Answer:
    """What came on a stream.

    :param reset: the error's code, where it was reset.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


class H2Client:
    """A client on a connection.

    :param protocol: the server's side, not connected yet.
    :param window: bytes of an answer that the client takes without saying so.
    """

    def __init__(self, protocol: Any, clock: Clock, *, window: int = 65535) -> None:
        self.clock = clock
        self.protocol = protocol
        self.transport = TLSTransport(b"h2", IPv4Address("TCP", "192.0.2.7", 4))
        self.answers: dict[int, Answer] = {}
        self.goodbyes: list[GoAwayFrame] = []
        self.conn = H2Connection(H2Configuration(header_encoding="utf-8"))
        #: Whether it says that it has read what came.
        self.acknowledges = True
        self._unread = b""
        self._closed = False
        protocol.makeConnection(self.transport)
        protocol.wrappedProtocol.handshakeCompleted()
        self.conn.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.conn.local_settings.acknowledge()
        self.conn.initiate_connection()
        self.pump()

    def begin(self, path: str, method: str = "GET", *headers: tuple[str, str], end: bool = True) -> int:
        """Make a request, and return its stream."""
        stream: int = self.conn.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", "registry.example.com"), (":path", path)]
        self.answers[stream] = Answer()
        self.conn.send_headers(stream, [*head, *headers], end_stream=end)
        self.pump()
        return stream

    def begin_raw(self, stream: int, head: list[tuple[str, str]]) -> None:
        """Make a request of any headers."""
        self.answers[stream] = Answer()
        self.conn.send_headers(stream, head, end_stream=True)
        self.pump()

    def begin_unheard(self, stream: int, path: str) -> None:
        """Begin a request, before anything that the server said is heard."""
        self.answers[stream] = Answer()
        head = [(":method", "PUT"), (":scheme", "https"), (":authority", "registry.example.com"), (":path", path)]
        self.conn.send_headers(stream, head)

    def ask(self, path: str, method: str = "GET", *headers: tuple[str, str]) -> Answer:
        """Make a request, and return its answer as far as it came."""
        return self.answers[self.begin(path, method, *headers)]

    def pump(self) -> None:
        """Carry bytes back and forth until nobody has any."""
        for _ in range(10_000):
            sent = self.conn.data_to_send()
            if sent:
                self.protocol.dataReceived(sent)
            self.clock.advance(0)
            came = self.transport.value()
            self.transport.clear()
            if not sent and not came and not any(call.getTime() <= self.clock.seconds() for call in self._calls()):
                return
            self._hear(came)
        raise AssertionError("it goes on for ever")

    def send(self, data: bytes) -> None:
        """Send bytes of any kind."""
        self.protocol.dataReceived(data)
        self.pump()

    def lose(self) -> None:
        """Lose the connection."""
        if not self._closed:
            self._closed = True
            self.protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0)

    def _calls(self) -> list[Any]:
        return list(self.clock.getDelayedCalls())

    def _hear(self, data: bytes) -> None:
        self._unread += data
        while len(self._unread) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._unread[:9]))
            whole, self._unread = self._unread[: 9 + length], self._unread[9 + length :]
            if isinstance(frame, GoAwayFrame):
                # h2 would take no answers after it.
                frame.parse_body(memoryview(whole[9:]))
                self.goodbyes.append(frame)
            else:
                for event in self.conn.receive_data(whole):
                    self._happened(event)

    def _happened(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            answer = self.answers[event.stream_id]
            answer.headers = dict(event.headers)  # type: ignore[arg-type]
            answer.status = int(answer.headers[":status"])
        elif isinstance(event, DataReceived):
            self.answers[event.stream_id].body += event.data
            if event.flow_controlled_length and self.acknowledges:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.answers[event.stream_id].ended = True
        elif isinstance(event, StreamReset):
            self.answers[event.stream_id].reset = int(event.error_code)
