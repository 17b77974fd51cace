"""Tests of checking what a tree has for protocol v1."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.publish.check.findings import Fault
from sdr.publish.check.reading import Reply
from sdr.registry.grammar import Digest
from sdr.stores.interface import Bytes, NotThere, Stat
from sdr.tree.headers import V1_LAYER_HEADERS, Headers, headers_of
from tests.images import Layout, compress, layer_tar
from tests.publish.checked import Change, MemoryCDN, check, layered, put, reheader, with_headers
from tests.publish.publishing import PublishingTestCase, publish
from tests.publish.v1_trees import publish_v1
from tests.stores.memory import MemoryStore

NAME, SHORT = "acme/app", "app"
FOLDER = f"repositories/{NAME}"


@functools.cache
def _published() -> MemoryStore:
    layout = Layout()
    shared = {"a": b"a" * 1000}, "gzip"
    layered(layout, "two", shared, ({"b": b"b" * 1000}, "gzip"))
    layered(layout, "one", shared)
    layered(layout, "plain", shared, ({"c": b"c"}, ""))
    layered(layout, "none")
    index = layout.index([layout.image({"d": each.encode()}, platform=f"linux/{each}") for each in ("arm64", "amd64")])
    layout.tag(index, "index")
    layered(layout, "zstd", ({"z": b"z" * 1000}, "zstd"))
    store = MemoryStore()
    with TemporaryDirectory() as folder:
        source = f"oci:{layout.write(Path(folder))}"
        for ref in ("two", "one", "plain", "none", "index", "zstd"):
            publish_v1(store, f"{source}:{ref}", NAME, ref)
        publish_v1(store, f"{source}:one", SHORT, "one")
        publish(store, f"{source}:two", NAME, "v2-only")
    return store


def new_store() -> MemoryStore:
    """Return a store with images for both protocols."""
    store = MemoryStore()
    store.objects = dict(_published().objects)
    return store


class V1CheckTestCase(SynchronousTestCase):
    """Has a tree, and means of spoiling it."""

    def setUp(self) -> None:
        """Make the tree."""
        self.store = new_store()

    def found(self, *, name: str | None = None, deep: bool = False) -> list[tuple[str, Fault]]:
        """Return what is found."""
        return [(finding.key, finding.fault) for finding in check(self.store, name=name, deep=deep).findings]

    def image(self, tag: str = "two", below: int = 0) -> str:
        """Return the id of what a tag names, or of what is below that."""
        top = self.store.objects[f"{FOLDER}/tag_{tag}"][0].decode()
        return str(json.loads(self.store.objects[f"images/{top}/ancestry"][0])[below])

    def part(self, part: str, tag: str = "two", below: int = 0) -> str:
        """Return the key of a part of an image."""
        return f"images/{self.image(tag, below)}/{part}"

    def assert_spoilt(self, key: str, data: bytes, fault: Fault, *, deep: bool = False) -> None:
        """Write other bytes into a tree that is well, and require that this and nothing else is found."""
        self.store = new_store()
        put(self.store, key, data)
        self.assertEqual(self.found(deep=deep), [(key, fault)])


class WellTests(V1CheckTestCase):
    """A tree as it should be."""

    def test_nothing_is_wrong(self) -> None:
        """What was published is found to be well, each object is looked at once, and nothing deserves a word."""
        for deep in (False, True):
            checked = check(self.store, deep=deep)
            self.assertEqual((checked.findings, checked.notes), ((), ()))
            self.assertEqual(checked.objects, len(self.store.objects))

    def test_through_a_cdn(self) -> None:
        """Nor is there anything wrong through a CDN that serves it as it is, and all of it is asked for there."""
        cdn = MemoryCDN(self.store)
        self.assertEqual(check(self.store, cdn, deep=True).findings, ())
        self.assertEqual({key for method, key in cdn.asked if method != "PART"}, set(self.store.objects))

    def test_one_repository(self) -> None:
        """One repository is checked without the others; one of protocol v1 alone is one, too."""
        self.store.delete("repositories/library/app/tag_one")
        self.assertEqual(self.found(name=NAME), [])
        self.assertEqual(self.found(name=SHORT), [("repositories/library/app/tag_one", Fault.MISSING)])
        self.store = new_store()
        for key in [key for key in self.store.objects if key.startswith("v2/")]:
            self.store.delete(key)
        self.assertEqual(self.found(name=NAME), [])
        self.assertRaises(NotThere, check, self.store, name="none")

    def test_what_nothing_needs(self) -> None:
        """An image that no tag needs is none of this; half pushed it deserves a word, as do strange keys."""
        for key in (f"images/{'0' * 64}/json", f"images/{'1' * 64}/_inprogress", "images/short/json"):
            self.store.put(key, Bytes(b"{}"), V1_LAYER_HEADERS)
        checked = check(self.store)
        self.assertEqual(checked.findings, ())
        self.assertEqual(len(checked.notes), 2)
        self.assertIn("half pushed", checked.notes[0])
        self.assertEqual(checked.notes[1], "images/short/json: not of the tree")


class FaultTests(V1CheckTestCase):
    """Each thing that may be wrong."""

    def test_missing(self) -> None:
        """Each object that is needed is missed, once, and what needs it is named."""
        keys = [self.part(part, below=below) for part in ("json", "ancestry", "layer") for below in (0, 1)]
        keys += [f"{FOLDER}/{last}" for last in ("tags", "images", "tag_two")]
        for key in keys:
            self.store = new_store()
            self.store.delete(key)
            self.assertEqual(self.found(), [(key, Fault.MISSING)])
        self.store = new_store()
        self.store.delete(self.part("layer"))
        self.assertIn(f"{FOLDER}/tag_two needs it", str(check(self.store).findings[0]))

    def test_tag(self) -> None:
        """A tag that is no id, or more than that, is found; one of an image that is not there is that image's fault."""
        key = f"{FOLDER}/tag_two"
        for data in (b"", b"two", self.image().encode() + b"\n"):
            self.assert_spoilt(key, data, Fault.MALFORMED)
        put(self.store, key, b"0" * 64)
        gone = [(f"images/{'0' * 64}/{part}", Fault.MISSING) for part in ("ancestry", "json", "layer")]
        self.assertEqual(self.found(), [*gone, (key, Fault.STALE)])

    def test_json(self) -> None:
        """An image's json with another id, another parent or other content is found."""
        key = self.part("json")
        document = json.loads(self.store.objects[key][0])
        for data, fault in {
            b"<html>": Fault.MALFORMED,
            b"[]": Fault.MALFORMED,
            json.dumps({**document, "id": "0" * 64}).encode(): Fault.MALFORMED,
            json.dumps({**document, "parent": "0" * 64}).encode(): Fault.MALFORMED,
            json.dumps({**document, "os": "other"}).encode(): Fault.DIGEST,
        }.items():
            self.assert_spoilt(key, data, fault)

    def test_ancestry(self) -> None:
        """An ancestry that is none, or another's, is found, also where nothing but itself tells what it should be."""
        top, base = self.image(), self.image(below=1)
        for ids, fault in ((None, Fault.MALFORMED), ([base], Fault.DIGEST), ([top], Fault.DIGEST)):
            self.assert_spoilt(f"images/{top}/ancestry", json.dumps(ids).encode(), fault)
        self.store = new_store()
        for tag in ("two", "one", "plain"):
            self.store.delete(f"blobs/sha256/{self.image(tag)}")
        put(self.store, f"images/{base}/ancestry", json.dumps([base, top]).encode())
        self.assertIn((f"images/{base}/ancestry", Fault.MALFORMED), self.found())
        for image, other in ((base, top), (top, base)):
            put(self.store, f"images/{image}/ancestry", json.dumps([other]).encode())
            self.assertIn((f"images/{image}/ancestry", Fault.MALFORMED), self.found())

    def test_layer(self) -> None:
        """A layer that is empty, or nothing that a client reads, is found by how it begins."""
        key = self.part("layer")
        self.assert_spoilt(key, b"", Fault.LENGTH)
        for data in (b"<html></html>", compress(layer_tar({"z": b"z"}), "zstd"), b"x" * 1024):
            self.assert_spoilt(key, data, Fault.MALFORMED)

    def test_length_of_a_layer(self) -> None:
        """A layer of another length than its blob is read, and found if it does not hold the same."""
        key = self.part("layer")
        data = self.store.objects[key][0]
        self.assert_spoilt(key, data[:-9], Fault.MALFORMED)
        self.assert_spoilt(key, compress(layer_tar({"other": b"other"}), "gzip"), Fault.DIGEST)

    def test_deep(self) -> None:
        """Other bytes of the same length are found where layers are read whole, and only there."""
        for tag, below in (("two", 0), ("two", 1), ("plain", 0), ("none", 0), ("zstd", 0)):
            self.store = new_store()
            key = self.part("layer", tag, below)
            data = self.store.objects[key][0]
            spoilt = data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]
            put(self.store, key, spoilt)
            self.assertEqual(self.found(), [])
            self.assertIn(self.found(deep=True), ([(key, Fault.DIGEST)], [(key, Fault.MALFORMED)]))

    def test_deep_without_a_config(self) -> None:
        """Where the image of protocol v2 is gone, a layer has to be whole at least."""
        for tag in ("two", "one", "plain"):
            self.store.delete(f"blobs/sha256/{self.image(tag)}")
        key = self.part("layer")
        put(self.store, key, self.store.objects[key][0][:-9])
        self.assertIn((key, Fault.MALFORMED), self.found(deep=True))
        self.assertNotIn((key, Fault.MALFORMED), self.found())

    def test_packed_differently(self) -> None:
        """The same layer in other bytes is well; where no image has these it deserves a word."""
        key = self.part("layer", below=1)
        other = compress(layer_tar({"a": b"a" * 1000}), "xz")
        put(self.store, key, other)
        for deep in (False, True):
            checked = check(self.store, deep=deep)
            self.assertEqual((checked.findings, len(checked.notes)), ((), 1))
            self.assertIn(key, checked.notes[0])
        put(self.store, f"blobs/sha256/{Digest.of(other).hex}", other)
        self.assertEqual(check(self.store, deep=True).notes, ())

    def test_documents(self) -> None:
        """Documents that do not say what the tags say are stale, and the way out is named."""
        for last, data in (("tags", b"{}"), ("images", b"[]"), ("tags", b"[]"), ("images", b"{}"), ("tags", b"<html>")):
            stale = data in (b"{}", b"[]") and (last, data) in (("tags", b"{}"), ("images", b"[]"))
            self.assert_spoilt(f"{FOLDER}/{last}", data, Fault.STALE if stale else Fault.MALFORMED)
            self.assertIn("sdr index", str(check(self.store).findings[0]))

    def test_half_pushed(self) -> None:
        """An image that a tag needs and that is still being pushed is found."""
        for below in (0, 1):
            self.store = new_store()
            key = self.part("_inprogress", below=below)
            self.store.put(key, Bytes(b"true"), V1_LAYER_HEADERS)
            self.assertEqual(self.found(), [(key, Fault.UNREADABLE)])

    def test_another_image_by_now(self) -> None:
        """A tag that names another image for protocol v2 is found, with what brings it level."""
        data, headers, stat = self.store.objects[f"v2/{NAME}/manifests/one"]
        self.store.objects[f"v2/{NAME}/manifests/two"] = data, headers, stat
        (finding,) = [each for each in check(self.store).findings if each.key.startswith("repositories/")]
        self.assertEqual((finding.key, finding.fault), (f"{FOLDER}/tag_two", Fault.STALE))
        self.assertIn(f"sdr v1 {NAME}:two", str(finding))

    def test_two_names(self) -> None:
        """Of app and library/app either may be what the tag stands for."""
        key = "repositories/library/app/tag_one"
        with TemporaryDirectory() as folder:
            layout = Layout()
            layout.tag(layout.image({"other": b""}))
            publish(self.store, f"oci:{layout.write(Path(folder))}", "library/app", "one")
        self.assertEqual(self.found(), [])
        for each in [each for each in self.store.objects if each.startswith("v2/app/")]:
            self.store.delete(each)
        self.assertIn((key, Fault.STALE), self.found())

    def test_headers(self) -> None:
        """Each header of each object is compared."""
        keys = [key for key in self.store.objects if key.startswith(("images/", "repositories/"))]
        for key in keys:
            for fault, change in {
                Fault.TYPE: {"content_type": "text/html"},
                Fault.CACHING: {"cache_control": "no-store"},
            }.items():
                self.store = new_store()
                reheader(self.store, key, lambda headers, change=change: replace(headers, **change))  # type: ignore[misc]
                self.assertEqual(self.found(), [(key, fault)])

    def test_cdn(self) -> None:
        """What a CDN makes of them is found: another encoding, no ranges, other bytes, nothing."""
        layer, tags = self.part("layer"), f"{FOLDER}/tags"

        def found(key: str, change: Change, *, deep: bool = False) -> list[tuple[str, Fault]]:
            cdn = MemoryCDN(
                self.store, lambda method, asked, reply: change(method, asked, reply) if asked == key else reply
            )
            return [(each.key, each.fault) for each in check(self.store, cdn, deep=deep).findings]

        def encoded(method: str, key: str, reply: Reply) -> Reply:
            return with_headers(reply, content_encoding="gzip")

        def whole(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, status=200) if method == "PART" else reply

        def gone(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, status=403)

        def other(method: str, key: str, reply: Reply) -> Reply:
            return replace(reply, pieces=iter([bytes(len(self.store.objects[key][0]))]))

        self.assertEqual(found(layer, encoded), [(layer, Fault.ENCODING)])
        self.assertEqual(found(layer, whole), [(layer, Fault.RANGE)])
        self.assertEqual(found(layer, gone), [(layer, Fault.MISSING)])
        self.assertEqual(found(tags, gone), [(tags, Fault.MISSING)])
        self.assertEqual(found(tags, other), [(tags, Fault.STALE)])
        self.assertIn((layer, Fault.DIGEST), found(layer, other, deep=True))


