"""Tests of the pure answers: the table of docs/request-handling.md row by row, and what must hold for all questions."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    FoundManifest,
    Lookup,
    ManifestLookup,
    Missing,
    ReferrersLookup,
    RepositoryLookup,
    TagsLookup,
)
from sdr.catalog.v1_lookups import V1ImageLookup, V1IndexLookup, V1Lookup
from sdr.cdn.locations import OwnTree, RemoteCDN
from sdr.endpoint.answer import Answer
from sdr.endpoint.answers import answer
from sdr.endpoint.rules import Rules
from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX, OCI_MANIFEST
from sdr.registry.questions import ManifestOf, TagsOf, read_path
from sdr.tree.documents import ManifestEntry, Repository
from sdr.tree.referrers import Referrers
from tests.endpoint.knowledge import Table
from tests.endpoint.rows import CDN, REDIRECT, Row, question, to
from tests.endpoint.v1_rows import DOCKER_1_10, OLD_CDN, V1_LOOKUPS, V1_ROWS, V1_TARGETS

INLINE = Rules(RemoteCDN(CDN), inline=True)
BROWSE = Rules(RemoteCDN(CDN), browse=True)
OWN = Rules(OwnTree(None))

BODY = b'{"schemaVersion":2,"manifests":[]}'
DIGEST = Digest.of(BODY)
OTHER = Digest.of(b"other")
ENTRY = ManifestEntry(DIGEST, OCI_INDEX, len(BODY))
FOUND = FoundManifest(ENTRY, BODY)
MOVED_BODY = b'{"schemaVersion":2,"manifests":[],"annotations":{}}'
MOVED = FoundManifest(ManifestEntry(Digest.of(MOVED_BODY), OCI_INDEX, len(MOVED_BODY)), MOVED_BODY)
APP = Repository("acme/app", {"1.0": ENTRY, "latest": ENTRY, "2.0": ManifestEntry(OTHER, OCI_MANIFEST, 7)})

APP_LOOKUP = RepositoryLookup("acme/app")
NEW = "/v2/acme/app/manifests/new"
BY_TAG = "/v2/acme/app/manifests/1.0"
BY_DIGEST = f"/v2/acme/app/manifests/{DIGEST}"
BY_OTHER = f"/v2/acme/app/manifests/{OTHER}"
UNTAGGED = Digest.of(b"untagged")
BY_UNTAGGED = f"/v2/acme/app/manifests/{UNTAGGED}"
BLOB = f"/v2/acme/app/blobs/{DIGEST}"
REFERRERS = f"/v2/acme/app/referrers/{DIGEST}"
SIGNATURE = {"mediaType": OCI_MANIFEST, "digest": str(OTHER), "size": 7, "artifactType": "application/x.sig+json"}
SBOM = {"mediaType": OCI_MANIFEST, "digest": str(UNTAGGED), "size": 8, "artifactType": "application/x.sbom"}
BOTH = Referrers.of((SIGNATURE, SBOM))

KNOWN: dict[Lookup[Any], Any] = {APP_LOOKUP: APP}
GONE: dict[Lookup[Any], Any] = {APP_LOOKUP: ABSENT}
NOWHERE: dict[Lookup[Any], Any] = {**GONE, TagsLookup("acme/app"): ABSENT, V1IndexLookup("acme/app"): ABSENT}
DOWN: dict[Lookup[Any], Any] = {APP_LOOKUP: UNKNOWN}
NEW_LOOKUP = ManifestLookup("acme/app", "new")


MANIFEST_HEADERS = {
    "Content-Type": OCI_INDEX,
    "Content-Length": str(len(BODY)),
    "Docker-Content-Digest": str(DIGEST),
    "ETag": f'"{DIGEST}"',
}
MOVES = {"Cache-Control": "no-cache"}
STAYS = {"Cache-Control": "public, max-age=31536000, immutable"}
ROWS = [
    *(
        Row(1, method, path, KNOWN, 405, {"Allow": "GET, HEAD"}, "UNSUPPORTED")
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW")
        for path in ("/v2/", BY_TAG, BLOB, "/", "/nowhere")
    ),
    *(
        Row(2, "GET", path, KNOWN, 404)
        for path in (
            "http://other/v2/",
            "*",
            "",
            "v2/",
            "//v2/",
            "/v2//acme/app/manifests/1.0",
            "/v2/acme//app/manifests/1.0",
            "/v2/acme/app/manifests/",
            "/v2/acme/app/manifests/..",
            "/v2/../acme/app/manifests/1.0",
            "/v2/acme/./app/manifests/1.0",
            "/v2/acme%2Fapp/manifests/1.0",
            "/v2/acme/app/manifests/1%2E0",
            "/v2/acme/app%00/manifests/1.0",
            "/v2/acme\\app/manifests/1.0",
            "/v2/acme/app/manifests/1\\0",
            "/v2/%2e%2e/app/manifests/1.0",
            f"/v2/acme/app/blobs/sha256%2F{DIGEST.hex}",
        )
    ),
    Row(2, "HEAD", BY_DIGEST.replace(":", "%3A"), KNOWN, 200, MANIFEST_HEADERS),
    Row(2, "GET", BLOB.replace(":", "%3a"), {}, 307, to(f"blobs/sha256/{DIGEST.hex}")),
    Row(3, "GET", "/v2/", {}, 200, {"Content-Type": "application/json", "Content-Length": "2"}, "{}"),
    Row(3, "HEAD", "/v2/", {}, 200, {"Content-Length": "2"}),
    Row(3, "GET", "/v2", {}, 200, {}, "{}"),
    Row(4, "HEAD", BY_TAG, KNOWN, 200, {**MANIFEST_HEADERS, **MOVES}),
    Row(4, "HEAD", BY_TAG, KNOWN, 200, {**MANIFEST_HEADERS, **MOVES}, rules=INLINE),
    Row(4, "HEAD", BY_TAG, KNOWN, 304, {"ETag": f'"{DIGEST}"', "Content-Length": None}, etag=f'"{DIGEST}"'),
    Row(4, "HEAD", BY_TAG, KNOWN, 304, {}, etag=f'"x", W/"{DIGEST}"'),
    Row(4, "HEAD", BY_TAG, KNOWN, 304, {}, etag="*"),
    Row(4, "HEAD", BY_TAG, KNOWN, 200, {}, etag=f'"{OTHER}"'),
    Row(5, "GET", BY_TAG, KNOWN, 307, {**to(BY_DIGEST[1:]), "Docker-Content-Digest": str(DIGEST), **MOVES}),
    Row(5, "GET", BY_TAG, KNOWN, ManifestLookup("acme/app", DIGEST), rules=INLINE),
    Row(
        5,
        "GET",
        BY_TAG,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): FOUND},
        200,
        {**MANIFEST_HEADERS, **MOVES},
        BODY.decode(),
        INLINE,
    ),
    Row(5, "GET", BY_TAG, KNOWN, 304, {"ETag": f'"{DIGEST}"'}, rules=INLINE, etag=f'"{DIGEST}"'),
    Row(
        5,
        "GET",
        BY_TAG,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): UNKNOWN},
        307,
        {**to(BY_DIGEST[1:]), "Docker-Content-Digest": str(DIGEST)},
        rules=INLINE,
    ),
    # The tag's document has outlived its manifest: the tag's own object decides.
    Row(
        5,
        "GET",
        BY_TAG,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): ABSENT},
        ManifestLookup("acme/app", "1.0"),
        rules=INLINE,
    ),
    Row(
        5,
        "GET",
        BY_TAG,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): ABSENT, ManifestLookup("acme/app", "1.0"): FOUND},
        200,
        MANIFEST_HEADERS,
        rules=INLINE,
    ),
    Row(
        5,
        "GET",
        BY_TAG,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): ABSENT, ManifestLookup("acme/app", "1.0"): ABSENT},
        404,
        {},
        "MANIFEST_UNKNOWN",
        INLINE,
    ),
    Row(6, "HEAD", BY_DIGEST, KNOWN, 200, {**MANIFEST_HEADERS, **STAYS}),
    Row(6, "GET", BY_DIGEST, KNOWN, 307, {**to(BY_DIGEST[1:]), "Docker-Content-Digest": str(DIGEST)}),
    Row(6, "HEAD", BY_UNTAGGED, KNOWN, ManifestLookup("acme/app", UNTAGGED)),
    Row(6, "GET", BY_UNTAGGED, KNOWN, ManifestLookup("acme/app", UNTAGGED)),
    Row(
        6,
        "HEAD",
        BY_UNTAGGED,
        {**KNOWN, ManifestLookup("acme/app", UNTAGGED): FoundManifest(replace(ENTRY, digest=UNTAGGED), b"")},
        200,
        {"Docker-Content-Digest": str(UNTAGGED), **STAYS},
    ),
    Row(
        6,
        "GET",
        BY_DIGEST,
        {**KNOWN, ManifestLookup("acme/app", DIGEST): FOUND},
        200,
        {**MANIFEST_HEADERS, **STAYS},
        BODY.decode(),
        INLINE,
    ),
    Row(6, "GET", BY_UNTAGGED, {**KNOWN, ManifestLookup("acme/app", UNTAGGED): UNKNOWN}, 307, to(BY_UNTAGGED[1:])),
    Row(7, "GET", BY_TAG, {}, APP_LOOKUP),
    Row(7, "GET", NEW, KNOWN, NEW_LOOKUP),
    Row(7, "GET", NEW, GONE, NEW_LOOKUP),
    Row(7, "HEAD", NEW, GONE, NEW_LOOKUP),
    Row(7, "GET", NEW, {**GONE, NEW_LOOKUP: FOUND}, 307, {**to(BY_DIGEST[1:]), **MOVES}),
    Row(7, "HEAD", NEW, {**GONE, NEW_LOOKUP: FOUND}, 200, {**MANIFEST_HEADERS, **MOVES}),
    Row(7, "GET", NEW, {**KNOWN, NEW_LOOKUP: ABSENT}, 404, {}, "MANIFEST_UNKNOWN"),
    Row(7, "GET", NEW, {**GONE, NEW_LOOKUP: ABSENT}, 404, {}, "NAME_UNKNOWN"),
    Row(7, "HEAD", NEW, {**GONE, NEW_LOOKUP: ABSENT}, 404, {"Content-Length": "87"}),
    Row(8, "GET", BY_TAG, DOWN, 307, {**to(BY_TAG[1:]), "Docker-Content-Digest": None, **MOVES}),
    Row(8, "HEAD", BY_TAG, DOWN, 307, to(BY_TAG[1:])),
    Row(8, "GET", BY_TAG, DOWN, ManifestLookup("acme/app", "1.0"), rules=INLINE),
    Row(8, "GET", BY_TAG, {**DOWN, ManifestLookup("acme/app", "1.0"): UNKNOWN}, 307, to(BY_TAG[1:]), rules=INLINE),
    Row(8, "GET", BY_OTHER, {**DOWN, ManifestLookup("acme/app", OTHER): UNKNOWN}, 307, to(BY_OTHER[1:]), rules=INLINE),
    Row(8, "GET", NEW, {**KNOWN, NEW_LOOKUP: UNKNOWN}, 307, to(NEW[1:])),
    Row(8, "GET", BY_OTHER, DOWN, 307, to(BY_OTHER[1:])),
    Row(8, "HEAD", BY_DIGEST, {**DOWN, ManifestLookup("acme/app", DIGEST): FOUND}, 200, MANIFEST_HEADERS),
    Row(8, "GET", "/v2/acme/app/tags/list", DOWN, 307, to("v2/acme/app/tags/list")),
    Row(8, "GET", REFERRERS, {ReferrersLookup("acme/app", DIGEST): UNKNOWN}, 307, to(REFERRERS[1:])),
    *(
        Row(9, method, BLOB, findings, 307, {**to(f"blobs/sha256/{DIGEST.hex}"), "Docker-Content-Digest": str(DIGEST)})
        for method in ("GET", "HEAD")
        for findings in ({}, KNOWN, GONE, DOWN)
    ),
    Row(9, "GET", BLOB, GONE, 404, {}, "NAME_UNKNOWN", absent=("acme/app",)),
    Row(10, "GET", "/v2/acme/app/tags/list", {}, APP_LOOKUP),
    Row(
        10,
        "GET",
        "/v2/acme/app/tags/list",
        KNOWN,
        200,
        {"Content-Type": "application/json", "Link": None, **MOVES},
        '{"name":"acme/app","tags":["1.0","2.0","latest"]}',
    ),
    Row(
        10,
        "GET",
        "/v2/acme/app/tags/list?n=2",
        KNOWN,
        200,
        {"Link": '</v2/acme/app/tags/list?n=2&last=2.0>; rel="next"'},
        '"tags":["1.0","2.0"]',
    ),
    Row(10, "GET", "/v2/acme/app/tags/list?n=2&last=2.0", KNOWN, 200, {"Link": None}, '"tags":["latest"]'),
    Row(10, "GET", "/v2/acme/app/tags/list?last=1.5", KNOWN, 200, {}, '"tags":["2.0","latest"]'),
    Row(10, "GET", "/v2/acme/app/tags/list?n=3", KNOWN, 200, {"Link": None}),
    Row(10, "GET", "/v2/acme/app/tags/list?n=0", KNOWN, 200, {"Link": None}, '"tags":[]'),
    *(
        Row(10, "GET", f"/v2/acme/app/tags/list?n={bad}", KNOWN, 400, {}, "PAGINATION_NUMBER_INVALID")
        for bad in ("x", "-1", "", "1.5", "9999999999", "%C2%B2")
    ),
    Row(10, "GET", "/v2/acme/app/tags/list", GONE, TagsLookup("acme/app")),
    Row(10, "GET", "/v2/acme/app/tags/list", {**GONE, TagsLookup("acme/app"): ("a", "b")}, 200, {}, '"tags":["a","b"]'),
    Row(10, "GET", "/v2/acme/app/tags/list", {**GONE, TagsLookup("acme/app"): ABSENT}, V1IndexLookup("acme/app")),
    Row(10, "GET", "/v2/acme/app/tags/list", NOWHERE, 404, {}, "NAME_UNKNOWN"),
    Row(11, "GET", REFERRERS, {}, ReferrersLookup("acme/app", DIGEST)),
    Row(
        11,
        "GET",
        REFERRERS,
        {ReferrersLookup("acme/app", DIGEST): ABSENT},
        200,
        {"Content-Type": OCI_INDEX, "OCI-Filters-Applied": None},
        '"manifests":[]',
    ),
    Row(11, "GET", REFERRERS, {ReferrersLookup("acme/app", DIGEST): BOTH}, 200, {}, str(OTHER)),
    *(
        Row(
            11,
            "GET",
            f"{REFERRERS}?artifactType=application/x.sig{plus}json",
            {ReferrersLookup("acme/app", DIGEST): BOTH},
            200,
            {"OCI-Filters-Applied": "artifactType"},
            f'"manifests":[{json.dumps(SIGNATURE, separators=(",", ":"))}]',
        )
        for plus in ("+", "%2B", "%2b")
    ),
    Row(12, "GET", "/v2/_catalog", {}, 404),
    Row(12, "GET", "/v2/_catalog", {}, 200, {}, '{"repositories":["a","b/c","d"]}', BROWSE),
    Row(
        12,
        "GET",
        "/v2/_catalog?n=1&last=a",
        {},
        200,
        {"Link": '</v2/_catalog?n=1&last=b%2Fc>; rel="next"'},
        '{"repositories":["b/c"]}',
        BROWSE,
    ),
    Row(12, "GET", "/v2/_catalog?n=-", {}, 400, {}, "PAGINATION_NUMBER_INVALID", BROWSE),
    Row(
        13,
        "GET",
        "/v1/_ping",
        {},
        200,
        {
            "X-Docker-Registry-Version": "sdr",
            "X-Docker-Registry-Standalone": "false",
            "Docker-Distribution-Api-Version": None,
        },
    ),
    *V1_ROWS,
    Row(21, "GET", "/", {}, 200, {"Content-Type": "text/html; charset=utf-8"}, "docker pull"),
    Row(21, "GET", "/", {}, 200, {}, "<li><code>b/c</code></li>", BROWSE),
    *(
        Row(22, "GET", path, {}, 404, {"Content-Type": "application/json"})
        for path in (
            "/v2foo",
            "/v3/",
            "/favicon.ico",
            "/v2/acme",
            "/v2/acme/app",
            "/v2/acme/app/uploads/x",
            "/v1",
            "/old/",
        )
    ),
]
GRAMMAR = [
    ("/v2/Acme/app/manifests/1.0", 400, "NAME_INVALID"),
    ("/v2/acme/app_/tags/list", 400, "NAME_INVALID"),
    (f"/v2/{'a' * 256}/manifests/1.0", 400, "NAME_INVALID"),
    ("/v2/acme/app/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_INVALID"),
    (f"/v2/acme/app/manifests/{'a' * 129}", 404, "MANIFEST_INVALID"),
    ("/v2/acme/app/manifests/sha256:123", 400, "DIGEST_INVALID"),
    (f"/v2/acme/app/blobs/sha256:{'A' * 64}", 400, "DIGEST_INVALID"),
    (f"/v2/acme/app/blobs/md5:{'0' * 32}", 400, "DIGEST_INVALID"),
    ("/v2/acme/app/referrers/latest", 400, "DIGEST_INVALID"),
]


class TableTests(SynchronousTestCase):
    """The table of docs/request-handling.md."""

    def check(self, row: Row) -> None:
        """Hold one case against its row."""
        known = Table(row.findings, absent=row.absent, names=["a", "b/c", "d"])
        asked = replace(question(row.method, row.path, row.etag), accept=row.accept, user_agent=row.user_agent)
        got = answer(asked, known, row.rules)
        about = f"row {row.row}: {row.method} {row.path} with {dict(row.findings)}"
        if isinstance(row.status, Lookup) or isinstance(got, Lookup):
            self.assertEqual(got, row.status, about)
            return
        self.assertEqual(got.status, row.status, about)
        for name, value in row.headers.items():
            self.assertEqual(got.header(name), value, f"{about}: {name}")
        self.assertIn(row.says, got.body.decode(), about)

    def test_rows(self) -> None:
        """Each case is answered as its row says."""
        for row in ROWS:
            self.check(row)

    def test_every_row_has_a_case(self) -> None:
        """A row that is added to the document without a case here is noticed."""
        document = (Path(__file__).parents[2] / "docs" / "request-handling.md").read_text()
        documented = {int(number) for number in re.findall(r"^\| (\d+) \|", document, re.MULTILINE)}
        self.assertEqual({row.row for row in ROWS}, documented)

    def test_many_repositories(self) -> None:
        """A page of the repositories has a thousand at most, whatever is asked for, and leads to the next."""
        names = [f"r{number:04}" for number in range(2500)]
        for query in ("", "?n=5000"):
            pages, target = [], f"/v2/_catalog{query}"
            while target:
                got = answer(question("GET", target), Table(names=names), BROWSE)
                assert isinstance(got, Answer)
                pages.append(json.loads(got.body)["repositories"])
                link = re.fullmatch(r'<(.*)>; rel="next"', got.header("Link") or "")
                target = link[1] if link else ""
            self.assertEqual([len(page) for page in pages], [1000, 1000, 500])
            self.assertEqual([name for page in pages for name in page], names)

    def test_broken_grammar(self) -> None:
        """What breaks the grammar gets its own code, and the status that the specification gives it."""
        for target, status, code in GRAMMAR:
            got = answer(question("GET", target), Table(), REDIRECT)
            assert isinstance(got, Answer)
            self.assertEqual((got.status, json.loads(got.body)["errors"][0]["code"]), (status, code), target)

    def test_detail(self) -> None:
        """Unknown names come without a detail and unknown manifests with one: old dockers decide by it."""
        without = answer(question("GET", NEW), Table({**GONE, NEW_LOOKUP: ABSENT}), REDIRECT)
        with_detail = answer(question("GET", NEW), Table({**KNOWN, NEW_LOOKUP: ABSENT}), REDIRECT)
        assert isinstance(without, Answer)
        assert isinstance(with_detail, Answer)
        self.assertNotIn("detail", json.loads(without.body)["errors"][0])
        self.assertIn("detail", json.loads(with_detail.body)["errors"][0])


class LoopTests(SynchronousTestCase):
    """A CDN that is the endpoint itself, under a name that nobody could know at the start."""

    def test_ends(self) -> None:
        """A client that follows redirects comes to an end, and hears why."""
        rules = Rules(RemoteCDN("http://registry.example.com"))
        known = Table({**KNOWN, RepositoryLookup("down"): UNKNOWN, V1ImageLookup("0123456789abcdef"): UNKNOWN})
        for target in (BY_TAG, BY_DIGEST, "/v2/down/manifests/1", BLOB, "/v1/images/0123456789abcdef/layer"):
            hops = 0
            while (location := self.location(target, known, rules)) is not None:
                target = location.removeprefix("http://registry.example.com")
                hops += 1
                self.assertLess(hops, 3)
        got = answer(question("GET", BY_DIGEST), known, rules)
        assert isinstance(got, Answer)
        self.assertEqual((got.status, json.loads(got.body)["errors"][0]["code"]), (503, "UNAVAILABLE"))

    def location(self, target: str, known: Table, rules: Rules) -> str | None:
        """Return where a target is redirected."""
        got = answer(question("GET", target), known, rules)
        assert isinstance(got, Answer)
        return got.header("Location")

    def test_one_name_for_both(self) -> None:
        """A CDN may send manifests' paths to the endpoint and blobs' to the store, under one name."""
        rules = Rules(RemoteCDN("http://registry.example.com"), inline=True)
        known = Table({**KNOWN, ManifestLookup("acme/app", DIGEST): FOUND})
        got = answer(question("GET", BY_TAG), known, rules)
        assert isinstance(got, Answer)
        self.assertEqual(got.status, 200)
        self.assertEqual(self.location(BLOB, known, rules), f"http://registry.example.com/blobs/sha256/{DIGEST.hex}")


class OwnTreeTests(SynchronousTestCase):
    """Redirects with `--cdn DIR`."""

    def test_host_of_the_request(self) -> None:
        """The endpoint's own address is the one the client used."""
        got = answer(replace(question("GET", BLOB, host="[::1]:5000"), scheme="https"), Table(), OWN)
        assert isinstance(got, Answer)
        self.assertEqual(got.header("Location"), f"https://[::1]:5000/tree/blobs/sha256/{DIGEST.hex}")

    def test_malformed_host(self) -> None:
        """A Host that could lead elsewhere is a bad request."""
        for host in ("", "evil/path", "a b", "user@host", "host:port", "[::1", "host?", "-x-", "h\r\nx: y"):
            got = answer(question("GET", BLOB, host=host), Table(), OWN)
            assert isinstance(got, Answer)
            self.assertEqual((got.status, got.header("Location")), (400, None), host)

    def test_public_url(self) -> None:
        """A public URL stands whatever the client calls the endpoint."""
        got = answer(question("GET", BLOB, host="10.0.0.1"), Table(), Rules(OwnTree("https://registry.example.com")))
        assert isinstance(got, Answer)
        self.assertEqual(got.header("Location"), f"https://registry.example.com/tree/blobs/sha256/{DIGEST.hex}")


