"""What is to be listened on: ports, Twisted's endpoint descriptions, and sockets that were passed."""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.endpoint.life.activation import (
    BadActivation,
    PassedEndpoint,
    chosen,
    is_activation,
    passed_descriptors,
    passed_sockets,
)

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class BadAddress(ValueError):
    """What is to be listened on cannot be read; the message names the option, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    :param option: which one asked for it.
    :param text: what its user wrote.
    """

    option: str
    text: str
    endpoint: IStreamServerEndpoint


def read_addresses(
    reactor: Any, option: str, texts: Sequence[str], environment: Mapping[str, str]
) -> tuple[Address, ...]:
    """Read what is to be listened on: ports, Twisted's endpoint descriptions, or sockets that were passed.

    :raise BadAddress: if one cannot be read.
    """
    return tuple(
        Address(option, text, endpoint) for text in texts for endpoint in _endpoints(reactor, option, text, environment)
    )


def _endpoints(reactor: Any, option: str, text: str, environment: Mapping[str, str]) -> Sequence[IStreamServerEndpoint]:
    if text.isascii() and text.isdigit():
        if int(text) > 65535:
            raise BadAddress(f"{option} {text}: a port is a number up to 65535")
        return [AnyAddress(reactor, int(text))]
    try:
        if is_activation(text):
            passed = passed_sockets(passed_descriptors(reactor), environment)
            return [PassedEndpoint(reactor, each) for each in chosen(text, passed)]
        return [cast(IStreamServerEndpoint, serverFromString(reactor, text))]
    except BadActivation as error:
        raise BadAddress(f"{option} {error}") from error
    except Exception as error:
        # Whatever the parser of that kind of endpoint trips over: a number, an interface, a file that is not there.
        raise BadAddress(
            f"{option} {text}: {error}; it is a port, or a Twisted endpoint such as tcp:5000 or unix:/run/sdr.sock"
        ) from error


@implementer(IStreamServerEndpoint)
class AnyAddress:
    """A TCP port on every address: IPv6 and IPv4 on one socket, or IPv4 where the machine has no IPv6."""

    def __init__(self, reactor: object, port: int) -> None:
        self._both = TCP6ServerEndpoint(reactor, port, interface="::")
        self._ipv4 = TCP4ServerEndpoint(reactor, port)

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen."""
        listening: Deferred[IListeningPort] = self._both.listen(factory)
        return listening.addErrback(self._without_ipv6, factory)

    def _without_ipv6(self, failure: Failure, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        failure.trap(CannotListenError)
        if getattr(getattr(failure.value, "socketError", None), "errno", 0) not in _NO_IPV6:
            failure.raiseException()
        listening: Deferred[IListeningPort] = self._ipv4.listen(factory)
        return listening
