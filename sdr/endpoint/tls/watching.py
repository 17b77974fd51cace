"""The service that notices renewed files, and says what is wrong with them and when they expire."""

from collections.abc import Sequence

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sdr.catalog.sources import InThread
from sdr.endpoint.tls.certificates import Certificate, day, expiry
from sdr.endpoint.tls.interface import TLS
from sdr.endpoint.tls.places import Places
from sdr.endpoint.tls.shelf import Look, Problem, Shelf

#: Seconds between looks at the files; one that has changed is read when it has not changed again by the next.
LOOK_SECONDS = 3.0
#: What is wrong is told when it has been for this many seconds: a key may come some seconds after its certificate.
PATIENCE_SECONDS = 10.0
#: The keys of session tickets are made anew after this many seconds.
TICKET_KEY_SECONDS = 12 * 3600.0
_DAY = 86400.0


class CertificateService(Service):
    """Keeps TLS in step with the files.

    :param places: where the files are.
    :param shelf: what was read of them at the start.
    :param tls: what serves them.
    :param in_thread: runs a blocking call elsewhere: every look at a file.
    """

    name = "certificates"
    _log = Logger()

    def __init__(self, places: Places, shelf: Shelf, tls: TLS, clock: IReactorTime, in_thread: InThread) -> None:
        self._places = places
        self._shelf = shelf
        self._tls = tls
        self._clock = clock
        self._in_thread = in_thread
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._asked: list[Deferred[None]] = []
        self._told: set[str] = set()
        self._told_expiry: dict[str, float] = {}
        self._prepared = clock.seconds()
        self._tls.prepare(shelf.certificates)()

    def certificates(self) -> Sequence[Certificate]:
        """Return what is served, the default first: each has names, ``not_after`` and its file."""
        return self._shelf.certificates

    def problems(self) -> Sequence[str]:
        """Return what keeps files from being used now."""
        return [problem.text for problem in self._shelf.problems]

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._tell_expiry()
        self._timer = self._clock.callLater(LOOK_SECONDS, self._look)

    def stopService(self) -> None:
        """Stop at once, in the middle of a look too."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._looking is not None:
            self._looking.cancel()
        self._answer([])

    def reload(self) -> Deferred[None]:
        """Read every file now, and believe what is there.

        :return: fires when that is done; what is wrong has been logged by then.
        """
        if not self.running:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._asked.append(done)
        if self._timer is not None:
            self._timer.reset(0)
        return done

    def _look(self) -> None:
        self._timer = None
        asked, self._asked = self._asked, []
        self._looking = Deferred.fromCoroutine(self._once(believe=bool(asked)))
        self._looking.addErrback(self._surprised).addBoth(lambda _: self._looked(asked))

    async def _once(self, *, believe: bool) -> None:
        before, now = self._shelf, self._clock.seconds()
        look = Look(self._places, self._tls.check, now, believe)
        after = await self._in_thread(lambda: look.at(before))
        if after.certificates != before.certificates or now - self._prepared >= TICKET_KEY_SECONDS:
            serve = await self._in_thread(lambda: self._tls.prepare(after.certificates))
            serve()
            self._prepared = now
        self._shelf = after
        for certificate in after.certificates:
            if certificate not in before.certificates:
                self._told_expiry.pop(certificate.file, None)
                names, end = ", ".join(certificate.names), day(certificate.not_after)
                self._log.info(
                    "{file} is served from now on: {names}, until {end}", file=certificate.file, names=names, end=end
                )
        self._tell(after.problems, 0.0 if believe else PATIENCE_SECONDS)
        self._tell_expiry()

    def _surprised(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("cannot look at the certificates; the old ones are served still", failure)

    def _looked(self, asked: list[Deferred[None]]) -> None:
        self._looking = None
        self._answer(asked)
        if self.running:
            self._timer = self._clock.callLater(0 if self._asked else LOOK_SECONDS, self._look)

    def _answer(self, asked: list[Deferred[None]]) -> None:
        if not self.running:
            asked, self._asked = [*asked, *self._asked], []
        for done in asked:
            done.callback(None)

    def _tell(self, problems: Sequence[Problem], patience: float) -> None:
        """Log what is wrong, once."""
        now = self._clock.seconds()
        self._told &= {problem.text for problem in problems}
        for problem in problems:
            if problem.text not in self._told and now - problem.since >= patience:
                self._told.add(problem.text)
                self._log.error("{problem}; the endpoint goes on with what it has", problem=problem.text)

    def _tell_expiry(self) -> None:
        """Log which certificates expire soon, once a day."""
        now = self._clock.seconds()
        for certificate in self._shelf.certificates:
            line = expiry(certificate, now)
            if line is not None and now - self._told_expiry.get(certificate.file, -_DAY) >= _DAY:
                self._told_expiry[certificate.file] = now
                self._log.warn("{line}", line=line)
