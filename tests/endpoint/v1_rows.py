"""The rows of protocol v1 in docs/request-handling.md, with their cases."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sdr.catalog.lookups import ABSENT, UNKNOWN, FoundManifest, Lookup, ManifestLookup, RepositoryLookup, TagsLookup
from sdr.catalog.v1_lookups import (
    FoundImage,
    FoundNames,
    FoundTags,
    SearchLookup,
    V1ImageLookup,
    V1IndexLookup,
    V1TagLookup,
    V1TagsLookup,
)
from sdr.cdn.locations import OwnTree, RemoteCDN
from sdr.endpoint.rules import Rules
from sdr.registry.grammar import Digest
from sdr.registry.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from sdr.tree.documents import ManifestEntry, Repository
from tests.endpoint.rows import REDIRECT, Row, to

OLD_CDN = "https://old.example.com/registry"
OLD = replace(REDIRECT, old_cdn=RemoteCDN(OLD_CDN))
BROWSE = replace(REDIRECT, browse=True)
TOP, BASE = "a" * 64, "b" * 16
IMAGE = FoundImage(b'{"id":"%s"}' % TOP.encode(), 1234)
INDEX = json.dumps([{"id": TOP}]).encode()

REPOSITORY = "/v1/repositories/acme/app"
Findings = Mapping[Lookup[Any], Any]


def both(kind: Any, in_tree: Any, in_old: Any, *what: str) -> dict[Lookup[Any], Any]:
    """Say what the tree and the old store have; ``None`` for what is due a look."""
    pairs = ((kind(*what), in_tree), (kind(*what, old=True), in_old))
    return {lookup: found for lookup, found in pairs if found is not None}


def index(in_tree: Any = None, in_old: Any = None) -> dict[Lookup[Any], Any]:
    """Say what is known of the list of images."""
    return both(V1IndexLookup, in_tree, in_old, "acme/app")


def tags(in_tree: Any = None, in_old: Any = None) -> dict[Lookup[Any], Any]:
    """Say what is known of the tags."""
    tree, old = (FoundTags.of(ids) if isinstance(ids, dict) else ids for ids in (in_tree, in_old))
    return both(V1TagsLookup, tree, old, "acme/app")


def tag(in_tree: Any = None, in_old: Any = None) -> dict[Lookup[Any], Any]:
    """Say what is known of the tag 1.0."""
    return both(V1TagLookup, in_tree, in_old, "acme/app", "1.0")


def image(in_tree: Any = None, in_old: Any = None) -> dict[Lookup[Any], Any]:
    """Say what is known of the image."""
    return both(V1ImageLookup, in_tree, in_old, TOP)


SHORT = {"Cache-Control": "public, max-age=60", "Content-Type": "application/json"}
ENDPOINTS = {"X-Docker-Endpoints": "registry.example.com", **SHORT}
JSON_HEADERS = {
    "X-Docker-Size": "1234",
    "Content-Type": "application/json",
    "Content-Length": str(len(IMAGE.json)),
    "Cache-Control": "public, max-age=31536000, immutable",
}

# What docker 1.10 to 17.05 accept, what docker 18.06 and later do, and what others do.
DOCKER_1_10 = (
    f"application/vnd.docker.distribution.manifest.v1+prettyjws,application/json,{DOCKER_MANIFEST},{DOCKER_LIST}"
)
OTHERS = ("", "*/*", f"{DOCKER_1_10},{OCI_MANIFEST},{OCI_INDEX}", f"{DOCKER_MANIFEST}, */*", OCI_INDEX)
MANIFEST = "/v2/acme/app/manifests/1.0"
DIGEST = Digest.of(b"manifest")
NO_V2: Findings = {RepositoryLookup("acme/app"): ABSENT, ManifestLookup("acme/app", "1.0"): ABSENT}
NO_CATALOG: Findings = {RepositoryLookup("acme/app"): UNKNOWN, ManifestLookup("acme/app", "1.0"): UNKNOWN}
TAGS = "/v2/acme/app/tags/list"
UNSEEN: Findings = {RepositoryLookup("acme/app"): UNKNOWN}
NO_TAG: Findings = {**NO_V2, RepositoryLookup("acme/app"): Repository("acme/app", {})}


def published(media_type: str) -> Findings:
    """Say that the tag has a manifest of this type."""
    entry = ManifestEntry(DIGEST, media_type, 8)
    return {
        RepositoryLookup("acme/app"): Repository("acme/app", {"1.0": entry}),
        ManifestLookup("acme/app", DIGEST): FoundManifest(entry, b"manifest"),
    }


V1_ROWS = [
    *(
        Row(3, "GET", path, {}, 404, {"Docker-Distribution-Api-Version": None}, user_agent=agent)
        for path in ("/v2/", "/v2")
        for agent in ("docker/1.7.1 go/go1.4.2", "docker/1.8.3 go/go1.4.2", "docker/1.9.1 go/go1.4.3 os/linux")
    ),
    *(
        Row(3, "GET", "/v2/", {}, 200, {"Docker-Distribution-Api-Version": "registry/2.0"}, user_agent=agent)
        for agent in ("", "docker/1.6.2 go/go1.4.2", "docker/1.10.3 go/go1.5.3", "docker/19.03.8 go/go1.12", "x/1.7.1")
    ),
    Row(13, "GET", "/v1/_ping/", {}, 200, {"X-Docker-Registry-Version": "sdr"}),
    Row(13, "HEAD", "/v1/_ping", {}, 200, {"X-Docker-Registry-Version": "sdr"}),
    # The list of images.
    Row(14, "GET", f"{REPOSITORY}/images", {}, V1IndexLookup("acme/app")),
    Row(14, "GET", f"{REPOSITORY}/images", index(INDEX), 200, ENDPOINTS, INDEX.decode()),
    Row(14, "GET", f"{REPOSITORY}/images", index(UNKNOWN), 200, ENDPOINTS, "[]"),
    Row(14, "GET", f"{REPOSITORY}/images", index(ABSENT), 404, {}, '{"error": "images not found"}'),
    Row(14, "GET", f"{REPOSITORY}/images", index(ABSENT), V1IndexLookup("acme/app", old=True), rules=OLD),
    Row(14, "GET", f"{REPOSITORY}/images", index(ABSENT, INDEX), 200, ENDPOINTS, INDEX.decode(), OLD),
    Row(14, "GET", f"{REPOSITORY}/images", index(UNKNOWN, INDEX), 200, ENDPOINTS, INDEX.decode(), OLD),
    Row(14, "GET", f"{REPOSITORY}/images", index(ABSENT, UNKNOWN), 200, ENDPOINTS, "[]", OLD),
    Row(14, "GET", f"{REPOSITORY}/images", index(ABSENT, ABSENT), 404, {}, "error", OLD),
    Row(
        14,
        "GET",
        f"{REPOSITORY}/images",
        index(INDEX),
        200,
        {"X-Docker-Endpoints": "own.example:444"},
        rules=replace(REDIRECT, public_host="own.example:444"),
    ),
    # Docker asks for one repository under both names, within one pull.
    Row(14, "GET", "/v1/repositories/app/images", {}, V1IndexLookup("app")),
    Row(14, "GET", "/v1/repositories/library/app/images", {}, V1IndexLookup("app")),
    Row(14, "GET", "/v1/repositories/a/b/c/images", {}, V1IndexLookup("a/b/c")),
    Row(14, "GET", "/v1/repositories/old__name/a---b..c_/images", {}, V1IndexLookup("old__name/a---b..c_")),
    # Tags.
    Row(15, "GET", f"{REPOSITORY}/tags", {}, V1TagsLookup("acme/app")),
    Row(15, "GET", "/v1/repositories/library/app/tags", {}, V1TagsLookup("app")),
    Row(15, "GET", f"{REPOSITORY}/tags", tags({"1.0": TOP}), 200, SHORT, f'{{"1.0": "{TOP}"}}'),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(ABSENT), 404, {}, '{"error": "Repository not found"}'),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(UNKNOWN), 503, {}, "error"),
    Row(15, "GET", f"{REPOSITORY}/tags", {}, V1TagsLookup("acme/app", old=True), rules=OLD),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(None, ABSENT), V1TagsLookup("acme/app"), rules=OLD),
    Row(
        15,
        "GET",
        f"{REPOSITORY}/tags",
        tags({"1.0": TOP}, {"1.0": BASE, "0.9": BASE}),
        200,
        SHORT,
        f'{{"0.9": "{BASE}", "1.0": "{TOP}"}}',
        OLD,
    ),
    Row(15, "GET", f"{REPOSITORY}/tags", tags({"1.0": TOP}, UNKNOWN), 200, SHORT, TOP, OLD),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(UNKNOWN, {"1.0": TOP}), 503, {}, "error", OLD),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(ABSENT, UNKNOWN), 503, {}, "error", OLD),
    Row(15, "GET", f"{REPOSITORY}/tags", tags(ABSENT, ABSENT), 404, {}, "error", OLD),
    # One tag.
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", {}, V1TagLookup("acme/app", "1.0")),
    Row(16, "GET", "/v1/repositories/library/app/tags/images", {}, V1TagLookup("app", "images")),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(TOP), 200, {**SHORT, "Content-Length": "66"}, f'"{TOP}"'),
    Row(16, "HEAD", f"{REPOSITORY}/tags/1.0", tag(TOP), 200, {"Content-Length": "66"}),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(ABSENT), 404, {}, '{"error": "Tag not found"}'),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(UNKNOWN), 503, {}, "error"),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(ABSENT), V1TagLookup("acme/app", "1.0", old=True), rules=OLD),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(ABSENT, BASE), 200, {}, f'"{BASE}"', OLD),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(UNKNOWN, BASE), 503, {}, "error", OLD),
    Row(16, "GET", f"{REPOSITORY}/tags/1.0", tag(ABSENT, UNKNOWN), 503, {}, "error", OLD),
    # The description of an image.
    Row(17, "GET", f"/v1/images/{TOP}/json", {}, V1ImageLookup(TOP)),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(IMAGE), 200, JSON_HEADERS, IMAGE.json.decode()),
    Row(17, "HEAD", f"/v1/images/{TOP}/json", image(IMAGE), 200, JSON_HEADERS),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(ABSENT), 404, {}, '{"error": "Image not found"}'),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(UNKNOWN), 302, to(f"images/{TOP}/json")),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(ABSENT), V1ImageLookup(TOP, old=True), rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(ABSENT, IMAGE), 200, JSON_HEADERS, rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(UNKNOWN), V1ImageLookup(TOP, old=True), rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(UNKNOWN, UNKNOWN), 302, to(f"images/{TOP}/json"), rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(UNKNOWN, IMAGE), 200, JSON_HEADERS, rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(UNKNOWN, ABSENT), 302, to(f"images/{TOP}/json"), rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(ABSENT, UNKNOWN), 302, to(f"images/{TOP}/json", OLD_CDN), rules=OLD),
    Row(17, "GET", f"/v1/images/{TOP}/json", image(ABSENT, ABSENT), 404, {}, "error", OLD),
    # What is redirected.
    *(
        row
        for part in ("ancestry", "layer")
        for path, in_tree, in_old in (
            (f"/v1/images/{TOP}/{part}", to(f"images/{TOP}/{part}"), to(f"images/{TOP}/{part}", OLD_CDN)),
        )
        for row in (
            Row(18, "GET", path, {}, V1ImageLookup(TOP)),
            Row(18, "GET", path, image(IMAGE), 302, in_tree),
            Row(18, "HEAD", path, image(IMAGE), 302, in_tree),
            Row(18, "GET", path, image(UNKNOWN), 302, in_tree),
            Row(18, "GET", path, image(ABSENT), 404, {}, '{"error": "Image not found"}'),
            Row(18, "GET", path, {}, V1ImageLookup(TOP), rules=OLD),
            Row(18, "GET", path, image(IMAGE), 302, in_tree, rules=OLD),
            Row(18, "GET", path, image(ABSENT), V1ImageLookup(TOP, old=True), rules=OLD),
            Row(18, "GET", path, image(ABSENT, IMAGE), 302, in_old, rules=OLD),
            Row(18, "GET", path, image(ABSENT, UNKNOWN), 302, in_old, rules=OLD),
            Row(18, "GET", path, image(ABSENT, ABSENT), 404, {}, '{"error": "Image not found"}', OLD),
            Row(18, "GET", path, image(UNKNOWN), V1ImageLookup(TOP, old=True), rules=OLD),
            Row(18, "GET", path, image(UNKNOWN, ABSENT), 302, in_tree, rules=OLD),
            Row(18, "GET", path, image(UNKNOWN, IMAGE), 302, in_old, rules=OLD),
        )
    ),
    Row(18, "GET", f"/v1/images/{BASE}/layer", {}, V1ImageLookup(BASE)),
    Row(
        18,
        "GET",
        f"/v1/images/{TOP}/layer",
        image(ABSENT, IMAGE),
        302,
        to(f"images/{TOP}/layer", "http://registry.example.com/old"),
        rules=replace(REDIRECT, old_cdn=OwnTree(None, "/old")),
    ),
    Row(
        18,
        "GET",
        f"/v1/images/{TOP}/layer",
        image(IMAGE),
        503,
        {"Location": None},
        "leads back",
        Rules(RemoteCDN("http://registry.example.com/v1")),
    ),
    # Search.
    Row(19, "GET", "/v1/search?q=app", {}, 404, {}, "error"),
    Row(19, "GET", "/v1/search?q=app&n=25", {}, SearchLookup("app"), rules=BROWSE),
    Row(19, "GET", "/v1/search", {}, SearchLookup(""), rules=BROWSE),
    Row(
        19,
        "GET",
        "/v1/search?q=app&n=1",
        {SearchLookup("app"): FoundNames(2, ("a/app", "b/app"))},
        200,
        {"Content-Type": "application/json"},
        '"num_results": 2, "num_pages": 1, "page": 1, "page_size": 1, "query": "app", "results": [{"name": "a/app",'
        ' "description": "", "star_count": 0, "is_official": false, "is_trusted": false, "is_automated": false}]',
        BROWSE,
    ),
    Row(19, "GET", "/v1/search?q=app&n=x", {SearchLookup("app"): FoundNames(0, ())}, 200, {}, '"results": []', BROWSE),
    Row(19, "GET", "/v1/search?q=app", {SearchLookup("app"): UNKNOWN}, 503, {}, "error", BROWSE),
    *(
        Row(20, "GET", path, {}, 404, {"Content-Type": "application/json"}, '{"error": ')
        for path in (
            "/v1/",
            "/v1/users/",
            "/v1/../secret",
            "/v1/images/%2e%2e/layer",
            f"/v1/images/{TOP}/_inprogress",
            f"/v1/images/{TOP}/files",
            f"/v1/images/{TOP}//layer",
            f"/v1/images/{TOP.upper()}/layer",
            "/v1/images/xyz/json",
            "/v1/repositories/images",
            "/v1/repositories/../app/tags",
            "/v1/repositories/acme/./tags",
            "/v1/repositories/acme%2Fapp/tags",
            "/v1/repositories/acme//app/tags",
            "/v1/repositories/acme/app/tags/a%20b",
            "/v1/repositories/acme\\app/tags",
            f"/v1/repositories/{'a' * 256}/tags",
        )
    ),
    *(
        Row(1, method, path, {}, 405, {"Allow": "GET, HEAD"})
        for method in ("PUT", "DELETE", "POST")
        for path in ("/v1/_ping", "/v1/users/", f"{REPOSITORY}/tags/1.0", f"/v1/images/{TOP}/layer")
    ),
    # What only protocol v1 has.
    Row(23, "GET", MANIFEST, NO_V2, V1TagLookup("acme/app", "1.0"), accept=DOCKER_1_10),
    Row(
        23,
        "GET",
        MANIFEST,
        {**NO_V2, **tag(TOP)},
        404,
        {},
        'MANIFEST_UNKNOWN","message":"manifest unknown","detail"',
        accept=DOCKER_1_10,
    ),
    Row(23, "GET", MANIFEST, {**NO_V2, **tag(UNKNOWN)}, 404, {}, "MANIFEST_UNKNOWN", accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_V2, **tag(ABSENT)}, 404, {}, "NAME_UNKNOWN", accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_V2, **tag(ABSENT, TOP)}, 404, {}, "detail", OLD, accept=DOCKER_1_10),
    # Protocol v2 cannot be seen, as where there is only an old store.
    Row(23, "GET", MANIFEST, NO_CATALOG, V1TagLookup("acme/app", "1.0"), accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_CATALOG, **tag(TOP)}, 404, {}, '"detail"', accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_CATALOG, **tag(ABSENT, TOP)}, 404, {}, '"detail"', OLD, accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_CATALOG, **tag(UNKNOWN, TOP)}, 307, to(MANIFEST[1:]), rules=OLD, accept=DOCKER_1_10),
    Row(23, "GET", MANIFEST, {**NO_CATALOG, **tag(ABSENT)}, 307, to(MANIFEST[1:]), accept=DOCKER_1_10),
    *(Row(23, "GET", MANIFEST, NO_CATALOG, 307, to(MANIFEST[1:]), accept=accept) for accept in OTHERS),
    Row(23, "GET", MANIFEST, NO_TAG, 404, {}, '"detail"', accept=DOCKER_1_10),
    *(Row(23, "GET", MANIFEST, NO_V2, 404, {}, "NAME_UNKNOWN", accept=accept) for accept in OTHERS),
    Row(
        23,
        "GET",
        "/v2/library/app/manifests/1.0",
        {RepositoryLookup("library/app"): ABSENT, ManifestLookup("library/app", "1.0"): ABSENT},
        V1TagLookup("app", "1.0"),
        accept=DOCKER_1_10,
    ),
    *(
        Row(
            23,
            "GET",
            "/v2/acme/app/tags/list",
            {RepositoryLookup("acme/app"): ABSENT, TagsLookup("acme/app"): ABSENT, **index(found)},
            404,
            {},
            says,
        )
        for found, says in (
            (INDEX, 'MANIFEST_UNKNOWN","message":"manifest unknown","detail"'),
            (ABSENT, "NAME_UNKNOWN"),
        )
    ),
    # With no catalog of v2 it is the User-Agent that tells who asks for tags.
    *(
        row
        for agent in ("docker/1.10.3 go/go1.5.3 os/linux", "docker/1.13.1 go/go1.7.5", "docker/17.05.0-ce go/go1.7.5")
        for row in (
            Row(23, "GET", TAGS, UNSEEN, V1IndexLookup("acme/app"), user_agent=agent),
            Row(23, "GET", TAGS, {**UNSEEN, **index(b"[]")}, 404, {}, '"detail"', user_agent=agent),
            Row(23, "GET", TAGS, {**UNSEEN, **index(ABSENT, b"[]")}, 404, {}, '"detail"', OLD, user_agent=agent),
            Row(23, "GET", TAGS, {**UNSEEN, **index(ABSENT)}, 307, to(TAGS[1:]), user_agent=agent),
            Row(23, "GET", TAGS, {**UNSEEN, **index(UNKNOWN)}, 307, to(TAGS[1:]), user_agent=agent),
        )
    ),
    *(
        Row(23, "GET", TAGS, {**UNSEEN, **index(b"[]")}, 307, to(TAGS[1:]), user_agent=agent)
        for agent in (
            "",
            "docker/1.9.1 go/go1.4.3",
            "docker/17.06.0-ce go/go1.8.3",
            "docker/20.10.24 go/go1.19",
            "x/1.10.0",
        )
    ),
    # What protocol v2 has only for others.
    *(
        row
        for kind in (OCI_MANIFEST, OCI_INDEX)
        for row in (
            Row(24, "GET", MANIFEST, published(kind), V1TagLookup("acme/app", "1.0"), accept=DOCKER_1_10),
            Row(24, "GET", MANIFEST, {**published(kind), **tag(TOP)}, 404, {}, "MANIFEST_UNKNOWN", accept=DOCKER_1_10),
            Row(24, "GET", MANIFEST, {**published(kind), **tag(ABSENT)}, 404, {}, "--schema2", accept=DOCKER_1_10),
            Row(24, "GET", f"/v2/acme/app/manifests/{DIGEST}", published(kind), 307, accept=DOCKER_1_10),
            *(Row(24, "GET", MANIFEST, published(kind), 307, accept=accept) for accept in OTHERS),
            *(Row(24, "HEAD", MANIFEST, published(kind), 200, accept=accept) for accept in OTHERS),
        )
    ),
    *(
        Row(24, "GET", MANIFEST, published(kind), 307, to(f"v2/acme/app/manifests/{DIGEST}"), accept=DOCKER_1_10)
        for kind in (DOCKER_MANIFEST, DOCKER_LIST)
    ),
]

V1_LOOKUPS: list[tuple[Lookup[Any], Any]] = [
    *((V1IndexLookup("acme/app", old), INDEX) for old in (False, True)),
    *((V1TagsLookup("acme/app", old), FoundTags.of({"1.0": TOP})) for old in (False, True)),
    *((V1TagLookup("acme/app", "1.0", old), TOP) for old in (False, True)),
    *((V1ImageLookup(TOP, old), IMAGE) for old in (False, True)),
    (SearchLookup("app"), FoundNames(1, ("acme/app",))),
]
V1_TARGETS = [
    f"{REPOSITORY}/images",
    f"{REPOSITORY}/tags",
    f"{REPOSITORY}/tags/1.0",
    f"/v1/images/{TOP}/json",
    f"/v1/images/{TOP}/layer",
    "/v1/search?q=app",
    "/v1/nothing",
]
