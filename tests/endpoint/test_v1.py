"""Tests of protocol v1 as it comes over the wire: an endpoint in memory, before each kind of store."""

import json
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from sdr.catalog.catalog import Catalog
from sdr.catalog.http_source import HTTPSource
from sdr.catalog.knowledge import Knowledge
from sdr.catalog.searches import Searches
from sdr.catalog.sources import DirectorySource, ListingSource
from sdr.catalog.v1_catalog import V1Catalog
from sdr.cdn.locations import RemoteCDN
from sdr.endpoint.rules import Rules
from sdr.endpoint.web import Questions, Root
from sdr.tree.v1 import (
    PARTS,
    encode_ancestry,
    encode_images,
    encode_tag,
    encode_tags,
    image_key,
    images_key,
    tag_key,
    tags_key,
)
from tests.catalog.v1_stores import BASE, HALF, TOP, S3Face, StoreFace, SwiftFace, old_store
from tests.endpoint.trees import BODY, NAME, at_once, polled_catalog, write, write_tree
from tests.endpoint.v1_rows import DOCKER_1_10

OLD_URL = "https://old.example.com/registry"
RULES = Rules(RemoteCDN("https://cdn.example.com"), browse=True, old_cdn=RemoteCDN(OLD_URL))


class Got:
    """An answer."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.code
        self.body = body
        self._headers: Headers = response.headers

    def header(self, name: str) -> str | None:
        """Return a header, if it is there."""
        return self._headers.getRawHeaders(name, [None])[0]

    @property
    def location(self) -> str | None:
        """Where a redirect leads."""
        return self.header("Location")


class V1Case(SynchronousTestCase):
    """An endpoint over a tree, and an old store."""

    def setUp(self) -> None:
        """Make a tree that has one tag, for protocol v2 only."""
        self.root = Path(self.mktemp())
        write_tree(self.root)
        self.clock = Clock()

    def endpoint(self, old: ListingSource | None = None, catalog: Catalog | None = None) -> RequestTraversalAgent:
        """Return an agent that asks an endpoint."""
        catalog = catalog or polled_catalog(self.root, self.clock)
        tree = DirectorySource(str(self.root), at_once, self.clock)
        v1 = V1Catalog(tree, old, self.clock, 30.0, at_once)
        knowledge = Knowledge(catalog, v1, Searches(catalog.names, self.clock, 30.0, at_once))
        rules = RULES if old is not None else Rules(RULES.cdn, browse=True)
        return RequestTraversalAgent(Root(Questions(knowledge, rules)))

    def ask(self, agent: RequestTraversalAgent, path: str, method: str = "GET", **headers: str) -> Got:
        """Ask."""
        asking = HTTPClient(agent).request(
            method,
            f"http://registry.example.com:5000{path}",
            headers=Headers({name: [value] for name, value in headers.items()}),
            allow_redirects=False,
        )
        for _ in range(50):
            agent.flush()
        response: Any = self.successResultOf(asking)
        return Got(response, self.successResultOf(response.content()))

    def publish(self, name: str, tag: str, image_id: str = TOP) -> None:
        """Write an image into the tree, as sdr does."""
        write(self.root, image_key(image_id, "layer"), b"a layer")
        write(self.root, image_key(image_id, "ancestry"), encode_ancestry([image_id]))
        write(self.root, image_key(image_id, "json"), b'{"id":"%s"}' % image_id.encode())
        write(self.root, tag_key(name, tag), encode_tag(image_id))
        write(self.root, tags_key(name), encode_tags({tag: image_id}))
        write(self.root, images_key(name), encode_images({tag: image_id}))


class TreeTests(V1Case):
    """What sdr has published."""

    def test_pull(self) -> None:
        """Everything that a docker asks for in one pull is answered, with the headers that it wants."""
        self.publish("app", "1.0")
        agent = self.endpoint()
        ping = self.ask(agent, "/v1/_ping")
        self.assertEqual(ping.header("X-Docker-Registry-Standalone"), "false")
        index = self.ask(agent, "/v1/repositories/app/images", X_Docker_Token="true")
        self.assertEqual((index.status, index.header("X-Docker-Endpoints")), (200, "registry.example.com:5000"))
        self.assertEqual(json.loads(index.body), [{"id": TOP}])
        tags = self.ask(agent, "/v1/repositories/library/app/tags")
        self.assertEqual(json.loads(tags.body), {"1.0": TOP})
        tag = self.ask(agent, "/v1/repositories/library/app/tags/1.0")
        self.assertEqual(tag.body, b'"%s"' % TOP.encode())
        ancestry = self.ask(agent, f"/v1/images/{TOP}/ancestry")
        self.assertEqual((ancestry.status, ancestry.location), (302, f"https://cdn.example.com/images/{TOP}/ancestry"))
        described = self.ask(agent, f"/v1/images/{TOP}/json")
        self.assertEqual((described.status, described.header("X-Docker-Size")), (200, "7"))
        self.assertEqual(described.body, (self.root / image_key(TOP, "json")).read_bytes())
        for method in ("GET", "HEAD"):
            layer = self.ask(agent, f"/v1/images/{TOP}/layer", method)
            self.assertEqual((layer.status, layer.location), (302, f"https://cdn.example.com/images/{TOP}/layer"))

    def test_absent(self) -> None:
        """What is not there is 404, in JSON."""
        agent = self.endpoint()
        for path in (
            "repositories/x/y/images",
            "repositories/x/y/tags",
            "repositories/x/y/tags/1",
            *(f"images/{TOP}/{part}" for part in PARTS),
        ):
            got = self.ask(agent, f"/v1/{path}")
            self.assertEqual((got.status, got.header("Content-Type")), (404, "application/json"), path)
            self.assertIn("error", json.loads(got.body))

    def test_search(self) -> None:
        """Docker search finds the names of the catalog."""
        got = self.ask(self.endpoint(), "/v1/search?q=app&n=25")
        self.assertEqual([each["name"] for each in json.loads(got.body)["results"]], [NAME])

    def test_old_docker(self) -> None:
        """Docker 1.10 is sent to protocol v1 where that has the tag, and told what is to be done where it has not."""
        agent = self.endpoint()
        path = f"/v2/{NAME}/manifests/1.0"
        got = self.ask(agent, path, Accept=DOCKER_1_10)
        (error,) = json.loads(got.body)["errors"]
        self.assertEqual((got.status, error["code"]), (404, "MANIFEST_INVALID"))
        self.assertIn("sdr publish --schema2", error["message"])
        self.publish(NAME, "1.0")
        self.clock.advance(6)
        got = self.ask(agent, path, Accept=DOCKER_1_10)
        (error,) = json.loads(got.body)["errors"]
        self.assertEqual((got.status, error["code"], "detail" in error), (404, "MANIFEST_UNKNOWN", True))
        self.assertEqual(self.ask(agent, path).status, 307)
        self.assertEqual(self.ask(agent, path, "HEAD", Accept="*/*").header("Content-Length"), str(len(BODY)))

    def test_only_v1(self) -> None:
        """A repository that protocol v2 does not have leads docker 1.10 to v1; and one that is nowhere does not."""
        self.publish("old/app", "1.0")
        agent = self.endpoint()
        for path, code in (
            ("old/app/manifests/1.0", "MANIFEST_UNKNOWN"),
            ("old/app/tags/list", "MANIFEST_UNKNOWN"),
            ("no/app/manifests/1.0", "NAME_UNKNOWN"),
            ("no/app/tags/list", "NAME_UNKNOWN"),
        ):
            got = self.ask(agent, f"/v2/{path}", Accept=DOCKER_1_10)
            (error,) = json.loads(got.body)["errors"]
            self.assertEqual((got.status, error["code"]), (404, code), path)
            self.assertEqual("detail" in error, code == "MANIFEST_UNKNOWN", path)

    def test_no_catalog(self) -> None:
        """A tree without a catalog of protocol v2 has its images of v1 all the same."""
        self.publish("app", "1.0")
        (self.root / "v2/_repositories.json").unlink()
        got = self.ask(self.endpoint(), "/v1/repositories/app/tags/1.0")
        self.assertEqual(got.status, 200)


class OldStoreTests(V1Case):
    """What a docker-registry of 2014 has written, in each kind of store."""

    def check(self, old: ListingSource) -> None:
        """Pull from an old store."""
        agent = self.endpoint(old)
        repository = "/v1/repositories/demo/hello"
        self.assertEqual(json.loads(self.ask(agent, f"{repository}/tags").body), {"latest": TOP})
        self.assertEqual(json.loads(self.ask(agent, f"{repository}/images").body), [{"id": BASE}, {"id": TOP}])
        self.assertEqual(self.ask(agent, f"{repository}/tags/latest").body, b'"%s"' % TOP.encode())
        self.assertEqual(self.ask(agent, f"{repository}/tags/half").status, 404)
        described = self.ask(agent, f"/v1/images/{BASE}/json")
        self.assertEqual((described.status, described.header("X-Docker-Size")), (200, "10"))
        for part in PARTS:
            self.assertEqual(self.ask(agent, f"/v1/images/{HALF}/{part}").status, 404, part)
        self.assertEqual(self.ask(agent, "/v1/repositories/demo/conv/tags").status, 404)
        for part in ("ancestry", "layer"):
            got = self.ask(agent, f"/v1/images/{TOP}/{part}")
            self.assertEqual((got.status, got.location), (302, f"{OLD_URL}/images/{TOP}/{part}"))

    def over_http(self, face: StoreFace, path: str) -> HTTPSource:
        """Return a store over HTTP."""
        return HTTPSource(f"http://store.example.com{path}", RequestTraversalAgent(face), self.clock)

    def test_directory(self) -> None:
        """A directory."""
        old = Path(self.mktemp())
        for key, data in old_store().items():
            write(old, key, data)
        self.check(DirectorySource(str(old), at_once, self.clock))

    def test_swift(self) -> None:
        """A Swift container, with the root that the registry was given."""
        face = SwiftFace({f"registry/{key}": data for key, data in old_store().items()}, "/v1/AUTH_x/images")
        self.check(self.over_http(face, "/v1/AUTH_x/images/registry"))

    def test_s3(self) -> None:
        """A bucket, by host and by path, that says 403 of what it does not have."""
        for container in ("", "/images"):
            face = S3Face({f"registry/{key}": data for key, data in old_store().items()}, container)
            face.missing = 403
            self.check(self.over_http(face, f"{container}/registry"))

    def test_files(self) -> None:
        """A web server that lists nothing, with the files of ActiveState's patch."""
        objects = old_store() | {"repositories/demo/hello/tags": encode_tags({"latest": TOP, "half": HALF})}
        self.check(self.over_http(StoreFace(objects), ""))

    def test_never_written(self) -> None:
        """An old store is asked for objects and lists, and for nothing else."""
        face = SwiftFace(old_store(), "/v1/AUTH_x/images")
        self.check(self.over_http(face, "/v1/AUTH_x/images"))
        self.assertEqual({asked.partition(" ")[0] for asked in face.asked}, {"GET", "HEAD"})

    def test_tree_wins(self) -> None:
        """Both are one registry; the tree's tags and images come first."""
        self.publish("demo/hello", "latest", BASE)
        old = SwiftFace(old_store() | {"repositories/demo/hello/tag_2014": TOP.encode()}, "/v1/AUTH_x/images")
        agent = self.endpoint(self.over_http(old, "/v1/AUTH_x/images"))
        tags = self.ask(agent, "/v1/repositories/demo/hello/tags")
        self.assertEqual(json.loads(tags.body), {"2014": TOP, "latest": BASE})
        tag = self.ask(agent, "/v1/repositories/demo/hello/tags/latest")
        self.assertEqual(json.loads(tag.body), BASE)
        self.assertEqual(
            self.ask(agent, f"/v1/images/{BASE}/layer").location, f"https://cdn.example.com/images/{BASE}/layer"
        )
        self.assertEqual(self.ask(agent, f"/v1/images/{TOP}/layer").location, f"{OLD_URL}/images/{TOP}/layer")

    def test_down(self) -> None:
        """While the old store is down, what was known is answered, images are redirected, and the rest is 503."""
        face = SwiftFace(old_store(), "/v1/AUTH_x/images")
        agent = self.endpoint(self.over_http(face, "/v1/AUTH_x/images"))
        known = [f"/v1/repositories/demo/hello/{what}" for what in ("images", "tags", "tags/latest")]
        before = [self.ask(agent, path).body for path in known]
        face.status = 503
        self.clock.advance(31)
        self.assertEqual([self.ask(agent, path).body for path in known], before)
        self.assertEqual(self.ask(agent, "/v1/repositories/demo/other/tags").status, 503)
        self.assertEqual(self.ask(agent, "/v1/repositories/demo/other/tags/1").status, 503)
        self.assertEqual(self.ask(agent, "/v1/repositories/demo/other/images").body, b"[]")
        got = self.ask(agent, f"/v1/images/{TOP}/json")
        self.assertEqual((got.status, got.location), (302, f"{OLD_URL}/images/{TOP}/json"))
