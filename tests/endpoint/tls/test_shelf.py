"""Tests of what a look at the files changes."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tls.certificates import BadCertificate, Certificate
from sdr.endpoint.tls.places import Place, Places
from sdr.endpoint.tls.shelf import Look, Shelf, first_shelf
from tests.endpoint.tls.authority import DAY, NOW, Authority


def anything(certificate: Certificate) -> None:
    """Take every certificate."""


class ShelfCase(SynchronousTestCase):
    """A pair of files and a directory."""

    def setUp(self) -> None:
        """Make an authority and a place for files."""
        self.authority = Authority()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.now = NOW

    def pair(self, *names: str, days: float = 90) -> Places:
        """Write a certificate's file and its key's."""
        chain, key = self.authority.issue(*names, days=days)
        (self.folder / "cert").write_bytes(chain)
        (self.folder / "key").write_bytes(key)
        return Places(Place(str(self.folder / "cert"), str(self.folder / "key")))

    def directory(self, **names: str) -> Places:
        """Write a certificate for each file's name."""
        for file, name in names.items():
            self.authority.write(self.folder, file, name)
        return Places(directory=str(self.folder))

    def look(self, places: Places, shelf: Shelf, *, believe: bool = False, times: int = 1) -> Shelf:
        """Look at the files again."""
        for _ in range(times):
            self.now += 5
            shelf = Look(places, anything, self.now, believe).at(shelf)
        return shelf

    def names(self, shelf: Shelf) -> list[str]:
        """Return the first name of each certificate."""
        return [certificate.names[0] for certificate in shelf.certificates]

    def problems(self, shelf: Shelf) -> str:
        """Return what is wrong."""
        return "\n".join(problem.text for problem in shelf.problems)


class FirstTests(ShelfCase):
    """Reading at the start."""

    def test_order(self) -> None:
        """The pair is the default; without one default.pem is, and else the first file by name."""
        places = self.directory(b="b.example", default="d.example", a="a.example")
        (self.folder / ".hidden.pem").write_text("")
        (self.folder / "notes.txt").write_text("")
        self.assertEqual(self.names(first_shelf(places, anything)), ["d.example", "a.example", "b.example"])
        both = Places(self.pair("p.example").pair, str(self.folder))
        self.assertEqual(self.names(first_shelf(both, anything))[0], "p.example")
        file = str(self.folder / "b.pem")
        within = Places(Place(file, file), str(self.folder))
        self.assertEqual(self.names(first_shelf(within, anything)), ["b.example", "d.example", "a.example"])
        (self.folder / "default.pem").unlink()
        self.assertEqual(self.names(first_shelf(places, anything)), ["a.example", "b.example"])

    def test_refused(self) -> None:
        """A file that cannot be used, a directory without one, and one that is not there are refused by name."""
        places = self.directory(a="a.example")
        (self.folder / "broken.pem").write_text("nonsense")
        for wrong, said in (
            (places, "broken.pem: there is no certificate"),
            (Places(directory=self.mktemp()), "No such file"),
            (Places(Place(str(self.folder / "x"), str(self.folder / "a.pem"))), "x: it cannot be read: No such file"),
            (Places(Place(str(self.folder), str(self.folder))), "Is a directory"),
        ):
            with self.assertRaises(BadCertificate) as caught:
                first_shelf(wrong, anything)
            self.assertIn(said, str(caught.exception))
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertRaises(BadCertificate, first_shelf, Places(directory=str(empty)), anything)

    def test_library(self) -> None:
        """What the TLS library does not take is refused too."""

        def nothing(certificate: Certificate) -> None:
            raise BadCertificate("too weak")

        self.assertRaises(BadCertificate, first_shelf, self.pair("a.example"), nothing)

    def test_expired(self) -> None:
        """A certificate that has expired is taken at the start: it may be this endpoint through which it is renewed."""
        self.assertEqual(self.names(first_shelf(self.pair("a.example", days=-0.5), anything)), ["a.example"])

    def test_pipe(self) -> None:
        """A named pipe does not hold up the start."""
        os.mkfifo(self.folder / "pipe.pem")
        self.assertRaises(BadCertificate, first_shelf, Places(directory=str(self.folder)), anything)


