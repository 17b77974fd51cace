"""Whether an endpoint should be sent clients; pure."""

import json
from dataclasses import dataclass

from sdr.endpoint.admin.standing import Standing


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an endpoint is ready, and why.

    :param serving: listening, draining, or not listening.
    :param catalog: fresh; stale, but usable; saved, from before the start; absent, so everything is redirected;
        unknown; or too old, as ``--ready-max-age`` has it.
    :param age: seconds since the last good poll.
    """

    ready: bool
    serving: str
    catalog: str
    age: float | None
    standing: Standing

    def body(self) -> bytes:
        """Return what a person and a program read: one line of JSON."""
        said: dict[str, object] = {
            "ready": self.ready,
            "serving": self.serving,
            "catalog": self.catalog,
            "age_seconds": None if self.age is None else round(self.age, 1),
            "repositories": self.standing.repositories,
            "failed_polls": self.standing.failing,
        }
        if self.standing.trouble:
            said["trouble"] = self.standing.trouble
        return json.dumps(said).encode() + b"\n"


def readiness(
    standing: Standing, *, listening: bool, draining: bool, now: float, max_age: float | None = None
) -> Readiness:
    """Tell whether an endpoint is ready: it listens, and its catalog can be used or is knowingly absent.

    :param now: by the clock of the last good poll.
    :param max_age: seconds since the last good poll after which a catalog is no good any more; nothing for never.
    """
    age = None if standing.polled_at is None else max(0.0, now - standing.polled_at)
    catalog = _catalog(standing)
    if max_age is not None and catalog != "unknown" and (age is None or age > max_age):
        catalog = "too old"
    serving = "draining" if draining else "listening" if listening else "not listening"
    ready = serving == "listening" and catalog not in ("unknown", "too old")
    return Readiness(ready, serving, catalog, age, standing)


def _catalog(standing: Standing) -> str:
    if standing.state == "none":
        return "absent"
    if standing.state == "loaded":
        return "fresh"
    if standing.polled_at is not None:
        return "stale"
    # No poll was good yet: either a saved copy is in use, or nothing.
    return "saved" if standing.repositories else "unknown"
