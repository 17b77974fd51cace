"""The keys of the tree and the order in which they are written; the key is the URL path, blobs aside."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from sdr.registry.grammar import Digest, Reference, is_name

#: The revision of each of the lists of repositories.
LISTS_KEY = "v2/_repositories.json"

#: A tag that the grammar allows and nobody may publish: ``a`` would keep it where ``a/manifests`` has its document.
RESERVED_TAG = "_repository.json"

#: The prefix below which a collection under way leaves its marks.
GC_PREFIX = "_gc/"


def blob_key(digest: Digest) -> str:
    """Return where a config or layer is: once for all repositories."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def manifest_key(name: str, reference: Reference) -> str:
    """Return where a manifest is, by tag or by digest."""
    return f"v2/{name}/manifests/{reference}"


def manifests_prefix(name: str) -> str:
    """Return what the keys of a repository's manifests begin with."""
    return f"v2/{name}/manifests/"


def tags_key(name: str) -> str:
    """Return where the plain list of a repository's tags is."""
    return f"v2/{name}/tags/list"


def referrers_key(name: str, digest: Digest) -> str:
    """Return where the index of the manifests whose subject is this digest is."""
    return f"v2/{name}/referrers/{digest}"


def repository_key(name: str) -> str:
    """Return where the catalog's document of one repository is."""
    return f"v2/{name}/{RESERVED_TAG}"


def list_of(name: str) -> str:
    """Return the three hex digits that name the list in which a repository stands."""
    return hashlib.sha256(name.encode()).hexdigest()[:3]


#: What the keys of the lists begin with.
LISTS_PREFIX = "v2/_repositories/"


def is_list_prefix(text: str) -> bool:
    """Tell whether these are the three hex digits of a list."""
    return len(text) == 3 and not text.strip("0123456789abcdef")


def list_key(prefix: str) -> str:
    """Return where the list of the repositories whose name's SHA-256 begins with these digits is."""
    return f"{LISTS_PREFIX}{prefix}.ndjson"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the tree a repository's key stands.

    :param kind: ``manifests``, ``tags``, ``referrers``, or empty for the catalog's document.
    :param last: what follows: a tag, a digest, ``list``, or the document's own name.
    """

    name: str
    kind: str
    last: str


def place_of(key: str) -> Place | None:
    """Return what a repository's key says, or ``None`` for any other key."""
    parts = key.split("/")
    if parts[0] != "v2" or len(parts) < 3:
        return None
    # From the right: what a repository is called may look like the rest of a key.
    catalog = parts[-1] == RESERVED_TAG
    name, kind = "/".join(parts[1 : -1 if catalog else -2]), "" if catalog else parts[-2]
    known = kind in ("", "manifests", "referrers") or (kind, parts[-1]) == ("tags", "list")
    return Place(name, kind, parts[-1]) if known and is_name(name) else None


class Stage(IntEnum):
    """The order of writes: what is written earlier never refers to what is written later.

    Within ``MANIFEST`` children come before parents. Deleting runs the other way round.
    """

    BLOB = 0
    MANIFEST = 1
    TAG = 2
    TAGS_AND_REFERRERS = 3
    REPOSITORY = 4
    LIST = 5
    LISTS = 6
