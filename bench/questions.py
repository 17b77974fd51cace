"""A tree with the documents of many repositories, and what clients ask about it: for bench/redirects.py."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from sdr.registry.grammar import Digest
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import ManifestEntry, Repository, encode_list, encode_lists, encode_repository, revision
from sdr.tree.keys import LISTS_KEY, list_key, list_of, repository_key

TAGS = 5

#: What docker sends, from a capture.
DOCKER = {
    "User-Agent": "docker/24.0.5 go/go1.20.6 git-commit/a61e2b4 kernel/6.1.0-18-amd64 os/linux arch/amd64"
    " UpstreamClient(Docker-Client/24.0.5 \\(linux\\))",
    "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list."
    "v2+json, application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request."""

    method: str
    path: str


def name_of(number: int) -> str:
    """Return the name of a repository."""
    return f"team-{number % 97}/app-{number}"


def digest_of(text: str) -> Digest:
    """Return a digest that is always the same for the same text."""
    return Digest("sha256", hashlib.sha256(text.encode()).hexdigest())


def repository(number: int) -> Repository:
    """Make a repository with a few tags."""
    name = name_of(number)
    return Repository(
        name,
        {f"1.{tag}": ManifestEntry(digest_of(f"{name}:{tag}"), OCI_INDEX, 1600 + tag) for tag in range(TAGS)},
    )


def write_tree(root: Path, repositories: int) -> None:
    """Write the catalog of so many repositories, as ``sdr publish`` would have left it; no images."""
    lists: dict[str, dict[str, str]] = defaultdict(dict)
    for number in range(repositories):
        made = repository(number)
        document = encode_repository(made)
        _write(root / repository_key(made.name), document)
        lists[list_of(made.name)][made.name] = revision(document)
    revisions = {}
    for prefix, listed in lists.items():
        data = encode_list(listed)
        _write(root / list_key(prefix), data)
        revisions[prefix] = revision(data)
    _write(root / LISTS_KEY, encode_lists(revisions))


def questions(repositories: int, count: int, seed: int = 1) -> Sequence[Ask]:
    """Return what clients ask: few repositories are most of it (Zipf's law), and one in fifty is a mistake."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / (rank + 1) for rank in range(repositories)))
    asked = []
    for number in chance.choices(range(repositories), cum_weights=weights, k=count):
        name, tag = name_of(number), chance.randrange(TAGS)
        manifest = f"/v2/{name}/manifests/"
        asked.append(
            chance.choices(
                (
                    Ask("HEAD", f"{manifest}1.{tag}"),
                    Ask("GET", f"{manifest}1.{tag}"),
                    Ask("GET", f"{manifest}{digest_of(f'{name}:{tag}')}"),
                    Ask("GET", f"/v2/{name}/blobs/{digest_of(f'{name} layer {tag}')}"),
                    Ask("GET", "/v2/"),
                    Ask("GET", f"/v2/no/such-{number % 50}/manifests/latest"),
                ),
                weights=(30, 15, 20, 25, 8, 2),
            )[0]
        )
    return asked


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