class PublishedMeanwhileTests(V1CheckTestCase):
    """A tree that changes while it is checked."""

    def test_tag_since_it_was_listed(self) -> None:
        """A tag that came after its repository was listed is no fault."""
        whole = self.store.objects

        class Growing(MemoryStore):
            def get(self, key: str) -> tuple[bytes, Stat]:
                # The first read of anything comes after the listing.
                self.objects = whole
                return super().get(key)

        store = Growing()
        store.objects = {key: found for key, found in whole.items() if key != f"{FOLDER}/tag_two"}
        self.assertEqual(check(store).findings, ())


class DirectoryTests(PublishingTestCase):
    """A store without headers."""

    def test_what_cannot_be_read(self) -> None:
        """Something else than a file under a key is that key's fault, and the rest is checked all the same."""
        layout = Layout()
        layered(layout, "two", ({"a": b"a"}, "gzip"), ({"b": b"b"}, "gzip"))
        publish_v1(self.store, self.oci(layout), NAME, "1")
        self.assertEqual(check(self.store, deep=True).findings, ())
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            key = str(path.relative_to(self.root))
            if key.startswith(("images/", "repositories/")):
                data = path.read_bytes()
                path.unlink()
                path.mkdir()
                faults = {each.key: each.fault for each in check(self.store).findings}
                # A tag that is no file is not listed.
                self.assertIn(faults.get(key), (Fault.UNREADABLE, Fault.MISSING), key)
                path.rmdir()
                path.write_bytes(data)


