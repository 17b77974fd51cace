"""What a server sent on a connection, taken apart without mercy."""

import re
from dataclasses import dataclass

_HEAD = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]*\r\n((?:[!-9;-~]+: [ -~]*\r\n)*)\r\n")
_CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")


@dataclass(frozen=True)
class Sent:
    """A response.

    :param headers: by their names in lower case; without ``Date``, which is another each second.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def read_all(data: bytes, *, head_at: tuple[int, ...] = ()) -> list[Sent]:
    """Read every response, and fail if a byte is none of theirs.

    :param head_at: which of the final responses answer HEAD, and so have no body.
    """
    found: list[Sent] = []
    finals = 0
    at = 0
    while at < len(data):
        head = _HEAD.match(data, at)
        assert head is not None, data[at : at + 200]
        lines = [line.partition(": ") for line in head[2].decode().splitlines()]
        headers = {name.lower(): value for name, _, value in lines}
        assert len(headers) == len(lines), lines
        headers.pop("date", None)
        status, at, body = int(head[1]), head.end(), b""
        if status >= 200:
            if finals not in head_at and status not in (204, 304):
                body, at = _body(data, at, headers)
            finals += 1
        found.append(Sent(status, headers, body))
    return found


def _body(data: bytes, at: int, headers: dict[str, str]) -> tuple[bytes, int]:
    if "transfer-encoding" not in headers and "content-length" not in headers:
        return data[at:], len(data)
    if "transfer-encoding" not in headers:
        end = at + int(headers["content-length"])
        assert end <= len(data), "the body is short"
        return data[at:end], end
    body = b""
    while True:
        chunk = _CHUNK.match(data, at)
        assert chunk is not None, data[at : at + 100]
        start = chunk.end()
        at = start + int(chunk[1], 16) + 2
        assert data[at - 2 : at] == b"\r\n", data[start : at + 2]
        body += data[start : at - 2]
        if at == start + 2:
            return body, at
