"""Sockets that systemd opened and passed (`--listen systemd:`): all of them, or all of one name."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer

_ALL = "systemd:"
_NAMED = "systemd:name="


class BadActivation(ValueError):
    """No socket was passed that would do; the message names what was asked for, and the way out."""


@dataclass(frozen=True, slots=True)
class PassedSocket:
    """A listening socket that was there before the endpoint.

    :param name: as in the unit's ``FileDescriptorName=``; several sockets may have the same.
    """

    descriptor: int
    name: str
    family: socket.AddressFamily
    address: str


def is_activation(description: str) -> bool:
    """Tell whether a listening address is meant for :func:`chosen`; what has a domain too is Twisted's own."""
    return description == _ALL or (description.startswith(_NAMED) and ":" not in description.removeprefix(_NAMED))


def passed_descriptors(reactor: Any) -> tuple[int, ...]:
    """Return what Twisted was passed.

    It has taken ``LISTEN_FDS`` out of the environment as it was imported, so it is asked, number by number.
    """
    found: list[int] = []
    while True:
        try:
            endpoint = serverFromString(reactor, f"systemd:domain=UNIX:index={len(found)}")
        except IndexError:
            return tuple(found)
        found.append(cast(AdoptedStreamServerEndpoint, endpoint).fileno)


def passed_sockets(descriptors: Sequence[int], environment: Mapping[str, str]) -> tuple[PassedSocket, ...]:
    """Look at what was passed.

    :raise BadActivation: if one is not a stream socket that listens.
    """
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return tuple(
        _look(descriptor, names[index] if index < len(names) else "") for index, descriptor in enumerate(descriptors)
    )


def chosen(description: str, passed: Sequence[PassedSocket]) -> tuple[PassedSocket, ...]:
    """Return the sockets that a listening address means.

    :raise BadActivation: if there are none.
    """
    if not passed:
        raise BadActivation(
            f"{description}: no socket was passed: start it by a .socket unit (LISTEN_PID, LISTEN_FDS and"
            " LISTEN_FDNAMES say what is passed)"
        )
    name = description.removeprefix(_NAMED)
    found = tuple(each for each in passed if description == _ALL or each.name == name)
    if not found:
        names = ", ".join(sorted({each.name for each in passed}))
        raise BadActivation(f"{description}: no socket of this name was passed; there is {names}")
    return found


@implementer(IStreamServerEndpoint)
class PassedEndpoint:
    """Listens on a socket that was passed, and leaves it as it was."""

    def __init__(self, reactor: Any, passed: PassedSocket) -> None:
        self._passed = passed
        self._adopted = AdoptedStreamServerEndpoint(reactor, passed.descriptor, passed.family)

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen."""
        listening = cast("Deferred[IListeningPort]", self._adopted.listen(factory))
        if self._passed.family == socket.AF_UNIX:
            listening.addCallback(_keep_the_file)
        return listening


def _keep_the_file(port: IListeningPort) -> IListeningPort:
    # Twisted's port for a UNIX socket removes the file at the end; it is the service manager's, who listens on.
    changed: Any = port
    changed.connectionLost = lambda reason: tcp.Port.connectionLost(changed, reason)
    return port


def _look(descriptor: int, name: str) -> PassedSocket:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as plug:
            listens = plug.type == socket.SOCK_STREAM and plug.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            family, address = socket.AddressFamily(plug.family), plug.getsockname()
    except OSError as error:
        raise BadActivation(f"systemd: descriptor {descriptor} ({name}): {error.strerror}") from error
    if not listens:
        raise BadActivation(
            f"systemd: descriptor {descriptor} ({name}) is no stream socket that listens;"
            " use ListenStream=, and no Accept="
        )
    return PassedSocket(descriptor, name, family, _shown(address))


def _shown(address: Any) -> str:
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return address.decode(errors="replace") if isinstance(address, bytes) else str(address)
