"""The options' values: from what a person wrote to what the parts are built from."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from sdr.cdn.locations import BadURL, BaseURL, parse_base
from sdr.endpoint.access import FORMS
from sdr.endpoint.admin.options import AdminSettings, BadAdminOption, read_admin
from sdr.endpoint.connections.addresses import BadNetwork, Trusted, read_trusted
from sdr.endpoint.connections.limits import BadLimit, Limits, read_limits
from sdr.endpoint.tls.options import BadTLSOption, TLSSettings, read_directory, read_tls

DEFAULT_PORT = 5000
_TCP = re.compile(r"(?:tcp6?|ssl|tls):(?:port=)?([0-9]+)(?=:|$)|.*:port=([0-9]+)(?=:|$)")
_INTERFACE = re.compile(r":interface=((?:\\.|[^:\\])+)")
_ANY = ("", "0.0.0.0", "::")  # noqa: S104 compared, not bound
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]+){3}|::1")


class BadSetting(ValueError):
    """An option's value cannot be used; the message names the option, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an endpoint is built from.

    :param cdn: a URL, or a directory's absolute path.
    :param store: the same, for where the catalog is polled.
    :param public_url: the endpoint's own address, or ``None`` to take it from each request.
    :param listen: ports and Twisted endpoint descriptions.
    :param poll: seconds.
    :param state_dir: an absolute path, or nothing.
    :param access_log: an absolute path, ``-``, or nothing.
    :param access_log_format: one of :data:`sdr.endpoint.access.FORMS`.
    :param v1_store: an old store, or nothing: a URL, or a directory's absolute path.
    :param v1_cdn: the URL of its images for clients; ``None`` where the endpoint serves them itself.
    :param store_is_cdn: whether no store was given of its own.
    :param tls: how TLS is served, if it is.
    :param acme: certbot's webroot, an absolute path, or nothing.
    :param trusted: the proxies that are believed.
    :param admin: the admin listener, if there is one.
    :param drain: seconds that answers may take once the endpoint is told to end.
    :param workers: processes that answer.
    :param fast: answer plain requests beneath Twisted Web.
    """

    cdn: BaseURL | str
    store: BaseURL | str
    public_url: BaseURL | None
    listen: tuple[str, ...]
    poll: float
    state_dir: str | None
    inline: bool
    browse: bool
    access_log: str | None
    access_log_format: str
    v1_store: BaseURL | str | None
    v1_cdn: BaseURL | None
    store_is_cdn: bool
    tls: TLSSettings | None
    acme: str | None
    limits: Limits
    trusted: Trusted
    admin: AdminSettings | None
    drain: float
    workers: int
    fast: bool = True


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Check the options' values.

    :param values: by the options' names, without dashes at the front.
    :raise BadSetting: if one cannot be used.
    """
    if not values["cdn"]:
        raise BadSetting("--cdn is missing: give the CDN's URL, or the directory of a tree")
    try:
        return _settings(values)
    except (BadTLSOption, BadLimit, BadNetwork, BadAdminOption) as error:
        raise BadSetting(str(error)) from error


def _settings(values: Mapping[str, Any]) -> Settings:
    cdn, store = _place("--cdn", values["cdn"]), values["store"]
    own = None if values["public-url"] is None else _url("--public-url", values["public-url"])
    tls = read_tls(
        listen=values["tls"],
        certificate=values["tls-cert"],
        key=values["tls-key"],
        directory=values["tls-dir"],
        http2=bool(values["http2"]),
    )
    # With TLS, a port in the clear is there for who asks for it.
    listen = tuple(values["listen"] or ([] if tls else [str(DEFAULT_PORT)]))
    everywhere = (*listen, *(tls.listen if tls else ()))
    if isinstance(cdn, BaseURL):
        _refuse_itself("--cdn", cdn, own, everywhere)
    old = None if values["v1-store"] is None else _place("--v1-store", values["v1-store"])
    return Settings(
        cdn=cdn,
        store=cdn if store is None else _place("--store", store),
        public_url=own,
        listen=listen,
        poll=_seconds("--poll", values["poll"], 0.1),
        state_dir=None if values["state-dir"] is None else _directory("--state-dir", values["state-dir"]),
        inline=_one_of("--manifests", values["manifests"], ("redirect", "inline")) == "inline",
        browse=bool(values["browse"]),
        access_log=None if values["access-log"] is None else _log_file("--access-log", values["access-log"]),
        access_log_format=_one_of("--access-log-format", values["access-log-format"], tuple(FORMS)),
        v1_store=old,
        v1_cdn=_v1_cdn(values["v1-cdn"], old, own, everywhere),
        store_is_cdn=store is None and isinstance(cdn, BaseURL),
        tls=tls,
        acme=None if values["tls-acme"] is None else read_directory("--tls-acme", values["tls-acme"]),
        limits=read_limits(values),
        trusted=read_trusted(values["trusted-proxy"]),
        admin=read_admin(values["admin"], values["ready-max-age"]),
        drain=_seconds("--drain", values["drain"], 0.0),
        fast=not values["no-fast"],
        workers=_workers(values["workers"]),
    )


