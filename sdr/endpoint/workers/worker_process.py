"""One worker as its parent sees it: the process, what it was told, and what it has said."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sdr.catalog.catalog import State
from sdr.catalog.snapshot import Snapshot
from sdr.endpoint.workers.catalogs import Told
from sdr.endpoint.workers.counts import Counts
from sdr.endpoint.workers.messages import Frames, Message

#: The worker's ends of its two pipes: what it says, and what it hears.
SAYS, HEARS = 3, 4
#: The first of the sockets that it is handed.
FIRST_SOCKET = 5


@implementer(IPullProducer)
class WorkerProcess(ProcessProtocol):
    """A worker.

    :param index: which one of the workers it is, from 0.
    :param heard: called with this and each message but counts.
    :param over: called with this and the reason once the process has ended.
    """

    _log = Logger()

    def __init__(
        self,
        index: int,
        heard: Callable[["WorkerProcess", Message], None],
        over: Callable[["WorkerProcess", Failure], None],
    ) -> None:
        self.index = index
        self.is_ready = False
        self.counts: Counts | None = None
        #: How often it was looked at since it last said anything; set by who looks.
        self.silent_looks = 0
        self._heard = heard
        self._over = over
        self._told = Told()
        self._frames = Frames()
        self._unsent: deque[Iterator[Message]] = deque()
        self._sending = False

    def tell(self, message: Message) -> None:
        """Tell it something, after all that it is being told."""
        self._send(iter([message]))

    def tell_catalog(self, snapshot: Snapshot, state: State) -> None:
        """Tell it what it does not know of the catalog."""
        self._send(self._told.news(snapshot, state))

    def _send(self, messages: Iterator[Message]) -> None:
        pipe = self._pipe()
        if pipe is None:
            return
        self._unsent.append(messages)
        if not self._sending:
            # A message at a time, as it reads: a million repositories are not to wait in this process's memory.
            self._sending = True
            pipe.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write the next message."""
        pipe = self._pipe()
        if pipe is None:
            return
        while self._unsent:
            message = next(self._unsent[0], None)
            if message is not None:
                pipe.write(message.encode())
                return
            self._unsent.popleft()
        self._sending = False
        pipe.unregisterProducer()

    def stopProducing(self) -> None:
        """Stop: it does not listen any more."""
        self._unsent.clear()
        self._sending = False

    def _pipe(self) -> IConsumer | None:
        pipes = cast(Any, self.transport).pipes if self.transport is not None else {}
        return cast("IConsumer | None", pipes.get(HEARS))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Hear what it says."""
        for message in self._frames.feed(data):
            if message.kind == "counts":
                self.counts = Counts.read(message.fields)
            self._heard(self, message)

    def childConnectionLost(self, childFD: int) -> None:
        """Do nothing: a worker that neither hears nor says anything ends."""

    def processEnded(self, reason: Failure) -> None:
        """Say that it is over."""
        self.stopProducing()
        self._over(self, reason)
