"""What Swift's answers and broken connections mean, in the words of a store."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import TimeoutError

from sdr.stores.interface import NotAllowed, NotReachable, NotThere, StoreError
from sdr.stores.retrying import Busy

#: What a request may be answered with that passes by itself.
_PASSING = frozenset({408, 422, 499})
_BUSY = frozenset({429, 498, 503})
_FULL = frozenset({413, 507})


def refusal(store: str, key: str, status: int, reason: str, headers: Mapping[str, str], text: str) -> StoreError:
    """Return what an answer means that is no success.

    :param key: the object, or the empty string.
    :param reason: the words beside the status.
    :param text: the answer's body.
    """
    said = f"{status} {reason}".strip()
    if status == 401:
        return NotAllowed(store, key, "the credentials are refused (401)")
    if status == 403:
        return NotAllowed(store, key, "these credentials have no permission for it (403)")
    if status == 404:
        return NotThere(store, key, "there is no such object")
    if status in _FULL:
        words = " ".join(text.split())
        return StoreError(store, key, f"too large, or over a quota ({said}{': ' if words else ''}{words[:100]})")
    if status in _BUSY:
        return Busy(store, key, f"too busy ({said})", _seconds(headers.get("Retry-After"), headers.get("Date")))
    if status >= 500 or status in _PASSING:
        return NotReachable(store, key, f"not well ({said})")
    words = " ".join(text.split())
    return StoreError(store, key, f"answered {said}{': ' if words else ''}{words[:100]}")


def _seconds(retry_after: str | None, date: str | None) -> float | None:
    """Return what a ``Retry-After`` says: seconds, or a date of the server's clock."""
    try:
        return max(0.0, float(retry_after or ""))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after or "") - parsedate_to_datetime(date or "")).total_seconds())
    except (ValueError, TypeError):
        return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and all that it came from, wherever its libraries have put that."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def broken(error: BaseException) -> str:
    """Return in a few words why a connection failed."""
    late = False
    for one in causes(error):
        if isinstance(one, socket.gaierror):
            return "its name is not known"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed ({(getattr(one, 'reason', None) or 'broken').replace('_', ' ').lower()})"
        if isinstance(one, OSError) and one.errno is not None and one.errno in errno.errorcode:
            return os.strerror(one.errno).lower()
        late = late or isinstance(one, TimeoutError | requests.Timeout)
    return "no answer in time" if late else "the connection broke"
