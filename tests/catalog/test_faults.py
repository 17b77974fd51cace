"""The fault table: whatever a store does, the catalog keeps what it knows, recovers, and leaves nothing behind."""

import gc
import gzip
from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.catalog import State
from sdr.catalog.lookups import DOCUMENT_LIMIT, UNKNOWN, ManifestLookup, ObjectLookup, RepositoryLookup
from sdr.catalog.polling import LIST_LIMIT
from sdr.registry.manifests import MANIFEST_LIMIT
from sdr.tree.keys import LISTS_KEY, list_key, list_of
from tests.catalog.polled import over_wire, texts
from tests.catalog.store import FakeStore
from tests.catalog.wire import Raw, Wire, head

NAME = "acme/app"


class _Suffers(Protocol):
    """Has a fault begin and end, and looks at what comes of it."""

    def __call__(
        self, begin: Callable[[], object], end: Callable[[], object], says: str, *, malformed: bool = False
    ) -> None: ...


_PIECE = b"[" * 1024 * 1024


class _Endless:
    """A head, and then pieces for as long as anybody reads them; each time anew."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    def __iter__(self) -> Any:
        yield self._first
        yield from repeat(_PIECE)


if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


class _Faults(_Mixin):
    """One test a fault; what must come of it depends on what was being fetched."""

    key: str
    limit: int
    #: Well-formed JSON that is not the document.
    misshapen: bytes
    store: FakeStore
    wire: Wire

    suffers: "_Suffers"

    def sends(self, raw: Raw, says: str, *, malformed: bool = False) -> None:
        """Have these bytes sent for the key, for a while."""
        self.suffers(
            lambda: self.wire.raw.update({self.key: raw}), lambda: self.wire.raw.clear(), says, malformed=malformed
        )

    def test_server_error(self) -> None:
        """HTTP 500 is no answer."""
        self.sends(Raw([head("500 Oh No", Content_Length=4) + b"oops"]), "HTTP status 500")

    def test_unavailable(self) -> None:
        """HTTP 503 is no answer."""
        self.sends(Raw([head("503 Later", Content_Length=0, Retry_After=7)]), "HTTP status 503")

    def test_silence(self) -> None:
        """A store that takes the request and says nothing is given up at the deadline, and its connection closed."""
        self.sends(Raw([]), "no complete answer within")

    def test_silence_in_the_body(self) -> None:
        """A store that stops in the middle of a body is given up at the same deadline."""
        self.sends(Raw([head(Content_Length=1000), b"half"]), "no complete answer within")

    def test_dribble(self) -> None:
        """A store that sends the beginning of a head, and no more, is given up at the same deadline."""
        self.sends(Raw([b"HTTP/1.1 200 OK\r\nContent-"]), "no complete answer within")

    def test_early_close(self) -> None:
        """A body shorter than its Content-Length is not taken."""
        body = self.store.objects[self.key]
        raw = Raw([head(Content_Length=len(body) + 1), body], close=True)
        self.sends(raw, "the connection was lost within the body")

    def test_unfinished_chunks(self) -> None:
        """A chunked body without its end is not taken."""
        body = self.store.objects[self.key]
        raw = Raw([head(Transfer_Encoding="chunked") + f"{len(body):x}\r\n".encode() + body + b"\r\n"], close=True)
        self.sends(raw, "the connection was lost within the body")

    def test_close_without_an_answer(self) -> None:
        """A connection that is closed before the answer begins is no answer."""
        self.sends(Raw([], close=True), "ConnectionDone")

    def test_no_http(self) -> None:
        """What does not speak HTTP is no store."""
        self.sends(Raw([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], close=True), "ParseError")

    def test_not_json(self) -> None:
        """A page where a document should be is not taken."""
        page = b"<!doctype html><title>502 Bad Gateway</title>\n"
        self.sends(Raw([head(Content_Length=len(page)) + page]), "not JSON", malformed=True)

    def test_wrong_shape(self) -> None:
        """JSON of another shape is not taken."""
        body = self.misshapen
        self.sends(Raw([head(Content_Length=len(body)) + body]), "", malformed=True)

    def test_empty_or_binary(self) -> None:
        """Bytes that are not even text are not taken."""
        self.sends(Raw([head(Content_Length=4) + b"\xff\xfe\x00\n"]), "not JSON", malformed=True)

    def test_ten_gigabytes(self) -> None:
        """A body larger than the limit is given up there, and its connection closed."""
        raw = Raw(_Endless(head(Content_Length=10 * 1024**3)))
        self.sends(raw, f"larger than {self.limit} bytes")
        self.assertLess(max(connection.sent for connection in self.wire.connections), self.limit + 2 * len(_PIECE))

    def test_redirect(self) -> None:
        """A redirect elsewhere is not followed."""
        elsewhere = head("302 Found", Location="http://elsewhere.example.com/other", Content_Length=0)
        self.sends(Raw([elsewhere]), "HTTP status 302")
        self.assertEqual(self.store.count("other"), 0)

    def test_compressed(self) -> None:
        """A compressed body is refused unread, good as it may be: a few bytes could become gigabytes."""
        body = gzip.compress(self.store.objects[self.key])
        raw = Raw([head(Content_Length=len(body), Content_Encoding="gzip") + body])
        self.sends(raw, "it has a Content-Encoding")

    def test_compressed_silence(self) -> None:
        """A compressed body that never comes leaves no connection behind."""
        self.sends(Raw([head(Content_Length=99, Content_Encoding="gzip")]), "it has a Content-Encoding")

    def test_not_modified_unasked(self) -> None:
        """A 304 to a request without a validator is no answer."""
        self.sends(Raw([head("304 Not Modified")]), "HTTP status 304")

    def test_partial_content(self) -> None:
        """A success other than 200 is no answer."""
        body = self.store.objects[self.key]
        self.sends(Raw([head("206 Partial Content", Content_Length=len(body)) + body]), "HTTP status 206")


class _Outages(_Faults):
    """Faults of the way to the store: nothing at all can be fetched."""

    def test_refusal(self) -> None:
        """A store that refuses connections is no answer."""

        def begin() -> None:
            self.wire.refuses = True
            self.wire.drop()

        def end() -> None:
            self.wire.refuses = False

        self.suffers(begin, end, "refused")

    def test_unreachable(self) -> None:
        """A store that cannot be connected to is given up at the deadline."""

        def begin() -> None:
            self.wire.deaf = True
            self.wire.drop()

        def end() -> None:
            self.wire.deaf = False

        self.suffers(begin, end, "no complete answer within")


class _Case(SynchronousTestCase):
    """A service that polls a store over a wire, loaded and in use."""

    def setUp(self) -> None:
        """Start from a catalog of six repositories, one of them in use. Nothing has a validator."""
        self.clock = Clock()
        self.store = FakeStore(self.clock.seconds)
        self.store.etags = False
        for number in range(5):
            self.store.publish(f"acme/other{number}", "1.0")
        self.store.publish(NAME, "1.0")
        self.wire = Wire(self.store, self.clock)
        self.polled = over_wire(self.wire)
        self.catalog = self.polled.catalog
        self.polled.service.startService()
        self.wire.settle()
        self.catalog.look(RepositoryLookup(NAME))
        self.wire.settle()

    def assert_nothing_is_left(self) -> None:
        """Stop, and look for what stays behind."""
        stopping = self.polled.service.stopService()
        self.wire.settle()
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.wire.open, [])
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class _PollCase(_Case):
    """A fault meets the polls."""

    key: str
    state_meanwhile: State
    #: Seconds until the second poll: it backs off where nothing could be polled.
    pause = 60
    #: How the log names what was fetched.
    named = ""

    def suffers(
        self, begin: Callable[[], object], end: Callable[[], object], says: str, *, malformed: bool = False
    ) -> None:
        """Have two polls meet a fault, and the third none."""
        names, revision = self.catalog.names(), self.catalog.snapshot.revision_of(NAME)
        self.store.publish(NAME, "2.0")
        with capturedLogs() as events:
            begin()
            self.polled.advance(30 + 11)
            self.assertEqual((self.polled.poll.failures, self.catalog.state), (1, self.state_meanwhile))
            self.polled.advance(self.pause + 11)
            self.assertEqual((self.polled.poll.failures, self.catalog.state), (2, self.state_meanwhile))
            self.assertEqual((self.catalog.names(), self.catalog.snapshot.revision_of(NAME)), (names, revision))
            # Whatever hung has been let go.
            self.assertEqual(self.wire.in_use, [])
            end()
            self.polled.advance(120 + 11)
        self.assertEqual((self.polled.poll.failures, self.catalog.state), (0, State.LOADED))
        self.assertNotEqual(self.catalog.snapshot.revision_of(NAME), revision)
        warnings = texts(events, LogLevel.warn)
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn(f"polling http://store.example.com fails: {self.named}", warnings[0])
        self.assertIn(says, warnings[0])
        self.assertIn("keeping what was known before; repositories: 6", warnings[0])
        well = [text for text in texts(events) if "well again; failed polls: 2, repositories: 6" in text]
        self.assertEqual(len(well), 1)
        self.assert_nothing_is_left()


class ListsFaultTests(_Outages, _PollCase):
    """Faults of ``_repositories.json``."""

    key = LISTS_KEY
    limit = LIST_LIMIT
    misshapen = b'{"schema":1,"lists":["abc"]}\n'
    state_meanwhile = State.FAILING

    def test_another_schema(self) -> None:
        """A schema of the future is not read as today's."""
        body = self.store.objects[self.key].replace(b'"schema":1', b'"schema":2')
        self.sends(Raw([head(Content_Length=len(body)) + body]), "schema 2, not 1", malformed=True)

    def test_retry_after(self) -> None:
        """The store is left alone for as long as it asks with 503."""
        self.wire.raw[LISTS_KEY] = Raw([head("503 Later", Content_Length=0, Retry_After=200)])
        self.polled.advance(30)
        polls = self.store.count(LISTS_KEY)
        self.polled.advance(199)
        self.assertEqual(self.store.count(LISTS_KEY), polls)
        self.polled.advance(1)
        self.assertEqual(self.store.count(LISTS_KEY), polls + 1)
        self.assert_nothing_is_left()


