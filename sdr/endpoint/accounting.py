"""What is counted and logged of each request, once its answer has been written."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from twisted.web.http import Request

from sdr.endpoint.access import Access
from sdr.endpoint.access_log import AccessLog
from sdr.endpoint.admin.routes import host_of, route_of
from sdr.registry.questions import read_path


class Counting(Protocol):
    """Whoever counts answers: :class:`sdr.endpoint.admin.metrics.Metrics`."""

    def answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        ...

    def redirected(self, host: str) -> None:
        """Count a redirect by the host that it leads to."""
        ...


class Accounting:
    """Counts and logs requests.

    :param metrics: who counts, if anybody does.
    :param log: where requests are logged, if anywhere.
    :param files: the routes of paths that are no questions, by the paths' beginnings, such as ``/tree/``.
    """

    def __init__(self, metrics: Counting | None, log: AccessLog | None, files: Mapping[str, str] | None = None) -> None:
        self._metrics = metrics
        self._log = log
        #: Whether requests are counted; whether they are logged.
        self.counts, self.logs = metrics is not None, log is not None
        self._files = tuple((files or {}).items())

    def answered(self, request: Request, request_id: str, began: float, now: float) -> None:
        """Count and log a request; to be called by a site's ``log``.

        :param began: when the request had been read, in seconds since 1970.
        """
        if not (self.counts or self.logs):
            return
        target = request.uri.decode("latin-1")
        route = self._route(target.partition("?")[0])
        method = request.method.decode("latin-1")
        cdn = host_of((request.responseHeaders.getRawHeaders("location") or (None,))[0])
        self.count(route, method, request.code, cdn, now - began)
        if self.logs:
            self.log(
                Access(
                    at=now,
                    request_id=request_id,
                    peer=str(getattr(request.getClientAddress(), "host", "")),
                    method=method,
                    target=target,
                    protocol=request.clientproto.decode("latin-1"),
                    code=request.code,
                    sent=request.sentLength,
                    seconds=max(0.0, now - began),
                    route=route,
                    cdn=cdn,
                    referer=_header(request, b"referer"),
                    user_agent=_header(request, b"user-agent"),
                )
            )

    def count(self, route: str, method: str, code: int, cdn: str, seconds: float) -> None:
        """Count a request.

        :param cdn: the host that a redirect leads to, or empty.
        :param seconds: from its end to that of its answer.
        """
        if self._metrics is not None:
            self._metrics.answered(route, method, code, seconds)
            if cdn:
                self._metrics.redirected(cdn)

    def log(self, access: Access) -> None:
        """Log a request."""
        if self._log is not None:
            self._log.write(access)

    def _route(self, path: str) -> str:
        for beginning, route in self._files:
            if path.startswith(beginning):
                return route
        return _route_of_path(path)


# Few paths are most of the requests, and reading one costs more than counting it.
@lru_cache(maxsize=512)
def _route_of_path(path: str) -> str:
    return route_of(read_path(path))


def _header(request: Request, name: bytes) -> str:
    return (request.getHeader(name) or b"").decode("latin-1")
