"""The fast way and Twisted Web's: the same bytes, whatever comes in whatever pieces."""

import re
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.knowledge import Knowledge
from sdr.catalog.v1_catalog import V1Catalog
from sdr.cdn.locations import OwnTree, RemoteCDN
from sdr.endpoint.connections.addresses import read_trusted
from sdr.endpoint.connections.channel import AT_A_TURN
from sdr.endpoint.connections.limits import Limits
from sdr.endpoint.fast.channel import FastChannel
from sdr.endpoint.fast.prepared import LARGE
from sdr.endpoint.rules import Rules
from sdr.registry.grammar import Digest
from sdr.registry.media_types import DOCKER_MANIFEST
from tests.catalog.polled import at_once
from tests.catalog.store import FakeStore, LateSource, Reply
from tests.catalog.v1_stores import MemorySource
from tests.endpoint.connections.test_fuzz import PIECES
from tests.endpoint.fast.sides import Sides, Talk

NAME = "acme/app"
SMALL = Limits(line_bytes=300, head_bytes=600, headers=8, body_bytes=50, requests=6)
TRUSTED = read_trusted(["10.0.0.0/8"])


def ask(target: str = "/v2/", method: str = "GET", *lines: str) -> bytes:
    """Return a request."""
    return "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", "Host: x", *lines, "")).encode("latin-1")


class SameCase(SynchronousTestCase):
    """A store with a repository, and two endpoints before it."""

    def setUp(self) -> None:
        """Publish."""
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.store = FakeStore(self.clock.seconds)
        self.digest = self.store.publish(NAME, "1.0")
        self.store.publish(NAME, "2.0")
        self.store.publish("acme/bare", "1.0", document=False, listed=False)
        self.sides = Sides(self.store, self.clock)

    def tearDown(self) -> None:
        """Stop."""
        self.sides.stop()

    def assert_same(self, *pieces: bytes, peer: str = "192.0.2.7") -> bytes:
        """Send the same to both, compare all that can be seen, and return what was answered."""
        fast, slow = self.sides.answers(pieces, peer)
        self.assertEqual(fast, slow)
        self.assertEqual(self.sides.fast.counted, self.sides.slow.counted)
        self.assertEqual(self.sides.fast.refused, self.sides.slow.refused)
        for face in self.sides.both():
            self.assertEqual((face.connections.open(), face.connections.waiting()), (0, 0))
        return fast[0]


