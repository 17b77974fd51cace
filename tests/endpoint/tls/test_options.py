"""Tests of the options about TLS."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.tls.options import BadTLSOption, TLSSettings, read_tls
from sdr.endpoint.tls.places import Place, Places


def read(**values: Any) -> TLSSettings | None:
    """Read options, most of which are not given."""
    defaults: dict[str, Any] = {"listen": [], "certificate": None, "key": None, "directory": None, "http2": False}
    return read_tls(**{**defaults, **values})


class OptionsTests(SynchronousTestCase):
    """What is taken, and what each mistake is told."""

    def setUp(self) -> None:
        """Make a file and a directory."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "file.pem"
        self.file.write_text("")

    def refused(self, **values: Any) -> str:
        """Return why options are refused."""
        with self.assertRaises(BadTLSOption) as caught:
            read(**values)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_nothing(self) -> None:
        """Without options there is no TLS."""
        self.assertIsNone(read())

    def test_all(self) -> None:
        """Paths become absolute, as the daemon may go to another directory; ports are told from other endpoints."""
        file = str(self.file)
        got = read(listen=["443", "unix:/run/x"], certificate=file, key=file, directory=str(self.folder))
        places = Places(Place(file, file), str(self.folder))
        self.assertEqual(got, TLSSettings(("443", "unix:/run/x"), places, http2=False))
        relative = read(listen=["443"], directory=".")
        assert relative is not None
        self.assertEqual(relative.places.directory, str(Path.cwd()))

    def test_mistakes(self) -> None:
        """Each mistake is one line that names the option and the way out."""
        file, folder = str(self.file), str(self.folder)
        for values, said in (
            ({"listen": ["443"]}, "--tls 443: there is no certificate: give --tls-cert"),
            ({"listen": ["443"], "certificate": file}, "--tls-key is missing"),
            ({"listen": ["443"], "key": file}, "--tls-cert is missing"),
            ({"certificate": file, "key": file}, "--tls-cert does nothing without --tls"),
            ({"directory": folder}, "--tls-dir does nothing without --tls"),
            ({"http2": True}, "--http2 does nothing without --tls"),
            ({"listen": ["443"], "certificate": file, "key": "gone"}, "--tls-key gone: there is no such file"),
            ({"listen": ["443"], "certificate": folder, "key": file}, f"--tls-cert {folder}: it is a directory"),
            ({"listen": ["443"], "directory": "gone"}, "--tls-dir gone: there is no such directory; create it"),
            ({"listen": ["443"], "directory": file}, f"--tls-dir {file}: it is not a directory"),
            ({"listen": ["0"], "directory": folder}, "--tls 0: a port is a number from 1"),
            ({"listen": ["65536"], "directory": folder}, "--tls 65536: a port"),
            ({"listen": ["ssl:443"], "directory": folder}, "--tls ssl:443: TLS within TLS"),
        ):
            self.assertIn(said, self.refused(**values))

    def test_http2(self) -> None:
        """HTTP/2 is spoken when it is asked for, and refused with the extra that brings its libraries without them."""
        values = {"listen": ["443"], "directory": str(self.folder), "http2": True}
        self.assertIn("pip install 'sdr[http2]'", self.refused(**values, find=lambda name: None))
        got = read(**values, find=lambda name: name)
        assert got is not None
        self.assertTrue(got.http2)
