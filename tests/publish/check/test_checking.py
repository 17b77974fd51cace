"""Tests of checking a whole tree, read from the store itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.checking import Checker
from sdr.publish.check.findings import Fault
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Lines
from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCTET_STREAM
from sdr.stores.interface import Bytes, NotReachable, NotThere, Served, Stat
from sdr.tree import documents
from sdr.tree.headers import LISTS_HEADERS, Headers
from sdr.tree.keys import GC_PREFIX, LISTS_KEY, list_key, list_of
from tests.images import Layout
from tests.publish.checked import NAME, NESTED, OTHER, MemoryCDN, check, new_store, put, reheader
from tests.publish.publishing import PublishingTestCase
from tests.stores.memory import MemoryStore

TAG = f"v2/{NAME}/manifests/1.0"


class CheckTestCase(SynchronousTestCase):
    """Has a tree, and means of spoiling it."""

    def setUp(self) -> None:
        """Make the tree."""
        self.store = new_store()

    def found(self, *, name: str | None = None, deep: bool = False) -> list[tuple[str, Fault]]:
        """Return what is found."""
        return [(finding.key, finding.fault) for finding in check(self.store, name=name, deep=deep).findings]

    def key(self, *words: str) -> str:
        """Return the first key with all these words."""
        return next(key for key in sorted(self.store.objects) if all(word in key for word in words))

    def child(self, number: int = 0) -> str:
        """Return the key of one of the manifests that the index names."""
        return f"v2/{NAME}/manifests/{json.loads(self.store.objects[TAG][0])['manifests'][number]['digest']}"

    def layer(self) -> str:
        """Return the key of a layer that several images have."""
        digest = json.loads(self.store.objects[self.child()][0])["layers"][0]["digest"]
        return f"blobs/{digest.replace(':', '/')}"

    def by_digest(self, tag: str) -> str:
        """Return the key that a tag stands for."""
        document = json.loads(self.store.objects[f"v2/{NAME}/_repository.json"][0])
        return f"v2/{NAME}/manifests/{document['tags'][tag][0]}"


class CleanTests(CheckTestCase):
    """A tree as it should be."""

    def test_nothing_is_wrong(self) -> None:
        """What was published is found to be well, each object is looked at once, and nothing deserves a word."""
        for deep in (False, True):
            checked = check(self.store, deep=deep)
            self.assertEqual((checked.findings, checked.notes), ((), ()))
            self.assertEqual(checked.objects, len(self.store.objects))

    def test_deep_reads_blobs(self) -> None:
        """Blobs are read whole only where that is asked for, and each once."""
        blobs = sum(len(data) for key, (data, _, _) in self.store.objects.items() if key.startswith("blobs/"))
        self.assertEqual(check(self.store, deep=True).size - check(self.store).size, blobs)

    def test_batches(self) -> None:
        """However many objects are looked at together, a repository is judged once all of it has been seen."""
        for batch in (1, 2, 7):
            said = StringIO()
            checker = Checker(self.store, Jobs(4), Lines(said), batch=batch)
            checked = checker.check()
            self.assertEqual((checked.findings, checked.objects), ((), len(self.store.objects)))
            self.assertIn("objects checked so far\n", said.getvalue())
        self.store.delete(self.by_digest("1.0"))
        checked = checker.check()
        self.assertEqual([finding.fault for finding in checked.findings], [Fault.MISSING])
        self.assertEqual(checked.objects, len(self.store.objects))

    def test_one_repository(self) -> None:
        """One repository is checked without the others, those below its name included."""
        self.store.delete(f"v2/{NESTED}/tags/list")
        self.store.delete(f"v2/{OTHER}/tags/list")
        self.assertEqual(self.found(name=NAME), [])
        self.assertEqual(self.found(name=OTHER), [(f"v2/{OTHER}/tags/list", Fault.MISSING)])

    def test_no_such_repository(self) -> None:
        """A repository that is not there is no repository without faults."""
        error = self.assertRaises(NotThere, check, self.store, name="none")
        self.assertIn("there is no repository none", str(error))

    def test_empty_store(self) -> None:
        """Where nothing was published nothing is wrong."""
        self.assertEqual(str(check(MemoryStore())), "0 objects, 0 B read, 0 faults")

    def test_repository_without_tags(self) -> None:
        """Documents that say nothing may be there or not."""
        for key in [key for key in self.store.objects if key.startswith(f"v2/{OTHER}/manifests/docker")]:
            self.store.delete(key)
        put(self.store, f"v2/{OTHER}/tags/list", b'{"name":"other","tags":[]}\n')
        put(self.store, f"v2/{OTHER}/_repository.json", b'{"schema":1,"name":"other","tags":{}}\n')
        self.assertEqual(self.found(name=OTHER), [(list_key(list_of(OTHER)), Fault.STALE)])
        for key in ("tags/list", "_repository.json"):
            self.store.delete(f"v2/{OTHER}/{key}")
        self.assertEqual(self.found(name=OTHER), [(list_key(list_of(OTHER)), Fault.STALE)])

    def test_marks_of_a_collection(self) -> None:
        """A collection's marks are none of this."""
        self.store.put(f"{GC_PREFIX}run.json", Bytes(b"{}"), LISTS_HEADERS)
        self.assertEqual((self.found(), check(self.store).notes), ([], ()))

    def test_strange_keys(self) -> None:
        """What is not of the tree deserves a word and is no fault."""
        for key in ("blobs/sha256/short", "v2/acme/app/other", "elsewhere"):
            self.store.put(key, Bytes(b""), LISTS_HEADERS)
        checked = check(self.store)
        self.assertEqual(checked.findings, ())
        self.assertEqual(checked.notes, ("v2/acme/app/other: not of the tree", "blobs/sha256/short: not of the tree"))


