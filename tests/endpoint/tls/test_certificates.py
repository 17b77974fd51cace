"""Tests of certificates: what is read, what is refused, and which one is for which name."""

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tls.certificates import (
    BadCertificate,
    Certificate,
    by_name,
    candidates,
    expiry,
    in_force,
    parse_certificate,
)
from tests.endpoint.tls.authority import DAY, NOW, Authority, new_key, pem_key


def certificate(*names: str, days: float = 90, file: str = "a.pem") -> Certificate:
    """Return a certificate without its bytes."""
    return Certificate(file, names, NOW - DAY, NOW + days * DAY, b"", b"")


class ParseTests(SynchronousTestCase):
    """Reading PEM."""

    def setUp(self) -> None:
        """Make an authority."""
        self.authority = Authority()

    def refused(self, chain: bytes, key: bytes, key_file: str = "key.pem") -> str:
        """Return why a pair is refused."""
        with self.assertRaises(BadCertificate) as caught:
            parse_certificate("cert.pem", chain, key_file, key)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_names_and_times(self) -> None:
        """The names, the wildcards among them, and the end are what the certificate says."""
        chain, key = self.authority.issue("One.example.com", "*.two.example.com", days=30, common="ignored")
        got = parse_certificate("cert.pem", chain, "key.pem", key)
        self.assertEqual(got.names, ("one.example.com", "*.two.example.com"))
        self.assertEqual((got.not_before, got.not_after), (NOW - DAY, NOW + 30 * DAY))
        self.assertEqual((got.chain.count(b"BEGIN CERT"), got.key), (2, key))
        self.assertNotIn("PRIVATE", repr(got))

    def test_common_name(self) -> None:
        """Without a list of names the common name is taken."""
        chain, key = self.authority.issue(common="Old.example.com")
        self.assertEqual(parse_certificate("cert.pem", chain, "key.pem", key).names, ("old.example.com",))

    def test_one_file(self) -> None:
        """Certificate, chain and key may be in one file in any order, with remarks and parameters between them."""
        chain, key = self.authority.issue("one.example.com")
        remarks = b"subject=x\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        for data in (chain + key, key + chain, remarks + key + b"remark\r\n" + chain):
            got = parse_certificate("both.pem", data, "both.pem", data)
            self.assertEqual((got.names, got.key), (("one.example.com",), key))

    def test_rsa(self) -> None:
        """RSA keys do too."""
        chain, key = self.authority.issue("one.example.com", key=rsa.generate_private_key(65537, 2048))
        self.assertEqual(parse_certificate("cert.pem", chain, "key.pem", key).key, key)

    def test_nothing_in_it(self) -> None:
        """A file without a certificate, or without a key, is named; so is one of the wrong kind."""
        chain, key = self.authority.issue("one.example.com")
        for text in (b"", b"\x30\x82\x01", key, chain[:200]):
            self.assertIn("cert.pem: there is no certificate in it", self.refused(text, key))
        for text in (b"", chain, key[:100]):
            self.assertIn("key.pem: there is no private key in it", self.refused(chain, text))

    def test_malformed(self) -> None:
        """What is PEM outside and nonsense inside is named."""
        chain, key = self.authority.issue("one.example.com")
        begin, end = b"-----BEGIN %b-----\nAAAA\n", b"-----END %b-----\n"
        self.assertIn(
            "cert.pem: a certificate in it is malformed", self.refused((begin + end) % ((b"CERTIFICATE",) * 2), key)
        )
        broken = (begin + end) % ((b"PRIVATE KEY",) * 2)
        self.assertIn("key.pem: the private key in it is malformed", self.refused(chain, broken))

    def test_mismatch(self) -> None:
        """A key of another certificate names both files; a chain in the wrong order says what comes first."""
        chain, key = self.authority.issue("one.example.com")
        said = self.refused(chain, pem_key(new_key()))
        self.assertIn("key.pem: its key is not that of the first certificate in cert.pem", said)
        backwards = self.authority.intermediate + chain + key
        self.assertIn("the server's own certificate comes first", self.refused(backwards, backwards, "cert.pem"))

    def test_passphrase(self) -> None:
        """A key with a passphrase is refused with the command that removes it."""
        chain, key = self.authority.issue("one.example.com", wrap=b"secret")
        # This form has another first line.
        self.assertIn("ENCRYPTED", key.decode())
        self.assertIn("openssl pkey", self.refused(chain, key))

    @given(st.binary(max_size=200), st.binary(max_size=200))
    def test_anything(self, chain: bytes, key: bytes) -> None:
        """Whatever is in the files, the failure is one of ours."""
        pem = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n"
        for text in (chain, pem % chain):
            with self.assertRaises(BadCertificate):
                parse_certificate("a", text, "b", key)


class TimeTests(SynchronousTestCase):
    """Expiry."""

    def test_in_force(self) -> None:
        """A certificate serves from its first second until before its last."""
        own = certificate("a", days=1)
        for now in (NOW - DAY, NOW, NOW + DAY - 1):
            in_force(own, now)
        for now in (NOW - DAY - 1, NOW + DAY):
            self.assertRaises(BadCertificate, in_force, own, now)

    def test_expiry(self) -> None:
        """From 14 days before the end on, it is told how long there is; and after it, that it is over."""
        for days, said in (
            (14.5, None),
            (14, "in 14 days"),
            (1.5, "in 1 day,"),
            (0.5, "less than a day"),
            (0, "it expired"),
        ):
            line = expiry(certificate("a", days=days), NOW)
            self.assertEqual(line is None, said is None, days)
            self.assertIn(said or "", line or "")
        self.assertIn("not valid before", expiry(certificate("a"), NOW - 2 * DAY) or "")


class NameTests(SynchronousTestCase):
    """Which certificate is for whom."""

    def test_candidates(self) -> None:
        """The exact name comes before the wildcard of one label; nothing is looked up for nothing."""
        self.assertEqual(candidates(b"A.Example.com."), ("a.example.com", "*.example.com"))
        self.assertEqual(candidates(b"localhost"), ("localhost",))
        for nothing in (None, b""):
            self.assertEqual(candidates(nothing), ())

    @given(st.binary(max_size=300))
    def test_any_name(self, name: bytes) -> None:
        """No name that a client may send fails."""
        self.assertLessEqual(len(candidates(name)), 2)

    def test_expires_last(self) -> None:
        """Of several for one name, the one that expires last is served."""
        old, new, other = certificate("a", "b", days=5), certificate("a", days=80), certificate("c", days=1)
        self.assertEqual(by_name([old, new, other]), {"a": new, "b": old, "c": other})
        self.assertEqual(by_name([new, old])["a"], new)
