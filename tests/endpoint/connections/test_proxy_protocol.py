"""Tests of the PROXY protocol's header, byte by byte."""

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.connections.proxy_protocol import (
    V1_BYTES,
    V2_BYTES,
    Absent,
    Bad,
    Header,
    NeedMore,
    Source,
    read_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = ip_address("192.0.2.7").packed + ip_address("192.0.2.8").packed + struct.pack("!HH", 4711, 443)
V6 = ip_address("2001:db8::7").packed + ip_address("2001:db8::8").packed + struct.pack("!HH", 4711, 443)
MAPPED = ip_address("::ffff:192.0.2.7").packed + ip_address("::1").packed + struct.pack("!HH", 4711, 443)
TLV = b"\x02\x00\x03abc\x20\x00\x05\x01\x00\x00\x00\x00"


def v2(command: int, family: int, body: bytes) -> bytes:
    """Write a header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


GOOD = {
    b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n": Source(ip_address("192.0.2.7"), 4711),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": Source(ip_address("255.255.255.255"), 65535),
    b"PROXY TCP6 2001:db8::7 ::1 0 443\r\n": Source(ip_address("2001:db8::7"), 0),
    b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n": Source(ip_address("192.0.2.7"), 4711),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f:f:f:f:f:f:f ffff::f 65535 65535\r\n": None,
    b"PROXY UNKNOWN " + b"x" * (V1_BYTES - 16) + b"\r\n": None,
    v2(0x20, 0x00, b""): None,
    v2(0x20, 0x11, V4 + TLV): None,
    v2(0x20, 0x11, b"short"): None,
    v2(0x21, 0x00, b""): None,
    v2(0x21, 0x00, TLV): None,
    v2(0x21, 0x11, V4): Source(ip_address("192.0.2.7"), 4711),
    v2(0x21, 0x11, V4 + TLV): Source(ip_address("192.0.2.7"), 4711),
    v2(0x21, 0x11, V4 + b"\x04\x0f\x00" + bytes(3840)): Source(ip_address("192.0.2.7"), 4711),
    v2(0x21, 0x12, V4): None,
    v2(0x21, 0x21, V6): Source(ip_address("2001:db8::7"), 4711),
    v2(0x21, 0x21, V6 + TLV): Source(ip_address("2001:db8::7"), 4711),
    v2(0x21, 0x21, MAPPED): Source(ip_address("192.0.2.7"), 4711),
    v2(0x21, 0x31, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0") + TLV): None,
}

BAD = (
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 192.0.2.7 192.0.2.8 4711 443\r\n",
    b"PROXY UDP4 192.0.2.7 192.0.2.8 4711 443\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\n",
    b"PROXY UNKNOWN a\rb\r\n",
    b"PROXY TCP4  192.0.2.7 192.0.2.8 4711 443\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443 \r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 4711\r\n",
    b"PROXY TCP4 192.0.2.256 192.0.2.8 4711 443\r\n",
    b"PROXY TCP4 192.0.2.7 ::1 4711 443\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::8 4711 443\r\n",
    b"PROXY TCP6 192.0.2.7 192.0.2.8 4711 443\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 65536 443\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 04711 443\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 -1\r\n",
    b"PROXY GET / HTTP/1.1\r\n",
    b"PROXY " + b"x" * V1_BYTES,
    b"PROXY UNKNOWN " + b"x" * (V1_BYTES - 15) + b"\r\n",
    SIGNATURE + b"\x11",
    SIGNATURE + b"\x22",
    SIGNATURE + b"\x31",
    SIGNATURE + b"\x21\x41",
    SIGNATURE + b"\x21\x13",
    SIGNATURE + b"\x21\x11" + struct.pack("!H", V2_BYTES),
    SIGNATURE + b"\x20\x00" + struct.pack("!H", 0xFFFF),
    v2(0x21, 0x11, V4[:-1]),
    v2(0x21, 0x21, V6[:-1]),
    v2(0x21, 0x31, bytes(215)),
)


class HeaderTests(SynchronousTestCase):
    """Reading a header."""

    def test_good(self) -> None:
        """Each header says whose the connection is, or that it cannot say."""
        for data, source in GOOD.items():
            self.assertEqual(read_header(data), Header(len(data), source), data)

    def test_every_split(self) -> None:
        """However few bytes of a header have come, the rest is waited for, and what follows is left alone."""
        for data, source in GOOD.items():
            if len(data) < 300:
                for end in range(len(data)):
                    self.assertEqual(read_header(data[:end]), NeedMore(), data[:end])
            self.assertEqual(read_header(data + b"GET / HTTP/1.1\r\n"), Header(len(data), source))
            self.assertEqual(read_header(data + data), Header(len(data), source))

    def test_bad(self) -> None:
        """What begins like a header and is none is told apart from what is not there yet."""
        for data in BAD:
            self.assertIsInstance(read_header(data), Bad, data)

    def test_absent(self) -> None:
        """What begins otherwise is no header, and needs no more bytes than it takes to see that."""
        for data in (b"G", b"GET / HTTP/1.1\r\n", b"PU", b"PROX ", b"PROXYX", b"\r\nG", b"\x16\x03\x01", b"proxy "):
            self.assertEqual(read_header(data), Absent(), data)

    @given(
        st.binary(max_size=64), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"])
    )
    def test_any_bytes(self, data: bytes, before: bytes) -> None:
        """Any bytes are one of the four, and never more of them are waited for than a header may have."""
        reading = read_header(before + data)
        if isinstance(reading, Header):
            self.assertLessEqual(reading.consumed, len(before + data))
        if isinstance(reading, NeedMore):
            self.assertNotIsInstance(read_header(before + data + bytes(V2_BYTES)), NeedMore)
