"""Tests of the options' values."""

import os
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sdr.cdn.locations import BaseURL
from sdr.endpoint.config import Kind
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.options import Options
from sdr.endpoint.settings import BadSetting, Settings, port_of, read_settings

CDN = "https://cdn.example.com/tree"


def settings(**given: Any) -> Settings:
    """Read settings, with defaults for what is not given; an option's dashes are underscores here."""
    values: dict[str, Any] = {name: [] if kind is Kind.LIST else None for name, kind in Options.known.items()}
    return read_settings({**values, **Options.default_values, "cdn": CDN, **_dashed(given)})


def _dashed(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in given.items()}


class SettingsTests(SynchronousTestCase):
    """What is read, and what is refused."""

    def test_defaults(self) -> None:
        """The store is the CDN unless it is given, and that is known."""
        got = settings()
        assert isinstance(got.cdn, BaseURL)
        self.assertEqual((got.cdn.text, got.store, got.store_is_cdn, got.poll), (CDN, got.cdn, True, 30.0))

    def test_directories(self) -> None:
        """A directory is known by an absolute path, whatever the working directory becomes."""
        path = self.mktemp()
        os.makedirs(path)
        absolute = os.path.abspath(path)
        for given in (path, absolute, f"file://{absolute}", f"file://localhost{absolute}"):
            got = settings(cdn=given)
            self.assertEqual((got.cdn, got.store, got.store_is_cdn), (absolute, absolute, False))
        self.assertEqual(settings(state_dir=path).state_dir, absolute)

    def test_slash_at_the_end(self) -> None:
        """A base URL means the same with and without a slash at its end."""
        self.assertEqual(settings(cdn=f"{CDN}/"), settings())

    def test_refused(self) -> None:
        """Each bad value is refused in one line that names the option and the reason."""
        a_file = self.mktemp()
        with open(a_file, "w"):
            pass
        for option, value, reason in (
            ("cdn", None, "missing"),
            ("cdn", "", "missing"),
            ("cdn", "cdn.example.com/tree", "https://"),
            ("cdn", "ftp://cdn.example.com", "https://"),
            ("cdn", f"{CDN}?x=1", "query"),
            ("cdn", f"{CDN}?", "query"),
            ("cdn", f"{CDN}#x", "fragment"),
            ("cdn", "https://user:secret@cdn.example.com", "password"),
            ("cdn", "https://", "host"),
            ("cdn", "https://cdn.example.com:99999/", "ort"),
            ("cdn", "https://cdn.example.com/a/../b", "path"),
            ("cdn", "https://cdn.example.com/a//b", "path"),
            ("cdn", "https://cdn.example.com/a b", "path"),
            ("cdn", "./no-such-directory", "no such directory"),
            ("cdn", os.path.abspath(a_file), "not a directory"),
            ("store", "/no/such/directory", "no such directory"),
            ("store", "file://elsewhere/tree", "three slashes"),
            ("public_url", "registry.example.com", "https://"),
            ("poll", "soon", "seconds"),
            ("poll", "0", "seconds"),
            ("poll", "-1", "seconds"),
            ("poll", "nan", "seconds"),
            ("poll", "inf", "seconds"),
            ("state_dir", "/no/such/directory", "no such directory"),
            ("manifests", "both", "redirect or inline"),
            ("access_log", "/no/such/directory/log", "cannot be written"),
            ("v1_store", "/no/such/directory", "no such directory"),
            ("v1_store", "swift://x", "https://"),
            ("v1_cdn", "https://old.example.com", "--v1-store"),
            ("access_log_format", "xml", "combined or json"),
            ("drain", "-1", "seconds"),
            ("drain", "86401", "seconds"),
            ("tls_acme", "/no/such/directory", "no such directory"),
            ("tls_cert", "/etc/hostname", "--tls-key"),
            ("tls", ["443"], "no certificate"),
            ("http2", True, "--tls"),
            ("max_connections", "0", "whole number"),
            ("idle_timeout", "soon", "seconds"),
            ("trusted_proxy", ["10.0.0.1/8"], "10.0.0.0/8"),
            ("ready_max_age", "60", "--admin"),
            ("admin", ["0"], "from 1 to 65535"),
        ):
            error = self.assertRaises(BadSetting, settings, **{option: value})
            self.assertIn(f"--{option.replace('_', '-')}", str(error))
            self.assertIn(reason, str(error), value)
            self.assertNotIn("\n", str(error))

    def test_edge(self) -> None:
        """What is at the edge is off unless it is asked for, and then it is read into values."""
        got = settings()
        self.assertEqual((got.tls, got.acme, got.admin, bool(got.trusted)), (None, None, None, False))
        self.assertEqual((got.limits, got.drain, got.access_log_format), (Limits(), 30.0, "combined"))
        folder = self.mktemp()
        os.makedirs(folder)
        got = settings(
            tls=["443"],
            tls_dir=folder,
            tls_acme=folder,
            admin=["9090"],
            ready_max_age="60",
            trusted_proxy=["10.0.0.0/8", "unix"],
            max_connections="10",
            drain="0",
        )
        assert got.tls is not None
        assert got.admin is not None
        self.assertEqual((got.tls.listen, got.tls.places.directory), (("443",), os.path.abspath(folder)))
        self.assertEqual(got.acme, os.path.abspath(folder))
        self.assertEqual((got.admin.listen, got.admin.ready_max_age), (("tcp:9090:interface=127.0.0.1",), 60.0))
        self.assertEqual((got.trusted.unix, got.limits.connections, got.drain), (True, 10, 0.0))

    def test_in_the_clear(self) -> None:
        """With TLS, a port in the clear is there for who asks for it."""
        folder = self.mktemp()
        os.makedirs(folder)
        self.assertEqual(settings().listen, ("5000",))
        self.assertEqual(settings(tls=["443"], tls_dir=folder).listen, ())
        self.assertEqual(settings(tls=["443"], tls_dir=folder, listen=["80"]).listen, ("80",))

    def test_old_store(self) -> None:
        """An old store's images are had from its own URL, from another, or from the endpoint itself."""
        path = self.mktemp()
        os.makedirs(path)
        url, cdn = "https://swift.example.com/v1/AUTH_x/images/registry", "https://old.example.com"
        self.assertEqual((settings().v1_store, settings().v1_cdn), (None, None))
        for store, given, expected in ((url, None, url), (url, cdn, cdn), (path, cdn, cdn), (path, None, None)):
            got = settings(v1_store=store, v1_cdn=given)
            stores = got.v1_store.text if isinstance(got.v1_store, BaseURL) else got.v1_store
            self.assertEqual(stores, url if store == url else os.path.abspath(path))
            self.assertEqual(None if got.v1_cdn is None else got.v1_cdn.text, expected)
        error = self.assertRaises(BadSetting, settings, v1_store=path, v1_cdn=path)
        self.assertIn("--v1-cdn", str(error))

    def test_itself(self) -> None:
        """A CDN that is the endpoint's own address is refused: redirects would never end."""
        for given in (
            {"cdn": "http://localhost:5000"},
            {"cdn": "http://127.0.0.1:5000/tree"},
            {"cdn": "http://[::1]:8080", "listen": ("tcp6:8080",)},
            {"cdn": "http://127.0.0.1:80", "listen": ("tcp:port=80:interface=127.0.0.1",)},
            {"cdn": "http://192.0.2.2:81", "listen": ("tcp:81:interface=192.0.2.2",)},
            {"cdn": "http://[2001:db8::1]:81", "listen": (r"tcp6:81:interface=2001\:db8\:\:1",)},
            {"cdn": "http://0.0.0.0:5000"},
            {"cdn": "http://localhost:81", "listen": (r"tcp:81:interface=\:\:",)},
            {"cdn": "http://localhost:81", "listen": ("tcp:81:interface=127.0.0.1",)},
            {"cdn": "https://localhost:444", "tls": ["444"], "tls_dir": "."},
            {"cdn": "https://registry.example.com", "public_url": "https://registry.example.com/"},
            {"cdn": "https://Registry.example.com:443", "public_url": "https://registry.example.com"},
        ):
            error = self.assertRaises(BadSetting, settings, **given)
            self.assertIn("own address", str(error))
        for option, given in (
            ("--v1-store", {"v1_store": "http://localhost:5000/registry"}),
            ("--v1-cdn", {"v1_store": "http://192.0.2.1", "v1_cdn": "http://localhost:5000"}),
        ):
            error = self.assertRaises(BadSetting, settings, **given)
            self.assertIn(f"{option} http://localhost", str(error))
            self.assertIn("own address", str(error))

    def test_neighbours(self) -> None:
        """Another port of this machine, and another path of the endpoint's own host, are CDNs like any other."""
        settings(cdn="http://127.0.0.1:8080")
        settings(cdn="http://127.0.0.1:5000", listen=("tcp:5001",))
        settings(cdn="http://127.0.0.1:5000", listen=("tcp:5000:interface=192.0.2.2",))
        settings(cdn="http://127.0.0.1:5000", listen=("unix:/run/sdr.sock",))
        settings(cdn="https://registry.example.com/tree", public_url="https://registry.example.com")

    def test_port_of(self) -> None:
        """The port is found in the usual descriptions of an endpoint."""
        for description, port in (
            ("tcp:5000", 5000),
            ("tcp6:5000:interface=::", 5000),
            ("tcp:interface=127.0.0.1:port=81", 81),
            ("ssl:443:privateKey=x", 443),
            ("unix:/run/sdr.sock", None),
            ("systemd:domain=INET:index=0", None),
        ):
            self.assertEqual(port_of(description), port, description)