class MissingTests(CheckTestCase):
    """Objects that are gone."""

    def assert_missed(self, key: str) -> None:
        """Delete an object, and require that this and nothing else is found."""
        self.store.delete(key)
        self.assertEqual(self.found(), [(key, Fault.MISSING)])

    def test_layer(self) -> None:
        """A layer is missed once, however many need it, and who needs it is said."""
        self.assert_missed(self.layer())
        (finding,) = check(self.store).findings
        self.assertRegex(str(finding), r"^blobs/sha256/\w+: missing: not there; v2/acme/app/manifests/.* needs it \(d")

    def test_child(self) -> None:
        """A manifest that an index names is missed."""
        self.assert_missed(self.child())

    def test_by_digest(self) -> None:
        """A tag's manifest is missed by digest, whichever the digest's algorithm: the endpoint sends clients there."""
        for tag in ("1.0", "sbom", "sha512", "untyped"):
            self.store = new_store()
            self.assert_missed(self.by_digest(tag))

    def test_by_digest_without_a_document(self) -> None:
        """Nothing but the tag need be there for that."""
        for tag in ("1.0", "untyped"):
            self.store = new_store()
            key, document = self.by_digest(tag), f"v2/{NAME}/_repository.json"
            self.store.delete(key)
            self.store.delete(document)
            self.assertEqual(self.found(), [(document, Fault.MISSING), (key, Fault.MISSING)])

    def test_tag(self) -> None:
        """A tag that the documents name is missed."""
        self.assert_missed(TAG)

    def test_documents(self) -> None:
        """Each derived document is missed."""
        prefix = list_of(NAME)
        for key in (
            f"v2/{NAME}/tags/list",
            f"v2/{NAME}/_repository.json",
            self.key(f"v2/{NAME}/referrers/"),
            list_key(prefix),
            LISTS_KEY,
        ):
            self.store = new_store()
            self.assert_missed(key)

    def test_foreign_layers_are_elsewhere(self) -> None:
        """A layer that registries only refer to is not missed."""
        index = json.loads(self.store.objects[f"v2/{OTHER}/manifests/docker"][0])
        image = self.store.objects[f"v2/{OTHER}/manifests/{index['manifests'][0]['digest']}"][0]
        self.assertIn("foreign", json.loads(image)["layers"][0]["mediaType"])
        self.assertEqual(self.found(name=OTHER, deep=True), [])

    def test_listing_that_lags(self) -> None:
        """What a listing does not name yet and is there is found by asking for it, and inspected like the rest."""
        for hidden in (self.child(), TAG, self.by_digest("sha512"), self.by_digest("sbom")):
            self.store = _Lagging(hidden)
            self.assertEqual(self.found(), [], hidden)
            reheader(self.store, hidden, lambda headers: replace(headers, content_type=OCTET_STREAM))
            self.assertEqual(self.found(), [(hidden, Fault.TYPE)])