class OldStoreTests(SynchronousTestCase):
    """What a docker-registry of 2014 wrote."""

    def old_store(self) -> MemoryStore:
        """Return a whole image as such a registry keeps it."""
        store, top, base = MemoryStore(), "a" * 64, "b" * 64
        for image, below in ((top, [base]), (base, [])):
            layer = compress(layer_tar({"file": image.encode()}), "gzip")
            document = json.dumps({"id": image, **({"parent": below[0]} if below else {})}).encode()
            checksum = Digest.of(document + b"\n" + layer)
            for part, data in {
                "json": document,
                "ancestry": json.dumps([image, *below]).encode(),
                "layer": layer,
                "_checksum": json.dumps([str(checksum)]).encode(),
                "_files": b"[]",
            }.items():
                self.put(store, f"images/{image}/{part}", data)
        self.put(store, "repositories/demo/hello/tag_latest", top.encode())
        self.put(store, "repositories/demo/hello/taglatest_json", b"{}")
        self.put(store, "repositories/demo/hello/_index_images", json.dumps([{"id": base}, {"id": top}]).encode())
        return store

    def put(self, store: MemoryStore, key: str, data: bytes) -> None:
        """Write with the headers that it gave."""
        store.put(key, Bytes(data), Headers("application/octet-stream", ""))

    def test_well(self) -> None:
        """It needs no headers, and no documents; ActiveState's are compared, and need not be written as sdr does."""
        store = self.old_store()
        checked = check(store, deep=True)
        self.assertEqual((checked.findings, checked.notes), ((), ()))
        self.put(store, "repositories/demo/hello/tags", b'{ "latest":"' + b"a" * 64 + b'"}')
        self.put(store, "repositories/demo/hello/images", b"[]")
        self.assertEqual(check(store, deep=True).findings, ())
        self.put(store, "repositories/demo/hello/tags", b"{}")
        self.assertEqual([each.fault for each in check(store).findings], [Fault.STALE])

    def test_checksum(self) -> None:
        """Its own checksum tells of a layer that is another."""
        store = self.old_store()
        self.put(store, f"images/{'b' * 64}/layer", compress(layer_tar({"other": b""}), "gzip"))
        found = [(each.key, each.fault) for each in check(store, deep=True).findings]
        self.assertEqual(found, [(f"images/{'b' * 64}/layer", Fault.DIGEST)])
        self.assertEqual(check(store).findings, ())


