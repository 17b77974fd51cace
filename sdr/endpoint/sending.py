"""Sending a file to a client, as fast as the client takes it."""

import os
from functools import partial
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IPushProducer, IReactorTime, ITCPTransport
from twisted.web.http import Request
from zope.interface import implementer

from sdr.catalog.sources import InThread
from sdr.endpoint.ranges import Part

#: Bytes that are read and written at a time.
PIECE = 256 * 1024


@implementer(IPushProducer)
class Sending:
    """Sends a part of a file as fast as the client takes it; reads are done in threads.

    :param descriptor: stays open until ``done`` has fired.
    :param stall: the seconds after which a client that takes nothing is given up: it holds a connection and a file.
    """

    def __init__(
        self,
        request: Request,
        descriptor: int,
        part: Part,
        in_thread: InThread,
        clock: IReactorTime,
        stall: float,
    ) -> None:
        self._request = request
        self._descriptor = descriptor
        self._part = part
        self._in_thread = in_thread
        self._clock = clock
        self._stall = stall
        self._resumed: Deferred[None] | None = None
        self._paused = False
        request.registerProducer(self, True)
        self.done: Deferred[None] = Deferred.fromCoroutine(self._send())

    async def _send(self) -> None:
        at = self._part.start
        try:
            while at < self._part.end:
                if self._paused:
                    await self._resume()
                length = min(PIECE, self._part.end - at)
                # Not read(): a request that ends meanwhile closes the file, and an offset would be somebody else's.
                piece = await self._in_thread(partial(os.pread, self._descriptor, length, at))
                if not piece:
                    raise OSError("the file is shorter than it was")
                at += len(piece)
                self._request.write(piece)
        except CancelledError:
            raise  # the client has left, and the request's channel with it
        except BaseException:
            self._request.unregisterProducer()
            raise
        self._request.unregisterProducer()

    async def _resume(self) -> None:
        """Wait for the client to take what it was sent."""
        self._resumed = Deferred()
        try:
            await self._resumed.addTimeout(self._stall, self._clock)
        except TimeoutError as error:
            self._request.unregisterProducer()
            # Over HTTP/2 a request has no transport of its own, and its channel is the stream.
            cast(ITCPTransport, self._request.transport or self._request.channel).abortConnection()
            raise CancelledError from error

    def pauseProducing(self) -> None:
        """Wait: the client is slower than the disk."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed.callback(None)

    def stopProducing(self) -> None:
        """Stop: the connection is lost, and the request says so too."""
