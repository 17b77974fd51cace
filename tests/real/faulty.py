"""What stands before a real HTTP service and fails when it is told to."""

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.real.served import Served

#: Of a connection, not of a message (RFC 9110, 7.6.1).
_HOPS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Fault:
    """What is done instead of passing a request on.

    :param status: of the answer; 0: none, the connection is closed.
    :param cut: pass it on, but close the connection after so many bytes of the answer's body.
    :param only: the method that it waits for; any, if not given.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    only: str = ""


class Faulty(Served):
    """A proxy on 127.0.0.1 in front of a service.

    :param upstream: the service's URL.
    """

    def __init__(self, upstream: str) -> None:
        self.faults: list[Fault] = []
        #: Methods and targets, in the order in which they came.
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self._upstream = urlsplit(upstream).netloc
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), self._answering()))
        self.url = f"http://{self.host}"

    def fault(self, method: str, target: str) -> Fault | None:
        """Note a request, and return what to do to it."""
        with self._lock:
            self.asked.append(f"{method} {target}")
            if self.faults and self.faults[0].only in ("", method):
                return self.faults.pop(0)
            return None

    def passed_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Fault:
        """Ask the service, and return its answer."""
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        got = Fault(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return got

    def _answering(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy.fault(self.command, self.path)
                got = fault
                if fault is None or fault.cut is not None:
                    got = proxy.passed_on(self.command, self.path, dict(self.headers.items()), body)
                if got is None or not got.status:
                    self.close_connection = True
                    return
                self.send_response(got.status)
                for name, value in got.headers.items():
                    if name.lower() not in _HOPS or (name.lower() == "content-length" and self.command == "HEAD"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(got.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(got.body if fault is None else got.body[: fault.cut])
                self.close_connection = fault is not None and fault.cut is not None

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        return Answering
