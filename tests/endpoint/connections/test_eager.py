"""Tests of who may be written to past the reactor's queue."""

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from sdr.endpoint.connections.connections import Connections
from sdr.endpoint.connections.eager import at_once
from sdr.endpoint.connections.gate import Gate
from sdr.endpoint.connections.limits import Limits


class Eager(StringTransport):
    """A transport with a way to write at once."""

    def write_at_once(self, data: bytes) -> None:
        """Write past whatever is around it."""
        self.write(b"past: " + data)


class AtOnceTests(SynchronousTestCase):
    """The way that is found."""

    def test_not_past_a_wrapper(self) -> None:
        """What is around a transport, such as Twisted's TLS, sees every byte, though it passes on what it has not."""
        wrapping: Any = WrappingFactory(Factory.forProtocol(Protocol))
        wrapper = wrapping.buildProtocol(None)
        wrapper.makeConnection(Eager())
        self.assertTrue(hasattr(wrapper, "write_at_once"))
        at_once(wrapper)(b"secret")
        self.assertEqual(wrapper.transport.value(), b"secret")


class NegotiationTests(SynchronousTestCase):
    """A gate behind Twisted's own TLS (`--listen ssl:`)."""

    def test_protocols(self) -> None:
        """It speaks what is spoken behind it, or HTTP/1.1: clients that offer protocols find one."""
        connections, site = Connections(Limits(), Clock()), Site(Resource(), reactor=Clock())
        for inside, expected in ((Factory(), [b"http/1.1"]), (site, list(site.acceptableProtocols()))):
            self.assertEqual(Gate(inside, connections, Clock()).acceptableProtocols(), expected)
