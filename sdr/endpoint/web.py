"""The Twisted Web side of a question: a leaf that reads the raw request, has it decided, and writes the answer."""

from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from sdr.catalog.knowledge import Knowledge
from sdr.catalog.lookups import Lookup, Missing
from sdr.endpoint.answer import Answer, error
from sdr.endpoint.answers import answer, finished
from sdr.endpoint.request_ids import identified
from sdr.endpoint.rules import Rules
from sdr.registry.errors import INTERNAL
from sdr.registry.questions import Question

T = TypeVar("T")


class _Asked:
    """What is known, and what the looks of one question found: it sees each of them, however soon it is forgotten."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._found: dict[Lookup[Any], Any] = {}
        self.is_absent = knowledge.is_absent
        self.names = knowledge.names

    def recall(self, lookup: Lookup[T]) -> T | Missing | None:
        """Return what is known without a look."""
        if lookup not in self._found:
            return self._knowledge.recall(lookup)
        found: T | Missing = self._found[lookup]
        return found

    async def look(self, lookup: Lookup[Any]) -> None:
        """Look at the store."""
        self._found[lookup] = await self._knowledge.look(lookup)


class Questions(Resource):
    """Answers every path below it: names contain slashes, so the raw path is read as a whole."""

    isLeaf = True
    _log = Logger()

    def __init__(self, knowledge: Knowledge, rules: Rules) -> None:
        super().__init__()
        self.knowledge = knowledge
        #: Replaced whole where an operator changes his mind; a question that waits goes by the new ones.
        self.rules = rules

    def render(self, request: Request) -> int:
        """Answer at once where that can be, and after a look at the store elsewhere."""
        question = question_from(request)
        try:
            got = answer(question, self.knowledge, self.rules)
        except Exception:
            self._log.failure("cannot answer {path}", path=question.path)
            got = finished(question, error(INTERNAL))
        if isinstance(got, Answer):
            write(request, got)
        else:
            self._answer_later(request, question, got)
        return NOT_DONE_YET

    def look(self, question: Question, lookup: Lookup[Any]) -> Deferred[Answer]:
        """Answer after looks at the store, of which this is the first. It fails only if it is cancelled."""
        deciding: Deferred[Answer] = Deferred.fromCoroutine(self._decide(question, lookup))
        return deciding.addErrback(self._failed, question)

    def _answer_later(self, request: Request, question: Question, lookup: Lookup[Any]) -> None:
        deciding = self.look(question, lookup)
        request.notifyFinish().addErrback(lambda _: deciding.cancel())
        deciding.addCallbacks(lambda got: write(request, got), lambda left: left.trap(CancelledError))

    async def _decide(self, question: Question, lookup: Lookup[Any]) -> Answer:
        asked = _Asked(self.knowledge)
        while True:
            await asked.look(lookup)
            got = answer(question, asked, self.rules)
            if isinstance(got, Answer):
                return got
            lookup = got

    def _failed(self, failure: Failure, question: Question) -> Answer:
        if failure.check(CancelledError):  # the client has left
            failure.raiseException()
        self._log.failure("cannot answer {path}", failure, path=question.path)
        return finished(question, error(INTERNAL))


class Root(Resource):
    """The top of the tree: the protocol, the front page, and what comes later."""

    def __init__(self, questions: Questions) -> None:
        super().__init__()
        self._questions = questions
        for name in (b"", b"v2", b"v1"):
            self.putChild(name, questions)

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Leave what there is not to the questions too."""
        return self._questions


def question_from(request: Request) -> Question:
    """Read a question from a request as it came over the wire."""
    path, _, query = request.uri.decode("latin-1").partition("?")
    hosts = header_lines(request, b"host")
    return Question(
        method=request.method.decode("latin-1"),
        path=path,
        query=query,
        accept=",".join(header_lines(request, b"accept")),
        host=hosts[0] if len(hosts) == 1 else "",
        scheme="https" if request.isSecure() else "http",
        if_none_match=",".join(header_lines(request, b"if-none-match")),
        peer=getattr(request.getClientAddress(), "host", ""),
        user_agent=",".join(header_lines(request, b"user-agent")),
    )


def header_lines(request: Request, name: bytes) -> list[str]:
    """Return the lines of a header; whatever bytes a client may send there, they are read."""
    return [line.decode("latin-1") for line in request.requestHeaders.getRawHeaders(name, [])]


def write(request: Request, got: Answer) -> None:
    """Write an answer and finish the request."""
    got = write_head(request, got)
    if got.body and request.method != b"HEAD":
        request.write(got.body)
    request.finish()


def write_head(request: Request, got: Answer) -> Answer:
    """Set an answer's status and headers, its request's id among them; return it with that."""
    got = identified(got, getattr(request, "request_id", ""))
    request.setResponseCode(got.status)
    request.setHeader("Server", "sdr")
    for name, value in got.headers:
        request.setHeader(name, value)
    return got
