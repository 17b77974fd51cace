"""Tests of what users write for repositories, tags, durations and URLs."""

from twisted.trial.unittest import SynchronousTestCase

from sdr.cli.arguments import parse_cdn, parse_digested, parse_duration, parse_reference, parse_tagged, parse_target
from sdr.registry.grammar import Digest

DIGEST = f"sha256:{'0' * 64}"


class TargetTests(SynchronousTestCase):
    """NAME[:TAG]."""

    def test_read(self) -> None:
        """The tag is what follows the last part's colon, and latest without one."""
        self.assertEqual(parse_target("acme/app:1.0"), ("acme/app", "1.0"))
        self.assertEqual(parse_target("app"), ("app", "latest"))
        self.assertEqual(parse_target("registry.example.com/acme/app"), ("registry.example.com/acme/app", "latest"))

    def test_refused(self) -> None:
        """What is outside the grammar is refused, with what is wrong about it."""
        for text, word in (
            ("", "''"),
            ("Acme", "'Acme'"),
            ("a:", "''"),
            (":1", "''"),
            ("a:b:c", "'b:c'"),
            ("a/:1", "'a/'"),
            ("localhost:5000/a:1", "host"),
            (f"a@sha256:{'0' * 64}", "digest"),
            ("a:.x", "'.x'"),
            ("../a", "'../a'"),
            ("a\n", r"'a\n'"),
            ("a" * 256, "aaa"),
            ("a:_repository.json", "another tag"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, parse_target, text)))


class ReferenceTests(SynchronousTestCase):
    """What names one tag or one manifest of a repository."""

    def test_read(self) -> None:
        """A tag follows a colon, a digest an @."""
        digest = Digest.parse(DIGEST)
        self.assertEqual(parse_tagged("acme/app:1.0"), ("acme/app", "1.0"))
        self.assertEqual(parse_reference("acme/app:1.0"), ("acme/app", "1.0"))
        self.assertEqual(parse_reference(f"acme/app@{DIGEST}"), ("acme/app", digest))
        self.assertEqual(parse_digested(f"acme/app@{DIGEST}"), ("acme/app", digest))
        self.assertEqual(parse_digested("acme/app"), ("acme/app", None))

    def test_refused(self) -> None:
        """No tag is taken for granted, and none for a digest."""
        for parse, text, word in (
            (parse_tagged, "acme/app", "NAME:TAG"),
            (parse_tagged, f"acme/app@{DIGEST}", "NAME:TAG"),
            (parse_tagged, "Acme:1", "'Acme'"),
            (parse_tagged, "acme:", "''"),
            (parse_reference, "acme/app", "NAME:TAG"),
            (parse_reference, "acme/app@1.0", "'1.0'"),
            (parse_digested, "acme/app:1.0", "sdr untag"),
            (parse_digested, f"acme/app:1.0@{DIGEST}", "sdr untag"),
            (parse_digested, "acme/app@", "''"),
            (parse_digested, "Acme", "'Acme'"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, parse, text)))


class DurationTests(SynchronousTestCase):
    """DURATION."""

    def test_read(self) -> None:
        """Seconds, minutes, hours and days."""
        for text, seconds in ("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("0s", 0):
            self.assertEqual(parse_duration(text), seconds)

    def test_refused(self) -> None:
        """A number alone says no unit, and there are no others."""
        for text in ("", "24", "h", "-1h", "1.5h", "1w", "1H", "1h30m", "24h\n", "1000000d", "\u0661h"):
            self.assertIn("24h", str(self.assertRaises(ValueError, parse_duration, text)))


class CDNTests(SynchronousTestCase):
    """--cdn URL."""

    def test_read(self) -> None:
        """Keys are put behind it, so it ends without a slash."""
        self.assertEqual(parse_cdn("https://cdn.example.com/"), "https://cdn.example.com")
        self.assertEqual(parse_cdn("http://cdn.example.com:8080/tree"), "http://cdn.example.com:8080/tree")

    def test_refused(self) -> None:
        """It is absolute, of HTTP, and has nothing behind its path."""
        for text in (
            "",
            "cdn.example.com",
            "/tree",
            "ftp://cdn",
            "https://",
            "http://cdn:port",
            "http://c?a",
            "http://c#",
        ):
            self.assertRaises(ValueError, parse_cdn, text)