class ListFaultTests(_Faults, _PollCase):
    """Faults of one list of repositories, while the others are well."""

    key = list_key(list_of(NAME))
    limit = LIST_LIMIT
    misshapen = b'["acme/app"]\n'
    # The store answers, so the looks at it go on.
    state_meanwhile = State.LOADED
    pause = 30
    named = f"{key}: "

    def test_a_repository_that_stands_elsewhere(self) -> None:
        """A list with a repository of another list is not taken."""
        body = b'["acme/elsewhere","0123456789abcdef"]\n'
        self.sends(Raw([head(Content_Length=len(body)) + body]), "line 1 is malformed")

    def test_cut_short(self) -> None:
        """A list without its last newline is not taken, though each of its lines is whole."""
        body = self.store.objects[self.key].rstrip(b"\n")
        self.sends(Raw([head(Content_Length=len(body)) + body]), "is cut short")

    def test_gone(self) -> None:
        """A list that is named and not there is a fault, and no empty list."""
        self.sends(Raw([head("404 Not Found", Content_Length=0)]), "it is not there")

    def test_retry_after(self) -> None:
        """The store is left alone for as long as it asks with 503 for a list."""
        self.store.publish(NAME, "2.0")
        self.wire.raw[self.key] = Raw([head("503 Later", Content_Length=0, Retry_After=200)])
        self.polled.advance(30)
        polls = self.store.count(LISTS_KEY)
        self.polled.advance(199)
        self.assertEqual(self.store.count(LISTS_KEY), polls)
        self.polled.advance(1)
        self.assertEqual(self.store.count(LISTS_KEY), polls + 1)
        self.assert_nothing_is_left()


