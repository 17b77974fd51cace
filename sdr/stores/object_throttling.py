"""How long a store wants to be left alone."""

import time
from datetime import timedelta
from typing import Any

import obstore


def retry_after(store: Any, path: str) -> float | None:
    """Ask for the Retry-After that obstore does not pass on: of the same object, as whoever may only look.

    :return: seconds, or ``None`` if the store did not say.
    """
    # They take long to import, and few stores ask for patience.
    import urllib.error
    import urllib.request

    try:
        url = obstore.sign(store, "HEAD", path, timedelta(minutes=5))
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            return None
    except urllib.error.HTTPError as answer:
        with answer:
            said = answer.headers.get("Retry-After") if answer.code in (429, 503) else None
    except Exception:
        return None
    return seconds(said, time.time()) if said else None


def seconds(said: str, now: float) -> float | None:
    """Return what a Retry-After header says, which is seconds or a date."""
    from email.utils import parsedate_to_datetime

    if said.strip().isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except ValueError:
        return None
