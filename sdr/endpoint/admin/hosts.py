"""The hosts that a client's firewall must let through; pure."""

from collections.abc import Iterable

from sdr.cdn.locations import BaseURL

#: Said where the endpoint does not know its own name.
NO_PUBLIC_URL = "# the endpoint's own host is not known here: give --public-url"

_PORTS = {"http": 80, "https": 443}


def hosts(public: BaseURL | None, cdns: Iterable[BaseURL]) -> tuple[str, ...]:
    """Return every host once, with its port unless that is its scheme's own, the endpoint's first.

    :param public: the endpoint's own URL.
    :param cdns: wherever redirects lead.
    """
    own = NO_PUBLIC_URL if public is None else _host(public)
    return tuple(dict.fromkeys([own, *sorted(map(_host, cdns))]))


def _host(url: BaseURL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port == _PORTS[url.scheme] else f"{host}:{url.port}"
