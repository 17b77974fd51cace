"""Tests of reading a body for an upload."""

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from sdr.stores.interface import Bytes
from sdr.stores.pieces import PIECE, BadBody, Pieces, Reader
from tests.stores.contract import Broken, Short


class Counted:
    """A body that counts how often it is opened.

    :param size: the size that it says it has.
    """

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self._bytes = Bytes(data)
        self.size = len(data) if size is None else size
        self.opened = 0

    def open(self):  # type: ignore[no-untyped-def]
        """Start reading."""
        self.opened += 1
        return self._bytes.open()


class PiecesTests(SynchronousTestCase):
    """Parts of a body."""

    data = bytes(range(256)) * 10_000

    def test_in_one_go(self) -> None:
        """Parts in their order are read in one go, each in pieces that fit into memory."""
        body = Counted(self.data)
        reader = Reader(body)
        parts = [Pieces(reader, start, 1_280_000) for start in (0, 1_280_000)]
        read = [list(part) for part in parts]
        self.assertEqual(b"".join(read[0] + read[1]), self.data)
        self.assertLessEqual(max(len(piece) for piece in read[0]), PIECE)
        self.assertEqual([len(part) for part in parts], [1_280_000, 1_280_000])
        self.assertEqual([part.md5 for part in parts], [hashlib.md5(b"".join(one)).hexdigest() for one in read])
        self.assertEqual(body.opened, 1)

    def test_again(self) -> None:
        """A part can be read again, and after only some of it was."""
        body = Counted(self.data)
        part = Pieces(Reader(body), 1000, 2000)
        next(iter(part))
        self.assertEqual([b"".join(part), b"".join(part)], [self.data[1000:3000]] * 2)
        self.assertEqual(part.md5, hashlib.md5(self.data[1000:3000]).hexdigest())

    def test_empty(self) -> None:
        """Nothing has the MD5 of nothing."""
        part = Pieces(Reader(Bytes(b"")), 0, 0)
        self.assertEqual((list(part), part.md5), ([], hashlib.md5(b"").hexdigest()))

    def test_another_size(self) -> None:
        """The last piece of a body of another size is not given out."""
        for size, wanted in (
            (4, "more than the 4 bytes"),
            (6, "5 bytes to write where 6 were"),
            (0, "more than the 0"),
        ):
            part = Pieces(Reader(Counted(b"12345", size)), 0, size)
            given: list[bytes] = []
            error = self.assertRaises(BadBody, lambda part=part, given=given: given.extend(part))
            self.assertIn(wanted, str(error))
            self.assertLess(len(b"".join(given)), max(size, 1))
            self.assertIs(part.failed, error)
        part = Pieces(Reader(Short()), 60, 40)
        self.assertRaises(BadBody, list, part)

    def test_failing(self) -> None:
        """What reading raised is remembered, until it is read again."""
        part = Pieces(Reader(Broken()), 0, 100)
        self.assertIs(self.assertRaises(ZeroDivisionError, list, part), part.failed)
