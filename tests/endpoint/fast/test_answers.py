"""Tests of what is kept: as much as there is room for."""

from math import inf
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.lookups import Lookup, RepositoryLookup
from sdr.cdn.locations import RemoteCDN
from sdr.endpoint.answer import Answer, error
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.answers import Due, FastAnswers, Grounds
from sdr.endpoint.fast.prepared import LARGE, Prepared
from sdr.endpoint.fast.recognition import LONGEST
from sdr.endpoint.rules import Rules
from sdr.registry.errors import NAME_UNKNOWN
from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX
from sdr.registry.questions import Question
from sdr.tree.documents import ManifestEntry, Repository
from tests.endpoint.knowledge import Table

DIGEST = Digest.of(b"x")


class Known(Table):
    """A table that never grows old, as a catalog has it."""

    snapshot = state = None
    asked = 0
    until = 100.0

    def recall(self, lookup: Any) -> Any:
        """Count what is asked."""
        self.asked += 1
        return super().recall(lookup)

    def recalled_until(self, lookup: object) -> float:
        """Return until when it holds."""
        return self.until

    def absent_until(self, name: str) -> float:
        """Return until when it holds."""
        return self.until

    def tell(self, learnt: object) -> None:
        """Tell nobody: nothing is learnt."""


class Asked:
    """What questions are answered by."""

    rules = Rules(RemoteCDN("https://cdn.example.com"))

    def __init__(self, knowledge: Known) -> None:
        self.knowledge = knowledge
        self.looking: list[Deferred[Answer]] = []
        self.left: list[Deferred[Answer]] = []

    def look(self, question: Question, lookup: Lookup[Any]) -> Deferred[Answer]:
        """Answer later, unless that is cancelled."""
        self.looking.append(Deferred(self.left.append))
        return self.looking[-1]


class AnswersCase(SynchronousTestCase):
    """A memory of answers, and what is known."""

    def setUp(self) -> None:
        """Know a repository."""
        tags = {f"{at}": ManifestEntry(DIGEST, OCI_INDEX, 5) for at in range(20_000)}
        self.known = Known({RepositoryLookup("a"): Repository("a", tags)})

    def answers(self, **more: int) -> FastAnswers:
        """Return a memory of answers."""
        self.asked = Asked(self.known)
        self.grounds = Grounds(self.asked, self.known)
        return FastAnswers(self.grounds, Limits(), "http", heeds_proxies=False, **more)


