"""A certificate with its chain and key: read from PEM, checked, and found by the name that a client asks for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

#: Seconds before the end from which on it is told, each day.
EXPIRES_SOON = 14 * 86400

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ((?:[A-Z]+ )?)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)


class BadCertificate(ValueError):
    """A certificate or key cannot be used; the message names the file, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows of itself, and the key that proves it.

    :param file: where the certificate was read.
    :param names: the DNS names it is for, in lower case, wildcards among them.
    :param not_before: when it begins to be valid, in seconds since 1970.
    :param not_after: when it expires.
    :param chain: itself, then the certificates that vouch for it, in PEM.
    :param key: its private key in PEM.
    """

    file: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)


def parse_certificate(file: str, certificates: bytes, key_file: str, keys: bytes) -> Certificate:
    """Read a certificate, its chain and its key.

    :param certificates: PEM with the server's own certificate before its chain; what else is in it is left out.
    :param keys: PEM with its key; the same file will do.
    :raise BadCertificate: if they do not parse or do not belong together.
    """
    chain = b"\n".join(_CERTIFICATE.findall(certificates)) + b"\n"
    if chain == b"\n":
        raise BadCertificate(f"{file}: there is no certificate in it; it holds the server's own in PEM, then its chain")
    try:
        own = x509.load_pem_x509_certificates(chain)[0]
        names = _names(own)
        certified = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise BadCertificate(f"{file}: a certificate in it is malformed; write the file anew") from error
    found = _KEY.search(keys)
    if found is None:
        raise BadCertificate(f"{key_file}: there is no private key in it; it holds the certificate's key in PEM")
    if _public_key(key_file, found[0]) != certified:
        raise BadCertificate(
            f"{key_file}: its key is not that of the first certificate in {file};"
            " give both from one issuance, the server's own certificate first"
            if file != key_file
            else f"{file}: its key is not that of its first certificate; the server's own certificate comes first"
        )
    return Certificate(
        file=file,
        names=names,
        not_before=own.not_valid_before_utc.timestamp(),
        not_after=own.not_valid_after_utc.timestamp(),
        chain=chain,
        key=found[0] + b"\n",
    )


def load_key(pem: bytes) -> PrivateKeyTypes:
    """Load a key as OpenSSL does itself: proving an RSA key's primes would stop the whole program for 250 ms."""
    return load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


def _public_key(file: str, pem: bytes) -> bytes:
    try:
        key = load_key(pem)
    except TypeError as error:
        raise BadCertificate(
            f"{file}: the key in it has a passphrase, and there is nobody to ask for it;"
            " remove it with openssl pkey -in OLD -out NEW"
        ) from error
    except Exception as error:  # also what the library is built without
        raise BadCertificate(f"{file}: the private key in it is malformed; write the file anew") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names; the common name stands in only where none are listed (RFC 6125, section 6.4.4)."""
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    return tuple(name.lower() for name in listed.get_values_for_type(x509.DNSName))


def in_force(certificate: Certificate, now: float) -> None:
    """Check that a certificate is valid at this time.

    :raise BadCertificate: if it has expired, or is not valid yet.
    """
    if now >= certificate.not_after:
        raise BadCertificate(f"{certificate.file}: it expired on {day(certificate.not_after)}; renew it")
    if now < certificate.not_before:
        raise BadCertificate(
            f"{certificate.file}: it is not valid before {day(certificate.not_before)}; look at the machine's clock"
        )


def expiry(certificate: Certificate, now: float) -> str | None:
    """Return what is to be told about a certificate's time, if its end is near or past, or it is yet to come."""
    if now < certificate.not_before:
        return f"{certificate.file}: it is not valid before {day(certificate.not_before)}, so clients refuse it"
    left = certificate.not_after - now
    end = day(certificate.not_after)
    if left <= 0:
        return f"{certificate.file}: it expired on {end}, so clients refuse it; renew it"
    if left <= EXPIRES_SOON:
        days = int(left // 86400)
        when = f"in {days} {'day' if days == 1 else 'days'}" if days else "in less than a day"
        return f"{certificate.file}: it expires {when}, on {end}; renew it"
    return None


def day(seconds: float) -> str:
    """Return a time as people write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def by_name(certificates: Iterable[Certificate]) -> dict[str, Certificate]:
    """Return which certificate is for which name: of several, the one that expires last."""
    chosen: dict[str, Certificate] = {}
    for certificate in certificates:
        for name in certificate.names:
            if name not in chosen or certificate.not_after > chosen[name].not_after:
                chosen[name] = certificate
    return chosen


def candidates(server_name: bytes | None) -> Sequence[str]:
    """Return the names under which a client's wish may be found, the exact one first.

    :param server_name: as it came over the wire (RFC 6066, section 3), or nothing.
    """
    if not server_name:
        return ()
    name = server_name.decode("ascii", "replace").lower().rstrip(".")
    _, dot, rest = name.partition(".")
    return (name, f"*.{rest}") if dot and rest else (name,)
