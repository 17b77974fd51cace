"""What leads dockers that speak both protocols to v1, where only that has an image for them: rows 3, 23 and 24; pure.

Docker 1.10 to 17.05 go on with v1 after a ``MANIFEST_UNKNOWN`` with a ``detail``, and after nothing else that is said
here.
"""

import re
from typing import Any

from sdr.catalog.lookups import ABSENT, Known, Lookup, Missing
from sdr.endpoint.answer import Answer, error
from sdr.endpoint.rules import Rules
from sdr.endpoint.v1_answers import find_index, find_tag
from sdr.registry.errors import MANIFEST_UNKNOWN, NAME_UNKNOWN, ErrorCode
from sdr.registry.grammar import Digest
from sdr.registry.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from sdr.registry.questions import ManifestOf, Question, TagsOf, name_v1
from sdr.tree.documents import ManifestEntry

# Not MANIFEST_UNKNOWN: docker would try protocol v1, and show what that says.
_OCI_ONLY = ErrorCode(
    "MANIFEST_INVALID",
    404,
    "the image has OCI manifests, which this client does not accept; its owner can publish it again"
    " with sdr publish --schema2 (for docker 1.10 and later) or --v1 (for any docker)",
)


# These understand nothing that protocol v2 has here; and once they have seen a registry of v2, they take it for one
# that wants "Authorization" with each request, and send that to any CDN, where S3 refuses it.
_HAS_V1 = re.compile(r"docker/1\.[789]\.")
# What asks for tags without an Accept, and has both protocols. Docker 1.8 and 1.9 go on with v1 anyway.
_HAS_BOTH = re.compile(r"docker/(?:1\.1[0-3]|17\.0[345])\.")


def heeded(user_agent: str) -> str:
    """Return a user agent as far as an answer can depend on it: empty for all that no rule names."""
    return user_agent if _HAS_V1.match(user_agent) or _HAS_BOTH.match(user_agent) else ""


def has_v1_only(question: Question) -> bool:
    """Tell whether this is a docker that must not find protocol v2 here: row 3."""
    return _HAS_V1.match(question.user_agent) is not None


def unknown_manifest(
    question: Question, asked: ManifestOf, known: Known, rules: Rules, *, repository_too: bool
) -> Answer | Lookup[Any]:
    """Say that a manifest is not there, and perhaps its repository: row 23."""
    if not repository_too:
        return error(MANIFEST_UNKNOWN, _detail(asked))
    if not _is_old_docker(question, asked):
        return error(NAME_UNKNOWN)
    in_v1 = _find_tag(asked, known, rules)
    if isinstance(in_v1, Lookup):
        return in_v1
    return error(NAME_UNKNOWN) if in_v1 is ABSENT else error(MANIFEST_UNKNOWN, _detail(asked))


def unknown_repository(asked: TagsOf, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Say that a repository has no list of tags: row 23, for ``docker pull -a``, which sends no ``Accept``."""
    in_v1 = find_index(name_v1(asked.name), known, rules)
    if isinstance(in_v1, Lookup):
        return in_v1
    return error(NAME_UNKNOWN) if in_v1 is ABSENT else error(MANIFEST_UNKNOWN, {"name": asked.name})


def unseen_repository(question: Question, asked: TagsOf, known: Known, rules: Rules) -> Answer | Lookup[Any] | None:
    """Answer for a list of tags that cannot be seen, but a repository of protocol v1 can: row 23; else ``None``."""
    if not _HAS_BOTH.match(question.user_agent):
        return None
    in_v1 = find_index(name_v1(asked.name), known, rules)
    if isinstance(in_v1, Lookup):
        return in_v1
    return None if isinstance(in_v1, Missing) else error(MANIFEST_UNKNOWN, {"name": asked.name})


def unseen_manifest(question: Question, asked: ManifestOf, known: Known, rules: Rules) -> Answer | Lookup[Any] | None:
    """Answer for a manifest that cannot be seen, but an image of protocol v1 can: row 23; else ``None``."""
    if not _is_old_docker(question, asked):
        return None
    in_v1 = _find_tag(asked, known, rules)
    if isinstance(in_v1, Lookup):
        return in_v1
    return None if isinstance(in_v1, Missing) else error(MANIFEST_UNKNOWN, _detail(asked))


def is_not_accepted(question: Question, asked: ManifestOf, entry: ManifestEntry) -> bool:
    """Tell whether a manifest is of a type that docker before 18.06 cannot read, and such a docker asks for it."""
    return entry.media_type in (OCI_MANIFEST, OCI_INDEX) and _is_old_docker(question, asked)


def manifest_not_accepted(asked: ManifestOf, entry: ManifestEntry, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Say so: row 24; docker would fail with "missing signature key", without a try at protocol v1."""
    in_v1 = _find_tag(asked, known, rules)
    if isinstance(in_v1, Lookup):
        return in_v1
    code = _OCI_ONLY if in_v1 is ABSENT else MANIFEST_UNKNOWN
    return error(code, {**_detail(asked), "mediaType": entry.media_type})


def _is_old_docker(question: Question, asked: ManifestOf) -> bool:
    """Tell whether this is a tag, asked for by a client that knows docker's types and not those of OCI."""
    accept = question.accept
    knows_docker = DOCKER_MANIFEST in accept and "application/vnd.oci." not in accept and "*" not in accept
    return knows_docker and not isinstance(asked.reference, Digest)


def _find_tag(asked: ManifestOf, known: Known, rules: Rules) -> str | Missing | Lookup[Any]:
    return find_tag(name_v1(asked.name), str(asked.reference), known, rules)


def _detail(asked: ManifestOf) -> dict[str, str]:
    return {"name": asked.name, "reference": str(asked.reference)}