class QuestionTests(SameCase):
    """Every kind of question."""

    def targets(self) -> list[str]:
        """Return targets, good and bad."""
        manifests = f"/v2/{NAME}/manifests"
        return [
            *("/v2", "/v2/", "/v2/?x", "/v2/_catalog", "/v2/_catalog?n=1", "/v2/x", "/v2//", "/v2/a/../b", "/v2/%2e"),
            *(f"{manifests}/1.0", f"{manifests}/3.0", f"{manifests}/{self.digest}", f"{manifests}/sha256%3A{'a' * 64}"),
            *(
                f"{manifests}/{str(self.digest).replace(':', '%3A')}",
                f"{manifests}/sha256:x",
                f"{manifests}/-",
                manifests,
            ),
            *(
                "/v2/no/such/manifests/1",
                "/v2/acme/bare/manifests/1.0",
                "/v2/acme/bare/tags/list",
                "/v2/UP/manifests/1",
            ),
            *(f"/v2/{NAME}/blobs/{self.digest}", "/v2/no/such/blobs/sha256:" + "b" * 64, f"/v2/{NAME}/blobs/x"),
            *(f"/v2/{NAME}/tags/list", f"/v2/{NAME}/tags/list?n=1", f"/v2/{NAME}/tags/list?n=1&last=1.0"),
            *(f"/v2/{NAME}/tags/list?n=x", f"/v2/{NAME}/referrers/{self.digest}"),
            f"/v2/{NAME}/referrers/{self.digest}?artifactType=a/b",
        ]

    def lines(self) -> list[tuple[str, ...]]:
        """Return headers."""
        return [
            (),
            (f"Accept: {DOCKER_MANIFEST}",),
            ("Accept: application/vnd.oci.image.index.v1+json, */*", "User-Agent: y", "Referer: z?secret"),
            (f'If-None-Match: "{self.digest}"',),
            ("If-None-Match: *", "Connection: close"),
            ("User-Agent: docker/1.9.1 go/go1.4",),
            ("User-Agent: docker/1.12.6 go/go1.6", "User-Agent: y"),
        ]

    def test_each(self) -> None:
        """Each question is answered alike the first time, from what was kept, and after it has grown old."""
        for lines in self.lines():
            for target in self.targets():
                for method in ("GET", "HEAD"):
                    request = ask(target, method, *lines)
                    for _ in range(3):
                        self.assert_same(request)
                    self.clock.advance(7)

    def test_each_inline(self) -> None:
        """Likewise where the endpoint sends manifests itself, lists repositories, and serves the files."""
        self.sides.stop()
        self.sides = Sides(self.store, self.clock, cdn=OwnTree(None), inline=True, browse=True)
        for lines in self.lines():
            for target in self.targets():
                for method in ("GET", "HEAD"):
                    for _ in range(2):
                        self.assert_same(ask(target, method, *lines))

    def test_kept(self) -> None:
        """What was asked once is answered without the pure decision, until it is too old."""
        request = ask(f"/v2/{NAME}/manifests/1.0")
        self.assert_same(request)
        talk = self.sides.fast.connect()
        talk.receive(request)
        self.sides.fast.root.children.clear()  # whatever Twisted Web would say now
        self.sides.fast.root.getChild = lambda path, request: self.fail("not the fast way")  # type: ignore[method-assign]
        talk.receive(request)
        self.assertEqual(talk.sent().count(b"HTTP/1.1 307 "), 2)
        talk.lose()

    def test_large(self) -> None:
        """A long list of tags is the same, behind others and as the last answer, too."""
        for at in range(700):
            self.store.publish("acme/many", f"{at:0128}", document=False, listed=False)
        self.store.publish("acme/many", "last")
        for method in ("GET", "HEAD"):
            request = ask("/v2/acme/many/tags/list", method)
            last = ask("/v2/acme/many/tags/list", method, "Connection: close")
            for pieces in ([request], [request + request], [ask(), request, ask()], [last, ask()]):
                answer = self.assert_same(*pieces)
                self.assertEqual(len(answer) > LARGE, method == "GET")

    def test_long_errors(self) -> None:
        """An error whose detail is long has the id of its request, which is no secret of the endpoint's."""
        self.sides.stop()
        self.sides = Sides(self.store, self.clock, limits=Limits(line_bytes=65536, head_bytes=131072))
        for target in (f"manifests/{'a' * 65_400}", "blobs/" + '"' * 40_000):
            request = ask(f"/v2/{NAME}/{target}")
            self.assertGreater(len(self.assert_same(request)), LARGE)
            for face in self.sides.both():
                talk = face.connect()
                talk.receive(request)
                ids = re.findall(rb'(?:X-Request-Id: |"requestId":")([0-9a-f]{16})', talk.transport.value())
                self.assertEqual((len(ids), len(set(ids))), (2, 1))
                talk.lose()

    def test_host_decides(self) -> None:
        """Where the files are below the request's own Host, two hosts never share an answer."""
        self.sides.stop()
        self.sides = Sides(self.store, self.clock, cdn=OwnTree(None))
        for host in ("a.example.com", "b.example.com:5000", "a.example.com", "-", ""):
            request = f"GET /v2/{NAME}/blobs/{self.digest} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            answer = self.assert_same(request)
            self.assertEqual(f"Location: http://{host}/tree/".encode() in answer, "example" in host)


