"""The answers to plain requests, kept as long as they stand."""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from sdr.catalog.findings import MISSING_SECONDS
from sdr.catalog.lookups import Lookup
from sdr.endpoint.admin.routes import route_of
from sdr.endpoint.answer import Answer
from sdr.endpoint.answers import answer
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.prepared import Prepared, prepare
from sdr.endpoint.fast.recognition import Fields, question_of, read_fields, read_line
from sdr.endpoint.fast.standing import Knowing, Standing, Standings, Witness
from sdr.endpoint.rules import Rules
from sdr.registry.questions import Question, read_path

#: What is kept in all: bytes of answers, their keys and their objects, roughly; and different headers of clients.
MOST_BYTES, MOST_CLIENTS = 32 * 1024 * 1024, 2000
_BARE_WEIGHT = 600


class Lists(Protocol):
    """The lists of repositories, and how far they can be trusted: :class:`sdr.catalog.catalog.Catalog`."""

    snapshot: Any
    state: Any

    def tell(self, learnt: Callable[[str], object]) -> None:
        """Have somebody told the name of each repository of which something is learnt from now on."""
        ...


class Asked(Protocol):
    """What questions are answered by: :class:`sdr.endpoint.web.Questions`."""

    @property
    def knowledge(self) -> Knowing:
        """What is known."""
        ...

    @property
    def rules(self) -> Rules:
        """What an operator decided."""
        ...

    def look(self, question: Question, lookup: Lookup[Any]) -> Deferred[Answer]:
        """Answer after looks at the store, of which this is the first; it does not fail."""
        ...


class Due:
    """A question that is answered after looks at the store, once for all who ask it meanwhile.

    :param asked: what is the same for all of them: what their headers say, and the first line of the request.
    :param lookup: the first look.
    :param standing: of the repository that it is about.
    :param until: when who asks is not to wait for it any more, in seconds of the clock.
    """

    __slots__ = ("asked", "looking", "lookup", "question", "standing", "until", "waiting")

    def __init__(
        self,
        asked: tuple[tuple[str, ...], bytes],
        question: Question,
        lookup: Lookup[Any],
        standing: Standing,
        until: float,
    ) -> None:
        self.asked = asked
        self.question = question
        self.lookup = lookup
        self.standing = standing
        self.until = until
        self.looking: Deferred[None] | None = None
        self.waiting: dict[Deferred[Prepared], None] = {}


class Kept:
    """An answer that is kept.

    :param standing: of the repository that it is about.
    :param until: when it is too old, in seconds of the clock.
    """

    __slots__ = ("prepared", "standing", "until")

    def __init__(self, prepared: Prepared, standing: Standing, until: float) -> None:
        self.prepared = prepared
        self.standing = standing
        self.until = until


class Client:
    """Clients that send the same headers.

    :param fields: what the headers say.
    :param kept: their answers, by the first lines of requests; shared by all to whom answers are the same.
    """

    __slots__ = ("fields", "kept")

    def __init__(self, fields: Fields, kept: dict[bytes, Kept]) -> None:
        self.fields = fields
        self.kept = kept


class Grounds:
    """What answers rest on.

    :param questions: have what is known, and the rules, which are replaced whole.
    :param lists: replaced whole, like their state; tell what is learnt of single repositories.
    """

    def __init__(self, questions: Asked, lists: Lists) -> None:
        self.questions = questions
        self.lists = lists
        self.standings = Standings()
        lists.tell(self.standings.learnt)


