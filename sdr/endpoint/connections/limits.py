"""What a connection may cost: every limit, its default, and what it defends."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


class BadLimit(ValueError):
    """A limit's value cannot be used; the message names its option, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What connections may cost. A client that goes beyond is refused; the others do not notice.

    :param connections: open at a time, over all listeners. Beyond it the one that has waited longest for a next
        request makes room, and where none waits a new one is closed at once. Defends memory and file descriptors.
    :param connections_per_address: open at a time from one IPv4 address or one IPv6 /64, so that no single client
        takes them all. A trusted proxy's own are not counted, those of the clients that it names are.
    :param request_seconds: from a request's first byte to its last, and from connecting to the end of the first head
        of a request: a request that dribbles in (slowloris) ends then.
    :param handshake_seconds: for a TLS handshake.
    :param idle_seconds: between an answer and the next request.
    :param write_seconds: for what was sent to leave, once so much waits that nothing more is read: a reader that never
        reads ends then. Some 320 KiB can wait, so a client slower than that in this time is cut too.
    :param line_bytes: of a request's first line.
    :param head_bytes: of a request's first line and headers together; also what is read ahead of an answer.
    :param headers: of one request.
    :param body_bytes: of a request's body, which no question has: it is read and thrown away, so that the client hears
        the answer.
    :param requests: on one connection, which is closed after the last: old connections do not stay with old programs.
    """

    connections: int = 4096
    connections_per_address: int = 256
    request_seconds: float = 20.0
    handshake_seconds: float = 10.0
    idle_seconds: float = 60.0
    write_seconds: float = 120.0
    line_bytes: int = 8192
    head_bytes: int = 16384
    headers: int = 100
    body_bytes: int = 1024 * 1024
    requests: int = 1000


#: Each limit: its option's name, the least and the most that make sense, and its line of help.
OPTIONS: dict[str, tuple[str, float, float, str]] = {
    "connections": ("max-connections", 1, 10_000_000, "Connections open at a time."),
    "connections_per_address": (
        "max-connections-per-address",
        1,
        10_000_000,
        "Connections open at a time from one address (IPv6: one /64).",
    ),
    "request_seconds": ("request-timeout", 0.1, 3600, "Seconds in which a whole request must have come."),
    "handshake_seconds": ("handshake-timeout", 0.1, 3600, "Seconds in which a TLS handshake must be over."),
    "idle_seconds": ("idle-timeout", 0.1, 86400, "Seconds that a connection may wait for its next request."),
    "write_seconds": ("write-timeout", 0.1, 86400, "Seconds that a client may take nothing of what it is sent."),
    "line_bytes": ("max-request-line", 64, 65536, "Bytes of a request's first line."),
    "head_bytes": ("max-head", 256, 1048576, "Bytes of a request's first line and headers together."),
    "headers": ("max-headers", 1, 10_000, "Headers of a request."),
    "body_bytes": ("max-body", 0, 1_073_741_824, "Bytes of a request's body, which is thrown away."),
    "requests": ("max-requests", 1, 1_000_000_000, "Requests on one connection before it is closed."),
}

#: ``optParameters`` rows of Twisted's ``usage.Options``.
ROWS: list[list[str | None]] = [
    [OPTIONS[field.name][0], None, f"{field.default:g}" if isinstance(field.default, float) else str(field.default),
     OPTIONS[field.name][3]]
    for field in fields(Limits)
]  # fmt: skip


def read_limits(options: Mapping[str, str]) -> Limits:
    """Read the limits from the options' values; what is not there stays at its default.

    :param options: by option name, without dashes at the front; others are left alone.
    :raise BadLimit: if one cannot be used.
    """
    given: dict[str, Any] = {}
    for name, (option, least, most, _) in OPTIONS.items():
        if option in options:
            whole = isinstance(getattr(Limits(), name), int)
            given[name] = _number(option, options[option], least, most, whole)
    limits = Limits(**given)
    if limits.line_bytes > limits.head_bytes:
        raise BadLimit(
            f"--max-request-line {limits.line_bytes}: it is part of the head;"
            f" give at most --max-head, which is {limits.head_bytes}"
        )
    return limits


def _number(option: str, text: str, least: float, most: float, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number of seconds"
        raise BadLimit(f"--{option} {text}: it is {kind}, from {least:.12g} to {most:.12g}")
    return value