class LookTests(ShelfCase):
    """Looking again."""

    def test_unchanged(self) -> None:
        """Files that stay as they are are not read again."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        self.assertIs(self.look(places, shelf).entries[0], shelf.entries[0])

    def test_renewed(self) -> None:
        """A renewed pair is served at the second look that finds it as it is, and at once by who is told to believe."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        self.pair("b.example")
        once = self.look(places, shelf)
        self.assertEqual((self.names(once), once.problems), (["a.example"], ()))
        self.assertEqual(self.names(self.look(places, once)), ["b.example"])
        self.assertEqual(self.names(self.look(places, shelf, believe=True)), ["b.example"])

    def test_link(self) -> None:
        """A link that leads elsewhere now is a change, as certbot and Kubernetes make it."""
        for name in ("one", "two"):
            (self.folder / name).mkdir()
            self.authority.write(self.folder / name, "tls", f"{name}.example")
        (self.folder / "live").symlink_to("one")
        file = str(self.folder / "live" / "tls.pem")
        places = Places(Place(file, file))
        shelf = first_shelf(places, anything)
        (self.folder / "new").symlink_to("two")
        (self.folder / "new").rename(self.folder / "live")
        self.assertEqual(self.names(self.look(places, shelf, times=2)), ["two.example"])

    def test_half_written(self) -> None:
        """A certificate whose key is yet to come changes nothing; both are served when it has come."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        chain, key = self.authority.issue("b.example")
        (self.folder / "cert").write_bytes(chain)
        half = self.look(places, shelf, times=3)
        self.assertEqual(self.names(half), ["a.example"])
        self.assertIn("key: its key is not that of the first certificate in", self.problems(half))
        self.assertEqual(half.problems[0].since, NOW + 10)
        (self.folder / "key").write_bytes(key)
        whole = self.look(places, half, times=2)
        self.assertEqual((self.names(whole), whole.problems), (["b.example"], ()))

    def test_bad(self) -> None:
        """Files that cannot be used, for whatever reason, leave what was read before."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        good = (self.folder / "cert").read_bytes()
        for text, said in (
            (b"", "no certificate in it"),
            (self.authority.issue("b.example")[0], "not that of"),
            (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "malformed"),
        ):
            (self.folder / "cert").write_bytes(text)
            for got in (self.look(places, shelf, times=2), self.look(places, shelf, believe=True)):
                self.assertEqual(self.names(got), ["a.example"])
                self.assertIn(said, self.problems(got))
        (self.folder / "cert").unlink()
        gone = self.look(places, shelf, believe=True)
        self.assertEqual(self.names(gone), ["a.example"])
        self.assertIn("cert: it cannot be read: No such file", self.problems(gone))
        (self.folder / "cert").write_bytes(good)
        self.assertEqual(self.look(places, gone, times=2).problems, ())

    def test_not_in_force(self) -> None:
        """A renewal that has expired, or is not valid yet, leaves the old one; when its time comes it is taken."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        self.pair("b.example", days=-0.5)
        got = self.look(places, shelf, times=2)
        self.assertEqual(self.names(got), ["a.example"])
        self.assertIn("cert: it expired on 2027-01-14", self.problems(got))
        chain, key = self.authority.issue("c.example", since=1)
        (self.folder / "cert").write_bytes(chain)
        (self.folder / "key").write_bytes(key)
        got = self.look(places, shelf, times=2)
        self.assertIn("not valid before", self.problems(got))
        self.now = NOW + DAY
        self.assertEqual(self.names(self.look(places, got)), ["c.example"])

    def test_library(self) -> None:
        """What the TLS library does not take is not taken, and is asked for again."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        self.pair("b.example")

        def nothing(certificate: Certificate) -> None:
            raise BadCertificate("too weak")

        weak = Look(places, nothing, self.now, believe=True).at(shelf)
        self.assertEqual((self.names(weak), self.problems(weak)), (["a.example"], "too weak"))
        self.assertEqual(self.names(self.look(places, weak)), ["b.example"])

    def test_changed_while_read(self) -> None:
        """Files that change while they are read are read again when they have settled."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        self.pair("b.example")

        def renewed(certificate: Certificate) -> None:
            self.pair("c.example")

        torn = Look(places, renewed, self.now, believe=True).at(shelf)
        self.assertEqual((self.names(torn), torn.problems), (["a.example"], ()))
        self.assertEqual(self.names(self.look(places, torn, times=2)), ["c.example"])

    def test_directory(self) -> None:
        """A new file is served, a broken one is not, and neither hurts the others."""
        places = self.directory(a="a.example", b="b.example")
        shelf = first_shelf(places, anything)
        self.authority.write(self.folder, "c", "c.example")
        (self.folder / "b.pem").write_text("nonsense")
        (self.folder / "d.pem").write_text("nonsense")
        got = self.look(places, shelf, times=2)
        self.assertEqual(self.names(got), ["a.example", "b.example", "c.example"])
        self.assertEqual(len(got.problems), 2)

    def test_removed(self) -> None:
        """A file that has gone is served on, in its order, until somebody says that it is meant."""
        places = self.directory(a="a.example", b="b.example")
        shelf = first_shelf(places, anything)
        (self.folder / "a.pem").unlink()
        got = self.look(places, shelf, times=3)
        self.assertEqual(self.names(got), ["a.example", "b.example"])
        self.assertIn("a.pem: it is not there any more; reload", self.problems(got))
        believed = self.look(places, got, believe=True)
        self.assertEqual((self.names(believed), believed.problems), (["b.example"], ()))

    def test_all_removed(self) -> None:
        """The last certificate stays whatever anybody says; so do all when the directory has gone."""
        places = self.directory(a="a.example")
        shelf = first_shelf(places, anything)
        (self.folder / "a.pem").unlink()
        got = self.look(places, shelf, believe=True)
        self.assertEqual(self.names(got), ["a.example"])
        self.assertIn("put it back", self.problems(got))
        self.folder.rmdir()
        gone = self.look(places, got, believe=True)
        self.assertEqual(self.names(gone), ["a.example"])
        self.assertIn(f"{self.folder}: it cannot be read: No such file", self.problems(gone))
        self.folder.mkdir()
        self.authority.write(self.folder, "a", "new.example")
        back = self.look(places, gone, times=2)
        self.assertEqual((self.names(back), back.problems), (["new.example"], ()))

    def test_since(self) -> None:
        """The same problem keeps its beginning; another one has its own."""
        places = self.pair("a.example")
        shelf = first_shelf(places, anything)
        (self.folder / "cert").write_text("")
        first = self.look(places, shelf, times=2)
        self.assertEqual(self.look(places, first, times=3).problems, first.problems)
        (self.folder / "cert").unlink()
        self.assertGreater(self.look(places, first, times=2).problems[0].since, first.problems[0].since)
