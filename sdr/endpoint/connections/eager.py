"""A TCP connection that can send at once what the kernel takes, instead of a turn of the reactor later."""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IListeningPort
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Port, Server


class EagerServer(Server):
    """Twisted's own transport waits until the socket is writable: two more calls of epoll and a turn for each answer.

    What the kernel does not take at once goes the usual way, and so does everything after it.
    """

    _waits = False

    def startWriting(self) -> None:
        """Note that something is to be sent later."""
        self._waits = True
        super().startWriting()

    def stopWriting(self) -> None:
        """Note that everything has been sent."""
        self._waits = False
        super().stopWriting()

    def abortConnection(self) -> None:
        """Send nothing any more."""
        super().abortConnection()
        self._waits = True

    def doRead(self) -> ConnectionDone | ConnectionLost | None:  # type: ignore[override]
        """Pass on what the client has sent, in fewer steps than Twisted's own transport."""
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None

    def write_at_once(self, data: bytes) -> None:
        """Send, unless other bytes wait."""
        if self._waits or not self.connected or not data:
            self.write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            # The kernel's buffer is full, or the connection is lost: the reactor will find out, and say so when nobody
            # is in the middle of it.
            sent = 0
        if sent < len(data):
            self.write(data[sent:])


def at_once(transport: Any) -> Callable[[bytes], None]:
    """Return what writes to a transport, at once where it can.

    It has to be the transport's own: Twisted's wrappers, its TLS among them, pass on what they have not themselves.
    """
    if isinstance(transport, EagerServer):
        return transport.write_at_once
    found: Callable[[bytes], None] = vars(transport).get("write_at_once") or transport.write
    return found


def send_eagerly(port: IListeningPort) -> None:
    """Have a port's connections able to send at once, if they are plain TCP; to be called before it accepts one."""
    if isinstance(port, Port) and port.transport is Server:
        port.transport = EagerServer