class StreamTests(SameCase):
    """Any bytes, in any pieces."""

    def setUp(self) -> None:
        """Allow little."""
        super().setUp()
        self.again(SMALL)

    def again(self, limits: Limits) -> None:
        """Start anew."""
        self.sides.stop()
        self.sides = Sides(self.store, self.clock, limits=limits, trusted=TRUSTED)

    def test_pipelined(self) -> None:
        """Requests behind one another, some of them not plain, are answered in order."""
        self.assert_same(
            ask(f"/v2/{NAME}/manifests/1.0")
            + b"\r\n"
            + ask("/v1/_ping")
            + ask("/v2/", "HEAD")
            + b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
            + ask("/v2/", "GET", "Connection: close")
            + ask("/v2/")
        )

    def test_turns(self) -> None:
        """Many requests at once are answered a few at a time, and the client is read on."""
        self.again(Limits(head_bytes=600, line_bytes=300))
        pieces = ask() * (3 * AT_A_TURN)
        talks = []
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(pieces)
            self.assertEqual(talk.sent().count(b"HTTP/1.1 200 "), AT_A_TURN)
            self.assertEqual(talk.transport.producerState, "paused")
            talks.append(talk)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(talks[0].sent(), talks[1].sent())
        for talk in talks:
            self.assertEqual(talk.transport.producerState, "producing")
            talk.lose()

    def test_client_that_does_not_read(self) -> None:
        """Nothing is answered while what was sent before has not left."""
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask())
            talk.transport.producer.pauseProducing()  # type: ignore[union-attr]
            talk.receive(ask())
            talk.receive(ask())
            self.assertEqual(talk.sent().count(b"HTTP/1.1 200 "), 1)
            talk.transport.producer.resumeProducing()  # type: ignore[union-attr]
            self.assertEqual(talk.sent().count(b"HTTP/1.1 200 "), 3)
            talk.lose()

    def test_draining(self) -> None:
        """A request that was coming when the endpoint began to drain has the last answer."""
        sent = []
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask()[:10])
            face.connections.drain(10)
            talk.receive(ask()[10:])
            sent.append(talk.sent())
            self.assertTrue(talk.transport.disconnecting)
            talk.lose()
        self.assertEqual(sent[0], sent[1])
        self.assertIn(b"Connection: close", sent[0])

    def test_clocks(self) -> None:
        """A connection ends as long after its last answer as without the fast way."""
        for face in self.sides.both():
            talk = face.connect()
            for _ in range(2):
                talk.receive(ask())
                self.clock.advance(SMALL.idle_seconds - 0.1)
                self.assertFalse(talk.transport.disconnecting)
            self.clock.advance(0.2)
            self.assertTrue(talk.transport.disconnecting)
            talk.lose()

    def test_logged_first(self) -> None:
        """Who has an answer finds its line in the access log."""
        for face in self.sides.both():
            talk = face.connect()
            seen: list[bytes] = []
            face.write = lambda access, talk=talk, seen=seen: seen.append(talk.transport.value())  # type: ignore[method-assign,misc]
            for _ in range(2):
                talk.transport.clear()
                talk.receive(ask())
                self.assertIn(b"HTTP/1.1 200 ", talk.sent())
            talk.lose()
            if face is self.sides.fast:
                self.assertEqual(seen, [b"", b""])

    def test_room(self) -> None:
        """Who waits longest for a next request makes room for a new connection."""
        self.again(Limits(connections=2))
        for face in self.sides.both():
            first, second = face.connect(), face.connect()
            for talk in (first, second, first):
                talk.receive(ask())
                self.clock.advance(5)
            third = face.connect()
            self.assertEqual((first.transport.disconnecting, second.transport.disconnecting), (False, True))
            third.receive(ask())
            self.assertIn(b"HTTP/1.1 200 ", third.sent())
            for talk in (first, second, third):
                talk.lose()

    def test_dribble(self) -> None:
        """A plain request that dribbles in has no more time than any other."""
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask())
            for byte in ask()[:-1]:
                talk.receive(bytes([byte]))
                self.clock.advance(1)
            self.assertIn(b"HTTP/1.1 408 ", talk.sent())
            talk.lose()

    @settings(max_examples=250, deadline=None)
    @given(st.data())
    def test_any_stream(self, data: st.DataObject) -> None:
        """Streams of plain requests, others, attacks and rubbish are answered alike, however they are cut."""
        plain = [
            *(ask(), ask("/v2/", "HEAD"), ask(f"/v2/{NAME}/manifests/1.0", "GET", "Accept: a/b"), ask("/v2/?n=x")),
            *(ask(f"/v2/{NAME}/blobs/{self.digest}"), ask("/v2/no/such/tags/list"), ask("/v2/", "GET", "Cookie: a=b")),
            *(
                ask("/v2/", "GET", "Connection: close"),
                ask("/v2/", "GET", "Content-Length: 2") + b"ab",
                ask("/v2/" * 90),
            ),
            *(ask("/v2/", "GET", "X-Forwarded-For: 1.2.3.4"), ask("/v2/", "GET", "X-Request-Id: given")),
        ]
        piece = st.one_of(
            st.sampled_from(plain), st.sampled_from(plain[:4]), st.sampled_from(PIECES), st.binary(max_size=6)
        )
        stream = b"".join(data.draw(st.lists(piece, max_size=10)))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        edges = [0, *cuts, len(stream)]
        pieces = [stream[start:end] for start, end in pairwise(edges) if start < end]
        self.assert_same(*pieces, peer=data.draw(st.sampled_from(["192.0.2.7", "10.0.0.1"])))
        self.assertEqual(self.flushLoggedErrors(), [])


