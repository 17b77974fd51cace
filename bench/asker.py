"""Asks an HTTP server HEAD and GET, as fast as its answers come, and prints the answers a second.

    python -m bench.asker PORT FILE SECONDS CONNECTIONS

``wrk`` waits for the body that a HEAD's Content-Length speaks of. FILE has a method and a path a line. One loop over
``epoll``, for one core.
"""

import re
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

from bench.questions import DOCKER

_LENGTH = re.compile(rb"^content-length: *([0-9]+)", re.IGNORECASE | re.MULTILINE)


def requests(lines: Sequence[str], host: str, headers: Mapping[str, str]) -> Iterator[tuple[bytes, bool]]:
    """Return requests without end, each with whether its answer has a body."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    made = [f"{line} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode() for line in lines]
    return cycle([(request, request.startswith(b"GET ")) for request in made])


def is_whole(answer: bytes, has_body: bool) -> bool:
    """Tell whether an answer has come to its end."""
    end = answer.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    if not has_body:
        return True
    found = _LENGTH.search(answer, 0, end)
    return found is None or len(answer) - end >= int(found[1])


def ask(port: int, asked: Iterator[tuple[bytes, bool]], seconds: float, connections: int) -> float:
    """Ask, and return the answers a second.

    :raise RuntimeError: if what comes back is no answer.
    """
    poll = select.epoll()
    open_: dict[int, socket.socket] = {}
    waiting: dict[int, tuple[bytes, bool]] = {}
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection, select.EPOLLIN)
        open_[connection.fileno()] = connection
        request, has_body = next(asked)
        waiting[connection.fileno()] = (b"", has_body)
        connection.sendall(request)
    count, began = 0, time.monotonic()
    end = began + seconds
    while (now := time.monotonic()) < end:
        for number, _ in poll.poll(1):
            connection, (before, has_body) = open_[number], waiting[number]
            answer = before + connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 "):
                raise RuntimeError(f"not an answer: {answer[:100]!r}")
            if is_whole(answer, has_body):
                count += 1
                request, has_body = next(asked)
                connection.send(request)
                answer = b""
            waiting[number] = (answer, has_body)
    return count / (now - began)


def main(port: str, file: str, seconds: str, connections: str) -> None:
    """Ask what is in a file."""
    asked = requests(Path(file).read_text().splitlines(), f"127.0.0.1:{port}", DOCKER)
    print(f"{ask(int(port), asked, float(seconds), int(connections)):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
