"""The service that listens, and says in one line why it cannot."""

import errno
import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class CannotListen(SystemExit, Exception):
    """Ends the program with exit code 1, with no traceback.

    An :class:`Exception` too: only of such a one does a twistd that becomes a daemon tell the shell that waits for it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 1  # and not the message, which has been printed


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


class ListeningService(Service):
    """Listens on every address that was asked for, or ends the program.

    :param addresses: each endpoint, and what its user called it.
    :param greeting: logged once it listens.
    """

    name = "listening"
    _log = Logger()

    def __init__(
        self,
        factory: IProtocolFactory,
        addresses: Sequence[tuple[IStreamServerEndpoint, str]],
        greeting: str,
    ) -> None:
        self._factory = factory
        self._addresses = addresses
        self._greeting = greeting
        self._ports: list[IListeningPort] = []
        self._listens = False

    def privilegedStartService(self) -> None:
        """Listen while the program may still use low ports."""
        super().privilegedStartService()
        self._listen()

    def startService(self) -> None:
        """Listen, unless it does already."""
        super().startService()
        if not self._listens:
            self._listen()

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Stop listening."""
        super().stopService()
        ports, self._ports, self._listens = self._ports, [], False
        return DeferredList([Deferred.fromCoroutine(_stopped(port)) for port in ports])

    def _listen(self) -> None:
        self._listens = True
        for address, description in self._addresses:
            refused: list[Failure] = []
            address.listen(self._factory).addCallbacks(self._ports.append, refused.append)
            if refused:
                self._give_up(_refusal(refused[0].value, description))
        where = ", ".join(_address(port) for port in self._ports)
        self._log.info("{greeting}", greeting=f"listening on {where}; {self._greeting}")

    def _give_up(self, message: str) -> NoReturn:
        """End the program: an endpoint that runs on without listening looks well and is deaf."""
        print(message, file=sys.__stderr__)
        if sys.stderr is not sys.__stderr__:
            # twistd has put its log in the place of standard error, and a daemon has only the log.
            self._log.critical("{message}", message=message)
        raise CannotListen(message)


def _refusal(reason: BaseException | None, description: str) -> str:
    cause = getattr(reason, "socketError", reason)
    code, text = getattr(cause, "errno", None), getattr(cause, "strerror", None) or str(cause)
    advice = {
        errno.EADDRINUSE: "; stop the program that listens there, or choose another address with --listen",
        errno.EACCES: "; choose a port above 1023 with --listen, or start as root with twistd's --uid",
    }.get(code or 0, "")
    return f"sdr: cannot listen on {description}: {text}{advice}"


async def _stopped(port: IListeningPort) -> None:
    stopping = port.stopListening()
    if stopping is not None:
        await stopping


def _address(port: IListeningPort) -> str:
    address = port.getHost()
    host, number = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return str(address)
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
