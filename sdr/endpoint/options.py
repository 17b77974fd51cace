"""The options of `twistd sdr`, from the command line and from a file."""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from twisted.python.usage import UsageError

from sdr.endpoint.access import FORMS
from sdr.endpoint.config import BadConfig, Kind, known_options, split_defaults
from sdr.endpoint.connections.limits import ROWS as LIMITS
from sdr.endpoint.life.checking import complaints, start_checks, verdict
from sdr.endpoint.life.options import ConfiguredOptions
from sdr.endpoint.settings import BadSetting, Settings, read_settings

_ROWS: list[list[Any]] = [
    ["cdn", None, None, "The CDN's URL, or the directory of a tree, which is then served below /tree/. Required."],
    ["store", None, None, "Where the catalog is polled: the store's own URL, or a directory. [default: the CDN's]"],
    ["public-url", None, None, "The endpoint's own URL. [default: from each request's Host and connection]"],
    ["poll", None, "30", "Seconds between polls of the catalog."],
    ["state-dir", None, None, "A directory that keeps the last good catalog for the next start."],
    ["manifests", None, "redirect", "redirect: to the CDN. inline: the endpoint sends manifests itself."],
    ["v1-store", None, None, "A store that a docker-registry of 2014 wrote: its URL with its root, or a directory."],
    ["v1-cdn", None, None, "Where redirects to that store's layers point. [default: that store's URL]"],
    ["tls-cert", None, None, "A file with the certificate in PEM, then its chain."],
    ["tls-key", None, None, "A file with its key in PEM; the same one will do."],
    ["tls-dir", None, None, "A directory with a NAME.pem (certificate, chain and key) for each name; default.pem too."],
    ["tls-acme", None, None, "certbot's webroot: its proofs are served at /.well-known/acme-challenge/."],
    ["access-log", None, None, "A file for the access log, or - for standard output."],
    ["access-log-format", None, "combined", f"{' or '.join(FORMS)}."],
    ["ready-max-age", None, None, "Seconds since the last good poll after which /readyz says no. [default: never]"],
    ["drain", None, "30", "Seconds that answers under way may take once the endpoint is told to end."],
    ["workers", None, "1", "Processes that answer, or auto: as many as there are cores."],
    *LIMITS,
    ["config", None, None, "A TOML file with any of these options; the command line wins."],
]
_FLAGS: list[list[Any]] = [
    ["browse", None, "Show which repositories there are: /v2/_catalog, docker search, and a list on the front page."],
    ["no-fast", None, "Have every request answered by Twisted Web, plain ones too: slower, and the same bytes."],
    ["http2", None, "Speak HTTP/2 over TLS, too; needs sdr[http2]."],
    ["check-config", None, "Say OK, or what is wrong with the options and their files, and exit."],
]
#: They may be repeated.
_LISTS = ("listen", "tls", "trusted-proxy", "admin")

_BARE_ROWS, _DEFAULTS = split_defaults(_ROWS)


class Options(ConfiguredOptions):
    """The options of `twistd sdr`. What is wrong with them ends the program with one line on standard error."""

    synopsis = "[options]"
    longdesc = (
        "Answer docker pull from a static tree: this endpoint speaks the registry protocol and redirects to the files,"
        " which sdr publish has written into a store and which a CDN serves."
    )
    optParameters: ClassVar[list[list[Any]]] = _BARE_ROWS
    optFlags: ClassVar[list[list[Any]]] = _FLAGS
    known: ClassVar[Mapping[str, Kind]] = known_options(
        _ROWS,
        _FLAGS,
        lists=_LISTS,
        numbers=("ready-max-age",),
        numbers_or_auto=("workers",),
        paths=("state-dir", "access-log", "tls-cert", "tls-key", "tls-dir", "tls-acme"),
        places=("cdn", "store", "v1-store"),
    )
    default_values: ClassVar[Mapping[str, Any]] = _DEFAULTS

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        for name in _LISTS:
            self[name] = []

    def opt_listen(self, text: str) -> None:
        """Listen on a port, or a Twisted endpoint such as tcp:5000:interface=127.0.0.1 or unix:/run/sdr.sock; systemd: takes the sockets that systemd passes. May be repeated. Without it, and without --tls, it is port 5000, IPv4 and IPv6."""  # noqa: E501
        self["listen"].append(text)

    def opt_tls(self, text: str) -> None:
        """Serve TLS on a port, or a Twisted endpoint such as tcp:443; with --tls-cert and --tls-key, or --tls-dir. May be repeated."""  # noqa: E501
        self["tls"].append(text)

    def opt_trusted_proxy(self, text: str) -> None:
        """Believe a proxy at this address or network (10.0.0.0/8; unix for a Unix socket): its PROXY protocol, Forwarded, X-Forwarded-For and X-Request-Id. May be repeated."""  # noqa: E501
        self["trusted-proxy"].append(text)

    def opt_admin(self, text: str) -> None:
        """Serve /livez, /readyz, /metrics and /hosts on a port of 127.0.0.1, or a Twisted endpoint. May be repeated."""
        self["admin"].append(text)

    def opt_version(self) -> NoReturn:
        """Show sdr's version, and exit."""
        from importlib.metadata import version

        print(f"sdr {version('sdr')}")
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Read the command line; Twisted itself would print the whole usage for each mistake."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            raise SystemExit(f"sdr: {str(error).rstrip('.')}; see twistd sdr --help") from error

    def postOptions(self) -> None:
        """Merge the command line with the file, and check the values."""
        try:
            self.merge()
            self.settings = read_settings(self)
        except (BadConfig, BadSetting) as error:
            if isinstance(error, BadConfig):
                raise SystemExit(f"sdr: {error}") from error
            raise UsageError(str(error)) from error
        if self["check-config"]:
            self._check()

    def _check(self) -> NoReturn:
        text, code = verdict(complaints(*start_checks(self.settings)))
        if code:
            raise SystemExit(text)
        print(text)
        raise SystemExit(0)
