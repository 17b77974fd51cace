"""TLS by Python's standard library."""

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from sdr.endpoint.tls.certificates import Certificate
from sdr.endpoint.tls.contexts import Shown, make_context, make_contexts
from sdr.endpoint.tls.factory import TLSFactory
from sdr.endpoint.tls.handshakes import HANDSHAKE_SECONDS
from sdr.endpoint.tls.interface import Handshake

#: What is spoken inside, by ALPN (RFC 7301), the preferred one first.
HTTP1 = (b"http/1.1",)
HTTP2 = (b"h2", b"http/1.1")


class StandardTLS:
    """TLS 1.2 and 1.3 by the OpenSSL that Python is linked with.

    pyOpenSSL through Twisted's ``TLSMemoryBIOFactory`` takes four times as long for each request (bench/README.md).

    :param clock: for handshakes that do not end.
    :param protocols: what is spoken inside: :data:`HTTP1` or :data:`HTTP2`.
    :param on_handshake: is told of the end of each handshake.
    :param seconds: within which a handshake must be over.
    """

    def __init__(
        self,
        clock: IReactorTime,
        protocols: Sequence[bytes] = HTTP1,
        on_handshake: Callable[[Handshake], None] = lambda _: None,
        seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        self._clock = clock
        self._protocols = tuple(protocols)
        self._on_handshake = on_handshake
        self._seconds = seconds
        #: What connections that begin now are served with; nothing before the first time.
        self.shown: Shown | None = None

    def check(self, certificate: Certificate) -> None:
        """See whether OpenSSL takes a certificate."""
        make_context(certificate, self._protocols)

    def prepare(self, certificates: Sequence[Certificate]) -> Callable[[], None]:
        """Make the contexts for these certificates."""
        shown = make_contexts(certificates, self._protocols)
        return lambda: setattr(self, "shown", shown)

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Return a factory for TLS around another."""
        return TLSFactory(lambda: self.shown, self._protocols, factory, self._clock, self._on_handshake, self._seconds)
