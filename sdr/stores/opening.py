"""From what a user writes after ``--store`` to a store."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Store

#: One slash is enough: file:/srv is a URL too (RFC 8089), and s3:/bucket is no directory that anybody means.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")

_KNOWN = "a directory, file:///DIRECTORY, s3://BUCKET, gs://BUCKET, az://CONTAINER or swift://CONTAINER"


class UnknownStore(ValueError):
    """What was given names no store; the message says why, and what would."""


def open_store(text: str, environment: Mapping[str, str] | None = None) -> Store:
    """Return the store that this text names; nothing is read or written there yet.

    :param text: a directory, a ``file:///`` URL, or ``s3://``, ``gs://``, ``az://`` or ``swift://`` with a bucket or
        container and, perhaps, a prefix.
    :param environment: where credentials and addresses are; the process's own if not given.
    :raise UnknownStore: if it is none of those, or cannot be opened with this environment.
    """
    found = _SCHEME.match(text)
    if not found:
        return _directory(text, text)
    scheme = found[1].lower()
    if scheme == "file":
        url = urlsplit(text)
        if url.netloc not in ("", "localhost") or url.query or url.fragment:
            raise UnknownStore(f"{text}: not file:///DIRECTORY")
        return _directory(unquote(url.path), text)
    opening = _REMOTE.get(scheme)
    if opening is None:
        raise UnknownStore(f"{text}: sdr does not know {scheme}:; a store is {_KNOWN}")
    extra = "swift" if scheme == "swift" else "publish"
    try:
        return opening(text, os.environ if environment is None else environment)
    except ModuleNotFoundError as error:
        raise UnknownStore(
            f"{text}: {(error.name or text).partition('.')[0]} is not installed here: pip install 'sdr[{extra}]'"
        ) from error


def _directory(path: str, text: str) -> Store:
    if not path or "\0" in path:
        raise UnknownStore(f"{text!r}: not a directory")
    # Neither of the two raises: where looking is not allowed, the store says so.
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UnknownStore(f"{text}: this is not a directory")
    return DirectoryStore(Path(path), text)


# Each imports its library when it is asked for: whoever publishes into a directory needs none of them.


def _bucket(text: str, environment: Mapping[str, str]) -> Store:
    from sdr.stores.object_credentials import BadOption
    from sdr.stores.object_options import opened
    from sdr.stores.objects import ObjectStore

    try:
        return ObjectStore(opened(text, environment), text)
    except BadOption as error:
        raise UnknownStore(str(error)) from error


def _swift(text: str, environment: Mapping[str, str]) -> Store:
    from sdr.stores.swift import open_swift

    return open_swift(text, environment)


_REMOTE: Mapping[str, Callable[[str, Mapping[str, str]], Store]] = {
    "s3": _bucket,
    "gs": _bucket,
    "az": _bucket,
    "swift": _swift,
}
