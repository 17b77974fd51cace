"""A connection on which plain requests are answered the fast way, and all others Twisted Web's."""

from collections.abc import Iterator
from math import inf
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString

from sdr.endpoint.access import Access
from sdr.endpoint.accounting import Accounting
from sdr.endpoint.connections.channel import Channel
from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.answers import FastAnswers, Grounds
from sdr.endpoint.fast.prepared import Prepared
from sdr.endpoint.fast.recognition import Fields


class FastWay:
    """What the connections of a site share.

    :param limits: of requests.
    :param heeds_proxies: whether what proxies say in headers is heeded.
    :param ids: makes requests' ids.
    """

    def __init__(
        self,
        grounds: Grounds,
        limits: Limits,
        clock: IReactorTime,
        ids: Iterator[str],
        accounting: Accounting,
        *,
        heeds_proxies: bool,
    ) -> None:
        self.answers = {
            scheme: FastAnswers(grounds, limits, scheme, heeds_proxies=heeds_proxies) for scheme in ("http", "https")
        }
        self.seconds = clock.seconds
        self.ids = ids
        self.accounting = accounting
        self.counts, self.logs = accounting.counts, accounting.logs
        #: The value of a ``Date`` header, and the second that it is for.
        self.date, self.second = b"", 0

    def tick(self, second: int) -> None:
        """Take note that another second has begun."""
        self.second, self.date = second, datetimeToString(second)


class FastChannel(Channel):
    """A connection with a fast way."""

    _failures = Logger()

    def __init__(self, connections: Connections, way: FastWay) -> None:
        super().__init__(connections)
        self._way = way
        self._answers = way.answers["http"]
        self._answered_at = self._queued_at = -inf
        self._looking: Deferred[Prepared] | None = None

    def connectionMade(self) -> None:
        """Begin."""
        super().connectionMade()
        self._answers = self._way.answers["https" if self.isSecure() else "http"]

    def dataReceived(self, data: bytes) -> None:
        """Answer a request that has come whole and alone at once."""
        end = data.find(b"\r\n\r\n", 0, self._limits.head_bytes)
        if (
            end < 0
            or end + 4 != len(data)
            or self._unread
            or self._receiving
            or self._answering
            or self._full
            or self._over
            or self._reading
            or not self._answer(data)
        ):
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for no look any more."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:
        """End, unless there was an answer lately: winding up the clock for each would be a good part of its cost."""
        left = self._answered_at + self._limits.idle_seconds - self._way.seconds()
        if left > 0 and not self._receiving:
            self.setTimeout(left)
        else:
            super().timeoutConnection()

    def _answer(self, head: bytes) -> bool:
        """Answer a request the fast way, at once or after a look at the store; tell whether that can be done."""
        began = self._way.seconds()
        found = self._answers.find(head, began)
        if found is None:
            return False
        got, fields = found
        request_id = next(self._way.ids)
        if isinstance(got, Prepared):
            self._send(got, head, fields, request_id, began, began)
        else:
            self._answer_later()
            self._looking = looking = self._answers.look(got)
            looking.addCallback(self._answer_at_last, head, fields, request_id, began)
            looking.addErrback(self._fail)
        return True

    def _answer_at_last(self, prepared: Prepared, head: bytes, fields: Fields, request_id: str, began: float) -> None:
        self._looking = None
        self._send(prepared, head, fields, request_id, began, self._way.seconds())
        self._is_answered()

    def _fail(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # the client has left
            self._failures.failure("cannot answer", failure)
            cast(ITCPTransport, self.transport).abortConnection()

    def _send(self, prepared: Prepared, head: bytes, fields: Fields, request_id: str, began: float, now: float) -> None:
        way = self._way
        if not 0.0 <= now - way.second < 1.0:
            way.tick(int(now))
        last = fields.last or self._draining or self._answered + 1 >= self._limits.requests
        if self._queued_at + 1.0 < now and not (self._over or self._full):
            # To the end of those that wait: to the second is near enough, and cheaper.
            self._queued_at = now
            self._connections.waits_again(self)
        self._answered_at = now
        # Before it is written, for then the client has it.
        if way.counts:
            way.accounting.count(prepared.route, prepared.method, prepared.code, prepared.cdn, way.seconds() - began)
        if way.logs:
            way.accounting.log(self._access(head, prepared, fields, request_id, began))
        self._answer_with(prepared.filled(way.date, request_id.encode(), last=last), prepared.rest, last=last)

    def _access(self, head: bytes, prepared: Prepared, fields: Fields, request_id: str, began: float) -> Access:
        now = self._way.seconds()
        return Access(
            at=now,
            request_id=request_id,
            peer=str(getattr(self.getPeer(), "host", "")),
            method=prepared.method,
            target=head.split(b" ", 2)[1].decode(),
            protocol="HTTP/1.1",
            code=prepared.code,
            sent=prepared.sent,
            seconds=max(0.0, now - began),
            route=prepared.route,
            cdn=prepared.cdn,
            referer=fields.referer,
            user_agent=fields.user_agent,
        )