class EndpointsTests(SynchronousTestCase):
    """Where docker goes on after the list of a repository's images."""

    def said(self, host: str, rules: Rules) -> str | None:
        """Return what the header says."""
        asked = question("GET", "/v1/repositories/acme/app/images", host=host)
        got = answer(asked, Table({V1IndexLookup("acme/app"): b"[]"}), rules)
        assert isinstance(got, Answer)
        self.assertEqual(got.status, 200, host)
        return got.header("X-Docker-Endpoints")

    def test_host_of_the_request(self) -> None:
        """It goes on with the host that it asked, whatever else its connection came through."""
        for host in ("registry.example.com", "10.0.0.1:5000", "[::1]:5000"):
            self.assertEqual(self.said(host, REDIRECT), host)

    def test_malformed_host(self) -> None:
        """A Host that could lead elsewhere is not repeated; without the header docker stays where it is."""
        for host in ("", "evil/path", "a b", "a,b", "user@host", "host:port", "[::1", "host?", "h\r\nx: y"):
            self.assertIsNone(self.said(host, REDIRECT), host)

    def test_public_url(self) -> None:
        """A public URL stands whatever the client calls the endpoint."""
        for host in ("10.0.0.1", "", "a b"):
            self.assertEqual(self.said(host, replace(REDIRECT, public_host="own.example:444")), "own.example:444")


