"""TLS by pyOpenSSL, through Twisted."""

from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory, IReactorTime
from zope.interface import implementer

from sdr.endpoint.tls.certificates import BadCertificate, Certificate, by_name, candidates, load_key
from sdr.endpoint.tls.handshakes import HANDSHAKE_SECONDS, TLSFactory
from sdr.endpoint.tls.interface import Handshake

#: What is spoken inside, by ALPN (RFC 7301), the preferred one first.
HTTP1 = (b"http/1.1",)
HTTP2 = (b"h2", b"http/1.1")

#: For how long a client may come back with a ticket.
TICKET_SECONDS = 3600

#: For TLS 1.2: forward secrecy and authenticated encryption only (Mozilla's "intermediate" without finite-field DH).
#: The ciphers of TLS 1.3 are all good.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    b":ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


class NoProtocol(SSL.Error):
    """A client offered protocols by ALPN, and none of them is spoken here."""


@implementer(IOpenSSLServerConnectionCreator)
class PyOpenSSL:
    """TLS 1.2 and 1.3 by pyOpenSSL.

    It makes its own contexts: Twisted's ``CertificateOptions`` answers unknown protocols with an empty one, and has no
    say in how long tickets live.

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
        self._front: SSL.Context | None = None

    def check(self, certificate: Certificate) -> None:
        """See whether OpenSSL takes a certificate."""
        try:
            self._context(certificate, None, None)
        except Exception as error:  # also of cryptography: keys of a kind that TLS does not know
            raise BadCertificate(
                f"{certificate.file}: OpenSSL refuses it: {_reason(error)}; have it issued anew"
            ) from error

    def prepare(self, certificates: Sequence[Certificate]) -> Callable[[], None]:
        """Make the contexts for these certificates."""
        named: dict[str, SSL.Context] = {}

        def choose(connection: SSL.Connection) -> None:
            # An exception in here would end in sys.excepthook.
            for name in candidates(connection.get_servername()):
                if name in named:
                    connection.set_context(named[name])
                    return

        front = self._context(certificates[0], choose, None)
        contexts = {id(certificates[0]): front}
        for name, certificate in by_name(certificates).items():
            if id(certificate) not in contexts:
                contexts[id(certificate)] = self._context(certificate, None, front)
            named[name] = contexts[id(certificate)]
        # Sessions and their tickets are the front context's, whichever certificate is shown.
        return lambda: setattr(self, "_front", front)

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Return a factory for TLS around another."""
        return TLSFactory(self, factory, self._clock, self._on_handshake, self._seconds)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Begin a connection with the newest certificates."""
        assert self._front is not None, "nothing was prepared"
        return SSL.Connection(self._front)

    def _context(
        self, certificate: Certificate, choose: Callable[[SSL.Connection], None] | None, front: SSL.Context | None
    ) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        # Tickets need no cache; one would keep every session of every client.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_timeout(TICKET_SECONDS)
        own, *others = x509.load_pem_x509_certificates(certificate.chain)
        context.use_certificate(own)
        for other in others:
            context.add_extra_chain_cert(other)
        context.use_privatekey(load_key(certificate.key))  # type: ignore[arg-type]
        context.check_privatekey()
        context.set_alpn_select_callback(self._select)
        if choose is not None:
            context.set_tlsext_servername_callback(choose)
        # OpenSSL calls the front's callbacks also after the switch (a second ClientHello), and pyOpenSSL's connection
        # keeps only the context that it has been switched to.
        context.set_app_data(front)
        # Last: pyOpenSSL uses the context for this, after which it is not to be changed.
        context.set_cipher_list(_CIPHERS)
        return context

    def _select(self, connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        # The alert no_application_protocol (RFC 7301, section 3.2): no other protocol is to reach an HTTP server.
        raise NoProtocol([("SSL routines", "", "no application protocol")])


def _reason(error: Exception) -> str:
    """Return the last thing that OpenSSL said."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return str(error) or type(error).__name__
