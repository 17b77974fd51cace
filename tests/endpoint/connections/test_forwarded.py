"""Tests of whose a request is, as proxies say."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.addresses import (
    NOBODY,
    BadNetwork,
    Trusted,
    group_of,
    read_address,
    read_network,
    read_trusted,
)
from sdr.endpoint.connections.forwarded import MOST_BYTES, MOST_HOPS, Client, client_address, client_of, read_node

PROXIES = read_trusted(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY = ip_address("10.0.0.1")

#: The header's lines, and the client that they name.
PLAIN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("192.0.2.7",), "192.0.2.7"),
    (("192.0.2.7, 10.0.0.2",), "192.0.2.7"),
    (("6.6.6.6, 192.0.2.7, 10.0.0.2",), "192.0.2.7"),
    (("6.6.6.6", "192.0.2.7", "10.0.0.2"), "192.0.2.7"),
    (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
    (("192.0.2.7:4711",), "192.0.2.7"),
    (("2001:db8::7",), "2001:db8::7"),
    (("[2001:db8::7]",), "2001:db8::7"),
    (("[2001:db8::7]:4711",), "2001:db8::7"),
    (('"[2001:db8::7]:4711"',), "2001:db8::7"),
    (("192.0.2.7, 2001:db8:1::2",), "192.0.2.7"),
    (("::ffff:192.0.2.7",), "192.0.2.7"),
    (("[::ffff:192.0.2.7]:1",), "192.0.2.7"),
    (("192.0.2.7, ::ffff:10.0.0.2",), "192.0.2.7"),
    (("6.6.6.6, unknown, 10.0.0.2",), "10.0.0.2"),
    (("6.6.6.6, unknown",), "10.0.0.1"),
    (("unknown, 10.0.0.2",), "10.0.0.2"),
    (("",), "10.0.0.1"),
    (("192.0.2.7,",), "10.0.0.1"),
    (("192.0.2.256",), "10.0.0.1"),
    (("192.0.2.07",), "10.0.0.1"),
    (("192.0.2.7:99999",), "10.0.0.1"),
    (("192.0.2.7:",), "10.0.0.1"),
    (("fe80::1%eth0",), "10.0.0.1"),
    (("_hidden",), "10.0.0.1"),
    (("client.example.com",), "10.0.0.1"),
    (('192.0.2.7"',), "10.0.0.1"),
    (("[192.0.2.7",), "10.0.0.1"),
    (("192.0.2.7 10.0.0.2",), "10.0.0.1"),
    ((", ".join(["192.0.2.7"] + ["10.0.0.2"] * MOST_HOPS),), "10.0.0.2"),
    (("192.0.2.7, " + "x" * MOST_BYTES,), "10.0.0.1"),
)

STANDARD: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
    (("for=192.0.2.7",), "192.0.2.7", None),
    (("For=192.0.2.7;Proto=HTTPS;by=203.0.113.43",), "192.0.2.7", "https"),
    (('for="192.0.2.7:4711" ; proto=http',), "192.0.2.7", "http"),
    (('for="[2001:db8::7]:4711"',), "2001:db8::7", None),
    (('for="\\192.0.2.7"',), "192.0.2.7", None),
    (("for=6.6.6.6, for=192.0.2.7;proto=https, for=10.0.0.2;proto=http",), "192.0.2.7", "https"),
    (("for=6.6.6.6", "for=192.0.2.7", "for=10.0.0.2"), "192.0.2.7", None),
    (('for=6.6.6.6;secret="a, for=7.7.7.7", for=192.0.2.7',), "192.0.2.7", None),
    (('for=192.0.2.7;secret="a, b", for=10.0.0.2',), "192.0.2.7", None),
    (('for=", for=192.0.2.7',), "192.0.2.7", None),
    (("garbage, for=10.0.0.2",), "10.0.0.2", None),
    (("for=192.0.2.7, for=_hidden, for=10.0.0.2",), "10.0.0.2", None),
    (("for=192.0.2.7, for=unknown",), "10.0.0.1", None),
    (("for=192.0.2.7, proto=https",), "10.0.0.1", None),
    (("for=2001:db8::7",), "10.0.0.1", None),
    (("for=192.0.2.7;proto=gopher",), "192.0.2.7", None),
    (("for = 192.0.2.7",), "10.0.0.1", None),
    (("",), "10.0.0.1", None),
    ((",,,",), "10.0.0.1", None),
    (('for="192.0.2.7',), "10.0.0.1", None),
)


class ForwardedTests(SynchronousTestCase):
    """The walk from the endpoint towards the client."""

    def test_plain(self) -> None:
        """X-Forwarded-For names the rightmost hop that is no trusted proxy; garbage ends the walk."""
        for lines, client in PLAIN:
            found = client_address(PROXY, {"x-forwarded-for": lines}, PROXIES)
            self.assertEqual(found, ip_address(client), lines)

    def test_standard(self) -> None:
        """Forwarded does the same by RFC 7239, and the client's hop says its scheme."""
        for lines, client, scheme in STANDARD:
            found = client_of(PROXY, {"forwarded": lines}, PROXIES)
            self.assertEqual(found, Client(ip_address(client), scheme), lines)

    def test_strangers(self) -> None:
        """Nobody else is believed, neither about addresses nor about schemes."""
        headers = {"x-forwarded-for": ["6.6.6.6"], "x-forwarded-proto": ["https"], "forwarded": ["for=6.6.6.6"]}
        stranger = ip_address("192.0.2.9")
        self.assertEqual(client_of(stranger, headers, PROXIES), Client(stranger))
        self.assertEqual(client_of(PROXY, headers, NOBODY), Client(PROXY))
        self.assertEqual(client_of(None, headers, PROXIES), Client(None))

    def test_unix(self) -> None:
        """Whoever is on the Unix socket is believed if that is asked for."""
        trusted = Trusted(unix=True)
        self.assertEqual(client_address(None, {"x-forwarded-for": ["192.0.2.7"]}, trusted), ip_address("192.0.2.7"))

    def test_both(self) -> None:
        """Two headers that do not agree are not believed: one of them is the client's own."""
        agree = {"x-forwarded-for": ["192.0.2.7"], "forwarded": ["for=192.0.2.7;proto=https"]}
        self.assertEqual(client_of(PROXY, agree, PROXIES), Client(ip_address("192.0.2.7"), "https"))
        differ = {"x-forwarded-for": ["192.0.2.7"], "forwarded": ["for=6.6.6.6"]}
        self.assertEqual(client_of(PROXY, differ, PROXIES), Client(PROXY))

    def test_scheme(self) -> None:
        """X-Forwarded-Proto says the scheme: what the last proxy wrote."""
        for lines, scheme in (
            (["https"], "https"),
            (["HTTP"], "http"),
            (["http, https"], "https"),
            (["http", "https"], "https"),
            (["https, gopher"], None),
            (["javascript:"], None),
            ([""], None),
        ):
            self.assertEqual(client_of(PROXY, {"x-forwarded-proto": lines}, PROXIES), Client(PROXY, scheme), lines)

    @given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=5), st.booleans())
    def test_any_text(self, lines: list[str], standard: bool) -> None:
        """Whatever a client writes to the left, the hop that the trusted proxy wrote is found."""
        name, hop = ("forwarded", "for=192.0.2.7") if standard else ("x-forwarded-for", "192.0.2.7")
        client_of(PROXY, {name: lines}, PROXIES)
        self.assertEqual(client_address(PROXY, {name: [*lines, hop]}, PROXIES), ip_address("192.0.2.7"))
        self.assertEqual(client_address(PROXY, {name: [",".join([*lines, hop])]}, PROXIES), ip_address("192.0.2.7"))

    @given(st.ip_addresses(), st.integers(0, 65535))
    def test_any_node(self, address: object, port: int) -> None:
        """Every address is read, with and without a port."""
        bracketed = f"[{address}]" if ":" in str(address) else str(address)
        expected = read_address(str(address))
        self.assertIsNotNone(expected)
        for text in (str(address), bracketed, f"{bracketed}:{port}", f'"{bracketed}:{port}"'):
            self.assertEqual(read_node(text), expected, text)


