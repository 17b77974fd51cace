"""Times as logs write them; pure."""

from datetime import UTC, datetime
from functools import lru_cache
from time import gmtime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc3339(seconds: float) -> str:
    """Return a time as RFC 3339 has it, in UTC and with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@lru_cache(maxsize=4)
def bracketed(second: int) -> str:
    """Return a time as Apache's logs have it, in UTC; its month is English, whatever the locale says."""
    t = gmtime(second)
    return f"[{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year}:{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000]"
