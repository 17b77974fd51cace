"""Looking at a published tree as its readers do, without any of sdr's own code but the stores."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sdr.stores.interface import Stat, Store

FOREIGN = "foreign"


def snapshot(root: Path) -> dict[str, bytes]:
    """Return every object of a tree in a directory, by key."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] != ".sdr"
    }


def snapshot_of(store: Store) -> dict[str, bytes]:
    """Return every object of a tree in any store, by key; the marks of collections are none of them."""
    listed = [found.key for found in store.list("") if isinstance(found, Stat)]
    return {key: store.get(key)[0] for key in listed if not key.startswith("_gc/")}


def tagged_only(tree: dict[str, bytes]) -> dict[str, bytes]:
    """Return a tree without what nothing leads to that has a name: manifests by digest without a tag, for the most."""
    kept = {key: data for key, data in tree.items() if "/manifests/" not in key or ":" not in key}
    waiting = [key for key in kept if "/manifests/" in key]
    while waiting:
        key = waiting.pop()
        name = key.removeprefix("v2/").rpartition("/manifests/")[0]
        document = json.loads(tree[key])
        below = [f"v2/{name}/manifests/{child['digest']}" for child in document.get("manifests", [])]
        below += [_by_digest(name, tree[key], algorithm) for algorithm in ("sha256", "sha512")]
        for each in below:
            if each in tree and each not in kept:
                kept[each] = tree[each]
                waiting.append(each)
    # Which leaves what is attached to any of them, and what is listed is to be there.
    return kept | {key: data for key, data in tree.items() if _is_attached(key, data, kept)}


def _is_attached(key: str, data: bytes, kept: dict[str, bytes]) -> bool:
    if "/manifests/" not in key:
        return False
    name = key.removeprefix("v2/").rpartition("/manifests/")[0]
    subject = json.loads(data).get("subject") or {}
    return f"v2/{name}/manifests/{subject.get('digest')}" in kept or any(
        key.endswith(str(entry["digest"]))
        for each, document in kept.items()
        if f"v2/{name}/referrers/" in each
        for entry in json.loads(document)["manifests"]
    )


def broken_references(tree: dict[str, bytes]) -> list[str]:
    """Return, in words, every reference that leads to nothing, or to something else than it says; at best nothing."""
    wrong = []
    for key, data in tree.items():
        if key.startswith("blobs/"):
            _, algorithm, encoded = key.split("/")
            if hashlib.new(algorithm, data).hexdigest() != encoded:
                wrong.append(f"{key} has another digest")
        elif "/manifests/" in key:
            name, _, reference = key.removeprefix("v2/").rpartition("/manifests/")
            wrong += [f"{key}: {reason}" for reason in _manifest(tree, name, reference, data)]
    return wrong + _documents(tree)


def _manifest(tree: dict[str, bytes], name: str, reference: str, data: bytes) -> list[str]:
    wrong = []
    if ":" in reference:
        algorithm, encoded = reference.split(":")
        if hashlib.new(algorithm, data).hexdigest() != encoded:
            wrong.append("has another digest")
    elif not any(tree.get(_by_digest(name, data, algorithm)) == data for algorithm in ("sha256", "sha512")):
        wrong.append("is not there by its digest")
    document = json.loads(data)
    for child in document.get("manifests", []):
        there = tree.get(
            f"v2/{name}/manifests/{child['digest']}", tree.get(f"blobs/{child['digest'].replace(':', '/')}")
        )
        if there is None or len(there) != child["size"]:
            wrong.append(f"its child {child['digest']} is not there")
    for blob in [document[member] for member in ("config",) if member in document] + document.get("layers", []):
        there = tree.get(f"blobs/{blob['digest'].replace(':', '/')}")
        if FOREIGN not in blob["mediaType"] and (there is None or len(there) != blob["size"]):
            wrong.append(f"its blob {blob['digest']} is not there")
    return wrong


def _by_digest(name: str, data: bytes, algorithm: str) -> str:
    return f"v2/{name}/manifests/{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _documents(tree: dict[str, bytes]) -> list[str]:
    wrong = []
    for key, data in tree.items():
        if key.endswith("/tags/list"):
            listed: dict[str, Any] = json.loads(data)
            wrong += [
                f"{key}: {tag} is not there"
                for tag in listed["tags"]
                if f"v2/{listed['name']}/manifests/{tag}" not in tree
            ]
        elif "/referrers/" in key:
            name = key.removeprefix("v2/").partition("/referrers/")[0]
            wrong += [
                f"{key}: {entry['digest']} is not there"
                for entry in json.loads(data)["manifests"]
                if len(tree.get(f"v2/{name}/manifests/{entry['digest']}", b"")) != entry["size"]
            ]
        elif key.endswith("/_repository.json"):
            document = json.loads(data)
            for tag, (digest, _, size) in document["tags"].items():
                if len(tree.get(f"v2/{document['name']}/manifests/{digest}", b"")) != size:
                    wrong.append(f"{key}: {tag} is {digest}, which is not there")
        elif key.startswith("v2/_repositories/"):
            names = [json.loads(line)[0] for line in data.splitlines()]
            wrong += [f"{key}: {name} is not there" for name in names if f"v2/{name}/_repository.json" not in tree]
        elif key == "v2/_repositories.json":
            prefixes = json.loads(data)["lists"]
            wrong += [f"{key}: {prefix}" for prefix in prefixes if f"v2/_repositories/{prefix}.ndjson" not in tree]
    return wrong


def stale_documents(tree: dict[str, bytes]) -> list[str]:
    """Return, in words, what the derived documents should say and do not; at best nothing."""
    wrong = []
    for key, data in tree.items():
        name, _, reference = key.removeprefix("v2/").rpartition("/manifests/")
        if not key.startswith("v2/") or not name or ":" in reference:
            continue
        repository = tree.get(f"v2/{name}/_repository.json", b"")
        entry = json.loads(repository or b'{"tags":{}}')["tags"].get(reference, ["", "", 0])
        algorithm = entry[0].partition(":")[0] or "sha256"
        if entry[0] != f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}" or entry[2] != len(data):
            wrong.append(f"{name}'s document does not say what {reference} is")
        if reference not in json.loads(tree.get(f"v2/{name}/tags/list", b'{"tags":[]}'))["tags"]:
            wrong.append(f"{name}'s tags lack {reference}")
        prefix = hashlib.sha256(name.encode()).hexdigest()[:3]
        listed = tree.get(f"v2/_repositories/{prefix}.ndjson", b"")
        revisions = dict(json.loads(line) for line in listed.splitlines())
        if revisions.get(name) != hashlib.sha256(repository).hexdigest()[:16]:
            wrong.append(f"{name}'s revision in its list is old")
        lists = json.loads(tree.get("v2/_repositories.json", b'{"lists":{}}'))["lists"]
        if lists.get(prefix) != hashlib.sha256(listed).hexdigest()[:16]:
            wrong.append(f"the revision of list {prefix} is old")
    return wrong
