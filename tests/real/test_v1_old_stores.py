"""Stores that a docker-registry of 2014 has written, untouched: each docker pulls from them what is whole in them."""

import functools
import json
import tarfile
import urllib.request
from pathlib import Path

from tests.real import v1_pulling
from tests.real.programs import Response, fetch, folder
from tests.real.s3 import client, moto
from tests.real.samples import Tree
from tests.real.servers import Endpoint, caching_nginx
from tests.real.swift import swift
from tests.real.v1_layers import laid_over
from tests.real.v1_pictures import later
from tests.real.v1_pulling import PARTS, publish, pull
from tests.real.v1_scripted import Script, Scripted
from tests.real.v1_versions import VERSIONS, Trait, kinds

#: Written by docker-registry 0.9.1 when docker 1.5.0 pushed two images, and stopped in the middle of the second.
ARCHIVE = Path(__file__).parents[1] / "data" / "v1-store-2014.tar.gz"
ROOT = "registry"

HELLO, HALF = "demo/hello", "demo/conv"
TOP = "28720365c5e7476a011e4f43ac003ee5f16247a263b9d623aa85ed311d73bf39"
BASE = "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2"
#: What is half pushed.
UPLOADING = "675ed54b0134bcf3d49c0a979859d35ff086f25b2f142a0960c2c7e5be99212d"

#: The Swift container and the S3 bucket.
PLACE = "of-2014"


@functools.cache
def objects() -> dict[str, bytes]:
    """Return the store's objects by key, with its root."""
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if member.isfile()]
        files = [(member.name, archive.extractfile(member)) for member in members]
        return {name: file.read() for name, file in files if file is not None}


def hello() -> Tree:
    """Return the files of the image that is whole."""
    return laid_over(objects()[f"{ROOT}/images/{each}/layer"] for each in (BASE, TOP))


def activestates() -> dict[str, bytes]:
    """Return the store as ActiveState's docker-registry of 2014 would have it: two files more for each repository."""
    found = {key.replace("/_index_images", "/images"): data for key, data in objects().items()}
    found[f"{ROOT}/repositories/{HELLO}/tags"] = json.dumps({"latest": TOP}).encode()
    return found


@functools.cache
def _tree() -> str:
    """Return a tree with a newer tag of a repository that the old store has, and another one."""
    made = str(folder())
    publish(made, later().oci, f"{HELLO}:new")
    publish(made, later().oci, "acme/new:1.0")
    return made


@functools.cache
def old_directory() -> Path:
    """Return a directory with the store in it, its root."""
    made = folder()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(made, filter="data")
    return made / ROOT


def _put(url: str, data: bytes, **headers: str) -> None:
    asked = urllib.request.Request(url, data, headers, method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=20):
        pass


def _upload(container: str, *, public: bool = True) -> str:
    """Upload the store into a container, and return its public URL."""
    swift().make_container(container, public)
    token = swift().token()
    for key, data in objects().items():
        _put(f"{swift().storage_url}/{container}/{key}", data, **{"X-Auth-Token": token})
    return f"{swift().storage_url}/{container}/{ROOT}"


@functools.cache
def _container() -> str:
    return _upload(PLACE)


@functools.cache
def _bucket() -> str:
    bucket = moto().make_bucket(PLACE)
    s3 = client(moto().environment)
    for key, data in objects().items():
        s3.put_object(Bucket=bucket, Key=key, Body=data, ACL="public-read")
    return f"{moto().url}/{bucket}/{ROOT}"


@functools.cache
def _before_directory() -> Endpoint:
    return Endpoint(f"--cdn={_tree()}", f"--v1-store={old_directory()}").start()


@functools.cache
def _before_swift() -> Endpoint:
    return Endpoint(f"--cdn={_tree()}", f"--v1-store={_container()}").start()


@functools.cache
def _before_nginx() -> Endpoint:
    cdn = caching_nginx(_container()).start()
    return Endpoint(f"--cdn={_tree()}", f"--v1-store={_container()}", f"--v1-cdn={cdn.url}").start()


