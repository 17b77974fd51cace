"""What the transport under TLS does as it would without."""

import ssl
from typing import Any

from twisted.internet.interfaces import ITCPTransport


class Outside:
    """Passes on what has nothing to do with TLS.

    :ivar transport: the one outside.
    """

    transport: Any = None
    _tls: ssl.SSLObject | None = None

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """End."""
        self.transport.loseConnection()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What the handshake has agreed on by ALPN, if anything."""
        chosen = None if self._tls is None else self._tls.selected_alpn_protocol()
        return None if chosen is None else chosen.encode()

    def getPeerCertificate(self) -> None:
        """Return nothing: clients show none."""

    def getPeer(self) -> Any:
        """Return the client's address."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """Return the address of this side."""
        return self.transport.getHost()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Have small pieces sent at once, where the transport is TCP."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(enabled)

    def getTcpNoDelay(self) -> bool:
        """Tell whether small pieces are sent at once."""
        return bool(self.transport.getTcpNoDelay())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have TCP see whether the client is still there."""
        self.transport.setTcpKeepAlive(enabled)

    def getTcpKeepAlive(self) -> bool:
        """Tell whether TCP sees to that."""
        return bool(self.transport.getTcpKeepAlive())

    def loseWriteConnection(self) -> None:
        """End the whole connection: TLS has no half of one."""
        self.transport.loseConnection()
