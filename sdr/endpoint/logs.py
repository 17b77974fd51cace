"""The log as JSON, one object a line: ``twistd --logger sdr.endpoint.logs.json_lines``."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure

from sdr.endpoint.scrubbing import HIDDEN, is_secret, scrubbed
from sdr.endpoint.timestamps import rfc3339

#: Fields deeper than this, and longer lists, are left out.
_DEPTH, _LENGTH = 4, 100

#: What every line has, in this order; a field of an event that has such a name is left out.
_OURS = ("time", "level", "namespace", "message", "traceback")

_LEFT_OUT = object()


def json_lines() -> ILogObserver:
    """Return an observer that writes to standard output, as ``twistd --logger`` wants it."""
    # Now: twistd puts its log in the place of sys.stdout, and the log would read itself.
    return lines_to(sys.stdout)


def lines_to(file: TextIO) -> ILogObserver:
    """Return an observer that writes to a file."""
    return cast(ILogObserver, FileLogObserver(file, json_line))


def json_line(event: LogEvent) -> str:
    """Return an event as a line of JSON.

    It has ``time`` (RFC 3339, UTC), ``level``, ``namespace``, ``message``, ``traceback`` where there is one, and those
    fields of the event that JSON can hold.
    """
    level = event.get("log_level")
    message = scrubbed(_message(event))
    line: dict[str, object] = {
        "time": rfc3339(event.get("log_time", 0.0)),
        "level": getattr(level, "name", "info"),
        "namespace": event.get("log_namespace") or event.get("system") or "-",
        "message": message,
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        line["traceback"] = scrubbed(failure.getTraceback())
    # A message that is one field is not said twice.
    line.update({name: each for name, each in _fields(event).items() if each != message})
    # ASCII: whatever the locale says, and whatever bytes a file's name has.
    return json.dumps(line, separators=(",", ":")) + "\n"


def _message(event: LogEvent) -> str:
    text = formatEvent(event)
    if not text and isinstance(event.get("log_failure"), Failure):
        text = event["log_failure"].getErrorMessage()
    return text


def _fields(event: LogEvent) -> dict[str, object]:
    found = {}
    for name, value in event.items():
        if name.startswith("log_") or name in _OURS or name in _LEGACY:
            continue
        plain = HIDDEN if is_secret(name) else _plain(value, _DEPTH)
        if plain is not _LEFT_OUT:
            found[name] = plain
    return found


#: What twisted.python.log adds to each event.
_LEGACY = frozenset({"format", "isError", "failure", "why", "system", "logLevel"})


def _plain(value: Any, depth: int) -> object:
    """Return what JSON can hold of a value."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _LEFT_OUT
    if isinstance(value, str):
        return scrubbed(value)
    if depth and isinstance(value, Mapping) and len(value) <= _LENGTH:
        pairs = {str(name): HIDDEN if is_secret(str(name)) else _plain(each, depth - 1) for name, each in value.items()}
        return {name: each for name, each in pairs.items() if each is not _LEFT_OUT}
    if depth and isinstance(value, list | tuple) and len(value) <= _LENGTH:
        items = [_plain(each, depth - 1) for each in value]
        return [each for each in items if each is not _LEFT_OUT]
    return _LEFT_OUT
