"""What speaks TLS for the endpoint: the seam behind which a TLS library is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from twisted.internet.interfaces import IProtocolFactory

from sdr.endpoint.tls.certificates import Certificate


class Outcome(StrEnum):
    """How a handshake ended; there are no others, so that they can be counted."""

    DONE = "done"
    #: The client closed the connection before it said anything, as load balancers do that only want to know.
    SILENT = "silent"
    #: It left in the middle.
    LEFT = "left"
    #: It was not over within its time.
    TIMEOUT = "timeout"
    #: It was HTTP in the clear.
    PLAIN_HTTP = "plain_http"
    #: It was something else than TLS.
    NOT_TLS = "not_tls"
    #: The client speaks no version that is spoken here.
    VERSION = "version"
    #: The client has no cipher, group or signature in common with the endpoint and its key.
    CIPHER = "cipher"
    #: The client offered protocols by ALPN, and none of them is spoken here.
    PROTOCOL = "protocol"
    #: The client refused the certificate.
    CERTIFICATE = "certificate"
    #: The client gave up with another alert.
    ALERT = "alert"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake that has ended.

    :param version: such as ``TLSv1.3``, where it was done.
    :param seconds: how long it took.
    """

    outcome: Outcome
    version: str
    seconds: float


class TLS(Protocol):
    """Serves protocols over TLS."""

    def check(self, certificate: Certificate) -> None:
        """See whether a certificate could be served; may be called in a thread.

        :raise BadCertificate: if the library does not take it.
        """
        ...

    def prepare(self, certificates: Sequence[Certificate]) -> Callable[[], None]:
        """Make ready to serve these, the default first; blocking, may be called in a thread.

        :return: to be called in the reactor's thread: from then on handshakes are served with them. Connections that
            there are stay as they are. Session tickets end with it.
        """
        ...

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Return a factory whose connections are TLS outside and the given factory's inside."""
        ...
