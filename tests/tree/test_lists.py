"""Tests of lists of repositories that are asked as they stand."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.grammar import NAME_LENGTH
from sdr.tree.documents import BadDocument, decode_list, encode_list
from sdr.tree.keys import list_of
from sdr.tree.lists import check_list, count_in, names_in, revision_in
from tests.texts import NAMES

NAME = "acme/app"
PREFIX = list_of(NAME)
LINE = encode_list({NAME: "0123456789abcdef"})


def siblings(count: int, length: int = 0) -> list[str]:
    """Return so many names that stand in the list of ``NAME``.

    :param length: of each, at least, in characters.
    """
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"{'x' * length}{number}/app"
        number += 1
        if list_of(name) == PREFIX:
            found.append(name)
    return found


SIBLINGS = [NAME, *siblings(3)]


class ListTests(SynchronousTestCase):
    """Lists in their canonical form, and others."""

    @given(
        st.dictionaries(st.sampled_from(SIBLINGS), st.sampled_from(["0" * 16, "0123456789abcdef"])),
        st.lists(NAMES) | st.just(SIBLINGS),
    )
    def test_as_decoded(self, repositories: Mapping[str, str], asked: list[str]) -> None:
        """What is asked of a list's bytes is what the decoded list would answer."""
        data = encode_list(repositories)
        self.assertIs(check_list(data, PREFIX), data)
        decoded = decode_list(data, PREFIX)
        self.assertEqual([name.decode() for name in names_in(data)], sorted(decoded))
        self.assertEqual(count_in(data), len(decoded))
        for name in (*asked, *SIBLINGS):
            self.assertEqual(revision_in(data, name), decoded.get(name))

    def test_part_of_a_name(self) -> None:
        """A name that is the beginning, the end or the middle of another is not taken for that."""
        whole = "a/acme/app-x"
        data = encode_list({whole: "0" * 16})
        for name in ("a", "app-x", "acme/app", "acme", "a/acme/app", "acme/app-x"):
            self.assertIsNone(revision_in(data, name))
        self.assertEqual(revision_in(data, whole), "0" * 16)

    def test_not_canonical(self) -> None:
        """A list that is well-formed and not canonical is made so: white space, order, a line twice, escapes."""
        first, second = sorted(SIBLINGS[:2])
        a, b = f'["{first}","{"0" * 16}"]\n', f'["{second}","{"1" * 16}"]\n'
        canonical = (a + b).encode()
        for text in (
            b + a,
            a + a + b,
            a + b.replace(",", ", "),
            a + b.replace("/", "\\/"),
            a.replace("\n", "\r\n") + b,
        ):
            got = check_list(text.encode(), PREFIX)
            self.assertEqual(got, encode_list(decode_list(text.encode(), PREFIX)))
            self.assertEqual(got, canonical)

    def test_malformed(self) -> None:
        """Whatever has not the shape is refused, as it is by the decoder."""
        elsewhere = next(name for name in ("a", "b") if list_of(name) != PREFIX)
        long = siblings(1, NAME_LENGTH)[0]
        for data in (
            LINE[:-1],
            LINE + b"\n",
            LINE + b"x",
            b"\n" + LINE,
            LINE.replace(b"0123", b"012g"),
            LINE.replace(b"cdef", b"cde"),
            LINE.replace(b"acme", b"Acme"),
            LINE.replace(b"acme", b"acme/"),
            encode_list({elsewhere: "0" * 16}),
            encode_list({long: "0" * 16}),
            b"<html>\n",
        ):
            for read in (check_list, decode_list):
                with self.assertRaises(BadDocument, msg=str(data)):
                    read(data, PREFIX)

    @given(st.binary(max_size=60) | st.lists(st.sampled_from([LINE, LINE[:-1], b"\n", b'["', b'"]'])).map(b"".join))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever the bytes, they are taken where the decoder takes them, for the same repositories."""
        try:
            decoded = decode_list(data, PREFIX)
        except BadDocument:
            with self.assertRaises(BadDocument):
                check_list(data, PREFIX)
        else:
            self.assertEqual(check_list(data, PREFIX), encode_list(decoded))
