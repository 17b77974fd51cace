"""What is answered to protocol v1, docker 0.9 to 17.05: as pure as the other answers.

Each is looked for in the tree first, and where it is not there, in an old store.
"""

import json
from typing import Any

from sdr.catalog.lookups import ABSENT, UNKNOWN, Known, Lookup, Missing
from sdr.catalog.v1_lookups import (
    FoundImage,
    FoundTags,
    SearchLookup,
    V1ImageLookup,
    V1IndexLookup,
    V1TagLookup,
    V1TagsLookup,
)
from sdr.cdn.locations import CDN, is_host
from sdr.endpoint.answer import REDIRECT_CACHE, Answer, content, redirect
from sdr.endpoint.paging import parameter
from sdr.endpoint.rules import NoLocation, Rules, location
from sdr.registry.media_types import JSON
from sdr.registry.questions import (
    AskedV1,
    IndexV1,
    PartV1,
    PingV1,
    Question,
    RefusedV1,
    SearchV1,
    TagsV1,
    TagV1,
)
from sdr.tree.headers import IMMUTABLE, REVALIDATE, SHORT
from sdr.tree.v1 import JSON as JSON_PART
from sdr.tree.v1 import image_key

#: What docker shows of a search without being told.
_RESULTS = 25


def answer_v1(question: Question, asked: AskedV1, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Decide a question below ``/v1/``: rows 13 to 20."""
    match asked:
        case PingV1():
            # Docker before 0.11 takes no registry without a version, and later ones would send "Authorization" to
            # any CDN if they took this for a standalone one.
            headers = (("X-Docker-Registry-Version", "sdr"), ("X-Docker-Registry-Standalone", "false"))
            return content(b"{}", JSON, REVALIDATE, *headers)
        case IndexV1(name):
            return _index(question, name, known, rules)
        case TagsV1(name):
            return _tags(name, known, rules)
        case TagV1(name, tag):
            return _tag(name, tag, known, rules)
        case PartV1():
            return _part(question, asked, known, rules)
        case SearchV1() if rules.browse:
            return _search(question, known)
        case SearchV1():
            return error_v1(404, "search is switched off")
        case RefusedV1():
            return error_v1(404, "no such resource")


def error_v1(status: int, message: str) -> Answer:
    """Answer with an error as the registry of 2014 wrote it."""
    got = content(json.dumps({"error": message}).encode(), JSON, REVALIDATE)
    return Answer(status, got.headers, got.body)


def find_index(name: str, known: Known, rules: Rules) -> bytes | Missing | Lookup[Any]:
    """Return the list of a repository's images, or the lookup that is due."""
    seen: Missing = ABSENT
    for old in _places(rules):
        lookup = V1IndexLookup(name, old)
        found = known.recall(lookup)
        if found is None:
            return lookup
        if isinstance(found, bytes):
            return found
        if found is UNKNOWN:
            seen = UNKNOWN
    return seen


def find_tag(name: str, tag: str, known: Known, rules: Rules) -> str | Missing | Lookup[Any]:
    """Return the id that a tag stands for, or the lookup that is due.

    While the tree cannot be seen it is unknown, whatever the old store has: the tag may have been moved since.
    """
    for old in _places(rules):
        lookup = V1TagLookup(name, tag, old)
        found = known.recall(lookup)
        if found is None:
            return lookup
        if found is not ABSENT:
            return found
    return ABSENT


def _places(rules: Rules) -> tuple[bool, ...]:
    """Return where to look: whether in the old store, each time."""
    return (False,) if rules.old_cdn is None else (False, True)


def _unseen() -> Answer:
    return error_v1(503, "the store cannot be seen at the moment")


def _index(question: Question, name: str, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    found = find_index(name, known, rules)
    if isinstance(found, Lookup):
        return found
    if found is ABSENT:
        return error_v1(404, "images not found")
    # No docker needs more than an empty list, and the tags may be known where this is not.
    body = b"[]" if isinstance(found, Missing) else found
    host = rules.public_host or question.host
    # Without it docker since 0.11 goes on with the host that it asked; anything else it would believe.
    endpoints = (("X-Docker-Endpoints", host),) if is_host(host) else ()
    return content(body, JSON, SHORT, *endpoints)


def _tags(name: str, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    tags, seen = None, True
    for old in reversed(_places(rules)):
        lookup = V1TagsLookup(name, old)
        found = known.recall(lookup)
        if found is None:
            return lookup
        if isinstance(found, FoundTags):
            tags = found if tags is None else FoundTags.of({**tags.ids, **found.ids})
        elif found is UNKNOWN:
            seen = False
            if not old:
                # A tag of the old store may have been moved in the tree.
                return _unseen()
    if tags is not None:
        return content(tags.body, JSON, SHORT)
    return error_v1(404, "Repository not found") if seen else _unseen()


def _tag(name: str, tag: str, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    found = find_tag(name, tag, known, rules)
    if isinstance(found, Lookup):
        return found
    if isinstance(found, str):
        return content(json.dumps(found).encode(), JSON, SHORT)
    return error_v1(404, "Tag not found") if found is ABSENT else _unseen()


def _part(question: Question, asked: PartV1, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Rows 17 and 18: docker wants to hear with the json how large the layer is, and goes elsewhere for the rest."""
    unseen = None
    for old, cdn in ((False, rules.cdn), (True, rules.old_cdn)):
        if cdn is None:
            continue
        lookup = V1ImageLookup(asked.image_id, old)
        image = known.recall(lookup)
        if image is None:
            return lookup
        if isinstance(image, FoundImage):
            if asked.part == JSON_PART:
                return content(image.json, JSON, IMMUTABLE, ("X-Docker-Size", str(image.size)))
            return _redirect(question, cdn, asked)
        if image is UNKNOWN and unseen is None:
            unseen = cdn
    # Since 0.11 docker does without the size.
    return error_v1(404, "Image not found") if unseen is None else _redirect(question, unseen, asked)


def _redirect(question: Question, cdn: CDN, asked: PartV1) -> Answer:
    try:
        return redirect(location(question, cdn, image_key(asked.image_id, asked.part)), REDIRECT_CACHE, status=302)
    except NoLocation as error:
        return error_v1(error.code.status, error.detail)


def _search(question: Question, known: Known) -> Answer | Lookup[Any]:
    term = (parameter(question, "q") or "")[:255]
    found = known.recall(SearchLookup(term))
    if found is None:
        return SearchLookup(term)
    if isinstance(found, Missing):
        return error_v1(503, "there are too many searches at the moment")
    number = parameter(question, "n") or ""
    length = int(number) if number.isascii() and number.isdigit() and len(number) < 5 else _RESULTS
    results = [
        {
            "name": name,
            "description": "",
            "star_count": 0,
            "is_official": False,
            "is_trusted": False,
            "is_automated": False,
        }
        for name in found.names[:length]
    ]
    page = {"num_results": found.count, "num_pages": 1, "page": 1, "page_size": length}
    return content(json.dumps({**page, "query": term, "results": results}).encode(), JSON, REVALIDATE)
