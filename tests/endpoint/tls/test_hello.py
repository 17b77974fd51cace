"""Tests of what a client says first, with the words of a real one."""

import ssl

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tls.hello import LONGEST, Hello, NoHello, read_hello


def said(
    name: str | None = "a.example", protocols: tuple[str, ...] = (), version: ssl.TLSVersion | None = None
) -> bytes:
    """Return the first bytes of Python's own TLS client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError


def in_records(hello: bytes, size: int) -> bytes:
    """Return the same message in records of this size."""
    message = hello[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(hello[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


HELLO = said(protocols=("h2", "http/1.1"))


class HelloTests(SynchronousTestCase):
    """First bytes."""

    def test_names_and_protocols(self) -> None:
        """The name and the protocols are read, where there are any, in TLS 1.2 and 1.3."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(read_hello(said(None, version=version)), Hello(None, ()))
            self.assertEqual(read_hello(said("b.example", version=version)), Hello(b"b.example", ()))
            self.assertEqual(read_hello(said(None, ("x",), version)), Hello(None, (b"x",)))
        self.assertEqual(read_hello(HELLO), Hello(b"a.example", (b"h2", b"http/1.1")))

    def test_pieces(self) -> None:
        """Nothing is said before all of it has come, in one record or in many; what follows is not looked at."""
        wanted = Hello(b"a.example", (b"h2", b"http/1.1"))
        for hello in (HELLO, in_records(HELLO, 100), in_records(HELLO, len(HELLO) // 15)):
            for end in range(len(hello)):
                self.assertIsNone(read_hello(hello[:end]))
            self.assertEqual(read_hello(hello), wanted)
            self.assertEqual(read_hello(hello + b"\x14\x03\x03\x00\x01\x01"), wanted)

    def test_many_pieces(self) -> None:
        """One in very many pieces is left to the library: each piece would have all of it read again."""
        with self.assertRaises(NoHello):
            read_hello(in_records(HELLO, 1))

    def test_no_hello(self) -> None:
        """What cannot become one is known as soon as that can be seen."""
        for data in (
            *(b"\x00", b"S", b"\x15\x03", b"\x16\x02", b"\x16\x09\x09xx", b"\x80\x2e\x01\x03\x01"),
            *(b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"),
        ):
            self.assertRaises(NoHello, read_hello, data)

    def test_long(self) -> None:
        """Nobody can have more and more waited for."""
        record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + b"x" * (16384 - 4)
        more = b"\x16\x03\x01\x40\x00" + b"x" * 16384
        self.assertIsNone(read_hello(record))
        self.assertRaises(NoHello, read_hello, record + more * (LONGEST // len(more) + 1))

    @settings(max_examples=500, deadline=None)
    @given(st.data())
    def test_any_bytes(self, data: st.DataObject) -> None:
        """Whatever comes, it is read, waited for, or none."""
        changed = bytearray(HELLO)
        for _ in range(data.draw(st.integers(0, 4))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        end = data.draw(st.sampled_from([len(changed), len(changed) // 2]))
        for text in (bytes(changed[:end]), data.draw(st.binary(max_size=60)), b"\x16\x03\x01" + data.draw(st.binary())):
            try:
                found = read_hello(text)
            except NoHello:
                continue
            self.assertIsInstance(found, Hello | None)