class LateTests(SameCase):
    """While the store takes its time."""

    def setUp(self) -> None:
        """Have looks wait from now on."""
        super().setUp()
        self.sides.stop()
        self.source = LateSource(self.store)
        self.sides = Sides(self.store, self.clock, limits=SMALL, source=self.source)
        self.source.late = True
        self.target = f"/v2/{NAME}/manifests/1.0"

    def land(self) -> None:
        """Let all looks end."""
        while self.source.release():
            pass

    def test_herd(self) -> None:
        """All who ask for the same while it is looked at are answered once it has been, and counted and logged."""
        for target in (self.target, "/v2/no/such/manifests/1", f"/v2/{NAME}/manifests/9"):
            sent = []
            for face in self.sides.both():
                talks = [face.connect() for _ in range(4)]
                for talk in talks:
                    talk.receive(ask(target))
                    self.assertEqual((talk.sent(), face.connections.waiting()), (b"", 0))
                self.land()
                self.assertEqual(face.connections.waiting(), 4)
                sent.append([talk.sent() for talk in talks])
                for talk in talks:
                    talk.lose()
            self.assertEqual(sent[0], sent[1])
            self.assertEqual(len(set(sent[0])), 1)
            self.assertEqual(sent[0][0].count(b"HTTP/1.1 "), 1)
        self.assertEqual(self.sides.fast.counted, self.sides.slow.counted)

    def test_one_after_another(self) -> None:
        """What comes behind a request that waits is answered after it, plain or not."""
        behind = [ask(), b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", ask("/v1/_ping"), ask()]
        for pieces in ([ask(self.target) + b"".join(behind)], [ask(self.target), *behind]):
            self.tearDown()
            self.setUp()
            sent = []
            for face in self.sides.both():
                talk = face.connect()
                talk.receive(*pieces)
                self.assertEqual(talk.sent(), b"")
                self.land()
                sent.append(talk.sent())
                talk.lose()
            self.assertEqual(sent[0], sent[1])
            self.assertEqual(sent[0].count(b"HTTP/1.1 "), 5)

    def test_too_much_behind(self) -> None:
        """A client that goes on sending is read no more until it is answered."""
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask(self.target), *[ask()] * 40)
            self.assertEqual(talk.transport.producerState, "paused")
            self.land()
            self.clock.advance(0)
            self.assertEqual(talk.sent().count(b"HTTP/1.1 "), SMALL.requests)
            talk.lose()

    def test_leaving(self) -> None:
        """A client that leaves is forgotten, and those who wait with it are answered."""
        for face in self.sides.both():
            first, second = face.connect(), face.connect()
            for talk in (first, second):
                talk.receive(ask(self.target))
            first.lose()
            self.land()
            self.assertEqual(first.sent(), b"")
            self.assertIn(b" 307 ", second.sent())
            second.lose()
            self.assertEqual((face.connections.open(), face.connections.waiting()), (0, 0))
        self.assertEqual(self.sides.fast.counted, self.sides.slow.counted)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_clocks(self) -> None:
        """However long a look takes, the connection stays; then it may be idle for as long as any."""
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask(self.target))
            self.clock.advance(10 * SMALL.idle_seconds + SMALL.request_seconds)
            self.assertFalse(talk.transport.disconnecting)
            self.land()
            self.assertIn(b" 307 ", talk.sent())
            self.clock.advance(SMALL.idle_seconds - 0.1)
            self.assertFalse(talk.transport.disconnecting)
            self.clock.advance(0.2)
            self.assertTrue(talk.transport.disconnecting)
            talk.lose()

    def test_no_room(self) -> None:
        """Who waits for an answer makes no room for others."""
        self.sides.stop()
        self.source.late = False
        self.sides = Sides(self.store, self.clock, limits=Limits(connections=1), source=self.source)
        self.source.late = True
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask())
            talk.receive(ask(self.target))
            self.assertFalse(face.connections.admits())
            self.land()
            self.assertIn(b" 307 ", talk.sent())
            self.assertTrue(face.connections.admits())
            talk.lose()

    def test_draining(self) -> None:
        """A request that waits when the endpoint begins to drain has the last answer."""
        sent = []
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask(self.target))
            face.connections.drain(10)
            self.assertFalse(talk.transport.disconnecting)
            self.land()
            self.assertTrue(talk.transport.disconnecting)
            sent.append(talk.sent())
            talk.lose()
        self.assertEqual(*(sorted(one.split(b"\r\n")) for one in sent))  # Twisted's `Connection` comes a line later
        self.assertIn(b"Connection: close", sent[0])

    def test_client_that_does_not_read(self) -> None:
        """Nothing more is answered while the answer to a look has not left."""
        for face in self.sides.both():
            talk = face.connect()
            talk.receive(ask(self.target))
            talk.transport.producer.pauseProducing()  # type: ignore[union-attr]
            self.land()
            talk.receive(ask())
            self.assertEqual(talk.sent().count(b"HTTP/1.1 "), 1)
            self.clock.advance(SMALL.idle_seconds + 1)
            self.assertFalse(talk.transport.disconnecting)
            talk.transport.producer.resumeProducing()  # type: ignore[union-attr]
            self.assertEqual(talk.sent().count(b"HTTP/1.1 "), 2)
            talk.lose()

    def test_fault(self) -> None:
        """A fault that nobody foresaw ends the connection, and is logged."""
        talk = self.sides.fast.connect()
        talk.receive(ask(self.target))
        self.patch(FastChannel, "_send", lambda *_: 1 / 0)
        self.land()
        self.assertTrue(talk.transport.disconnected or talk.transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        talk.lose()

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_any_history(self, data: st.DataObject) -> None:
        """Whatever changes while questions wait, in whatever order they come, each has the same answer."""
        self.tearDown()
        self.setUp()
        names, tags = ("acme/app", "acme/other"), ("1.0", "9")
        talks: list[tuple[Talk, Talk]] = []

        def compare() -> None:
            for fast, slow in talks:
                self.assertEqual(fast.sent(), slow.sent())
                self.assertEqual(fast.transport.disconnecting, slow.transport.disconnecting)

        for _ in range(data.draw(st.integers(1, 25))):
            name, tag = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(tags))
            match data.draw(
                st.sampled_from(
                    ["ask", "ask", "ask", "again", "land", "publish", "remove", "poll", "wait", "down", "up"]
                )
            ):
                case "publish":
                    self.store.publish(name, tag, data.draw(st.sampled_from([None, b'{"schemaVersion":2}'])))
                case "remove" if name in self.store._repositories:
                    self.store.remove(name)
                case "poll":
                    self.source.late = False
                    for polled in self.sides.polled:
                        polled.run_poll()
                    self.source.late = True
                case "wait":
                    self.clock.advance(data.draw(st.sampled_from([0.5, 4.9, 5.0, 31, 151])))
                case "down":
                    self.store.down = Reply(503)
                case "up":
                    self.store.down = None
                case "land":
                    self.source.release()
                case "again" if talks:
                    for talk in data.draw(st.sampled_from(talks)):
                        talk.receive(ask(f"/v2/{name}/manifests/{tag}", "HEAD"))
                case _:
                    kind = data.draw(st.sampled_from([f"manifests/{tag}", f"manifests/{self.digest}", "tags/list"]))
                    asked = ask(f"/v2/{name}/{kind}", data.draw(st.sampled_from(["GET", "HEAD"])))
                    talks.append((self.sides.fast.connect(), self.sides.slow.connect()))
                    for talk in talks[-1]:
                        talk.receive(asked)
            compare()
        self.land()
        compare()
        self.assertEqual(Counter(self.sides.fast.counted), Counter(self.sides.slow.counted))
        for pair in talks:
            for talk in pair:
                talk.lose()
        for face in self.sides.both():
            self.assertEqual((face.connections.open(), face.connections.waiting()), (0, 0))
        self.assertEqual(self.flushLoggedErrors(), [])


