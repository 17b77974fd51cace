"""What an HTTP client is answered, in memory: instead of the network, below ``requests``."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse


@dataclass(frozen=True)
class Asked:
    """A request that was made."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Told:
    """An answer.

    :param cut: after so many bytes of the body the connection breaks.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None


class _Cut(io.BytesIO):
    """A body whose connection breaks at its end."""

    def read(self, size: int | None = -1) -> bytes:
        """Read, or break."""
        piece = super().read(size)
        if not piece:
            raise ConnectionResetError(104, "Connection reset by peer")
        return piece


class Wire(BaseAdapter):
    """Carries requests to a function.

    :param answer: what answers, or raises as a network would.
    """

    def __init__(self, answer: Callable[[Asked], Told]) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self._answer = answer
        self._built = HTTPAdapter()

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        """Answer a request."""
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b"".join(body)
        asked = Asked(request.method or "", request.url or "", dict(request.headers), data)
        self.asked.append(asked)
        told = self._answer(asked)
        raw = HTTPResponse(
            body=io.BytesIO(told.body) if told.cut is None else _Cut(told.body[: told.cut]),
            headers={"Content-Length": str(len(told.body)), **told.headers},
            status=told.status,
            reason={200: "OK", 201: "Created", 404: "Not Found"}.get(told.status, "Odd"),
            preload_content=False,
            request_method=request.method,
        )
        return self._built.build_response(request, raw)

    def close(self) -> None:
        """Nothing is open."""
