"""A registry of protocol v1 that says what a test tells it to: what a docker fails on, ours must fail on."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests import images
from tests.real.certificates import certificates
from tests.real.served import Served

BASE, TOP = "b" * 64, "a" * 64
NAME, TAG = "acme/app", "1.0"

#: What each layer holds, by image.
FILES: Mapping[str, bytes] = {BASE: b"base\n", TOP: b"top\n"}
LAYERS = {each: gzip.compress(images.layer_tar({f"etc/{each[0]}": data}), mtime=0) for each, data in FILES.items()}
JSON = {
    BASE: json.dumps({"id": BASE}).encode(),
    TOP: json.dumps({"id": TOP, "parent": BASE, "config": {}}).encode(),
}


@dataclass(frozen=True)
class Script:
    """One answer.

    :param cut: close the connection after so many bytes of the body.
    :param ranges: say and honour ``Accept-Ranges: bytes``.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    ranges: bool = False


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]


class Scripted(Served):
    """A server on 127.0.0.1.

    :param tls: whether it speaks https.
    :param missing: the answer where there is none; 404 if not given.
    :ivar at: the answers by path; of several, each is given once and the last for ever.
    """

    def __init__(self, *, tls: bool = False, missing: Script | None = None) -> None:
        self._missing = missing or Script(404)
        self.at: dict[str, list[Script]] = {}
        self.asked: list[Asked] = []
        server = _Quiet(("127.0.0.1", 0), self._answering())
        if tls:
            serving = certificates().serving()
            server.socket = serving.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        super().__init__(server)
        self.url = f"http{'s' if tls else ''}://{self.host}"

    def say(self, path: str, *scripts: Script) -> None:
        """Answer so at a path."""
        self.at[path] = list(scripts)

    def also(self, path: str, **headers: str) -> None:
        """Add headers to the answer at a path, with ``_`` for ``-``; empty ones are taken away."""
        (script,) = self.at[path]
        changed = {**script.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = {name: value for name, value in changed.items() if value}
        self.at[path] = [Script(script.status, kept, script.body, script.cut, script.ranges)]

    def next(self, target: str) -> Script:
        """Return the answer that is due."""
        scripts = self.at.get(target, [self._missing])
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def _answering(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append(Asked(self.command, self.path, dict(self.headers.items())))
                script = server.next(self.path)
                status, body, headers = script.status, script.body, dict(script.headers)
                if script.ranges:
                    headers["Accept-Ranges"] = "bytes"
                    if "Range" in self.headers:
                        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                        status, body = 206, body[int(first) : int(last) + 1]
                self.send_response(status)
                for name, value in headers.items():
                    for line in value.split("\n"):
                        self.send_header(name, line)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body[: script.cut])
                self.close_connection = True

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        return Answering


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Be quiet about clients that do not speak TLS, or leave."""


def registry(*, tls: bool = False) -> Scripted:
    """Return a registry with one image of two layers, and all the headers that any docker wants."""
    server = Scripted(tls=tls)
    server.say(
        "/v1/_ping", Script(headers={"X-Docker-Registry-Version": "0.8", "X-Docker-Registry-Standalone": "false"})
    )
    server.say(f"/v1/repositories/{NAME}/images", Script(headers={"X-Docker-Endpoints": server.host}, body=b"[]"))
    server.say(f"/v1/repositories/{NAME}/tags", Script(body=json.dumps({TAG: TOP}).encode()))
    server.say(f"/v1/repositories/{NAME}/tags/{TAG}", Script(body=json.dumps(TOP).encode()))
    server.say(f"/v1/images/{TOP}/ancestry", Script(body=json.dumps([TOP, BASE]).encode()))
    for each in (TOP, BASE):
        size = str(len(LAYERS[each]))
        server.say(f"/v1/images/{each}/json", Script(headers={"X-Docker-Size": size}, body=JSON[each]))
        server.say(f"/v1/images/{each}/layer", Script(body=LAYERS[each], ranges=True))
    return server
