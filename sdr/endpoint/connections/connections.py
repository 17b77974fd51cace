"""The open connections of an endpoint: how many, whose, and which of them only wait for a next request."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sdr.endpoint.connections.addresses import Address, group_of
from sdr.endpoint.connections.limits import Limits

#: While the endpoint drains, a client that has only just connected gets so many seconds for what it came to ask.
FIRST_REQUEST_SECONDS = 2.0
#: Connections that were to make room and are not closed yet may be so many beyond the limit.
STILL_CLOSING = 64


class Draining(Protocol):
    """A connection that can be asked to end."""

    def drain(self) -> None:
        """End soon if no request is under way, and after its answer elsewhere."""


class Aborting(Protocol):
    """The transport of a connection."""

    def abortConnection(self) -> None:
        """End at once."""


def _nobody_counts(reason: str) -> None:
    """Count nothing."""


class Connections:
    """The open connections, of all listeners together.

    :param limits: how many there may be.
    :param clock: for draining.
    :param refused: told why a connection or a request was refused, in one of few words, for the metrics.
    """

    def __init__(self, limits: Limits, clock: IReactorTime, refused: Callable[[str], object] = _nobody_counts) -> None:
        self.limits = limits
        self.refused = refused
        self.draining = False
        self._clock = clock
        self._open: dict[Aborting, None] = {}
        self._clients: Counter[Hashable] = Counter()
        self._channels: dict[Draining, None] = {}
        self._waiting: dict[Draining, None] = {}
        self._drained: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None

    def open(self) -> int:
        """Return how many connections are open, those in a TLS handshake included."""
        return len(self._open)

    def waiting(self) -> int:
        """Return how many of them were answered and wait for a next request."""
        return len(self._waiting)

    def admits(self) -> bool:
        """Tell whether there is room for one more; who waits longest for a next request makes room for a new one."""
        if self.draining:
            return False
        if len(self._open) < self.limits.connections:
            return True
        if self._waiting and len(self._open) < self.limits.connections + STILL_CLOSING:
            self.refused("made room")
            next(iter(self._waiting)).drain()
            return True
        self.refused("connections")
        return False

    def admits_from(self, address: Address) -> bool:
        """Tell whether there is room for one more of this client."""
        if self._clients[group_of(address)] < self.limits.connections_per_address:
            return True
        self.refused("connections of an address")
        return False

    def opened(self, transport: Aborting) -> None:
        """Count a connection."""
        self._open[transport] = None

    def belongs_to(self, address: Address) -> None:
        """Count a connection of a client."""
        self._clients[group_of(address)] += 1

    def closed(self, transport: Aborting, address: Address | None) -> None:
        """Forget a connection.

        :param address: whose it was counted as.
        """
        del self._open[transport]
        if address is not None:
            group = group_of(address)
            self._clients[group] -= 1
            if not self._clients[group]:
                del self._clients[group]
        self._finish()

    def serves(self, channel: Draining) -> None:
        """Remember who speaks HTTP on a connection."""
        self._channels[channel] = None
        if self.draining:  # its connection was let in before
            channel.drain()

    def waits(self, channel: Draining) -> None:
        """Note that a connection was answered and waits for a next request."""
        self._waiting[channel] = None

    def waits_again(self, channel: Draining) -> None:
        """Note that a connection was answered at once, and waits from now on."""
        self._waiting.pop(channel, None)
        self._waiting[channel] = None

    def works(self, channel: Draining) -> None:
        """Note that a connection has a request under way, or ends."""
        self._waiting.pop(channel, None)

    def served(self, channel: Draining) -> None:
        """Forget who spoke HTTP."""
        self._channels.pop(channel, None)
        self._waiting.pop(channel, None)

    def drain(self, seconds: float) -> Deferred[None]:
        """Let answers under way finish and close all other connections; what is open after so many seconds is cut.

        :return: fires once no connection is open. It may be asked for once.
        """
        self.draining = True
        drained: Deferred[None] = Deferred()
        self._drained = drained
        self._deadline = self._clock.callLater(seconds, self._cut)
        for channel in list(self._channels):
            channel.drain()
        self._finish()
        return drained

    def _cut(self) -> None:
        for transport in list(self._open):
            self.refused("cut while draining")
            transport.abortConnection()

    def _finish(self) -> None:
        if self._drained is None or self._open:
            return
        drained, self._drained = self._drained, None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        drained.callback(None)