class StopTests(_Case):
    """The end in the middle of an exchange."""

    def assert_stops(self) -> None:
        """Stop during a poll and a look: that is no failure, and nothing is said of it."""
        self.store.publish(NAME, "2.0")
        self.polled.advance(31)
        looking = self.catalog.look(RepositoryLookup("acme/none"))
        with capturedLogs() as events:
            self.assert_nothing_is_left()
        self.assertIs(self.successResultOf(looking), UNKNOWN)
        self.assertEqual(texts(events), [])
        self.assertEqual(self.polled.poll.failures, 0)

    def test_silence(self) -> None:
        """It comes at once while the store is silent."""
        for key in (LISTS_KEY, list_key(list_of(NAME))):
            self.setUp()
            self.wire.raw[key] = Raw([])
            self.assert_stops()

    def test_silence_in_the_body(self) -> None:
        """It comes at once in the middle of a body."""
        for key in (LISTS_KEY, list_key(list_of(NAME))):
            self.setUp()
            self.wire.raw[key] = Raw([head(Content_Length=100), b"half"])
            self.assert_stops()

    def test_unreachable(self) -> None:
        """It comes at once while connecting."""
        self.wire.drop()
        self.wire.deaf = True
        self.assert_stops()


class _LookCase(_Case):
    """A fault meets a look."""

    key: str
    lookup: ObjectLookup[Any]

    def suffers(
        self, begin: Callable[[], object], end: Callable[[], object], says: str, *, malformed: bool = False
    ) -> None:
        """Have two looks meet a fault, and the third none."""
        self.store.publish(NAME, "2.0")
        self.polled.advance(31)
        known = self.catalog._findings.last(self.lookup)
        self.assertIsNone(self.catalog.recall(self.lookup))
        with capturedLogs() as events:
            begin()
            for _ in range(2):
                looking = self.catalog.look(self.lookup)
                self.polled.advance(2)
                self.assertEqual(self.successResultOf(looking), known)
                # Remembered for a moment.
                self.assertEqual(self.catalog.recall(self.lookup), known)
                # Whatever hung has been let go.
                self.assertEqual(self.wire.in_use, [])
                self.polled.advance(5)
                self.assertIsNone(self.catalog.recall(self.lookup))
            end()
            looking = self.catalog.look(self.lookup)
            self.wire.settle()
        self.assertNotIn(self.successResultOf(looking), (known, UNKNOWN))
        self.assertEqual((self.polled.poll.failures, self.catalog.state), (0, State.LOADED))
        said = texts(events)
        self.assertEqual(len(said), 1, said)
        self.assertIn(f"the store's {self.key} {'is not usable' if malformed else 'failed'}: ", said[0])
        self.assertIn(says, said[0])
        self.assert_nothing_is_left()


class RepositoryFaultTests(_Outages, _LookCase):
    """Faults of a repository's document: what was known of it before stands."""

    lookup = RepositoryLookup(NAME)
    key = lookup.key
    limit = DOCUMENT_LIMIT
    misshapen = b'{"schema":1,"name":"acme/other","tags":{}}\n'


class ManifestFaultTests(_Outages, _LookCase):
    """Faults of a manifest's own object: it is unknown, and never absent."""

    lookup = ManifestLookup(NAME, "1.0")
    key = lookup.key
    limit = MANIFEST_LIMIT
    misshapen = b'{"schemaVersion":2}'