class AddressTests(SynchronousTestCase):
    """Addresses and networks."""

    def test_one_form(self) -> None:
        """An IPv4 address is one however it is written; the name of an interface is no part of an address."""
        self.assertEqual(read_address("::ffff:192.0.2.7"), ip_address("192.0.2.7"))
        self.assertEqual(read_address("fe80::1%eth0"), ip_address("fe80::1"))
        for text in ("", "x", "1.2.3", "1.2.3.4.5", ":::", "192.0.2.7\n", "1" * 100):
            self.assertIsNone(read_address(text), text)

    def test_groups(self) -> None:
        """One IPv4 address is one client, and so is one /64 of IPv6."""
        self.assertEqual(group_of(ip_address("192.0.2.7")), ip_address("192.0.2.7"))
        self.assertEqual(group_of(ip_address("2001:db8::7:8")), ip_network("2001:db8::/64"))

    def test_networks(self) -> None:
        """A network, an address, and IPv4 in IPv6's clothes."""
        self.assertEqual(read_network("10.0.0.0/8"), ip_network("10.0.0.0/8"))
        self.assertEqual(read_network("192.0.2.7"), ip_network("192.0.2.7/32"))
        self.assertEqual(read_network("::ffff:10.0.0.0/104"), ip_network("10.0.0.0/8"))
        self.assertIn(ip_address("10.1.2.3"), read_trusted(["::ffff:10.0.0.0/104"]))
        self.assertNotIn(ip_address("10.1.2.3"), read_trusted(["2001:db8::/32"]))
        self.assertNotIn(None, read_trusted(["0.0.0.0/0"]))

    def test_unreadable(self) -> None:
        """One that cannot be read is named, with the way out."""
        for text, advice in (
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("proxy.example.com", "it is written like 10.0.0.0/8"),
            ("10.0.0.0/33", "it is written like"),
            ("", "it is written like"),
        ):
            with self.assertRaises(BadNetwork) as caught:
                read_trusted([text])
            self.assertTrue(str(caught.exception).startswith(f"--trusted-proxy {text}: "), text)
            self.assertIn(advice, str(caught.exception))