def _v1_cdn(
    text: str | None, store: BaseURL | str | None, own: BaseURL | None, listen: Sequence[str]
) -> BaseURL | None:
    if text is not None and store is None:
        raise BadSetting("--v1-cdn is for the files of an old store: give that with --v1-store")
    cdn = _url("--v1-cdn", text) if text is not None else store
    if not isinstance(cdn, BaseURL):
        return None
    _refuse_itself("--v1-store" if text is None else "--v1-cdn", cdn, own, listen)
    return cdn


def _place(option: str, text: str) -> BaseURL | str:
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise BadSetting(f"{option} {text}: a file URL has three slashes: file:///DIRECTORY")
        return _directory(option, unquote(parts.path))
    if "://" in text:
        return _url(option, text)
    if not os.path.isdir(text) and not text.startswith(("/", ".")):
        raise BadSetting(f"{option} {text}: it is no directory; a URL begins with https:// or http://")
    return _directory(option, text)


def _url(option: str, text: str) -> BaseURL:
    try:
        return parse_base(text)
    except BadURL as error:
        raise BadSetting(f"{option} {text}: {error}") from error


def _directory(option: str, text: str) -> str:
    path = os.path.abspath(text)
    if not os.path.exists(path):
        raise BadSetting(f"{option} {text}: there is no such directory; create it first")
    if not os.path.isdir(path):
        raise BadSetting(f"{option} {text}: it is not a directory")
    return path


def _seconds(option: str, text: str, least: float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= 86400.0:
        raise BadSetting(f"{option} {text}: it is a number of seconds, from {least:g} to 86400")
    return seconds


def _workers(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0))
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= 256:
        raise BadSetting(f"--workers {text}: it is a number from 1 to 256, or auto, for one a core")
    return count


def _one_of(option: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise BadSetting(f"{option} {text}: it is {' or '.join(choices)}")
    return text


def _log_file(option: str, text: str) -> str:
    if text == "-":
        return text
    path = os.path.abspath(text)
    folder = os.path.dirname(path)
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise BadSetting(f"{option} {text}: it cannot be written: it is a directory, or in one that is not there")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise BadSetting(f"{option} {text}: it cannot be written: permission denied")
    return path


def _refuse_itself(option: str, cdn: BaseURL, own: BaseURL | None, listen: Sequence[str]) -> None:
    """Refuse a CDN that is the endpoint itself: it would redirect for ever, and old dockers would follow for ever."""
    same = own is not None and (own.host, own.port) == (cdn.host, cdn.port) and own.path == cdn.path
    if same or any(_is_at(description, cdn) for description in listen):
        raise BadSetting(
            f"{option} {cdn.text}: it is the endpoint's own address, so redirects would never end;"
            " give the address that serves the files (or their directory, and the endpoint serves them itself)"
        )


def _is_at(description: str, url: BaseURL) -> bool:
    """Tell whether what listens there is found under this URL, as far as its text tells."""
    if port_of(description) != url.port:
        return False
    found = _INTERFACE.search(description)
    interface = found[1].replace("\\", "") if found else ""
    at_loopback = _LOOPBACK.fullmatch(url.host) is not None
    if interface in _ANY:
        return at_loopback or url.host in _ANY
    return interface == url.host or (url.host == "localhost" and _LOOPBACK.fullmatch(interface) is not None)


def port_of(description: str) -> int | None:
    """Return the port in a Twisted endpoint description, if it has one, or is one."""
    if description.isascii() and description.isdigit():
        return int(description)
    found = _TCP.match(description)
    return None if found is None else int(found[1] or found[2])
