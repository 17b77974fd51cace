"""Tests of where a redirect points."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.cdn.locations import BadURL, BaseURL, OwnTree, RemoteCDN, is_host, parse_base

_PATH = "its path has empty segments, dot segments or characters that must be escaped"
_HOST = "its host is missing or malformed"
_SCHEME = "it must begin with https:// or http://"
_QUERY = "it must have no query and no fragment"
_USER = "it must have no user name and password"

GOOD = [
    ("https://cdn.example.com", BaseURL("https://cdn.example.com", "https", "cdn.example.com", 443, "")),
    ("http://cdn.example.com/", BaseURL("http://cdn.example.com", "http", "cdn.example.com", 80, "")),
    (
        "https://CDN.Example.com/Tree/",
        BaseURL("https://CDN.Example.com/Tree", "https", "cdn.example.com", 443, "/Tree"),
    ),
    ("HTTPS://h", BaseURL("https://h", "https", "h", 443, "")),
    ("http://h:8080/a/b", BaseURL("http://h:8080/a/b", "http", "h", 8080, "/a/b")),
    ("http://h/a///", BaseURL("http://h/a", "http", "h", 80, "/a")),
    ("http://192.0.2.1/x", BaseURL("http://192.0.2.1/x", "http", "192.0.2.1", 80, "/x")),
    ("http://[2001:db8::1]:81/x", BaseURL("http://[2001:db8::1]:81/x", "http", "2001:db8::1", 81, "/x")),
    ("http://h/v1/AUTH_a%20b", BaseURL("http://h/v1/AUTH_a%20b", "http", "h", 80, "/v1/AUTH_a%20b")),
    ("http://h_1.example/x~y", BaseURL("http://h_1.example/x~y", "http", "h_1.example", 80, "/x~y")),
]

BAD = [
    ("", _SCHEME),
    ("cdn.example.com", _SCHEME),
    ("//cdn.example.com", _SCHEME),
    ("/tree", _SCHEME),
    ("ftp://h", _SCHEME),
    ("file:///srv/tree", _SCHEME),
    ("javascript:alert(1)", _SCHEME),
    ("http://h/?a=b", _QUERY),
    ("http://h/?", _QUERY),
    ("http://h/#top", _QUERY),
    ("http://h#", _QUERY),
    ("http://user@h/", _USER),
    ("http://user:secret@h/", _USER),
    ("http://@h/", _USER),
    ("http://", _HOST),
    ("http:///tree", _HOST),
    ("http:tree", _HOST),
    ("http://h:/", _HOST),
    ("http://h:0/", _HOST),
    ("http://-h/", _HOST),
    ("http://h h/", _HOST),
    ("http://h\\@evil/", _USER),
    ("http://h\\x/", _HOST),
    ("http://bücher.example/", _HOST),
    (f"http://{'a' * 256}/", _HOST),
    ("http://h:99999/", "Port out of range 0-65535"),
    ("http://h:http/", "Port could not be cast to integer value"),
    ("http://[::1/", "Invalid IPv6 URL"),
    ("http://h/a//b", _PATH),
    ("http://h/a/../b", _PATH),
    ("http://h/..", _PATH),
    ("http://h/./a", _PATH),
    ("http://h/a/%2E%2e/b", _PATH),
    ("http://h/%2", _PATH),
    ("http://h/%zz", _PATH),
    ("http://h/a b", _PATH),
    ("http://h/a\\b", _PATH),
    ('http://h/"', _PATH),
    ("http://h/ä", _PATH),
]

HOSTS = [
    ("h", True),
    ("registry.example.com", True),
    ("registry.example.com:5000", True),
    ("192.0.2.1:5000", True),
    ("[2001:db8::1]", True),
    ("[2001:db8::1]:5000", True),
    ("my_host-1", True),
    ("", False),
    (":5000", False),
    ("h:", False),
    ("h:123456", False),
    ("h:5000/x", False),
    ("h/x", False),
    ("h?x", False),
    ("h#x", False),
    ("u@h", False),
    ("-h", False),
    (".h", False),
    ("h h", False),
    ("h\r\nX: y", False),
    ("h\n", False),
    ("[::1", False),
    ("2001:db8::1", False),
    ("bücher.example", False),
    ("a" * 256, False),
]


class ParseBaseTests(SynchronousTestCase):
    """What may be the base of other URLs."""

    def test_good(self) -> None:
        """A base is read into its parts, without a slash at its end."""
        for text, expected in GOOD:
            self.assertEqual(parse_base(text), expected)

    def test_bad(self) -> None:
        """What cannot be a base is refused with a message that says why."""
        for text, why in BAD:
            with self.assertRaises(BadURL, msg=text) as caught:
                parse_base(text)
            self.assertIn(why, str(caught.exception), text)

    def test_port(self) -> None:
        """Without a port the scheme's own is meant."""
        self.assertEqual([parse_base("http://h").port, parse_base("https://h").port], [80, 443])

    @given(st.text(max_size=30) | st.text("htp:/.%2eE?#@[]\\ 1", max_size=30).map("http://".__add__))
    def test_any_text(self, text: str) -> None:
        """Whatever is written, the result is a URL that keys can be put behind, or the message of a refusal."""
        try:
            base = parse_base(text)
        except BadURL as error:
            self.assertTrue(str(error))
        else:
            self.assertRegex(base.text, r"\Ahttps?://[^/\s?#@\\]+(/[^/\s?#\\]+)*\Z")
            self.assertEqual(parse_base(base.text), base)


class IsHostTests(SynchronousTestCase):
    """What may stand in a ``Host`` that a redirect is built from."""

    def test_table(self) -> None:
        """A name or an address, perhaps with a port, and nothing else."""
        for text, expected in HOSTS:
            self.assertEqual(is_host(text), expected, repr(text))

    @given(st.text(max_size=40))
    def test_nothing_that_ends_a_host(self, text: str) -> None:
        """A well-formed host has nothing in it that would begin another part of a URL or of a header."""
        if is_host(text):
            self.assertNotRegex(text, r"[^A-Za-z0-9._:\[\]-]")


class RemoteCDNTests(SynchronousTestCase):
    """A CDN with a URL of its own."""

    @given(st.text(), st.text())
    def test_base(self, host: str, scheme: str) -> None:
        """The base is the CDN's, whatever the request says."""
        self.assertEqual(RemoteCDN("https://cdn.example.com/tree").base(host, scheme), "https://cdn.example.com/tree")


class OwnTreeTests(SynchronousTestCase):
    """The endpoint as its own CDN."""

    def test_from_the_request(self) -> None:
        """Without a public URL, the base is the address that the client asked, over the same scheme."""
        self.assertEqual(OwnTree(None).base("localhost:5000", "http"), "http://localhost:5000/tree")
        self.assertEqual(OwnTree(None).base("r.example.com", "https"), "https://r.example.com/tree")

    def test_malformed_host(self) -> None:
        """A malformed host gives no base."""
        for host, well_formed in HOSTS:
            self.assertEqual(OwnTree(None).base(host, "http") is not None, well_formed, repr(host))

    @given(st.text(max_size=40) | st.sampled_from([host for host, _ in HOSTS]))
    def test_any_host(self, host: str) -> None:
        """A base is built from a well-formed host only, and then it is exactly that host's."""
        expected = f"http://{host}/tree" if is_host(host) else None
        self.assertEqual(OwnTree(None).base(host, "http"), expected)

    @given(st.text(), st.text())
    def test_public_url(self, host: str, scheme: str) -> None:
        """With a public URL the request has no say."""
        self.assertEqual(OwnTree("https://r.example.com").base(host, scheme), "https://r.example.com/tree")