class FastAnswers:
    """Answers plain requests from what is known, and keeps the answers: for connections that are alike.

    :param limits: of requests.
    :param scheme: of the connections, ``http`` or ``https``.
    :param heeds_proxies: whether what proxies say in headers is heeded.
    :param most_bytes: of all that is kept; beyond that, and with more clients than that, it begins anew.
    """

    def __init__(
        self,
        grounds: Grounds,
        limits: Limits,
        scheme: str,
        *,
        heeds_proxies: bool,
        most_bytes: int = MOST_BYTES,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_clients = most_clients
        self._grounds = grounds
        self._limits = limits
        self._scheme = scheme
        self._heeds_proxies = heeds_proxies
        self._snapshot: object = None
        self._state: object = None
        self._rules: object = None
        #: By headers.
        self._clients: dict[bytes, Client] = {}
        self._kept: dict[tuple[str, str, str, str], dict[bytes, Kept]] = {}
        self._bytes = 0
        self._due: dict[tuple[tuple[str, ...], bytes], Due] = {}

    def find(self, head: bytes, now: float) -> tuple[Prepared | Due, Fields] | None:
        """Return the answer to a request, or what must be looked at first, and what its headers say.

        There is nothing if it must go the other way.

        :param head: whole, with its empty line, and not larger than the limit.
        :param now: seconds of the clock.
        """
        grounds = self._grounds
        if (
            grounds.lists.snapshot is not self._snapshot
            or grounds.lists.state is not self._state
            or grounds.questions.rules is not self._rules
        ):
            self._begin_anew()
        end = head.find(b"\r\n")
        rest = head[end:]
        client = self._clients.get(rest)
        if client is None:
            client = self._meet(head, rest)
            if client is None:
                return None
        kept = client.kept.get(head[:end])
        if kept is not None and kept.standing.holds and now < kept.until:
            return kept.prepared, client.fields
        prepared = self._decide(client, head[:end], now)
        return None if prepared is None else (prepared, client.fields)

    def _meet(self, head: bytes, rest: bytes) -> Client | None:
        """Read headers that are new, and remember them if they are plain: others may have secrets in them."""
        if read_line(head[: -len(rest)], self._limits) is None:
            return None
        fields = read_fields(head, self._limits, heeds_proxies=self._heeds_proxies)
        if fields is None:
            return None
        if len(self._clients) >= self._most_clients:
            # Answers are shared by headers that ask the same; they stand, unless there are too many of these, too.
            self._clients.clear()
            if len(self._kept) >= self._most_clients:
                self._begin_anew()
        client = self._clients[rest] = Client(fields, self._kept.setdefault(fields.asked, {}))
        return client

    def look(self, due: Due) -> Deferred[Prepared]:
        """Return the answer to a question after the looks that it takes; it may be cancelled."""
        answered: Deferred[Prepared] = Deferred(lambda answered: self._leave(due, answered))
        due.waiting[answered] = None
        if due.looking is None:
            self._due[due.asked] = due
            looking = self._grounds.questions.look(due.question, due.lookup).addCallback(_prepare, due.question)
            due.looking = looking.addBoth(self._looked, due)
        return answered

    def _leave(self, due: Due, answered: Deferred[Prepared]) -> None:
        due.waiting.pop(answered, None)
        if due.looking is not None and not due.waiting:
            due.looking.cancel()

    def _looked(self, result: Any, due: Due) -> None:
        if self._due.get(due.asked) is due:
            del self._due[due.asked]
        waiting, due.waiting = due.waiting, {}
        for answered in waiting:
            if not answered.called:  # else it left while another was answered
                answered.callback(result)

    def _decide(self, client: Client, line: bytes, now: float) -> Prepared | Due | None:
        due = self._due.get((client.fields.asked, line))
        if due is not None and due.standing.holds and now < due.until:
            return due
        asked = read_line(line, self._limits)
        if asked is None:
            return None
        question = question_of(asked, client.fields, self._scheme)
        witness = Witness(self._grounds.questions.knowledge)
        try:
            got = answer(question, witness, self._grounds.questions.rules)
        except Exception:
            return None  # the other way meets it too, and says so
        if isinstance(got, Lookup):
            standing, until = self._grounds.standings.of(witness.name), min(witness.until, now + MISSING_SECONDS)
            return Due((client.fields.asked, line), question, got, standing, until)
        prepared = _prepare(got, question)
        if now < witness.until and not prepared.rest:
            self._keep(client, line, Kept(prepared, self._grounds.standings.of(witness.name), witness.until))
        return prepared

    def _keep(self, client: Client, line: bytes, kept: Kept) -> None:
        asked = 0 if client.kept else sum(map(len, client.fields.asked))
        self._bytes += _BARE_WEIGHT + asked + len(line) + kept.prepared.weight
        if self._bytes > self._most_bytes:
            self._begin_anew()
        else:
            client.kept[line] = kept

    def _begin_anew(self) -> None:
        """Forget everything: it does not stand any more, or is too much."""
        lists = self._grounds.lists
        self._snapshot, self._state, self._rules = lists.snapshot, lists.state, self._grounds.questions.rules
        self._clients.clear()
        self._kept.clear()
        self._due.clear()
        self._bytes = 0


def _prepare(got: Answer, question: Question) -> Prepared:
    return prepare(got, question.method, route_of(read_path(question.path)))