class AnyCorruptionTests(SynchronousTestCase):
    """Whatever happens to one object."""

    @given(st.data())
    def test_any_single_corruption_is_found(self, data: st.DataObject) -> None:
        """Whatever happens to the bytes of one object is found; or told of, where a layer holds just the same."""
        store = new_store()
        keys = [key for key in sorted(store.objects) if key.startswith(("images/", "repositories/"))]
        key = data.draw(st.sampled_from(keys))
        there = store.objects[key][0]
        at = data.draw(st.integers(0, len(there) - 1))
        corrupted = {
            "gone": None,
            "cut": there[:at],
            "flipped": there[:at] + bytes([there[at] ^ data.draw(st.integers(1, 255))]) + there[at + 1 :],
            "grown": there[:at] + b" " + there[at:],
            "other": data.draw(st.sampled_from([store.objects[each][0] for each in keys])),
        }[data.draw(st.sampled_from(["gone", "cut", "flipped", "grown", "other"]))]
        if corrupted == there:
            return
        if corrupted is None:
            store.delete(key)
        else:
            found = headers_of(key)
            assert found is not None
            store.put(key, Bytes(corrupted), found)
        checked = check(store, deep=True)
        self.assertNotEqual((checked.findings, checked.notes), ((), ()), f"{key} {corrupted!r}")
