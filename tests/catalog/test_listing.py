"""Tests of listing a store over HTTP: the forms, their pages, and finding out which it is."""

from hypothesis import given
from hypothesis import strategies as st
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.http_listing import CANNOT_SECONDS, PAGES
from sdr.catalog.http_source import HTTPSource
from sdr.catalog.listing_forms import Form, S3Form, SwiftForm, forms
from sdr.catalog.sources import CannotList, FetchFailed, Listed
from tests.catalog.polled import texts
from tests.catalog.v1_stores import S3Face, StoreFace, SwiftFace

HOST = "http://store.example.com"
PREFIX = "repositories/a/b%2Fc/tag_"
TAGS = ["0.9", "1.0", "1.1", "2.0", "latest"]


def objects(root: str = "") -> dict[str, bytes]:
    """Return a repository with five tags, and what else stands beside them."""
    found = {f"{root}{PREFIX}{tag}": tag.encode() for tag in TAGS}
    others = (
        "repositories/a/b%2Fc/taglatest_json",
        "repositories/a/b%2Fc/json",
        f"{PREFIX}x/y",
        "repositories/a/d/tag_z",
    )
    return found | {f"{root}{key}": b"x" for key in others}


class ListingTests(SynchronousTestCase):
    """Listings in memory, over HTTP."""

    def setUp(self) -> None:
        """Make a clock."""
        self.clock = Clock()

    def source(self, face: StoreFace, path: str) -> HTTPSource:
        """Return a store as a source."""
        return HTTPSource(f"{HOST}{path}", RequestTraversalAgent(face), self.clock)

    def list(self, source: HTTPSource, prefix: str = PREFIX) -> Deferred[list[str]]:
        """List, and return the names."""

        async def names() -> list[str]:
            return [listed.name for listed in await source.list(prefix, seconds=5.0)]

        return Deferred.fromCoroutine(names())

    def test_swift(self) -> None:
        """A Swift container is listed to its last page, with and without a root."""
        for root in ("", "registry/", "a/b/"):
            face = SwiftFace(objects(root), "/v1/AUTH_x/images")
            source = self.source(face, f"/v1/AUTH_x/images/{root}".rstrip("/"))
            self.assertEqual(self.successResultOf(self.list(source)), TAGS)
            before = len(face.asked)
            self.assertEqual(self.successResultOf(self.list(source)), TAGS)
            self.assertEqual(len(face.asked) - before, 4, "the form is known: three pages and an empty one")
            self.assertTrue(all("/v1/AUTH_x/images?" in target for target in face.asked[before:]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_s3(self) -> None:
        """A bucket is listed to its last page: by path and by host, with and without a root."""
        for container, root in (("/bucket", ""), ("/bucket", "registry/"), ("", ""), ("", "registry/"), ("/a/b", "c/")):
            face = S3Face(objects(root), container)
            source = self.source(face, f"{container}/{root}".rstrip("/"))
            self.assertEqual(self.successResultOf(self.list(source)), TAGS)
            before = len(face.asked)
            self.assertEqual(self.successResultOf(self.list(source)), TAGS)
            self.assertEqual(len(face.asked) - before, 3)

    def test_nothing_there(self) -> None:
        """A listing without anything in it is a listing, and an account's is none."""
        for face in (SwiftFace({}, "/v1/AUTH_x/images"), S3Face({}, "/v1/AUTH_x/images")):
            self.assertEqual(self.successResultOf(self.list(self.source(face, "/v1/AUTH_x/images/registry"))), [])

    def test_validators(self) -> None:
        """An object that changes has another validator."""
        for kind in (SwiftFace, S3Face):
            face = kind(objects(), "/bucket")
            source = self.source(face, "/bucket")

            def first(source: HTTPSource = source) -> Listed:
                return self.successResultOf(Deferred.fromCoroutine(source.list(PREFIX, seconds=5.0)))[0]

            before = first()
            self.assertEqual(first(), before)
            face.objects[f"{PREFIX}0.9"] = b"changed"
            self.assertNotEqual(first(), before)

    def test_cannot(self) -> None:
        """A store that does not list says so once, and is asked again after a while."""
        face = StoreFace(objects(), "/files")
        source = self.source(face, "/files/registry")
        with capturedLogs() as captured:
            for _ in range(3):
                self.failureResultOf(self.list(source), CannotList)
        asked = len(face.asked)
        self.assertEqual(asked, 6, "two forms at three places, once")
        (said,) = texts(captured)
        self.assertIn("http://store.example.com/files/registry does not list", said)
        self.assertIn("--v1-store", said)
        self.clock.advance(CANNOT_SECONDS)
        self.failureResultOf(self.list(source), CannotList)
        self.assertEqual(len(face.asked), 2 * asked)

    def test_forbidden(self) -> None:
        """A store that forbids listing cannot be listed; one that is down may be, later."""
        face = S3Face(objects(), "/bucket")
        source = self.source(face, "/bucket")
        face.status = 503
        self.failureResultOf(self.list(source), FetchFailed)
        face.status = 403
        self.failureResultOf(self.list(source), CannotList)
        self.clock.advance(CANNOT_SECONDS)
        face.status = None
        self.assertEqual(self.successResultOf(self.list(source)), TAGS)
        face.status = 429
        self.failureResultOf(self.list(source), FetchFailed)
        face.status = 403
        self.failureResultOf(self.list(source), CannotList)

    def test_page_missing(self) -> None:
        """Half a listing is none."""

        class Ending(S3Face):
            def listing(self, parameters: dict[str, str]) -> bytes | None:
                return b"<html>" if "continuation-token" in parameters else super().listing(parameters)

        failure = self.failureResultOf(self.list(self.source(Ending(objects(), "/b"), "/b")), FetchFailed)
        self.assertIn("missing", str(failure.value))

    def test_endless(self) -> None:
        """A listing that goes on for ever, or round in a circle, is given up."""

        class Endless(SwiftFace):
            def listing(self, parameters: dict[str, str]) -> bytes | None:
                number = int(parameters.get("marker", "x0")[1:]) + 1
                return b'[{"name": "x%d", "hash": "0"}]' % number

        class Circle(SwiftFace):
            def listing(self, parameters: dict[str, str]) -> bytes | None:
                return b'[{"name": "x", "hash": "0"}]'

        endless, circle = Endless({}, "/c"), Circle({}, "/c")
        self.failureResultOf(self.list(self.source(endless, "/c")), FetchFailed)
        self.assertEqual(len(endless.asked), PAGES + 1)
        self.failureResultOf(self.list(self.source(circle, "/c")), FetchFailed)
        self.assertEqual(len(circle.asked), 2)


class FormTests(SynchronousTestCase):
    """The forms themselves."""

    def test_places(self) -> None:
        """The longest container comes first, and the root is what follows it, unquoted."""
        got = [(form.url("", None).partition("?")[0], form.root) for form in forms(f"{HOST}/a/b%20c")]
        self.assertEqual(got[::2], got[1::2])
        self.assertEqual(got[::2], [(f"{HOST}/a/b%20c", ""), (f"{HOST}/a", "b c/"), (f"{HOST}/", "a/b c/")])

    def test_what_is_none(self) -> None:
        """An error page, a Swift account and the other form's listing are no listings."""
        account = b'[{"name": "images", "count": 1, "bytes": 2}]'
        for body in (b"", b"{}", b"<html>", b"[1]", account, b'[{"name": 1}]', b"[" * 100_000, b"<a/>", b"\xff"):
            self.assertIsNone(SwiftForm(HOST, "").read(body), body[:40])
            self.assertIsNone(S3Form(HOST, "").read(body), body[:40])

    @given(
        st.binary()
        | st.recursive(st.text() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
        .map(str)
        .map(str.encode)
    )
    def test_never_raises(self, body: bytes) -> None:
        """Whatever a store sends is a page or none."""
        each: list[Form] = [SwiftForm(HOST, ""), S3Form(HOST, "")]
        for form in each:
            form.read(body)

    def test_quoted(self) -> None:
        """What a key or a token has of signs is quoted."""
        self.assertIn("prefix=a%2Fb%252Fc%2Ftag_&", SwiftForm(HOST, "").url("a/b%2Fc/tag_", None))
        self.assertIn("continuation-token=1%2B%2F%3D%3D", S3Form(HOST, "").url("a", "1+/=="))
