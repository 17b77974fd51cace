"""How handshakes end, and what is said where there is none."""

import ssl

from sdr.endpoint.tls.contexts import reason_of
from sdr.endpoint.tls.interface import Outcome

#: A handshake must be over within this many seconds.
HANDSHAKE_SECONDS = 10.0

_PLAIN = b"This port speaks TLS: the URL begins with https://\n"
#: For those who speak HTTP in the clear.
PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nServer: sdr\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_PLAIN), _PLAIN)
)
#: The alert no_application_protocol (RFC 7301, section 3.2), before anything is encrypted: no other protocol is to
#: reach an HTTP server. The library would go on without one.
NO_PROTOCOL_ALERT = b"\x15\x03\x03\x00\x02\x02\x78"

#: What OpenSSL says, by parts of it; the first that fits.
_OUTCOMES = (
    ("alert unknown ca", Outcome.CERTIFICATE),
    ("alert bad certificate", Outcome.CERTIFICATE),
    ("alert certificate", Outcome.CERTIFICATE),
    ("alert unsupported certificate", Outcome.CERTIFICATE),
    ("alert", Outcome.ALERT),
    ("unsupported protocol", Outcome.VERSION),
    ("version too low", Outcome.VERSION),
    ("no shared", Outcome.CIPHER),
    ("no suitable", Outcome.CIPHER),
    ("wrong version number", Outcome.NOT_TLS),
    ("packet length too long", Outcome.NOT_TLS),
    ("record layer failure", Outcome.NOT_TLS),
    ("unknown protocol", Outcome.NOT_TLS),
    ("unexpected message", Outcome.NOT_TLS),
    ("bad record type", Outcome.NOT_TLS),
    ("http request", Outcome.NOT_TLS),
    ("length mismatch", Outcome.NOT_TLS),
    ("length too short", Outcome.NOT_TLS),
    ("bad packet", Outcome.NOT_TLS),
)


def outcome_of(error: ssl.SSLError) -> Outcome:
    """Return how a handshake ended that the library cut off."""
    said = f"{reason_of(error)} {error}".lower()
    return next((outcome for text, outcome in _OUTCOMES if text in said), Outcome.OTHER)
