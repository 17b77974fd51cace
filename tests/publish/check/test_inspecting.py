"""Tests of reading objects through a CDN that spoils them."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.findings import Checked, Fault
from sdr.publish.check.reading import NOT_FOUND, OK, Reply
from sdr.registry.media_types import JSON
from sdr.stores.interface import StoreError
from tests.publish.checked import NAME, Change, MemoryCDN, check, new_store, with_headers

TAG = f"v2/{NAME}/manifests/1.0"
TAGS = f"v2/{NAME}/tags/list"


class InspectionTests(SynchronousTestCase):
    """One object that a CDN serves otherwise than it should."""

    def setUp(self) -> None:
        """Make the store, and pick an object of each kind."""
        self.store = new_store()
        self.manifest = f"v2/{NAME}/manifests/{json.loads(self.store.objects[TAG][0])['manifests'][0]['digest']}"
        layers = json.loads(self.store.objects[self.manifest][0])["layers"]
        self.layer = f"blobs/{layers[0]['digest'].replace(':', '/')}"

    def checked(self, change: Change, *, deep: bool = False) -> Checked:
        """Check through a CDN."""
        return check(self.store, MemoryCDN(self.store, change), deep=deep)

    def assert_found(self, key: str, fault: Fault, change: Change, *, deep: bool = False, words: str = "") -> None:
        """Require that a change of the answers for one object is found, and nothing else is."""

        def only(method: str, asked: str, reply: Reply) -> Reply:
            return change(method, asked, reply) if asked == key else reply

        found = self.checked(only, deep=deep).findings
        self.assertEqual([(finding.key, finding.fault) for finding in found], [(key, fault)])
        self.assertIn(words, str(found[0]))

    def test_nothing_is_wrong(self) -> None:
        """A CDN that serves the tree is found to be well; HEAD, GET, and of blobs two parts are asked for."""
        cdn = MemoryCDN(self.store)
        checked = check(self.store, cdn)
        self.assertEqual((checked.findings, checked.objects), ((), len(self.store.objects)))
        for key in self.store.objects:
            expected = ["GET", "HEAD", *(["PART", "PART"] if key.startswith("blobs/") else [])]
            asked = sorted(method for method, about in cdn.asked if about == key)
            # The list of lists is what tells whether the CDN is there at all.
            self.assertEqual(asked, [*expected, *(["HEAD"] if key == "v2/_repositories.json" else [])])
        self.assertEqual(check(self.store, cdn, deep=True).findings, ())

    def test_each_header(self) -> None:
        """Each header is compared, for each kind of object."""
        for key, (fault, changes) in itertools.product(
            (TAG, self.manifest, self.layer, TAGS),
            {
                Fault.TYPE: {"content_type": "text/html"},
                Fault.CACHING: {"cache_control": "max-age=3600"},
                Fault.ENCODING: {"content_encoding": "gzip"},
            }.items(),
        ):
            self.assert_found(key, fault, lambda method, _, reply, changes=changes: with_headers(reply, **changes))  # type: ignore[misc]
            self.assert_found(
                key,
                Fault.CACHING,
                lambda method, _, reply: with_headers(reply, cache_control=None),
                words="Cache-Control: none where",
            )

    def test_charset(self) -> None:
        """A charset is a fault, though docker, podman and containerd do not mind."""
        self.assert_found(
            TAG,
            Fault.TYPE,
            lambda method, _, reply: with_headers(
                reply, content_type=f"{reply.served.content_type if reply.served else ''}; charset=utf-8"
            ),
            words="containerd pulls it",
        )

    def test_blobs_only(self) -> None:
        """A CDN that takes all that is no blob for JSON is told so once for each object."""

        def typed(method: str, key: str, reply: Reply) -> Reply:
            return reply if key.startswith("blobs/") else with_headers(reply, content_type=JSON)

        found = self.checked(typed).findings
        wrong = {key for key, (_, headers, _) in self.store.objects.items() if headers.content_type != JSON}
        self.assertEqual(
            [(finding.key, finding.fault) for finding in found],
            [(key, Fault.TYPE) for key in sorted(wrong) if not key.startswith("blobs/")],
        )

    def test_compressed_under_way(self) -> None:
        """A CDN that compresses for clients that can take it is found, and its other lengths are no second fault."""

        def compressed(method: str, key: str, reply: Reply) -> Reply:
            if method != "GET":
                return reply
            return replace(with_headers(reply, content_encoding="gzip"), length=None, pieces=iter([b"short"]))

        for key in (TAG, self.layer, TAGS):
            self.assert_found(key, Fault.ENCODING, compressed, deep=True)

    def test_missing(self) -> None:
        """What the CDN has not, or does not give, is missing there."""
        for key, status in itertools.product((TAG, self.manifest, self.layer, TAGS), (404, 403, 410)):
            self.assert_found(key, Fault.MISSING, lambda method, _, reply, status=status: replace(reply, status=status))  # type: ignore[misc]

    def test_missing_in_the_store(self) -> None:
        """A blob that only the CDN still has is missing."""
        cdn = MemoryCDN(new_store())
        self.store.delete(self.layer)
        (finding,) = check(self.store, cdn).findings
        self.assertEqual((finding.key, finding.fault), (self.layer, Fault.MISSING))
        self.assertIn("not in memory", str(finding))

    def test_not_well(self) -> None:
        """An object that the CDN cannot read is that object's fault."""
        for key in (TAG, self.layer):
            self.assert_found(key, Fault.UNREADABLE, lambda method, _, reply: replace(reply, status=500), words="500")

    def test_lengths(self) -> None:
        """A length that is wrong, or not told, is found."""
        for key, length in itertools.product((TAG, self.layer, TAGS), (None, 1)):
            self.assert_found(
                key,
                Fault.LENGTH,
                lambda method, _, reply, length=length: reply if method == "PART" else replace(reply, length=length),  # type: ignore[misc]
            )

    def test_other_bytes(self) -> None:
        """Other bytes of a manifest are found at once; of a tag and a document they may be an old copy."""

        def other(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, pieces=iter([b"x" * (reply.length or 0)])) if method == "GET" else reply

        self.assert_found(self.manifest, Fault.DIGEST, other)
        self.assert_found(TAG, Fault.STALE, other, words="a copy may be as old as its Cache-Control says")
        self.assert_found(TAGS, Fault.STALE, other)
        self.assert_found(self.layer, Fault.DIGEST, other, deep=True)

    def test_other_bytes_of_a_part(self) -> None:
        """Where a part of a blob differs from the store's, the blob need not be read whole to see it."""

        def other(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, pieces=iter([b"x" * (reply.length or 0)])) if method == "PART" else reply

        self.assert_found(self.layer, Fault.DIGEST, other)

    def test_ranges(self) -> None:
        """A CDN that does not send the part that was asked for is found."""
        whole = self.store.objects[self.layer][0]
        for wrong in (
            {"status": OK, "content_range": None},
            {"status": 416},
            {"content_range": None},
            {"content_range": f"bytes 1-64/{len(whole)}"},
            {"content_range": f"bytes {len(whole) // 2}-{len(whole)}/{len(whole)}"},
            {"pieces": ()},
        ):
            self.assert_found(
                self.layer,
                Fault.RANGE,
                lambda method, _, reply, wrong=wrong: replace(reply, **wrong) if method == "PART" else reply,  # type: ignore[misc]
                words="podman cannot go on with a lost download",
            )

    def test_length_in_a_range(self) -> None:
        """The length of the whole is compared where a part names it; a CDN may leave it out."""

        def of(length: str) -> Change:
            def change(method: str, key: str, reply: Reply) -> Reply:
                told = (reply.content_range or "").partition("/")[0]
                return replace(reply, content_range=f"{told}/{length}") if method == "PART" else reply

            return change

        self.assert_found(self.layer, Fault.RANGE, of("12"))
        self.assertEqual(self.checked(of("*")).findings, ())

    def test_head(self) -> None:
        """HEAD that is refused where GET is not is found; that it is no method at all harms nobody."""
        for key, status in itertools.product((TAG, self.layer), (403, 404, 500)):
            self.assert_found(
                key,
                Fault.HEAD,
                lambda method, _, reply, status=status: replace(reply, status=status) if method == "HEAD" else reply,  # type: ignore[misc]
                words=str(status),
            )
        checked = self.checked(lambda method, _, reply: replace(reply, status=405) if method == "HEAD" else reply)
        self.assertEqual(checked.findings, ())

    def test_wrong_digest_header(self) -> None:
        """A Docker-Content-Digest that is not the manifest's is found; none at all is no fault."""
        self.assert_found(
            TAG,
            Fault.DIGEST,
            lambda method, _, reply: with_headers(reply, digest=f"sha256:{'0' * 64}"),
            words="docker fails; podman pulls it; containerd fails",
        )
        checked = self.checked(
            lambda method, _, reply: with_headers(reply, digest=None) if reply.served and reply.status == OK else reply
        )
        self.assertEqual(checked.findings, ())

    def test_body_that_breaks_off(self) -> None:
        """A blob that breaks off is asked for once more, and then unreadable."""

        def broken() -> Iterator[bytes]:
            yield b"x"
            raise StoreError("cdn", self.layer, "it ends after 1 bytes")

        def cut(times: int) -> Change:
            left = itertools.count()

            def change(method: str, key: str, reply: Reply) -> Reply:
                if method == "GET" and key == self.layer and next(left) < times:
                    return replace(reply, pieces=broken())
                return reply

            return change

        self.assertEqual(self.checked(cut(1), deep=True).findings, ())
        (finding,) = self.checked(cut(2), deep=True).findings
        self.assertEqual((finding.key, finding.fault), (self.layer, Fault.UNREADABLE))

    def test_endless_body(self) -> None:
        """A body that goes on and on is not read to its end."""

        def endless(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, pieces=itertools.repeat(b"x" * 100)) if method == "GET" else reply

        self.assert_found(self.manifest, Fault.DIGEST, endless)
        self.assert_found(self.layer, Fault.LENGTH, endless, deep=True)

    def test_not_found_has_headers(self) -> None:
        """The headers of an error page are nobody's fault."""
        self.assert_found(
            TAG,
            Fault.MISSING,
            lambda method, _, reply: replace(with_headers(reply, content_type="a/b"), status=NOT_FOUND),
        )