class _Lagging(MemoryStore):
    """A store whose listing lacks one key."""

    def __init__(self, hidden: str) -> None:
        super().__init__()
        self.objects = new_store().objects
        self._hidden = hidden

    def list(self, prefix: str, *, delimiter: str = ""):  # type: ignore[no-untyped-def]
        """List all but one."""
        for found in super().list(prefix, delimiter=delimiter):
            if not isinstance(found, Stat) or found.key != self._hidden:
                yield found


class SpoiltTests(CheckTestCase):
    """Objects whose bytes are others."""

    def assert_spoilt(self, key: str, data: bytes, fault: Fault, *, deep: bool = False) -> None:
        """Write other bytes, and require that this and nothing else is found."""
        self.store.put(key, Bytes(data), self.store.objects[key][1])
        self.assertEqual(self.found(deep=deep), [(key, fault)])

    def test_layer(self) -> None:
        """A layer of the right length and other bytes is found where blobs are read whole, and only there."""
        key = self.layer()
        data = self.store.objects[key][0]
        self.store.put(key, Bytes(bytes(len(data))), self.store.objects[key][1])
        self.assertEqual(self.found(), [])
        self.assertEqual(self.found(deep=True), [(key, Fault.DIGEST)])

    def test_length_of_a_layer(self) -> None:
        """A layer that is cut short, or too long, is found by its length."""
        key = self.layer()
        data = self.store.objects[key][0]
        for deep in (False, True):
            self.assert_spoilt(key, data[:-1], Fault.LENGTH, deep=deep)
            self.assert_spoilt(key, data + b"x", Fault.LENGTH, deep=deep)

    def test_manifest_by_digest(self) -> None:
        """A manifest is always read, so other bytes under its digest are found; a referrer's own, too."""
        for key in (self.child(), self.by_digest("1.0"), self.by_digest("sbom")):
            self.store = new_store()
            self.assert_spoilt(key, self.store.objects[key][0] + b" ", Fault.DIGEST)

    def test_manifest_by_tag(self) -> None:
        """A tag whose bytes are nobody's is found."""
        self.assert_spoilt(TAG, self.store.objects[TAG][0] + b" ", Fault.DIGEST)
        self.assert_spoilt(TAG, b"<html>", Fault.MALFORMED)
        self.assert_spoilt(TAG, bytes(5 * 1024 * 1024), Fault.MALFORMED)

    def test_moved_behind_the_documents(self) -> None:
        """A tag that names another manifest than its repository's document says makes that document stale."""
        self.store.put(TAG, Bytes(self.store.objects[self.child()][0]), self.store.objects[self.child()][1])
        reheader(self.store, TAG, lambda headers: replace(headers, cache_control="public, max-age=60"))
        self.assertEqual(self.found(), [(f"v2/{NAME}/_repository.json", Fault.STALE)])

    def test_documents(self) -> None:
        """Each derived document that does not say what the manifests say is stale, and sdr index is named."""
        document = json.loads(self.store.objects[f"v2/{NAME}/_repository.json"][0])
        lists = json.loads(self.store.objects[LISTS_KEY][0])
        prefix = list_of(NAME)
        revisions = self.store.objects[list_key(prefix)][0]
        for key, data in {
            f"v2/{NAME}/tags/list": b'{"name":"acme/app","tags":["1.0"]}\n',
            f"v2/{NAME}/_repository.json": json.dumps({**document, "tags": {}}).encode(),
            self.key(f"v2/{NAME}/referrers/"): b'{"schemaVersion":2,"manifests":[]}\n',
            list_key(prefix): revisions.replace(revisions[-10:-6], b"0000"),
            LISTS_KEY: json.dumps({**lists, "lists": {**lists["lists"], prefix: "0" * 16}}).encode(),
        }.items():
            self.store = new_store()
            self.assert_spoilt(key, data, Fault.STALE)
            (finding,) = check(self.store).findings
            self.assertIn("run sdr index", str(finding))
            self.assert_spoilt(key, b"<html>", Fault.MALFORMED)

    def test_list_with_a_repository_that_is_gone(self) -> None:
        """A line of a repository that is not there is stale."""
        for key in [key for key in self.store.objects if key.startswith(f"v2/{OTHER}/")]:
            self.store.delete(key)
        self.assertEqual(self.found(), [(list_key(list_of(OTHER)), Fault.STALE)])

    def test_descriptor_that_lies(self) -> None:
        """An index that gives another size of its child than it has is found."""
        index = json.loads(self.store.objects[TAG][0])
        index["manifests"][0]["size"] += 1
        data = json.dumps(index).encode()
        self.store.put(f"v2/lies/manifests/{Digest.of(data)}", Bytes(data), self.store.objects[TAG][1])
        for number in range(2):
            child = self.child(number)
            self.store.objects[child.replace(NAME, "lies")] = self.store.objects[child]
        self.assertIn((f"v2/lies/manifests/{Digest.of(data)}", Fault.LENGTH), self.found(name="lies"))


