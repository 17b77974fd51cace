"""Tests of what is listened on: ports, Twisted's descriptions, and sockets that were passed."""

import errno
import os
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint.sockets import AnyAddress, BadAddress, read_addresses
from tests.endpoint.whole import Reactor


class AddressTests(SynchronousTestCase):
    """What is read."""

    def setUp(self) -> None:
        """Have a reactor."""
        self.reactor = Reactor()

    def read(self, *texts: str) -> list[Any]:
        """Read addresses, and return their endpoints."""
        addresses = read_addresses(self.reactor, "--listen", texts, {})
        self.assertEqual([(each.option, each.text) for each in addresses], [("--listen", text) for text in texts])
        return [each.endpoint for each in addresses]

    def refused(self, text: str, environment: dict[str, str] | None = None) -> str:
        """Return why an address is refused."""
        error = self.assertRaises(BadAddress, read_addresses, self.reactor, "--tls", [text], environment or {})
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_kinds(self) -> None:
        """A number is a port on every address; a description is read by Twisted, in the order given."""
        port, tcp, unix = self.read("5000", "tcp:81:interface=127.0.0.1", "unix:/run/sdr.sock")
        self.assertIsInstance(port, AnyAddress)
        self.assertIsInstance(tcp, TCP4ServerEndpoint)
        self.assertIsInstance(unix, UNIXServerEndpoint)
        self.assertEqual(self.read(), [])

    def test_nothing_is_opened(self) -> None:
        """Reading listens on nothing."""
        self.read("5000", "tcp:81")
        self.assertEqual(self.reactor.tcpServers, [])

    def test_mistakes(self) -> None:
        """What cannot be read names the option, what was written, and what would do."""
        for text in ("nonsense:1", "tcp", "tcp:x", "", "5000x", "ssl:443:privateKey=/no/such/file", "-1"):
            self.assertRegex(self.refused(text), rf"\A--tls {text}: .+; it is a port, or a Twisted endpoint such as ")
        self.assertEqual(self.refused("65536"), "--tls 65536: a port is a number up to 65535")
        self.assertTrue(self.refused("٣"))

    def test_passed(self) -> None:
        """Where no socket was passed, one line says how that is done."""
        for text in ("systemd:", "systemd:name=http"):
            self.assertRegex(self.refused(text), rf"\A--tls {text}: no socket was passed: start it by a \.socket unit")

    def test_of_twisted(self) -> None:
        """What says more about a passed socket is left to Twisted."""
        self.assertTrue(self.refused("systemd:domain=INET:index=0").startswith("--tls systemd:domain=INET:index=0: "))


class AnyAddressTests(SynchronousTestCase):
    """A port on every address."""

    def setUp(self) -> None:
        """Have a reactor."""
        self.reactor = Reactor()

    def listened(self) -> list[tuple[int, str]]:
        """Return what is listened on."""
        return [(port, interface) for port, _, _, interface in self.reactor.tcpServers]

    def test_both(self) -> None:
        """It is IPv6 and IPv4 on one socket."""
        self.successResultOf(AnyAddress(self.reactor, 81).listen(Factory()))
        self.assertEqual(self.listened(), [(81, "::")])

    def test_without_ipv6(self) -> None:
        """It is IPv4 alone where the machine has no IPv6, or none that is set up."""
        for code in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            self.reactor = Reactor()
            self.reactor.busy = code
            self.successResultOf(AnyAddress(self.reactor, 81).listen(Factory()))
            self.assertEqual(self.listened(), [(81, "")], os.strerror(code))

    def test_busy(self) -> None:
        """A port in use is not tried again by another way."""
        self.reactor.busy = errno.EADDRINUSE
        self.failureResultOf(AnyAddress(self.reactor, 81).listen(Factory()), CannotListenError)
        self.assertEqual(self.listened(), [])