class V1LateTests(SameCase):
    """While a look at the images of protocol v1 takes its time."""

    def setUp(self) -> None:
        """Have a place for such images, and nothing in it."""
        super().setUp()
        self.places = [MemorySource({}), MemorySource({})]
        for face, polled, place in zip(self.sides.both(), self.sides.polled, self.places, strict=True):
            v1 = V1Catalog(place, None, self.clock, 30.0, at_once)
            face.questions.knowledge = Knowledge(polled.catalog, v1)
            place.held = []

    def test_published_meanwhile(self) -> None:
        """What is published meanwhile is seen by those who ask then, and not when that look has ended."""
        for target, line in (("one/tags/list", "A: b"), ("two/manifests/1.0", f"Accept: {DOCKER_MANIFEST}")):
            request = ask(f"/v2/new/{target}", "GET", line)
            talks = []
            for seconds in (1, 6, 1):
                talks.append([face.connect() for face in self.sides.both()])
                for talk in talks[-1]:
                    talk.receive(request)
                self.clock.advance(seconds)
                if seconds == 6:
                    self.store.publish(f"new/{target.partition('/')[0]}", "1.0", listed=False)
            for fast, slow in talks:
                self.assertEqual(fast.sent(), slow.sent())
            self.assertEqual(b" 200 OK" in talks[2][0].sent(), target == "one/tags/list")
            for place in self.places * 5:  # one look after another
                place.held, held = [], place.held
                for look in held or ():
                    look.callback(None)
            for fast, slow in talks:
                self.assertEqual(fast.sent(), slow.sent())
                self.assertIn(b"HTTP/1.1 ", fast.sent())