class KeptTests(AnswersCase):
    """Answers that are kept."""

    def ask(self, answers: FastAnswers, target: str, host: str = "x", now: float = 0.0) -> bytes:
        """Ask, and return the answer."""
        found = answers.find(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), now)
        assert found is not None
        assert isinstance(found[0], Prepared)
        return found[0].filled(b"now", b"0" * 16, last=False) + found[0].rest

    def test_kept(self) -> None:
        """An answer is decided once, for all who ask the same, until it is too old."""
        answers = self.answers()
        first = self.ask(answers, "/v2/a/manifests/1")
        self.assertEqual(self.known.asked, 1)
        self.assertEqual(self.ask(answers, "/v2/a/manifests/1", now=99.9), first)
        self.assertEqual(self.known.asked, 1)
        self.known.until = 200.0
        self.ask(answers, "/v2/a/manifests/1", now=100.0)
        self.assertEqual(self.known.asked, 2)
        self.ask(answers, "/v2/a/manifests/1", now=199.9)
        self.assertEqual(self.known.asked, 2)

    def test_bytes_have_an_end(self) -> None:
        """However many different questions are asked, what is kept has an end, and the answers are the same."""
        answers = self.answers(most_bytes=10_000)
        for round_ in range(2):
            for at in range(100):
                answer = self.ask(answers, f"/v2/a/manifests/{at}?{round_}")
                self.assertIn(b"HTTP/1.1 307 ", answer)
                self.assertLessEqual(sum(len(kept) for kept in answers._kept.values()), 12)

    def test_clients_have_an_end(self) -> None:
        """However many different headers are sent, those that are remembered have an end."""
        answers = self.answers(most_clients=10)
        for at in range(50):
            self.assertIn(b"HTTP/1.1 200 ", self.ask(answers, "/v2/", f"host-{at}"))
            self.assertLessEqual(len(answers._clients), 10)
            self.assertLessEqual(len(answers._kept), 10)

    def test_clients_of_any_length(self) -> None:
        """Headers of no length grow what is remembered without an end."""
        answers = self.answers(most_clients=10)
        for length in range(LONGEST - 30, LONGEST + 10):
            for at in range(20):
                accept = f"{at:04}".ljust(length - len("\r\nHost: x\r\nAccept: \r\n\r\n"), "a")
                head = f"GET /v2/b/manifests/1 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
                answers.find(head.encode(), 0.0)
                self.assertLessEqual(len(answers._clients) + len(answers._kept), 21)

    def test_secrets(self) -> None:
        """Headers that are not plain, which may have a secret, are not remembered."""
        answers = self.answers()
        self.assertIsNone(answers.find(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c2VjcmV0\r\n\r\n", 0.0))
        self.assertEqual((answers._clients, answers._kept), ({}, {}))

    def test_headers_that_are_never_the_same(self) -> None:
        """What has nothing to do with an answer does not make it be forgotten."""
        answers = self.answers(most_clients=10)
        for at in range(100):
            head = f"GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nTraceparent: {at}\r\n\r\n"
            self.assertIsNotNone(answers.find(head.encode(), 0.0))
        self.assertEqual(self.known.asked, 1)

    def test_large(self) -> None:
        """A long list of tags is answered, and not kept."""
        answers = self.answers()
        for asked in (1, 2):
            self.assertGreater(len(self.ask(answers, "/v2/a/tags/list")), LARGE)
            self.assertEqual(self.known.asked, asked)


class LookTests(AnswersCase):
    """What needs a look at the store."""

    def due(self, answers: FastAnswers, target: str = "/v2/b/manifests/1", *lines: str, now: float = 0.0) -> Due:
        """Ask for what takes a look."""
        head = "".join(f"{line}\r\n" for line in (f"GET {target} HTTP/1.1", "Host: x", *lines, ""))
        found = answers.find(head.encode(), now)
        assert found is not None
        assert isinstance(found[0], Due)
        return found[0]

    def test_once(self) -> None:
        """One question is looked at once for all who ask it meanwhile, and they have one answer."""
        answers = self.answers()
        first = answers.look(self.due(answers))
        second = answers.look(self.due(answers, "/v2/b/manifests/1", "Traceparent: 7"))
        self.assertEqual(len(self.asked.looking), 1)
        self.assertNoResult(first)
        self.asked.looking[0].callback(error(NAME_UNKNOWN))
        self.assertIs(self.successResultOf(first), self.successResultOf(second))
        self.assertNoResult(answers.look(self.due(answers)))
        self.assertEqual(len(self.asked.looking), 2)

    def test_others(self) -> None:
        """Other questions, and other headers that an answer depends on, have looks of their own."""
        answers = self.answers()
        for target, line in (("1", "A: b"), ("2", "A: b"), ("1", "Accept: a/b")):
            answers.look(self.due(answers, f"/v2/b/manifests/{target}", line))
        self.assertEqual(len(self.asked.looking), 3)

    def test_news(self) -> None:
        """Who asks after something new was learnt does not wait for a look that began before."""
        answers = self.answers()
        changes = [
            lambda: self.grounds.standings.learnt("b"),
            lambda: setattr(self.known, "snapshot", object()),
            lambda: setattr(self.asked, "rules", Rules(RemoteCDN("https://other.example.com"))),
        ]
        waiting = [answers.look(self.due(answers))]
        for change in changes:
            change()
            waiting.append(answers.look(self.due(answers)))
        self.assertEqual(len(self.asked.looking), 4)
        newest = self.due(answers)
        for looking in self.asked.looking[:3]:
            looking.callback(error(NAME_UNKNOWN))
        self.assertIs(self.due(answers), newest)
        self.asked.looking[3].callback(error(NAME_UNKNOWN))
        for answered in waiting:
            self.successResultOf(answered)

    def test_age(self) -> None:
        """Nobody waits for a look that began more than five seconds ago, or of which it cannot be told."""
        answers = self.answers()
        answers.look(self.due(answers))
        answers.look(self.due(answers, now=4.9))
        self.assertEqual(len(self.asked.looking), 1)
        answers.look(self.due(answers, now=5.0))
        self.assertEqual(len(self.asked.looking), 2)
        self.known.until = -inf
        for count in (3, 4):
            answers.look(self.due(answers, "/v2/b/manifests/2"))
            self.assertEqual(len(self.asked.looking), count)

    def test_some_leave(self) -> None:
        """Who leaves does not take the answer away from the others, and is not held any more."""
        answers = self.answers()
        first, second = answers.look(self.due(answers)), answers.look(self.due(answers))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(list(self.due(answers).waiting), [second])
        self.asked.looking[0].callback(error(NAME_UNKNOWN))
        self.successResultOf(second)

    def test_all_leave(self) -> None:
        """When all have left, nothing is decided for nobody, and nothing is held."""
        answers = self.answers()
        for answered in (answers.look(self.due(answers)), answers.look(self.due(answers))):
            answered.cancel()
            self.failureResultOf(answered, CancelledError)
        self.assertEqual(self.asked.left, self.asked.looking)
        self.assertEqual(answers._due, {})
        self.assertNoResult(answers.look(self.due(answers)))

    def test_one_leaves_with_another(self) -> None:
        """Who leaves while another is answered is told nothing, and those after it are."""
        answers = self.answers()
        first, second, third = (answers.look(self.due(answers)) for _ in range(3))
        first.addCallback(lambda prepared: second.cancel())
        self.asked.looking[0].callback(error(NAME_UNKNOWN))
        self.failureResultOf(second, CancelledError)
        self.successResultOf(third)

    def test_failure(self) -> None:
        """A fault reaches all who wait, and nobody after them."""
        answers = self.answers()
        first, second = answers.look(self.due(answers)), answers.look(self.due(answers))
        self.asked.looking[0].errback(ZeroDivisionError())
        for answered in (first, second):
            self.failureResultOf(answered, ZeroDivisionError)
        self.assertNoResult(answers.look(self.due(answers)))
