"""The service that listens, and says in one line why it cannot."""

import errno
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IFileDescriptor, IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.endpoint.connections.eager import send_eagerly
from sdr.endpoint.sockets import Address


class CannotListen(SystemExit, Exception):
    """Ends the program with exit code 1, with no traceback.

    An :class:`Exception` too: only of such a one does a twistd that becomes a daemon tell the shell that waits for it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 1  # and not the message, which has been printed


class ListeningService(Service):
    """Listens on every address that was asked for, or ends the program.

    :param addresses: where to listen, and for what.
    :param greeting: makes the line that is logged once it listens, from the addresses that it got.
    :param accepts: accept connections; or else only have the sockets, for others to accept on.
    :param shares: others accept on the same sockets.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        addresses: Sequence[tuple[Address, IProtocolFactory]],
        greeting: Callable[[Sequence[str]], str],
        *,
        accepts: bool = True,
        shares: bool = False,
    ) -> None:
        self.name = name
        self._addresses = addresses
        self._greeting = greeting
        self._accepts = accepts
        self._shares = shares
        self._ports: list[IListeningPort] = []
        self._listens = False

    @property
    def listens(self) -> bool:
        """Whether it listens now."""
        return self._listens

    @property
    def descriptors(self) -> list[tuple[int, str]]:
        """The sockets that it listens on, and the option that asked for each."""
        return [
            (cast(IFileDescriptor, port).fileno(), address.option)
            for port, (address, _) in zip(self._ports, self._addresses, strict=False)
        ]

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
        for address, factory in self._addresses:
            refused: list[Failure] = []
            address.endpoint.listen(factory).addCallbacks(self._listening, refused.append)
            if refused:
                self._give_up(_refusal(refused[0].value, address))
        if not self._accepts:
            for port in self._ports:
                cast(Any, port).stopReading()
        self._log.info("{greeting}", greeting=self._greeting([_shown(port) for port in self._ports]))

    def _listening(self, port: IListeningPort) -> None:
        send_eagerly(port)
        if self._shares:
            accept_singly(port)
        self._ports.append(port)

    def _give_up(self, message: str) -> NoReturn:
        """End the program: an endpoint that runs on without listening looks well and is deaf."""
        print(message, file=sys.__stderr__)
        if sys.stderr is not sys.__stderr__:
            # twistd has put its log in the place of standard error, and a daemon has only the log.
            self._log.critical("{message}", message=message)
        raise CannotListen(message)


def accept_singly(port: IListeningPort) -> None:
    """Have a port accept one connection at a turn of the reactor, if it is TCP.

    Twisted's own takes all that wait, which would leave none of them to others that accept on the same socket.
    """
    if isinstance(port, Port):
        accept = port.doRead

        def accept_one() -> None:
            port.numberAccepts = 1  # which is more after each that came
            accept()

        port.doRead = accept_one  # type: ignore[method-assign]


def _refusal(reason: BaseException | None, address: Address) -> str:
    cause = getattr(reason, "socketError", reason)
    code, text = getattr(cause, "errno", None), getattr(cause, "strerror", None) or str(cause)
    advice = {
        errno.EADDRINUSE: f"; stop the program that listens there, or choose another address with {address.option}",
        errno.EACCES: f"; choose a port above 1023 with {address.option}, or start as root with twistd's --uid",
    }.get(code or 0, "")
    where = f"port {address.text}" if address.text.isdigit() else address.text
    return f"sdr: cannot listen on {where}: {text}{advice}"


async def _stopped(port: IListeningPort) -> None:
    stopping = port.stopListening()
    if stopping is not None:
        await stopping


def _shown(port: IListeningPort) -> str:
    address = port.getHost()
    host, number = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return str(address)
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