NAMES = ["acme/app", "b", "Bad", "a//b", "..", "a/manifests/b"]
REFERENCES = ["1.0", "new", ".x", str(DIGEST), str(OTHER), "sha256:1", "sha512:" + "0" * 128]
ENDINGS = [f"manifests/{reference}" for reference in REFERENCES]
ENDINGS += [f"blobs/{DIGEST}", "tags/list", f"referrers/{DIGEST}", "tags/list?n=1", "nothing/x"]
targets = st.one_of(
    st.builds("/v2/{}/{}".format, st.sampled_from(NAMES), st.sampled_from(ENDINGS)),
    st.builds("/v{}/{}".format, st.sampled_from("12"), st.text(max_size=40)),
    st.text(max_size=60),
    st.sampled_from(["/", "/v2/", "/v2/_catalog", "/v1/_ping", "/v1/images/0123456789abcdef/json"]),
    st.sampled_from(V1_TARGETS),
)
hosts = st.one_of(st.sampled_from(["registry.example.com", "[::1]:5000", "", "evil.example/x"]), st.text(max_size=20))
methods = st.one_of(st.sampled_from(["GET", "HEAD"]), st.text(max_size=8))
etags = st.one_of(st.just(""), st.just(f'"{DIGEST}"'), st.text(max_size=20))
rules = st.builds(
    Rules,
    st.sampled_from([RemoteCDN(CDN), OwnTree(None), OwnTree("https://own.example")]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "public.example"]),
    st.sampled_from([None, RemoteCDN(OLD_CDN), OwnTree(None, "/old")]),
)


