"""What systemd and its like are told through `NOTIFY_SOCKET` (sd_notify(3)), and what they say about the watchdog."""

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

#: Takes one message.
Send = Callable[[bytes], None]


def message(**fields: str | int) -> bytes:
    """Return a message; each field is a line of its own."""
    return "\n".join(f"{name}={' '.join(str(value).splitlines())}" for name, value in fields.items()).encode()


def sender(environment: Mapping[str, str]) -> Send | None:
    """Return what sends to the service manager, or nothing where there is none.

    Nothing raises: a service manager that has gone is no reason to stop serving.
    """
    path = environment.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return None
    # A name that begins with NUL is abstract: it is in no file system (unix(7)).
    address = "\0" + path[1:] if path.startswith("@") else path

    def send(data: bytes) -> None:
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as plug:
            plug.sendto(data, flags, address)

    return send


def watchdog_seconds(environment: Mapping[str, str], process: int | None = None) -> float | None:
    """Return how often the service manager wants a sign of life, or nothing if it does not.

    :param process: this one's id.
    """
    meant_for = environment.get("WATCHDOG_PID")
    if meant_for is not None and meant_for != str(os.getpid() if process is None else process):
        return None
    try:
        seconds = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return None
    return seconds if seconds > 0 else None