class HeaderTests(CheckTestCase):
    """Objects with other headers."""

    def test_each_header(self) -> None:
        """Each header of each object is compared, and what differs is that object's one fault."""
        for key in self.store.objects:
            for fault, change in {
                Fault.TYPE: {"content_type": "text/html"},
                Fault.CACHING: {"cache_control": "no-store"},
                Fault.DIGEST: {"digest": Digest.of(b"other")},
            }.items():
                if fault is Fault.DIGEST and self.store.objects[key][1].digest is None:
                    continue
                self.store = new_store()
                reheader(self.store, key, lambda headers, change=change: replace(headers, **change))  # type: ignore[misc]
                self.assertEqual(self.found(), [(key, fault)])

    def test_encoding(self) -> None:
        """A Content-Encoding is found, and nothing else is said of what has one."""

        class Encoded(MemoryStore):
            def served(self, key: str) -> Served:
                return replace(super().served(key), content_encoding="gzip" if key == encoded else None)

        for encoded in (self.layer(), TAG, f"v2/{NAME}/tags/list"):
            store = Encoded()
            store.objects = self.store.objects
            found = [(finding.key, finding.fault) for finding in check(store, deep=True).findings]
            self.assertEqual(found, [(encoded, Fault.ENCODING)])

    def test_useless_image(self) -> None:
        """The type that S3 gives what has none is told with what each client makes of it."""
        reheader(self.store, TAG, lambda headers: replace(headers, content_type=OCTET_STREAM))
        (finding,) = check(self.store).findings
        self.assertEqual([client for client, _ in finding.clients], ["docker", "podman", "containerd"])
        self.assertIn("containerd pulls an image of nothing but the manifest", str(finding))
        self.assertNotIn("\n", str(finding))


class DirectoryTests(PublishingTestCase):
    """A store without headers."""

    def test_directory(self) -> None:
        """A directory has no headers to compare; all else is."""
        layout = Layout()
        image = layout.tag(layout.image())
        self.publish(layout)
        self.assertEqual(check(self.store, deep=True).findings, ())
        (self.root / "v2" / NAME / "manifests" / image["digest"]).write_bytes(b"{}")
        layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
        (self.root / "blobs" / layer.replace(":", "/")).unlink()
        self.assertEqual([finding.fault for finding in check(self.store).findings], [Fault.MISSING, Fault.DIGEST])

    def test_no_store(self) -> None:
        """A store that is not there is one line, and no tree without faults."""
        self.assertRaises(NotThere, check, self.store)

    def test_what_cannot_be_read(self) -> None:
        """Something else than a file under a key is that key's fault."""
        self.publish(self.new_image())
        path = next((self.root / "blobs" / "sha256").iterdir())
        path.unlink()
        path.mkdir()
        (finding,) = check(self.store).findings
        self.assertEqual((finding.key, finding.fault), (f"blobs/sha256/{path.name}", Fault.UNREADABLE))

    def new_image(self) -> Layout:
        """Return a layout with one image."""
        layout = Layout()
        layout.tag(layout.image())
        return layout