@functools.cache
def _before_s3() -> Endpoint:
    return Endpoint(f"--cdn={_tree()}", f"--v1-store={_bucket()}").start()


class OldStoreTests(v1_pulling.V1TestCase):
    """An old store in a directory, which the endpoint serves itself."""

    #: Whether a list of tags can be had.
    lists = True

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return _before_directory()

    def fetch(self, path: str) -> Response:
        """Ask the endpoint."""
        return fetch(f"{self.endpoint().url}/v1/{path}")

    def test_every_version_pulls(self) -> None:
        """Every docker pulls the image that is whole, and 1.8 and later do it without any list of tags."""
        for version in VERSIONS:
            if self.lists or not version.has(Trait.WHOLE_TAGS):
                pulled = pull(version, self.endpoint().host, HELLO, "latest")
                self.assert_over_v1(pulled, hello(), version)
                self.assertEqual([layer.id for layer in pulled.images["latest"]], [BASE, TOP])
                json_as_it_was = objects()[f"{ROOT}/images/{TOP}/json"]
                self.assertEqual(pulled.images["latest"][-1].json, json_as_it_was)

    def test_half_an_image_is_never_offered(self) -> None:
        """What was never pushed whole is not there, for anybody."""
        for version in kinds():
            for tag in ("latest", "1.0"):
                self.assert_fails(version, self.endpoint().host, HALF, tag, "not found|NAME_UNKNOWN")
        for path in (
            f"repositories/{HALF}/tags",
            f"repositories/{HALF}/tags/latest",
            *(f"images/{UPLOADING}/{part}" for part in PARTS),
        ):
            got = self.fetch(path)
            self.assertEqual((got.status, "error" in got.json()), (404, True), path)
        self.assertEqual(self.fetch(f"repositories/{HALF}/images").json(), [])

    def test_missing_is_json(self) -> None:
        """What is not there is 404, in JSON, whatever the store says."""
        parts = (f"images/{'0' * 64}/{part}" for part in PARTS)
        for path in (*parts, "repositories/demo/none/images", f"repositories/{HELLO}/tags/none"):
            got = self.fetch(path)
            self.assertEqual((got.status, got.headers["Content-Type"]), (404, "application/json"), path)

    def test_beside_the_tree(self) -> None:
        """What sdr has published is there too, and a repository that is in both has the tags of both."""
        for version in kinds():
            pulled = pull(version, self.endpoint().host, "acme/new")
            self.assert_over_v1(pulled, later().trees["linux/amd64"], version)
            pulled = pull(version, self.endpoint().host, HELLO, "new")
            self.assert_over_v1(pulled, later().trees["linux/amd64"], version)
        if self.lists:
            tags = self.fetch(f"repositories/{HELLO}/tags").json()
            self.assertEqual((sorted(tags), tags["latest"]), (["latest", "new"], TOP))


class OldSwiftTests(OldStoreTests):
    """An old store in a Swift container that anybody may read and list."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return _before_swift()


class OldSwiftBehindNginxTests(OldStoreTests):
    """The same, with nginx as its CDN."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return _before_nginx()


class OldS3Tests(OldStoreTests):
    """An old store in an S3 bucket that anybody may read and list."""

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return _before_s3()


