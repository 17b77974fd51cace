"""One HTTP/2 connection: bounded in time and memory, and ended in order."""

from contextlib import suppress
from typing import Any, cast

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime, ITCPTransport, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._http2 import H2Connection

from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.http2_head import read_fields
from sdr.endpoint.connections.strict import Refusal

#: Requests that may be under way on a connection.
_STREAMS = 100
#: Bytes of an answer that may wait to be sent before its writer is held back.
_AHEAD = 64 * 1024


class _Frames(FrameBuffer):
    """Frames, of which h2 would keep 16 MiB before it says that one is too large."""

    def __next__(self) -> Frame:
        if len(self._data) >= 3:
            self._validate_frame_length(int.from_bytes(self._data[:3]))
        return super().__next__()


class _Arriving:
    """A request that has not come whole yet."""

    def __init__(self, deadline: IDelayedCall) -> None:
        self.deadline = deadline
        self.length = 0


class H2Channel(H2Connection):
    """One HTTP/2 connection, by Twisted, with limits, which ends when it is asked to, or has had its requests.

    :param connections: knows the limits, and all connections.
    """

    # Twisted logs two lines for each idle client that it closes: on a busy endpoint that is the disk.
    _log = Logger(observer=LogPublisher())

    def __init__(self, connections: Connections, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._connections = connections
        limits = self._limits = connections.limits
        # What a head may have over HTTP/1.1 it may have here.
        own = {SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS, SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes}
        self.conn.local_settings = Settings(client=False, initial_values=own)
        self.conn.incoming_buffer = _Frames(server=True)
        self.conn.decoder.max_header_list_size = limits.head_bytes
        self._begun = 0
        self._arriving: dict[int, _Arriving] = {}
        self._stuck: set[int] = set()  # streams with something to send that the client has no room for
        self._held: set[int] = set()  # streams that are to write no more for now
        self._draining = self._over = self._hears = False

    def connectionMade(self) -> None:
        """Begin; until the first request it waits."""
        super().connectionMade()
        self._connections.serves(self)
        self._connections.waits(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what the client says."""
        self._hears = True
        try:
            super().dataReceived(data)
        except Exception:
            self._cut()
            return
        finally:
            self._hears = False
        if self._stuck:
            self._send_on()
        if self._held:
            self._write_on()

    def pauseProducing(self) -> None:
        """Send nothing more for now; a transport says so at each write beyond its limit, and Twisted's would forget."""
        if self._consumerBlocked is None:
            super().pauseProducing()

    def resetTimeout(self) -> None:
        """Begin anew to wait for the client when something was sent; a ping now and then must not hold a connection."""
        if not self._hears:
            super().resetTimeout()

    def timeoutConnection(self) -> None:
        """End a connection that waits for too long, or whose client takes nothing of what it asked for."""
        stalls = bool(self.streams)
        self.conn.close_connection()
        cast(ITransport, self.transport).write(self.conn.data_to_send())
        self._close()
        if stalls:
            self._connections.refused("stalled reader")
            cast(ITCPTransport, self.transport).abortConnection()

    def drain(self) -> None:
        """Tell the client to ask for nothing more, and end after the answers under way (RFC 9113, section 6.8)."""
        if self._draining or self._over:
            return
        self._draining = True
        # By hand: h2 takes a GOAWAY of its own for the end of all answers, too.
        goaway = GoAwayFrame(0, last_stream_id=self.conn.highest_inbound_stream_id)
        cast(ITransport, self.transport).write(goaway.serialize())
        if not self.streams:
            self._close()

    # Twisted has no other place that knows when a request begins and ends.

    def _requestReceived(self, event: Any) -> None:
        if self._draining or self._over:
            # The client was told, or is being told: it may ask again elsewhere.
            self.conn.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._begun += 1
        if not self.streams:
            self._connections.works(self)
            self.setTimeout(self._limits.write_seconds)
        fields = read_fields(event.headers, self._limits)
        if isinstance(fields, Refusal):
            self._refuse(event.stream_id, fields.reason)
        else:
            event.headers = fields
            super()._requestReceived(event)
        if event.stream_id in self.streams and event.stream_ended is None:
            deadline = self._reactor.callLater(
                self._limits.request_seconds, self._give_up, event.stream_id, "slow request"
            )
            self._arriving[event.stream_id] = _Arriving(deadline)
        if self._begun >= self._limits.requests:
            self.drain()

    def _requestDataReceived(self, event: Any) -> None:
        if event.stream_id not in self.streams:
            return
        super()._requestDataReceived(event)
        arriving = self._arriving[event.stream_id]
        arriving.length += len(event.data)
        if arriving.length > self._limits.body_bytes:
            self._give_up(event.stream_id, "large body")

    def _requestEnded(self, event: Any) -> None:
        if event.stream_id in self.streams:
            self._has_arrived(event.stream_id)
            super()._requestEnded(event)

    def _requestAborted(self, event: Any) -> None:
        if event.stream_id in self.streams:
            super()._requestAborted(event)

    def _requestDone(self, streamID: int) -> None:
        self._has_arrived(streamID)
        self._stuck.discard(streamID)
        self._held.discard(streamID)
        super()._requestDone(streamID)
        if self.streams or not self._stillProducing:
            return
        if self._draining:
            self._close()
        else:
            self.setTimeout(self._limits.idle_seconds)
            self._connections.waits(self)

    def _handlePriorityUpdate(self, event: Any) -> None:
        """Do nothing: such wishes are deprecated (RFC 9113, section 5.3), and too many would make Twisted fail."""

    def _handleWindowUpdate(self, event: Any) -> None:
        """Do nothing yet: what there is room for is sent once all that the client says has been heard."""

    def remainingOutboundWindow(self, streamID: int) -> int:
        """Return how much of an answer may be written now: not all that the client might take, but little ahead.

        Twisted would keep in memory what the client's window has room for, up to 2 GiB; and try to send what it has no
        room for in each turn of the reactor.
        """
        window = self.conn.local_flow_control_window(streamID)
        queue = self._outboundStreamQueues[streamID]
        if window <= 0 and queue and isinstance(queue[0], bytes):
            self.priority.block(streamID)
            self._stuck.add(streamID)
        room = cast(int, super().remainingOutboundWindow(streamID))
        room = min(room, _AHEAD - (window - room))
        if room <= 0:
            self._held.add(streamID)
        return room

    def _sendPrioritisedData(self, *_: object) -> None:
        try:
            super()._sendPrioritisedData()
            if self._held:
                self._write_on()
        except ProtocolError:  # what an answer was to be sent on has ended by a mistake of the client
            self._cut()

    def _write_on(self) -> None:
        """Have those write on who were held back; who still has no room holds itself back again."""
        held, self._held = self._held, set()
        for stream in held:
            if stream in self.streams:
                self.streams[stream].windowUpdated()

    def _send_on(self) -> None:
        moving = [stream for stream in self._stuck if self.conn.local_flow_control_window(stream) > 0]
        for stream in moving:
            self._stuck.remove(stream)
            self.priority.unblock(stream)
        sending = self._sendingDeferred
        if moving and sending is not None:
            self._sendingDeferred = None
            sending.callback(None)

    def _has_arrived(self, stream: int) -> None:
        arriving = self._arriving.pop(stream, None)
        if arriving is not None and arriving.deadline.active():
            arriving.deadline.cancel()

    def _refuse(self, stream: int, reason: str) -> None:
        """Refuse a request of which nobody has heard yet."""
        self._connections.refused(reason)
        self.conn.reset_stream(stream, ErrorCodes.CANCEL)
        if not self.streams:
            self.setTimeout(self._limits.idle_seconds)
            self._connections.waits(self)

    def _give_up(self, stream: int, reason: str) -> None:
        self._connections.refused(reason)
        self.streams[stream].connectionLost(Failure(ConnectionLost(reason)))
        self._reset(stream, ErrorCodes.CANCEL)

    def abortRequest(self, streamID: int) -> None:
        """End an answer that does not come whole; Twisted would call that no error."""
        self._reset(streamID, ErrorCodes.INTERNAL_ERROR)

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        with suppress(ProtocolError):
            self.conn.reset_stream(stream, code)
        if self._tryToWriteControlData() and stream in self.streams:
            self._requestDone(stream)

    def _cut(self) -> None:
        """End a connection whose frames make no sense together."""
        self._connections.refused("framing")
        cast(ITCPTransport, self.transport).abortConnection()

    # A stream may have ended by the client's doing, of which its answer's writer has not heard yet.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any, streamID: int) -> None:
        """Write the head of an answer."""
        with suppress(ProtocolError):
            super().writeHeaders(version, code, reason, headers, streamID)

    def writeDataToStream(self, streamID: int, data: bytes) -> None:
        """Have a piece of an answer sent."""
        if streamID in self.streams:
            with suppress(ProtocolError):
                super().writeDataToStream(streamID, data)

    def endRequest(self, streamID: int) -> None:
        """Have the end of an answer sent."""
        if streamID in self.streams:
            super().endRequest(streamID)

    def openStreamWindow(self, streamID: int, increment: int) -> None:
        """Let the client send more of a body."""
        with suppress(ProtocolError):
            super().openStreamWindow(streamID, increment)

    def _close(self) -> None:
        if self._over:
            return
        self._over = True
        self._connections.works(self)
        self.setTimeout(None)
        # A client that does not say goodbye in TLS would stay for ever.
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)
        transport = cast(Any, self.transport)
        # TLS waits for a producer that is registered.
        transport.unregisterProducer()
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone, _cancelTimeouts: bool = True) -> None:
        """Forget the connection; also when the client has said goodbye, or nonsense, and is to be closed."""
        super().connectionLost(reason, _cancelTimeouts)
        self._connections.served(self)
        if _cancelTimeouts:
            self._over = True
        else:
            self._close()


def h2_channel(connections: Connections, clock: IReactorTime, site: Any) -> IProtocol:
    """Build a connection that speaks HTTP/2 for a site."""
    channel: Any = H2Channel(connections, clock)
    channel.factory = channel.site = site
    channel.requestFactory = site.requestFactory
    channel.timeOut = connections.limits.idle_seconds
    channel.callLater = clock.callLater
    return cast(IProtocol, channel)