class ChangeTests(SameCase):
    """While the store changes."""

    def test_moved(self) -> None:
        """A tag that moves, one that is new, and a repository that goes are seen at the same moment."""
        targets = [
            f"/v2/{NAME}/manifests/1.0",
            f"/v2/{NAME}/manifests/9",
            "/v2/new/app/manifests/1",
            "/v2/new/app/tags/list",
        ]
        changes = [
            lambda: self.store.publish(NAME, "1.0", b'{"schemaVersion":2,"manifests":[]}'),
            lambda: self.store.publish(NAME, "9"),
            lambda: self.store.publish("new/app", "1"),
            lambda: self.store.remove(NAME),
            lambda: setattr(self.store, "down", Reply(503)),
            lambda: setattr(self.store, "down", None),
            lambda: self.store.objects.clear(),
        ]
        seen = set()
        for change in changes:
            change()
            for _ in range(5):
                for target in targets:
                    seen.add(self.assert_same(ask(target)))
                self.clock.advance(2)
            for polled in self.sides.polled:
                polled.run_poll()
            for target in targets:
                seen.add(self.assert_same(ask(target)))
        self.assertGreater(len(seen), 8)

    def test_learnt_by_another_question(self) -> None:
        """What one question finds out of a repository, others about it are answered by at once."""
        moved = b'{"schemaVersion":2,"manifests":[]}'
        before = self.assert_same(ask(f"/v2/{NAME}/manifests/1.0"))
        self.store.publish(NAME, "1.0", moved, listed=False)
        self.store.publish(NAME, "3.0", listed=False)
        self.assertEqual(self.assert_same(ask(f"/v2/{NAME}/manifests/1.0")), before)
        self.assertIn(b" 307 ", self.assert_same(ask(f"/v2/{NAME}/manifests/3.0")))
        self.assertIn(str(Digest.of(moved)).encode(), self.assert_same(ask(f"/v2/{NAME}/manifests/1.0")))

    def test_absent_for_a_moment(self) -> None:
        """Blobs of a repository that was not there are to be had once anything of it is found."""
        blob = ask(f"/v2/new/app/blobs/{self.digest}")
        self.assertIn(b" 404 ", self.assert_same(ask("/v2/new/app/manifests/1")))
        self.assertIn(b" 404 ", self.assert_same(blob))
        self.store.publish("new/app", "2", listed=False, document=False)
        self.assertIn(b" 404 ", self.assert_same(blob))
        self.assertIn(b" 307 ", self.assert_same(ask("/v2/new/app/manifests/2")))
        self.assertIn(b" 307 ", self.assert_same(blob))

    def test_lists_that_lag(self) -> None:
        """A document that the lists do not know of yet is trusted for one poll only."""
        self.store.publish("new/app", "1", listed=False)
        self.assert_same(ask("/v2/new/app/manifests/1"))
        moved = self.store.publish("new/app", "1", b'{"schemaVersion":2,"manifests":[]}', listed=False)
        self.clock.advance(29)
        self.assertNotIn(str(moved).encode(), self.assert_same(ask("/v2/new/app/manifests/1")))
        self.clock.advance(2)
        self.assertIn(str(moved).encode(), self.assert_same(ask("/v2/new/app/manifests/1")))

    def test_new_rules(self) -> None:
        """What an operator changes holds from the next question on."""
        request = ask(f"/v2/{NAME}/manifests/1.0")
        for _ in range(3):
            self.assert_same(request)
        for face in self.sides.both():
            face.questions.rules = Rules(RemoteCDN("https://other.example.com"))
        self.assertIn(b"Location: https://other.example.com/", self.assert_same(request))

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_history(self, data: st.DataObject) -> None:
        """Whatever is published, removed, polled and waited for, both say the same at each moment."""
        self.tearDown()
        self.setUp()
        names = ("acme/app", "acme/other")
        tags = ("1", "2")
        for _ in range(data.draw(st.integers(1, 25))):
            name, tag = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(tags))
            match data.draw(
                st.sampled_from(["ask", "ask", "ask", "publish", "bare", "remove", "poll", "wait", "down", "up"])
            ):
                case "publish":
                    self.store.publish(
                        name, tag, data.draw(st.sampled_from([None, b'{"schemaVersion":2,"manifests":[]}']))
                    )
                case "bare":
                    self.store.publish(name, tag, document=False, listed=False)
                case "remove" if name in self.store._repositories:
                    self.store.remove(name)
                case "poll":
                    for polled in self.sides.polled:
                        polled.run_poll()
                case "wait":
                    self.clock.advance(data.draw(st.sampled_from([0.5, 4.9, 5.0, 29.9, 31, 151])))
                case "down":
                    self.store.down = Reply(503)
                case "up":
                    self.store.down = None
                case _:
                    kind = data.draw(st.sampled_from([f"manifests/{tag}", f"manifests/{self.digest}", "tags/list",
                                                      f"blobs/{self.digest}", f"referrers/{self.digest}"]))  # fmt: skip
                    self.assert_same(ask(f"/v2/{name}/{kind}", data.draw(st.sampled_from(["GET", "HEAD"]))))
