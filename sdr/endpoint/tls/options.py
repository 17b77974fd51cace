"""The options about TLS: from what a person wrote to what the parts are built from."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from sdr.endpoint.tls.places import Place, Places


class BadTLSOption(ValueError):
    """An option's value cannot be used; the message names the option, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """How TLS is served.

    :param listen: Twisted endpoint descriptions.
    :param http2: whether HTTP/2 is spoken too.
    """

    listen: tuple[str, ...]
    places: Places
    http2: bool


def read_tls(
    *,
    listen: Sequence[str],
    certificate: str | None,
    key: str | None,
    directory: str | None,
    http2: bool,
    find: Callable[[str], object] = find_spec,
) -> TLSSettings | None:
    """Check the options' values; the files themselves are read by :func:`sdr.endpoint.tls.shelf.first_shelf`.

    :param listen: the values of ``--tls``: ports or Twisted endpoint descriptions.
    :param find: finds a module, or returns nothing.
    :return: nothing if TLS is not wanted.
    :raise BadTLSOption: if one cannot be used.
    """
    if certificate is not None and key is None:
        raise BadTLSOption("--tls-key is missing: give the file with the key of --tls-cert (the same one will do)")
    if key is not None and certificate is None:
        raise BadTLSOption("--tls-cert is missing: give the file with the certificate of --tls-key, and its chain")
    if not listen:
        for option, value in (("--tls-cert", certificate), ("--tls-dir", directory), ("--http2", http2)):
            if value:
                raise BadTLSOption(f"{option} does nothing without --tls: give a port for TLS, such as --tls 443")
        return None
    if certificate is None and directory is None:
        raise BadTLSOption(f"--tls {listen[0]}: there is no certificate: give --tls-cert and --tls-key, or --tls-dir")
    if http2 and not (find("h2") and find("priority")):
        raise BadTLSOption("--http2: h2 and priority are not installed: pip install 'sdr[http2]'")
    pair = None
    if certificate is not None and key is not None:
        pair = Place(_file("--tls-cert", certificate), _file("--tls-key", key))
    folder = None if directory is None else read_directory("--tls-dir", directory)
    return TLSSettings(tuple(_description(text) for text in listen), Places(pair, folder), http2)


def read_directory(option: str, text: str) -> str:
    """Return a directory's absolute path; also for ``--tls-acme``.

    :raise BadTLSOption: if it is none.
    """
    path = os.path.abspath(text)
    if not os.path.exists(path):
        raise BadTLSOption(f"{option} {text}: there is no such directory; create it first")
    if not os.path.isdir(path):
        raise BadTLSOption(f"{option} {text}: it is not a directory")
    return path


def _file(option: str, text: str) -> str:
    path = os.path.abspath(text)
    if not os.path.exists(path):
        raise BadTLSOption(f"{option} {text}: there is no such file")
    if os.path.isdir(path):
        raise BadTLSOption(f"{option} {text}: it is a directory; give a file, or the directory with --tls-dir")
    return path


def _description(text: str) -> str:
    """Return a Twisted endpoint description; a bare number is a port."""
    if not text.isascii() or not text.isdigit():
        if text.startswith(("ssl:", "tls:")):
            raise BadTLSOption(f"--tls {text}: TLS within TLS; give the plain endpoint, such as tcp:443")
        return text
    if not 0 < int(text) < 65536:
        raise BadTLSOption(f"--tls {text}: a port is a number from 1 to 65535")
    return text
