"""The admin listener's pages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.registry import Collector
from twisted.logger import Logger
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from sdr.endpoint.admin.exposition import exposition
from sdr.endpoint.admin.readiness import Readiness

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says."""

    status: int
    content_type: str
    body: bytes


#: Makes a page, for what a client accepts.
Write = Callable[[str], Page]


def text(status: int, said: str) -> Page:
    """Return a page of plain text."""
    return Page(status, _TEXT, said.encode() + b"\n")


class PageResource(Resource):
    """One page, for GET and HEAD."""

    isLeaf = True
    _log = Logger()

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def render(self, request: Request) -> bytes:
        """Answer."""
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            page = text(405, "only GET and HEAD are answered here")
        elif request.postpath:
            page = text(404, "no such page")
        else:
            page = self._page(request)
        request.setResponseCode(page.status)
        for name, value in (
            ("Server", "sdr"),
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            ("Cache-Control", "no-store"),
        ):
            request.setHeader(name, value)
        return b"" if request.method == b"HEAD" else page.body

    def _page(self, request: Request) -> Page:
        try:
            return self._write(",".join(request.requestHeaders.getRawHeaders("accept", [])))
        except Exception:
            self._log.failure("an admin page cannot be written")
            return text(500, "unexpected error; the endpoint's log has it")


class AdminRoot(Resource):
    """The top of the admin listener: its pages, and a list of them."""

    def __init__(self, pages: Mapping[str, Write]) -> None:
        super().__init__()
        for name, write in pages.items():
            self.putChild(name.encode(), PageResource(write))
        listing = "\n".join(f"/{name}" for name in pages)
        self.putChild(b"", PageResource(lambda _: text(200, listing)))
        self._nothing = PageResource(lambda _: text(404, "no such page"))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Say that there is no such page."""
        return self._nothing


def admin_root(ready: Callable[[], Readiness], metrics: Collector, hosts: Callable[[], Iterable[str]]) -> AdminRoot:
    """Put the pages together.

    :param ready: tells whether the endpoint is.
    :param metrics: what ``/metrics`` collects.
    :param hosts: tells what a client's firewall must let through.
    """

    def readyz(_: str) -> Page:
        now = ready()
        return Page(200 if now.ready else 503, "application/json", now.body())

    return AdminRoot(
        {
            "livez": lambda _: text(200, "ok"),
            "readyz": readyz,
            "metrics": lambda accept: Page(200, *exposition(metrics, accept)),
            "hosts": lambda _: text(200, "\n".join(hosts())),
        }
    )
