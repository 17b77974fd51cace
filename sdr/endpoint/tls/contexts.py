"""What handshakes are served with: a context of OpenSSL for each certificate, by the names that clients ask for."""

import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sdr.endpoint.tls.certificates import BadCertificate, Certificate, by_name, candidates

#: For TLS 1.2: forward secrecy and authenticated encryption only (Mozilla's "intermediate" without finite-field DH).
#: The ciphers of TLS 1.3 are all good.
_CIPHERS = (
    "@SECLEVEL=2:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    ":ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


class Contexts(Protocol):
    """Who knows what the next handshake is served with."""

    def named(self, server_name: bytes | None) -> ssl.SSLContext:
        """Return the context for the name that a client asks for, or for none."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """Contexts that were made at one time.

    :param front: for those who ask for no name, or for one that nobody has.
    """

    front: ssl.SSLContext
    by_name: dict[str, ssl.SSLContext]

    def named(self, server_name: bytes | None) -> ssl.SSLContext:
        """Return the context for the name that a client asks for, or for none."""
        for name in candidates(server_name):
            found = self.by_name.get(name)
            if found is not None:
                return found
        return self.front


def make_contexts(certificates: Sequence[Certificate], protocols: Sequence[bytes]) -> Shown:
    """Make the contexts for certificates, the default first; blocking.

    :param protocols: what is spoken inside, the preferred one first.
    """
    made = {id(certificates[0]): make_context(certificates[0], protocols)}
    named = {}
    for name, certificate in by_name(certificates).items():
        if id(certificate) not in made:
            made[id(certificate)] = make_context(certificate, protocols)
        named[name] = made[id(certificate)]
    return Shown(made[id(certificates[0])], named)


def make_context(certificate: Certificate, protocols: Sequence[bytes]) -> ssl.SSLContext:
    """Make the context for one certificate.

    :raise BadCertificate: if OpenSSL does not take it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # That the connection ended without a goodbye is to be seen.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    # A client that comes back does so with the newest ticket; each costs a signature's part of a handshake.
    context.num_tickets = 1
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([protocol.decode() for protocol in protocols])
    try:
        with _as_file(certificate.chain + certificate.key) as path:
            context.load_cert_chain(path, password=b"")
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificate(
            f"{certificate.file}: OpenSSL refuses it: {reason_of(error)}; have it issued anew"
        ) from error
    return context


def reason_of(error: BaseException) -> str:
    """Return what OpenSSL said, in its own words."""
    said = getattr(error, "reason", None) or str(error) or type(error).__name__
    return str(said).lower().replace("_", " ")


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Let these bytes be read from a file, for the library takes nothing else; in memory where the system can."""
    descriptor = os.memfd_create("certificate") if hasattr(os, "memfd_create") else -1
    path = f"/proc/self/fd/{descriptor}"
    try:
        if os.access(path, os.R_OK):  # not without /proc, as after a chroot
            os.write(descriptor, data)
            yield path
            return
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner only
        file.write(data)
        file.flush()
        yield file.name
