"""What of a changed configuration a running endpoint takes on, and what has to wait for a restart."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

#: What is swapped as one value between two requests; everything else is built into the parts at the start.
LIVE = frozenset({"browse", "cdn", "drain", "public-url", "ready-max-age", "v1-cdn"})


@dataclass(frozen=True, slots=True)
class Changes:
    """Which options have other values than before, by name.

    :param live: taken on at once.
    :param restart: these keep their old values until the endpoint is started again.
    """

    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def line(self) -> str | None:
        """Return what to tell about those that wait, if there are any."""
        return f"needs a restart: {', '.join(self.restart)}" if self.restart else None


def changes(before: Mapping[str, Any], after: Mapping[str, Any], live: Collection[str] = LIVE) -> Changes:
    """Compare two readings of all options.

    :param live: the options that are taken on at once, as far as they can be.
    """
    changed = sorted(
        name for name in before.keys() | after.keys() if (before.get(name) or None) != (after.get(name) or None)
    )
    tied = _tied(before) | _tied(after)
    now = tuple(name for name in changed if name in live and name not in tied)
    return Changes(now, tuple(name for name in changed if name not in now))


def effective(before: Mapping[str, Any], after: Mapping[str, Any], found: Changes) -> dict[str, Any]:
    """Return the values to go on with: the old ones, with the new ones of what is taken on at once."""
    return {**before, **{name: after.get(name) for name in found.live}}


def _tied(values: Mapping[str, Any]) -> set[str]:
    """Return the options that are built into the parts at the start, as these values have it."""
    tied = set()
    if not values.get("store") or not _is_url(values.get("cdn")):
        tied.add("cdn")
    # Without a CDN of its own, an old store's address is where clients are sent, or its files are served here.
    if not _is_url(values.get("v1-cdn")):
        tied.add("v1-cdn")
    # Whoever asks for it is answered by a listener that is there from the start, or not at all.
    if not values.get("admin"):
        tied.add("ready-max-age")
    return tied


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))
