"""A wire in memory that is asked what only sockets are."""

from twisted.internet.testing import StringTransport


class Wire(StringTransport):
    """The transport under TLS, which takes itself for TCP."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: there is no TCP."""
