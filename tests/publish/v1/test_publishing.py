"""Tests of publishing for protocol v1: what is written, in which order, and what cannot be."""

import gzip
import json
import os
import tracemalloc
from typing import Any

from sdr.publish.image import BadSource, Blob
from sdr.publish.jobs import Jobs
from sdr.publish.marks import Marks
from sdr.publish.progress import Silent
from sdr.publish.refused import Refused
from sdr.publish.v1.layers import in_gzip
from sdr.publish.v1.publishing import V1Publishing, published_image
from sdr.registry.grammar import Digest
from sdr.stores.interface import ANY_VERSION, AnyVersion, Body, Bytes, NotThere, StoreError
from sdr.tree.headers import IMMUTABLE, SHORT, TAGS_HEADERS, V1_IMAGE_HEADERS, Headers
from sdr.tree.marks import Mark, State, candidate, mark_key
from tests.images import DOCKER_CONFIG, DOCKER_MANIFEST, Layout, compress, config_json, digest_of, layer_tar
from tests.publish.publishing import NAME, PublishingTestCase
from tests.publish.trees import broken_references, snapshot, snapshot_of, stale_documents
from tests.publish.v1_trees import Said, broken_v1, publish_v1, stale_v1, v1_of
from tests.registry.test_v1 import VECTOR
from tests.stores.memory import MemoryStore

HEADERS = Headers("application/octet-stream", SHORT)


def tagged(layout: Layout, layers: list[dict[str, Any]], plain: list[bytes]) -> dict[str, Any]:
    """Tag an image of layers whose plain tars are known."""
    config = layout.add(config_json("linux/amd64", [digest_of(each) for each in plain]), DOCKER_CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers}
    platform = {"os": "linux", "architecture": "amd64"}
    return layout.tag(layout.add_json(manifest, DOCKER_MANIFEST, platform=platform))


class RecordingStore(MemoryStore):
    """Notes what is written, and how."""

    def __init__(self, *, copies: bool = True) -> None:
        super().__init__(copies=copies)
        self.written: list[str] = []
        self.copied: list[tuple[str, str]] = []

    def put(self, key: str, body: Body, headers: Headers, *, replaces: str | AnyVersion | None = ANY_VERSION) -> str:
        """Write."""
        self.written.append(key)
        return super().put(key, body, headers, replaces=replaces)

    def copy(self, source: str, key: str, headers: Headers) -> str | None:
        """Copy."""
        if self.copies:
            self.copied.append((source, key))
        return super().copy(source, key, headers)


def no_time(seconds: float) -> None:
    """Sleep not at all."""


class V1TestCase(PublishingTestCase):
    """Has a store in memory, and what is published in it is whole and level."""

    def setUp(self) -> None:
        """Make one."""
        super().setUp()
        self.memory = RecordingStore()

    def whole(self) -> dict[str, bytes]:
        """Return the tree."""
        tree = snapshot_of(self.memory)
        self.assertEqual(broken_references(tree) + stale_documents(tree) + broken_v1(tree) + stale_v1(tree), [])
        return tree

    def id_of(self, layout: Layout, image: dict[str, object]) -> str:
        """Return the id that an image's tag has in protocol v1."""
        return str(json.loads(layout.blobs[str(image["digest"])])["config"]["digest"]).removeprefix("sha256:")


