"""The HTTP side of the endpoint: what a connection may cost, and the access log."""

import os
from contextlib import suppress
from typing import Any, BinaryIO, cast

from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.logger import Logger, LogPublisher
from twisted.web.http import HTTPChannel, Request
from twisted.web.iweb import IAccessLogFormatter
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import provider

#: A whole request must arrive within this many seconds of its first byte.
REQUEST_SECONDS = 20
#: A connection without a request is closed after this many seconds.
IDLE_SECONDS = 60
#: No question has a body; this many bytes of one are read and thrown away, so that the client hears the answer.
BODY_LIMIT = 1024 * 1024

#: The first byte of a TLS connection (RFC 8446, section 5.1); no method begins with it.
TLS_HANDSHAKE = b"\x16"


class Discarded:
    """A file that keeps nothing: Twisted Web would spool a body to the disk before it asks anybody."""

    def write(self, data: bytes) -> int:
        """Throw it away."""
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Return nothing."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stay at the beginning."""
        return 0

    def tell(self) -> int:
        """Return the beginning."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class Channel(HTTPChannel):
    """A connection on which a request that dribbles in, or never ends, ends."""

    # Twisted logs a line for each idle client that it closes: on a busy endpoint that is the disk.
    _log = Logger(observer=LogPublisher())

    def __init__(self) -> None:
        super().__init__()
        self._receiving = False
        self._answering = False
        self._body_length = 0

    def dataReceived(self, data: bytes) -> None:
        """Start the clock at the first byte of a request; the bytes after it do not wind it up again."""
        if not self._receiving and not self._answering:
            if data.startswith(TLS_HANDSHAKE):
                # Clients try https first, and would wait ten seconds for an answer to their greeting.
                self._refuse(b"400 Bad Request")
                return
            self._receiving = True
            self.setTimeout(REQUEST_SECONDS)
        super().dataReceived(data)

    def resetTimeout(self) -> None:
        """Leave the clock as it is: a byte now and then must not hold a connection."""

    def allHeadersReceived(self) -> None:
        """Refuse a body that is too large before the client is told to send it."""
        self._body_length = 0
        if self.length is not None and self.length > BODY_LIMIT:
            self.requests[-1].requestHeaders.removeHeader("expect")
            super().allHeadersReceived()
            self._refuse(b"413 Content Too Large")
        else:
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Count a body whose length was not told."""
        if not self._answering:
            self._body_length += len(data)
            if self._body_length > 2 * BODY_LIMIT:
                self._refuse(b"413 Content Too Large")
                return
        super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """Stop the clock while the request is being answered."""
        self._receiving, self._answering = False, True
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """Be ready for the next request."""
        self._answering = False
        super().requestDone(request)
        if not self._answering:
            self.setTimeout(IDLE_SECONDS)

    def _refuse(self, status: bytes) -> None:
        head = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
        cast(ITransport, self.transport).write(head)
        self._receiving = self._answering = True
        self.dataReceived = lambda data: None  # type: ignore[method-assign]
        self.loseConnection()


class EndpointSite(Site):
    """The site: HTTP/1.1, bodies thrown away, and an access log if one is wanted.

    :param access_log: a file's path, ``-`` for standard output, or nothing.
    """

    protocol = Channel  # type: ignore[assignment]
    _events = Logger()

    def __init__(self, resource: Resource, reactor: IReactorTime, access_log: str | None = None) -> None:
        super().__init__(resource, timeout=IDLE_SECONDS, reactor=reactor, logFormatter=combined)
        self.displayTracebacks = False
        self.noisy = False
        self.logPath = access_log
        self._log_fails = False

    def startFactory(self) -> None:
        """Open the access log; without one, requests are not logged."""
        super().startFactory()
        if not self.logPath:
            self._logFile = None

    def _openLogFile(self, path: str | bytes) -> Any:
        # Twisted's hook for subclasses; its own choice would rotate at a megabyte and keep every old file.
        if path == "-":
            # The descriptor, not sys.stdout: twistd puts its log in the place of that.
            return os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        return open(path, "a", buffering=1, encoding="utf-8", newline="\n")

    def log(self, request: Request) -> None:
        """Log a request; where that fails (a full disk), its client must have its answer and its connection."""
        try:
            super().log(request)
            self._log_fails = False
        except OSError as error:
            if not self._log_fails:
                self._events.warn("the access log cannot be written: {error}", error=error)
            self._log_fails = True

    def stopFactory(self) -> None:
        """Close the access log; lines that it could not take are lost."""
        with suppress(OSError):
            if self._logFile is not None:
                self._logFile.close()
        self._logFile = None
        super().stopFactory()

    def getContentFile(self, length: int | None) -> BinaryIO:
        """Give a request's body somewhere to go that costs nothing."""
        return cast(BinaryIO, Discarded())

    def acceptableProtocols(self) -> list[bytes]:
        """Speak HTTP/1.1, whatever happens to be installed."""
        return [b"http/1.1"]


@provider(IAccessLogFormatter)
def combined(timestamp: str, request: Request) -> str:
    """Return a line in the combined format of Apache and nginx.

    :param timestamp: already formatted, in brackets.
    """
    peer = str(getattr(request.getClientAddress(), "host", "-")).removeprefix("::ffff:")
    length = request.sentLength or "-"
    return (
        f'{peer} - - {timestamp} "{_quoted(request.method)} {_quoted(request.uri)} {_quoted(request.clientproto)}" '
        f'{request.code} {length} "{_quoted(request.getHeader(b"referer") or b"-")}" '
        f'"{_quoted(request.getHeader(b"user-agent") or b"-")}"'
    )


def _quoted(text: bytes) -> str:
    """Escape what could end the quotation or the line, as nginx does."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02X}" for byte in text)
