"""The factory that puts TLS around another one."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory

from sdr.endpoint.tls.connection import TLSConnection
from sdr.endpoint.tls.contexts import Contexts
from sdr.endpoint.tls.interface import Handshake


class TLSFactory(Factory):
    """Puts TLS around what another factory builds.

    :param contexts: returns what a connection that begins now is served with.
    :param protocols: what is spoken inside, by ALPN.
    :param clock: for the deadline of handshakes.
    :param on_handshake: is told of the end of each.
    :param seconds: within which a handshake must be over.
    """

    noisy = False

    def __init__(
        self,
        contexts: Callable[[], Contexts | None],
        protocols: Sequence[bytes],
        inside: IProtocolFactory,
        clock: IReactorTime,
        on_handshake: Callable[[Handshake], None],
        seconds: float,
    ) -> None:
        self._contexts = contexts
        self._protocols = frozenset(protocols)
        self._inside = inside
        self.clock = clock
        self.on_handshake = on_handshake
        self.seconds = seconds

    def doStart(self) -> None:
        """Start the factory inside."""
        self._inside.doStart()
        super().doStart()

    def doStop(self) -> None:
        """Stop the factory inside."""
        self._inside.doStop()
        super().doStop()

    def speaks_any(self, protocols: Iterable[bytes]) -> bool:
        """Tell whether one of these can be spoken inside."""
        return not self._protocols.isdisjoint(protocols)

    def buildProtocol(self, addr: IAddress | None) -> TLSConnection | None:  # type: ignore[override]
        """Build both, unless the other factory wants no connection."""
        contexts = self._contexts()
        assert contexts is not None, "nothing was prepared"
        inside = self._inside.buildProtocol(cast(IAddress, addr))
        return None if inside is None else TLSConnection(self, inside, contexts)