class WritingTests(V1TestCase):
    """What is written."""

    def test_one_image(self) -> None:
        """An image of one layer is three files, its repository has three; the layer is the blob as it is."""
        layout = Layout()
        image = layout.tag(layout.image({"a": b"a"}))
        publication = publish_v1(self.memory, self.oci(layout))
        tree, top = self.whole(), self.id_of(layout, image)
        self.assertEqual(publication.ids, (top,))
        layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
        written = {key: data for key, data in tree.items() if not key.startswith(("v2/", "blobs/"))}
        document = json.loads(written.pop(f"images/{top}/json"))
        self.assertEqual((document["id"], document["config"]), (top, {"Cmd": ["/bin/sh"]}))
        self.assertEqual(
            written,
            {
                f"images/{top}/ancestry": f'["{top}"]'.encode(),
                f"images/{top}/layer": layout.blobs[layer],
                f"repositories/{NAME}/tag_1.0": top.encode(),
                f"repositories/{NAME}/tags": f'{{"1.0": "{top}"}}'.encode(),
                f"repositories/{NAME}/images": f'[{{"id": "{top}", "Tag": "1.0"}}]'.encode(),
            },
        )

    def test_as_docker_pushes_it(self) -> None:
        """Ids, ancestry and json are those that docker 17.05 made of the same config."""
        layout = Layout()
        layers = [layout.layer({"a": text}, docker=True) for text in (b"1", b"2", b"3")]
        config = layout.add(VECTOR["config"].encode(), DOCKER_CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers}
        layout.tag(layout.add_json(manifest, DOCKER_MANIFEST))
        publication = publish_v1(self.memory, self.oci(layout))
        tree, pushed = self.whole(), VECTOR["result"]["push_v1"]
        ids = [each["id"] for each in pushed]
        self.assertEqual([*publication.ids], ids)
        top = ids[-1]
        self.assertEqual(json.loads(tree[f"images/{top}/ancestry"]), ids[::-1])
        self.assertEqual(
            [tree[f"images/{each}/layer"] for each in ids], [layout.blobs[each["digest"]] for each in layers]
        )
        self.assertEqual([tree[f"images/{each}/json"].decode() for each in ids], [each["json"] for each in pushed])
        # As docker's index of images has it.
        images = json.loads(tree[f"repositories/{NAME}/images"])
        self.assertEqual(images, [*({"id": each} for each in ids[:2]), {"id": top, "Tag": "1.0"}])

    def test_order(self) -> None:
        """The layer comes first and the json last, the base before what stands on it, and the tags after all that."""
        layout = Layout()
        layout.tag(layout.image(layers=[layout.layer({"a": each.encode()}) for each in "abc"]))
        ids = publish_v1(self.memory, self.oci(layout), NAME, "1.0", "2.0").ids
        written = [key for key in self.memory.written if not key.startswith(("v2/", "blobs/"))]
        for image_id in ids:
            places = [written.index(f"images/{image_id}/{part}") for part in ("layer", "ancestry", "json")]
            self.assertEqual(places, sorted(places))
        last = [f"images/{image_id}/json" for image_id in ids]
        last += [f"repositories/{NAME}/{each}" for each in ("tag_1.0", "tag_2.0", "images", "tags")]
        self.assertEqual(written[-len(last) :], last)

    def test_headers(self) -> None:
        """Images are kept for ever, what names them for a minute."""
        layout = Layout()
        layout.tag(layout.image())
        top = publish_v1(self.memory, self.oci(layout)).id
        for key, content_type, cache_control in (
            (f"images/{top}/json", "application/json", IMMUTABLE),
            (f"images/{top}/ancestry", "application/json", IMMUTABLE),
            (f"images/{top}/layer", "application/octet-stream", IMMUTABLE),
            (f"repositories/{NAME}/tag_1.0", "application/octet-stream", SHORT),
            (f"repositories/{NAME}/tags", "application/json", SHORT),
            (f"repositories/{NAME}/images", "application/json", SHORT),
        ):
            served = self.memory.served(key)
            # S3 copies a layer with the headers of its blob.
            self.assertEqual(served.digest is not None, key.endswith("/layer"))
            self.assertEqual((served.content_type, served.cache_control), (content_type, cache_control), key)

    def test_one_part_name(self) -> None:
        """``app`` and ``library/app`` are one repository to protocol v1, with the tags of both."""
        layout = Layout()
        layout.tag(layout.image())
        source = self.oci(layout)
        publish_v1(self.memory, source, "app", "1")
        publish_v1(self.memory, source, "library/app", "2")
        tree = self.whole()
        self.assertEqual(sorted(json.loads(tree["repositories/library/app/tags"])), ["1", "2"])
        self.assertEqual([key for key in tree if key.startswith("repositories/app")], [])

    def test_deep_names(self) -> None:
        """A repository below another one has documents of its own, in a directory too."""
        layout = Layout()
        layout.tag(layout.image())
        source = self.oci(layout)
        for name in ("acme/app", "acme/app/more"):
            publish_v1(self.memory, source, name)
            publish_v1(self.store, source, name)
        self.assertEqual(list(json.loads(self.whole()["repositories/acme/app/tags"])), ["1.0"])
        self.assertEqual(snapshot(self.root), self.whole())

    def test_layers_that_are_shared(self) -> None:
        """Images with the same base share it; a layer that occurs twice in one is two images."""
        layout = Layout()
        base, other = layout.layer({"a": b"base"}), layout.layer({"b": b"other"})
        layout.tag(layout.image(layers=[base, other]), "one")
        layout.tag(layout.image(layers=[base, other, base]), "two")
        source = self.oci(layout)
        one = publish_v1(self.memory, f"{source}:one", NAME, "1")
        two = publish_v1(self.memory, f"{source}:two", NAME, "2")
        self.assertEqual((one.ids[0], len({*two.ids})), (two.ids[0], 3))
        tree = self.whole()
        self.assertEqual(sum(key.endswith("/json") and key.startswith("images/") for key in tree), 4)

    def test_second_run(self) -> None:
        """What is there already is not written again, and counted."""
        for compression in ("gzip", "zstd"):
            layout = Layout()
            layout.tag(layout.image({"a": compression.encode()}, compression=compression))
            source = self.oci(layout)
            first = publish_v1(self.memory, source).account
            before = snapshot_of(self.memory)
            self.memory.written.clear()
            again = publish_v1(self.memory, source).account
            self.assertEqual((again.written, self.memory.written), ((), []))
            self.assertEqual(again.skipped, len(first.written))
            self.assertEqual(snapshot_of(self.memory), before)

    def test_what_is_damaged_is_mended(self) -> None:
        """A json or ancestry that says something else, or a layer that is missing, is written again."""
        layout = Layout()
        layout.tag(layout.image())
        source = self.oci(layout)
        top = publish_v1(self.memory, source).id
        wanted = snapshot_of(self.memory)
        for part in ("json", "ancestry", "layer"):
            key = f"images/{top}/{part}"
            self.memory.delete(key)
            if part != "layer":
                self.memory.put(key, Bytes(b"{}"), V1_IMAGE_HEADERS)
            self.assertEqual(publish_v1(self.memory, source).account.written, (key,))
            self.assertEqual(snapshot_of(self.memory), wanted)

    def test_uploads_into_an_old_registry(self) -> None:
        """An image that somebody has begun to push into a docker-registry is written whole, and can be had then."""
        layout = Layout()
        layout.tag(layout.image())
        source = self.oci(layout)
        top = publish_v1(self.memory, source).id
        wanted = snapshot_of(self.memory)
        self.memory.put(f"images/{top}/_inprogress", Bytes(b"true"), HEADERS)
        self.memory.put(f"images/{top}/layer", Bytes(b"half"), HEADERS)
        publish_v1(self.memory, source)
        self.assertEqual(snapshot_of(self.memory), wanted)