class UnlistedTests(OldStoreTests):
    """An old store that says 403 to what is missing and to whoever wants a list, as S3 does to strangers."""

    lists = False

    def setUp(self) -> None:
        """Start the store and the endpoint."""
        self.store = self.serve(objects())
        self._endpoint = Endpoint(f"--cdn={_tree()}", f"--v1-store={self.store.url}/{ROOT}").start()
        self.addCleanup(self._endpoint.stop)

    def serve(self, files: dict[str, bytes]) -> Scripted:
        """Serve files, and 403 for all else."""
        denied = Script(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        store = Scripted(missing=denied)
        for key, data in files.items():
            store.say(f"/{key}", Script(body=data, ranges=True))
        store.__enter__()
        self.addCleanup(store.__exit__, None, None, None)
        return store

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return self._endpoint

    def test_only_what_is_asked_for_is_asked(self) -> None:
        """The store is asked for what a docker asks for, and images once only."""
        for version in kinds():
            if not version.has(Trait.WHOLE_TAGS):
                pull(version, self._endpoint.host, HELLO, "latest")
        jsons = [one for one in self.store.asked if one.target.endswith(f"{TOP}/json") and one.method == "GET"]
        self.assertEqual(len(jsons), 1)


class ActiveStateTests(UnlistedTests):
    """The same, where ActiveState's patch wrote the lists: nothing need be listed."""

    lists = True

    def serve(self, files: dict[str, bytes]) -> Scripted:
        """Serve files, and 403 for all else."""
        return super().serve(activestates())

    def test_no_lists_are_asked_for(self) -> None:
        """Every docker is served from files by name."""
        for version in kinds():
            pull(version, self._endpoint.host, HELLO, "latest")
        self.assertEqual([one.target for one in self.store.asked if "?" in one.target], [])


class AloneTests(v1_pulling.V1TestCase):
    """An old store, and nothing that sdr has published."""

    def test_every_version_pulls(self) -> None:
        """Every docker pulls, with -a too: what asks over v2 first is led to v1, though there is no catalog."""
        endpoint = Endpoint(f"--cdn={folder()}", f"--v1-store={old_directory()}").start()
        self.addCleanup(endpoint.stop)
        for version in VERSIONS:
            for tag, all_tags in (("latest", False), (None, True)):
                pulled = pull(version, endpoint.host, HELLO, tag, all_tags=all_tags)
                self.assert_over_v1(pulled, hello(), f"{version} {tag}")


class HalfPushedTests(v1_pulling.V1TestCase):
    """An old store with tags that name what was never pushed whole."""

    def setUp(self) -> None:
        """Name an image that was being pushed, and one without a layer, in the repository of one that is whole."""
        root = folder()
        for key, data in objects().items():
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(data)
        bare = "c" * 64
        (root / ROOT / "images" / bare).mkdir()
        (root / ROOT / "images" / bare / "json").write_text(json.dumps({"id": bare}))
        (root / ROOT / "images" / bare / "ancestry").write_text(json.dumps([bare]))
        for name in (HELLO, HALF):
            (root / ROOT / "repositories" / name / "tag_uploading").write_text(UPLOADING)
            (root / ROOT / "repositories" / name / "tag_bare").write_text(bare)
        self.endpoint = Endpoint(f"--cdn={_tree()}", f"--v1-store={root / ROOT}").start()
        self.addCleanup(self.endpoint.stop)

    def test_only_what_is_whole(self) -> None:
        """With -a every docker pulls what is whole and no more; by their tags the others are not there."""
        for version in kinds():
            pulled = pull(version, self.endpoint.host, HELLO, None, all_tags=True)
            self.assertEqual(set(pulled.images), {"latest", "new"}, str(version))
            self.assertTrue(pulled.tree("latest") == hello(), str(version))
            for name in (HELLO, HALF):
                for tag in ("uploading", "bare"):
                    self.assert_fails(version, self.endpoint.host, name, tag, "not found|NAME_UNKNOWN")


class UnlistedSwiftTests(v1_pulling.V1TestCase):
    """An old store in a Swift container that anybody may read, and nobody list."""

    def test_by_tag(self) -> None:
        """Docker 1.8 and later pull by tag; the others are told that there is nothing."""
        url = _upload(f"{PLACE}-unlisted", public=False)
        self.assertEqual(swift().ask("POST", f"{PLACE}-unlisted", X_Container_Read=".r:*"), 204)
        endpoint = Endpoint(f"--cdn={_tree()}", f"--v1-store={url}").start()
        self.addCleanup(endpoint.stop)
        for version in kinds():
            if version.has(Trait.WHOLE_TAGS):
                self.assert_fails(version, endpoint.host, HELLO, "latest", "not found")
            else:
                self.assert_over_v1(pull(version, endpoint.host, HELLO, "latest"), hello(), version)
