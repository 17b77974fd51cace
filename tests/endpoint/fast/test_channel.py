"""What is promised of one connection, with a fast way in it on which nothing is plain."""

from functools import partial
from typing import Any, cast

from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.endpoint.accounting import Accounting
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.answers import Grounds
from sdr.endpoint.fast.channel import FastChannel, FastWay
from tests.endpoint.connections import test_channel


class Nothing:
    """Finds no answer."""

    def find(self, head: bytes, now: float) -> None:
        """Find nothing."""


class _Case(test_channel.ChannelCase):
    def connect(self, resource: Resource) -> Site:
        """Open a connection."""
        way = FastWay(cast(Grounds, Any), Limits(), cast(Any, self.clock), iter(()), Accounting(None, None),
                      heeds_proxies=False)  # fmt: skip
        way.answers = dict.fromkeys(("http", "https"), cast(Any, Nothing()))
        self.channel = partial(FastChannel, self.connections, way)
        return super().connect(resource)


class OrderTests(_Case, test_channel.OrderTests):
    """Requests behind one another."""


class LimitTests(_Case, test_channel.LimitTests):
    """What a connection may cost."""


class DrainTests(_Case, test_channel.DrainTests):
    """The end of the endpoint."""