SEEN = 12 + len(V1_LOOKUPS)


def tables(*missing: Missing) -> st.SearchStrategy[Table]:
    """Return tables in which anything may be known, due a look, or missing in one of these ways."""

    def findings(picks: list[Any]) -> Table:
        lookups: list[tuple[Lookup[Any], Any]] = []
        for name in ("acme/app", "b"):
            lookups.append((RepositoryLookup(name), replace(APP, name=name)))
            lookups += [(ManifestLookup(name, "1.0"), MOVED), (ManifestLookup(name, "new"), FOUND)]
            lookups += [(ManifestLookup(name, DIGEST), FOUND), (TagsLookup(name), ("1.0", "new"))]
            lookups.append((ReferrersLookup(name, DIGEST), BOTH))
        lookups += V1_LOOKUPS
        known = {}
        for (lookup, finding), pick in zip(lookups, picks, strict=True):
            if pick is not None:
                known[lookup] = finding if pick == "found" else pick
        return Table(known, names=["acme/app", "b"])

    return st.lists(st.sampled_from([None, "found", *missing]), min_size=SEEN, max_size=SEEN).map(findings)


class AllQuestionsTests(SynchronousTestCase):
    """What holds for every question, whatever is known."""

    @given(methods, targets, hosts, etags, tables(ABSENT, UNKNOWN), rules)
    def test_never_raises(self, method: str, target: str, host: str, etag: str, known: Table, rule: Rules) -> None:
        """Any question gets an answer with an exact length, or names a lookup; and the same one each time."""
        asked = question(method, target, etag, host)
        got = answer(asked, known, rule)
        self.assertEqual(answer(asked, known, rule), got)
        if isinstance(got, Answer):
            self.assertTrue(all("\r" not in text and "\n" not in text for header in got.headers for text in header))
            if method != "HEAD" and got.status != 304:
                self.assertEqual(got.header("Content-Length"), str(len(got.body)))

    @given(methods, targets, hosts, tables(ABSENT, UNKNOWN), rules)
    def test_location(self, method: str, target: str, host: str, known: Table, rule: Rules) -> None:
        """Every redirect begins with the CDN's base, and nothing in it leads out of that."""
        asked = question(method, target, host=host)
        got = answer(asked, known, rule)
        location = got.header("Location") if isinstance(got, Answer) else None
        if location is not None:
            bases = [cdn.base(host, "http") for cdn in (rule.cdn, rule.old_cdn) if cdn is not None]
            within = [base for base in bases if base is not None and location.startswith(f"{base}/")]
            self.assertEqual(len(within), 1, location)
            segments = location.removeprefix(f"{within[0]}/").split("/")
            for segment in segments:
                self.assertRegex(segment, r"\A[A-Za-z0-9_][A-Za-z0-9._:-]*\Z")

    @given(methods, targets, tables(ABSENT, UNKNOWN), rules)
    def test_old_docker(self, method: str, target: str, known: Table, rule: Rules) -> None:
        """Docker 1.10 is never sent an OCI manifest by tag, and who takes those costs no look at protocol v1."""
        old = answer(replace(question(method, target), accept=DOCKER_1_10), known, rule)
        asked = read_path(target.partition("?")[0])
        if isinstance(asked, ManifestOf) and asked.reference == "1.0" and isinstance(old, Answer):
            self.assertNotEqual(old.header("Content-Type"), OCI_INDEX)
        new = answer(replace(question(method, target), accept=f"{DOCKER_1_10},{OCI_INDEX}"), known, rule)
        if isinstance(asked, ManifestOf):
            self.assertNotIsInstance(new, V1Lookup)

    @given(st.sampled_from(["GET", "HEAD"]), targets, tables(ABSENT), rules)
    def test_no_redirect_without_a_look(self, method: str, target: str, known: Table, rule: Rules) -> None:
        """While looks can be made, a manifest is redirected only to where it is known to be."""
        got = answer(question(method, target), known, rule)
        asked = read_path(target.partition("?")[0])
        if isinstance(asked, ManifestOf) and isinstance(got, Answer) and got.status == 307:
            self.assertIsNotNone(got.header("Docker-Content-Digest"))

    @given(st.sampled_from(["GET", "HEAD"]), targets, tables(ABSENT, UNKNOWN), rules)
    def test_404_comes_from_the_object(self, method: str, target: str, known: Table, rule: Rules) -> None:
        """A well-formed manifest or list of tags is 404 only if its own object was seen to be absent."""
        got = answer(question(method, target), known, rule)
        asked = read_path(target.partition("?")[0])
        if isinstance(got, Answer) and got.status == 404:
            if isinstance(asked, ManifestOf):
                self.assertIs(known.recall(ManifestLookup(asked.name, asked.reference)), ABSENT)
            elif isinstance(asked, TagsOf):
                self.assertIs(known.recall(TagsLookup(asked.name)), ABSENT)

    @given(targets, etags, tables(ABSENT, UNKNOWN), rules)
    def test_head_is_get(self, target: str, etag: str, known: Table, rule: Rules) -> None:
        """HEAD has the status and headers of GET where that is no redirect and due no look; the wire drops its body."""
        get, head = (answer(question(method, target, etag), known, rule) for method in ("GET", "HEAD"))
        if isinstance(get, Answer) and get.status not in (302, 307):
            assert isinstance(head, Answer)
            self.assertEqual(replace(head, body=b""), replace(get, body=b""))
