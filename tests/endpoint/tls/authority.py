"""A certificate authority for one test, and the files that it hands out."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

DAY = 86400.0
#: When the tests in memory take place.
NOW = 1_800_000_000.0

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key of a kind that is quick to make."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_key(key: Key, passphrase: bytes = b"") -> bytes:
    """Return a key in PEM."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


class Authority:
    """A root, and an intermediate authority that issues.

    :param now: the time around which what it issues is valid.
    """

    def __init__(self, now: float = NOW) -> None:
        self._now = now
        self._root_key, self._key = new_key(), new_key()
        root = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests root")])
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests issuer")])
        self.root = self._sign(root, root, self._root_key, self._root_key, authority=True)
        self.intermediate = self._sign(self._name, root, self._key, self._root_key, authority=True)

    def issue(
        self,
        *names: str,
        days: float = 90,
        since: float = -1,
        key: Key | None = None,
        common: str = "",
        wrap: bytes = b"",
    ) -> tuple[bytes, bytes]:
        """Issue a certificate.

        :param days: when it expires.
        :param since: when it begins to be valid, in days.
        :param common: its common name.
        :param wrap: a passphrase for its key.
        :return: the chain and the key in PEM.
        """
        key = key or new_key()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)] if common else [])
        own = self._sign(subject, self._name, key, self._key, names=names, days=days, since=since)
        return own + self.intermediate, pem_key(key, wrap)

    def write(self, folder: Path, name: str, *names: str, days: float = 90) -> Path:
        """Issue a certificate into ``NAME.pem``."""
        file = folder / f"{name}.pem"
        file.write_bytes(b"".join(self.issue(*names, days=days)))
        return file

    def _sign(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: Key,
        issuer_key: ec.EllipticCurvePrivateKey,
        *,
        names: tuple[str, ...] = (),
        days: float = 3650,
        since: float = -2,
        authority: bool = False,
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp(self._now + since * DAY, UTC))
            .not_valid_after(datetime.fromtimestamp(self._now + days * DAY, UTC))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if names:
            listed = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(listed, critical=not list(subject))
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)