class _Dead(MemoryStore):
    """A store that fails in the middle."""

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Fail."""
        raise NotReachable(self.location, key, "connection refused")


class UnreachableTests(CheckTestCase):
    """No tree to be read."""

    def test_store(self) -> None:
        """A store that cannot be reached ends the check with one error, not with a finding an object."""
        store = _Dead()
        store.objects = self.store.objects
        self.assertRaises(NotReachable, check, store)

    def test_cdn_is_not_well(self) -> None:
        """A CDN that answers 502 ends the check."""
        cdn = MemoryCDN(self.store, lambda method, key, reply: replace(reply, status=502))
        self.assertRaises(NotReachable, check, self.store, cdn)

    def test_wrong_cdn(self) -> None:
        """A URL behind which nothing of the tree is there is taken for the wrong one."""
        error = self.assertRaises(NotThere, check, self.store, MemoryCDN(MemoryStore()))
        self.assertIn("is this the CDN's URL?", str(error))


def _corruptions() -> dict[str, Callable[[bytes, int], bytes | None]]:
    """Return what may happen to an object's bytes; ``None`` for nothing left."""
    return {
        "gone": lambda data, at: None,
        "cut": lambda data, at: data[: at % len(data)],
        "flipped": lambda data, at: (
            data[: at % len(data)] + bytes([data[at % len(data)] ^ 1]) + data[at % len(data) + 1 :]
        ),
        "grown": lambda data, at: data[: at % len(data)] + b" " + data[at % len(data) :],
        "other": lambda data, at: sorted(content for content, _, _ in new_store().objects.values() if content != data)[
            at % 20
        ],
    }


class AnyCorruptionTests(SynchronousTestCase):
    """Whatever happens to one object."""

    @given(st.data())
    def test_any_single_corruption_is_found(self, data: st.DataObject) -> None:
        """Whatever happens to the bytes or headers of one object that something refers to is found."""
        store = new_store()
        key = data.draw(st.sampled_from(sorted(store.objects)))
        corrupt = _corruptions()[data.draw(st.sampled_from(sorted(_corruptions())))]
        there = store.objects[key][0]
        corrupted = corrupt(there, data.draw(st.integers(0, len(there) - 1)))
        if corrupted is None:
            store.delete(key)
        else:
            store.put(key, Bytes(corrupted), store.objects[key][1])
        self.assertNotEqual(check(store, deep=True).findings, ())


class BesidePublishersTests(CheckTestCase):
    """A tree that changes while it is checked."""

    def test_published_since_it_was_listed(self) -> None:
        """A tag that came after its repository was listed, and a repository after its list was, are no faults."""
        whole = self.store.objects

        class Growing(MemoryStore):
            def get(self, key: str) -> tuple[bytes, Stat]:
                # The first read of anything comes after the listing.
                self.objects = whole
                return super().get(key)

        before = new_store()
        for tag in ("1.0", "sbom", "docker", "sha512", "untyped"):
            before.delete(f"v2/{NAME}/manifests/{tag}")
        for key in [key for key in before.objects if key.startswith(f"v2/{OTHER}/")]:
            before.delete(key)
        store = Growing()
        store.objects = before.objects
        self.assertEqual(check(store).findings, ())

    def test_removed_since_it_was_listed(self) -> None:
        """Nor is a tag that goes meanwhile."""
        removed = new_store()
        removed.delete(TAG)
        tags = json.loads(removed.objects[f"v2/{NAME}/tags/list"][0])["tags"]
        document = json.loads(removed.objects[f"v2/{NAME}/_repository.json"][0])
        left = [tag for tag in tags if tag != "1.0"]
        del document["tags"]["1.0"]
        written = documents.encode_repository(documents.decode_repository(json.dumps(document).encode(), NAME))
        put(removed, f"v2/{NAME}/tags/list", documents.encode_tags(NAME, left))
        put(removed, f"v2/{NAME}/_repository.json", written)
        self.assertEqual(
            [(finding.key, finding.fault) for finding in check(removed).findings],
            [(list_key(list_of(NAME)), Fault.STALE)],
        )
        kept = {key: found for key, found in self.store.objects.items() if "/_repositories" not in key}
        store = _Changing(kept | {key: found for key, found in removed.objects.items() if "/_repositories" not in key})
        store.objects = self.store.objects
        self.assertEqual(
            [(finding.key, finding.fault) for finding in check(store).findings],
            [(list_key(list_of(NAME)), Fault.STALE)],
        )


class _Changing(MemoryStore):
    """A store that is as it will be from the first document read on."""

    def __init__(self, later: dict[str, tuple[bytes, Headers, Stat]]) -> None:
        super().__init__()
        self._later = later

    def get(self, key: str) -> tuple[bytes, Stat]:
        """Read, and change when a document is read."""
        if key == f"v2/{NAME}/tags/list" and TAG in self.objects:
            lists = {each: found for each, found in self.objects.items() if "/_repositories" in each}
            self.objects = {**self._later, **lists}
            self.objects.pop(TAG, None)
        return super().get(key)