class LayerTests(V1TestCase):
    """Layers."""

    def test_copied(self) -> None:
        """A layer is copied by the store where it can do that, and sent where not; both are the same."""
        layout = Layout()
        layout.tag(layout.image())
        source = self.oci(layout)
        top = publish_v1(self.memory, source).id
        key = f"images/{top}/layer"
        self.assertEqual([to for _, to in self.memory.copied], [key])
        copied, self.memory = self.whole(), RecordingStore(copies=False)
        publish_v1(self.memory, source)
        self.assertEqual((self.memory.copied, self.whole()), ([], copied))

    def test_one_file(self) -> None:
        """In a directory a layer and its blob are one file."""
        layout = Layout()
        image = layout.tag(layout.image())
        top = publish_v1(self.store, self.oci(layout)).id
        layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"].replace(":", "/")
        self.assertTrue(os.path.samefile(self.root / f"images/{top}/layer", self.root / f"blobs/{layer}"))

    def test_compressions(self) -> None:
        """What docker knows stays as it is: tar, gzip, bzip2 and xz. What is in zstd is packed anew."""
        files = {"a": b"a" * 100_000}
        for compression in ("", "gzip", "bzip2", "xz", "zstd"):
            layout = Layout()
            image = layout.tag(layout.image(files, compression=compression, command=[compression]))
            self.memory = RecordingStore()
            top = publish_v1(self.memory, self.oci(layout)).id
            layer = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
            found = self.whole()[f"images/{top}/layer"]
            if compression == "zstd":
                self.assertEqual(gzip.decompress(found), layer_tar(files))
                # The same every time: no time, no name.
                self.assertEqual(found[:10], b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
            else:
                self.assertEqual(found, layout.blobs[layer], compression)

    def test_other_compression_of_the_same(self) -> None:
        """One layer in gzip and in zstd has one id, and stays as whoever came first has written it."""
        sources = []
        for compression in ("gzip", "zstd"):
            layout = Layout()
            layout.tag(layout.image({"a": b"same"}, compression=compression))
            sources.append(self.oci(layout))
        first = publish_v1(self.memory, sources[0], NAME, "1")
        before = self.whole()[f"images/{first.id}/layer"]
        self.assertEqual(publish_v1(self.memory, sources[1], NAME, "2").id, first.id)
        self.assertEqual(self.whole()[f"images/{first.id}/layer"], before)

    def test_no_layers(self) -> None:
        """An image without layers gets one that is empty."""
        layout = Layout()
        layout.tag(layout.image(layers=[]))
        top = publish_v1(self.memory, self.oci(layout)).id
        self.assertEqual(gzip.decompress(self.whole()[f"images/{top}/layer"]), bytes(1024))
        self.assertEqual(v1_of(self.memory).account.written, ())

    def test_broken(self) -> None:
        """A zstd layer that is broken, cut short or another one is refused, and no tag of protocol v1 names it."""
        plain = layer_tar({"a": os.urandom(50_000)})
        packed = compress(plain, "zstd")
        other = compress(layer_tar({"b": b"b"}), "zstd")
        for bad, word in ((packed[:-100], "holds"), (packed[:4] + b"\xff" * 100, "broken zstd"), (other, "holds")):
            layout = Layout()
            layer = layout.add(bad, "application/vnd.oci.image.layer.v1.tar+zstd")
            tagged(layout, [layer], [plain])
            error = self.assertRaises(BadSource, publish_v1, self.memory, self.oci(layout))
            for each in (layer["digest"].partition(":")[2], word):
                self.assertIn(each, str(error))
            self.assertEqual([key for key in snapshot_of(self.memory) if "/tag_" in key], [])

    def test_flat(self) -> None:
        """Packing anew takes a temporary file, not memory."""
        path = self.folder / "layer"
        size = 48 * 1024 * 1024
        data = os.urandom(size)
        diff = Digest.of(data)
        path.write_bytes(compress(data, "zstd"))
        data = path.read_bytes()
        digest, length = Digest.of(data), len(data)
        del data
        blob = Blob(digest, length, lambda: path.open("rb"), str(path))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with in_gzip(blob, diff, Jobs(1), Silent()) as packed:
            self.assertGreater(packed.size, size)
        self.assertLess(tracemalloc.get_traced_memory()[1], 12 * 1024 * 1024)


class PlatformTests(V1TestCase):
    """One of several platforms."""

    def layout(self, *platforms: str) -> tuple[str, dict[str, str]]:
        """Return a SOURCE of an index of these, and the id of each."""
        layout = Layout()
        images = {each: layout.image({"a": each.encode()}, platform=each) for each in platforms}
        index = layout.index([*images.values(), layout.artifact(subject=next(iter(images.values())))])
        layout.tag(layout.index([index]))
        return self.oci(layout), {each: self.id_of(layout, image) for each, image in images.items()}

    def test_usual(self) -> None:
        """Of several platforms it is linux/amd64, wherever that stands, and in however many indexes."""
        source, ids = self.layout("linux/arm64", "windows/amd64", "linux/amd64")
        self.assertEqual(publish_v1(self.memory, source).id, ids["linux/amd64"])
        self.whole()

    def test_chosen(self) -> None:
        """--platform says otherwise; a variant need not be told."""
        source, ids = self.layout("linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7")
        publish_v1(self.memory, source)
        for platform, expected in (("linux/arm64", "linux/arm64/v8"), ("linux/arm/v6", "linux/arm/v6")):
            self.assertEqual(v1_of(self.memory, platform=platform).id, ids[expected])
        self.assertEqual(v1_of(self.memory, platform="linux/arm").id, ids["linux/arm/v7"])
        self.whole()

    def test_of_publish(self) -> None:
        """What publish --platform chooses is what protocol v1 gets, too."""
        source, ids = self.layout("linux/amd64", "linux/arm64")
        self.assertEqual(publish_v1(self.memory, source, platform="linux/arm64").id, ids["linux/arm64"])

    def test_single(self) -> None:
        """An image of one platform is that one, whichever it is, unless another is asked for."""
        layout = Layout()
        image = layout.tag(layout.image(platform="linux/s390x"))
        self.assertEqual(publish_v1(self.memory, self.oci(layout)).id, self.id_of(layout, image))
        self.assertEqual(v1_of(self.memory, platform="linux/s390x").id, self.id_of(layout, image))
        error = self.assertRaises(Refused, v1_of, self.memory, platform="linux/amd64")
        self.assertIn("linux/s390x", str(error))

    def test_not_there(self) -> None:
        """Without that platform nothing is written, and the line tells which there are."""
        source, _ = self.layout("linux/arm64", "linux/s390x")
        error = self.assertRaises(Refused, publish_v1, self.memory, source)
        for word in (NAME, "linux/amd64", "linux/arm64, linux/s390x", "--platform"):
            self.assertIn(word, str(error))
        self.assertEqual(self.memory.objects, {})

    def test_empty(self) -> None:
        """An index without an image is no reason for a traceback."""
        layout = Layout()
        layout.tag(layout.index([]))
        self.assertIn(NAME, str(self.assertRaises(Refused, publish_v1, self.memory, self.oci(layout))))


class RefusedTests(V1TestCase):
    """What protocol v1 cannot carry is refused before anything is written, with one line that names the image."""

    def refused_v1(self, layout: Layout, *words: str) -> None:
        """Require that."""
        error = self.assertRaises(Refused, publish_v1, self.memory, self.oci(layout))
        for word in (NAME, *words):
            self.assertIn(word, str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(self.memory.objects, {})

    def test_foreign_layers(self) -> None:
        """Layers that no registry carries."""
        layout = Layout()
        layout.tag(layout.image(layers=[layout.foreign_layer(), layout.layer({"a": b"a"})]))
        self.refused_v1(layout, "not for distribution")

    def test_artifacts(self) -> None:
        """What is no image."""
        layout = Layout()
        layout.tag(layout.artifact())
        self.refused_v1(layout, "no image that docker could run")

    def test_configs(self) -> None:
        """Configs at odds with the manifest, of another digest, or too large."""
        for config, algorithm, word in (
            (b'{"rootfs":{"diff_ids":[]}}', "sha256", "names 0 layers"),
            (b"no json", "sha256", "not JSON"),
            (VECTOR["config"].encode(), "sha512", "sha512"),
            (b'{"a":"' + b"a" * 4_200_000 + b'"}', "sha256", "more than"),
        ):
            layout = Layout()
            descriptor = layout.add(config, DOCKER_CONFIG, algorithm=algorithm)
            manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": descriptor}
            layout.tag(layout.add_json({**manifest, "layers": [layout.layer({"a": b"a"})]}, DOCKER_MANIFEST))
            self.refused_v1(layout, word)

    def test_malformed_documents(self) -> None:
        """A document that is none is named before anything is written, with the command that makes it anew."""
        layout = Layout()
        layout.tag(layout.image())
        for last in ("tags", "images"):
            self.memory = RecordingStore()
            self.memory.put(f"repositories/{NAME}/{last}", Bytes(b"spoilt"), TAGS_HEADERS)
            before = snapshot_of(self.memory)
            error = self.assertRaises(StoreError, publish_v1, self.memory, self.oci(layout))
            self.assertIn("sdr index", str(error))
            self.assertIn(f"repositories/{NAME}/{last}", str(error))
            self.assertEqual(snapshot_of(self.memory), before)


class StoredTests(V1TestCase):
    """What is published already: sdr v1."""

    def test_the_same(self) -> None:
        """It is the same tree as that of sdr publish --v1."""
        layout = Layout()
        layers = [layout.layer({"a": b"a"}), layout.layer({"b": b"b"}, "zstd")]
        image = tagged(layout, layers, [layer_tar({"a": b"a"}), layer_tar({"b": b"b"})])
        layout.entries.clear()
        layout.tag(layout.index([image, layout.image({"c": b"c"}, platform="linux/arm64")]))
        source = self.oci(layout)
        publish_v1(self.memory, source)
        wanted = self.whole()
        for copies in (True, False):
            self.memory = RecordingStore(copies=copies)
            publish_v1(self.memory, source)
            for key in [key for key in self.memory.objects if key.startswith(("images/", "repositories/"))]:
                self.memory.delete(key)
            v1_of(self.memory)
            self.assertEqual(self.whole(), wanted)

    def test_no_such_tag(self) -> None:
        """A tag that is not there is named."""
        error = self.assertRaises(Refused, published_image, self.memory, NAME, "1.0")
        self.assertIn(f"memory: there is no {NAME}:1.0", str(error))

    def test_blob_that_is_gone(self) -> None:
        """A layer that is in the source and not in the store is sent; one that is in neither is named."""
        layout = Layout()
        image = layout.tag(layout.image())
        source = self.oci(layout)
        publish_v1(self.memory, source)
        layer = "blobs/" + json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"].replace(":", "/")
        self.memory.delete(layer)
        for key in [key for key in self.memory.objects if key.endswith("/layer")]:
            self.memory.delete(key)
        self.assertRaises(NotThere, v1_of, self.memory)
        publish_v1(self.memory, source)
        self.whole()

    def test_moved_meanwhile(self) -> None:
        """When another publisher has moved the tag of protocol v2 meanwhile, that is said, and what to do."""
        layout = Layout()
        layout.tag(layout.image({"a": b"1"}), "one")
        layout.tag(layout.image({"a": b"2"}), "two")
        source = self.oci(layout)
        publish_v1(self.memory, f"{source}:one")
        report = Said()
        publishing = V1Publishing(self.memory, Jobs(1), report, NAME)
        chain = publishing.check(published_image(self.memory, NAME, "1.0"))
        publish_v1(self.memory, f"{source}:two")
        publishing.publish(chain, ["1.0"])
        self.assertEqual(len(report.lines), 1)
        self.assertIn(f"sdr v1 {NAME}:1.0", report.lines[0])


class MarkTests(V1TestCase):
    """Beside a collection."""

    def setUp(self) -> None:
        """Publish."""
        super().setUp()
        layout = Layout()
        layers = [layout.layer({"a": b"a"}), layout.layer({"b": b"b"}, "zstd")]
        tagged(layout, layers, [layer_tar({"a": b"a"}), layer_tar({"b": b"b"})])
        self.source = self.oci(layout)
        publish_v1(self.memory, self.source)
        self.wanted = self.whole()
        self.images = [key for key in self.wanted if key.startswith("images/")]
        self.marks = Marks(self.memory)

    def mark(self, state: State) -> None:
        """Mark all images."""
        candidates = {key: candidate(self.memory.head(key)) for key in self.images}
        self.marks.write(mark_key("1"), Mark(state, 1.0, False, candidates))

    def test_marked(self) -> None:
        """What is marked is written anew, in the order of writing, so that the collection leaves it alone."""
        self.mark(State.MARKED)
        before = {key: self.memory.head(key) for key in self.images}
        publish_v1(self.memory, self.source)
        for key in self.images:
            self.assertNotEqual(self.memory.head(key), before[key])
        self.assertEqual(snapshot_of(self.memory), self.wanted)

    def test_marked_in_a_directory(self) -> None:
        """The same where a layer is another name of its blob, and so is no other file when it is written anew."""
        publish_v1(self.store, self.source)
        candidates = {key: candidate(self.store.head(key)) for key in self.images}
        Marks(self.store).write(mark_key("1"), Mark(State.MARKED, 1.0, False, candidates))
        publish_v1(self.store, self.source)
        for key, its in candidates.items():
            self.assertFalse(its.is_still(candidate(self.store.head(key))), key)

    def test_swept(self) -> None:
        """What went while it was published is written again, and so is the tag."""
        self.mark(State.SWEEPING)
        slept: list[float] = []

        def sweep(seconds: float) -> None:
            slept.append(seconds)
            for key in self.images:
                self.memory.delete(key)
            found = self.marks.read()[mark_key("1")].mark
            self.marks.end(mark_key("1"), found, 2.0)

        publish_v1(self.memory, self.source, sleep=sweep)
        self.assertEqual(len(slept), 1)
        self.assertEqual(snapshot_of(self.memory), self.wanted)

    def test_tag_that_is_being_removed(self) -> None:
        """A tag that is taken away while it is published is put back once that has ended."""
        key = f"repositories/{NAME}/tag_1.0"
        candidates = {key: candidate(self.memory.head(key))}
        self.marks.write(mark_key("1"), Mark(State.SWEEPING, 1.0, False, candidates))

        def sweep(seconds: float) -> None:
            self.memory.delete(key)
            self.marks.end(mark_key("1"), self.marks.read()[mark_key("1")].mark, 2.0)

        v1_of(self.memory, sleep=sweep)
        self.assertEqual(snapshot_of(self.memory), self.wanted)
