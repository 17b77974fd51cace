"""Tests of the service that keeps TLS in step with the files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sdr.endpoint.tls.certificates import Certificate
from sdr.endpoint.tls.places import Place, Places
from sdr.endpoint.tls.shelf import first_shelf
from sdr.endpoint.tls.watching import TICKET_KEY_SECONDS, CertificateService
from tests.endpoint.tls.authority import DAY, NOW, Authority

R = TypeVar("R")


def at_once(call: Callable[[], R], /) -> Deferred[R]:
    """Run a blocking call here and now, in the place of a thread."""
    done: Deferred[R] = execute(call)
    return done


class Recorded:
    """TLS that serves nobody, and says what it would serve."""

    def __init__(self) -> None:
        self.served: list[list[str]] = []

    def check(self, certificate: Certificate) -> None:
        """Take everything."""

    def prepare(self, certificates: Sequence[Certificate]) -> Callable[[], None]:
        """Note the names, once it is served."""
        names = [certificate.names[0] for certificate in certificates]
        return lambda: self.served.append(names)

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Leave it as it is."""
        return factory


class Threads:
    """Threads that run when they are told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, call: Callable[[], R], /) -> Deferred[R]:
        """Wait."""
        done: Deferred[R] = Deferred()
        self.waiting.append(lambda: done.callback(call()))
        return done


class ServiceTests(SynchronousTestCase):
    """The service, with a clock that is advanced by hand."""

    def setUp(self) -> None:
        """Write a certificate and catch the log."""
        self.authority = Authority()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.tls = Recorded()
        self.lines: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def write(self, name: str, days: float = 90) -> None:
        """Write the certificate."""
        self.authority.write(self.folder, "a", name, days=days)

    def start(self, in_thread: Callable[[Callable[[], R]], Deferred[R]] = at_once) -> CertificateService:
        """Start the service over what was written."""
        file = str(self.folder / "a.pem")
        places = Places(Place(file, file))
        shelf = first_shelf(places, self.tls.check)
        service = CertificateService(places, shelf, self.tls, self.clock, in_thread)  # type: ignore[arg-type]
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def told(self, text: str) -> int:
        """Count the lines of the log with this text."""
        return sum(text in line for line in self.lines)

    def test_renewed(self) -> None:
        """A renewed certificate is served within two looks and told once; nothing is prepared for a mere touch."""
        self.write("a.example")
        service = self.start()
        self.clock.pump([5] * 10)
        self.assertEqual((self.tls.served, self.lines), ([["a.example"]], []))
        self.write("b.example", days=30)
        self.clock.pump([5] * 2)
        self.assertEqual(self.tls.served, [["a.example"], ["b.example"]])
        self.assertEqual(service.certificates()[0].not_after, NOW + 30 * DAY)
        self.assertEqual(self.told("is served from now on: b.example, until 2027-02-14"), 1)
        (self.folder / "a.pem").touch()
        self.clock.pump([5] * 4)
        self.assertEqual(len(self.tls.served), 2)

    def test_bad_file(self) -> None:
        """What stays wrong for ten seconds is told once until it is wrong in another way."""
        self.write("a.example")
        service = self.start()
        (self.folder / "a.pem").write_text("half")
        self.clock.pump([5] * 3)
        self.assertEqual((self.lines, len(service.problems())), ([], 1))
        self.clock.pump([5] * 100)
        self.assertEqual(self.told("a.pem: there is no certificate in it"), 1)
        (self.folder / "a.pem").unlink()
        self.clock.pump([5] * 100)
        self.assertEqual((self.told("a.pem"), self.told("No such file")), (2, 1))
        self.write("b.example")
        self.clock.pump([5] * 2)
        self.assertEqual((service.problems(), self.tls.served[1:]), ([], [["b.example"]]))
        (self.folder / "a.pem").write_text("half")
        self.clock.pump([5] * 10)
        self.assertEqual(self.told("a.pem: there is no certificate in it"), 2)

    def test_reload(self) -> None:
        """A reload reads at once, tells at once what is wrong, and says when it is done."""
        self.write("a.example")
        service = self.start()
        self.write("b.example")
        done = service.reload()
        self.assertNoResult(done)
        self.clock.advance(0)
        self.successResultOf(done)
        self.assertEqual(self.tls.served[-1], ["b.example"])
        (self.folder / "a.pem").write_text("half")
        done = service.reload()
        self.clock.advance(0)
        self.successResultOf(done)
        self.assertEqual((self.tls.served[-1], self.told("no certificate in it")), (["b.example"], 1))

    def test_reload_during_a_look(self) -> None:
        """A reload in the middle of a look is done after it; looks never overlap."""
        self.write("a.example")
        threads = Threads()
        service = self.start(threads)
        self.clock.advance(5)
        done = service.reload()
        self.clock.advance(60)
        self.assertEqual(len(threads.waiting), 1)
        self.write("b.example")
        threads.waiting.pop()()
        self.clock.advance(0)
        threads.waiting.pop()()
        self.assertNoResult(done)
        threads.waiting.pop()()
        self.successResultOf(done)
        self.assertEqual(self.tls.served[-1], ["b.example"])

    def test_stop(self) -> None:
        """It stops in the middle of a look, answers who waits for one, and changes nothing any more."""
        self.write("a.example")
        threads = Threads()
        service = self.start(threads)
        self.write("b.example")
        asked = [service.reload()]
        self.clock.advance(0)
        asked.append(service.reload())
        service.stopService()
        for done in asked:
            self.successResultOf(done)
        threads.waiting.pop()()
        self.assertEqual((threads.waiting, self.tls.served), ([], [["a.example"]]))
        self.successResultOf(service.reload())
        self.assertEqual((self.clock.getDelayedCalls(), self.lines), ([], []))

    def test_surprise(self) -> None:
        """A failure that nobody thought of is logged, and the next look happens."""
        self.write("a.example")
        fails = [True]

        def in_thread(call: Callable[[], R], /) -> Deferred[R]:
            if fails:
                fails.pop()
                raise RuntimeError("no threads")
            return at_once(call)

        self.start(in_thread)
        self.write("b.example")
        self.clock.pump([5] * 3)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.tls.served[-1], ["b.example"])

    def test_ticket_keys(self) -> None:
        """The keys of tickets are made anew twice a day."""
        self.write("a.example")
        self.start()
        self.clock.pump([TICKET_KEY_SECONDS / 10] * 25)
        self.assertEqual(self.tls.served, [["a.example"]] * 3)

    def test_expiry(self) -> None:
        """From 14 days before the end on, and after it, a line a day says so; a renewal ends it."""
        self.write("a.example", days=20)
        self.start()
        self.clock.pump([3600] * (5 * 24))
        self.assertEqual(self.lines, [])
        self.clock.pump([3600] * (5 * 24))
        self.assertIn(self.told("a.pem: it expires in"), (4, 5))
        self.clock.pump([3600] * (13 * 24))
        self.assertIn(self.told("so clients refuse it; renew it"), (3, 4))
        self.authority = Authority(self.clock.seconds())
        self.write("a.example", days=10)
        self.lines.clear()
        self.clock.pump([5] * 2)
        self.assertEqual(self.told("it expires in 9 days"), 1)
