"""From what a user writes after ``--store`` to a store."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sdr.stores.directory import DirectoryStore
from sdr.stores.interface import Store

#: One slash is enough: file:/srv is a URL too (RFC 8089), and s3:/bucket is no directory that anybody means.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class UnknownStore(ValueError):
    """What was given names no store; the message says why, and what would."""


def open_store(text: str) -> Store:
    """Return the store that this text names; nothing is read or written yet.

    :param text: a directory, or a ``file:///`` URL.
    :raise UnknownStore: if it is neither.
    """
    if not _SCHEME.match(text):
        return _directory(text, text)
    url = urlsplit(text)
    if url.scheme != "file":
        raise UnknownStore(f"{text}: this version of sdr writes to a directory or a file:/// URL only")
    if url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise UnknownStore(f"{text}: not file:///DIRECTORY")
    return _directory(unquote(url.path), text)


def _directory(path: str, text: str) -> Store:
    if not path or "\0" in path:
        raise UnknownStore(f"{text!r}: not a directory")
    # Neither of the two raises: where looking is not allowed, the store says so.
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UnknownStore(f"{text}: this is not a directory")
    return DirectoryStore(Path(path), text)
