"""What is answered to each question: a pure function of the question, what is known, and the rules.

The rows that are named below are those of docs/request-handling.md; a test goes through them one by one.
"""

from dataclasses import replace
from typing import Any

from sdr.catalog.lookups import (
    ABSENT,
    UNKNOWN,
    FoundManifest,
    Known,
    Lookup,
    ManifestLookup,
    Missing,
    ReferrersLookup,
    RepositoryLookup,
    TagsLookup,
)
from sdr.endpoint.answer import REDIRECT_CACHE, Answer, content, digest_header, error, manifest, matches, redirect
from sdr.endpoint.fallback import (
    has_v1_only,
    is_not_accepted,
    manifest_not_accepted,
    unknown_manifest,
    unknown_repository,
    unseen_manifest,
    unseen_repository,
)
from sdr.endpoint.front import front_page
from sdr.endpoint.paging import BadNumber, page_of, parameter
from sdr.endpoint.rules import NoLocation, Rules, location
from sdr.endpoint.v1_answers import answer_v1
from sdr.registry.errors import (
    NAME_UNKNOWN,
    NOT_FOUND,
    PAGINATION_NUMBER_INVALID,
    UNSUPPORTED,
)
from sdr.registry.grammar import Digest
from sdr.registry.media_types import JSON, OCI_INDEX
from sdr.registry.questions import (
    Base,
    BlobOf,
    Front,
    ManifestOf,
    Question,
    ReferrersOf,
    Refused,
    Repositories,
    TagsOf,
    read_path,
)
from sdr.tree.documents import ManifestEntry, Repository, encode_repositories_page, encode_tags
from sdr.tree.headers import REVALIDATE
from sdr.tree.keys import blob_key, manifest_key, referrers_key, tags_key
from sdr.tree.referrers import Referrers

#: Repositories on a page of ``/v2/_catalog``: there may be a million, and anybody may ask.
REPOSITORIES_AT_ONCE = 1000

_API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")


def answer(question: Question, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Decide. A lookup instead of an answer says what would decide; ask again once it is known. Never raises."""
    got = _answer(question, known, rules)
    return got if isinstance(got, Lookup) else finished(question, got)


def finished(question: Question, got: Answer) -> Answer:
    """Add what every answer of its kind has."""
    if question.path.startswith("/v2") and not has_v1_only(question):
        return replace(got, headers=(*got.headers, _API_VERSION))
    return got


def _answer(question: Question, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    if question.method not in ("GET", "HEAD"):  # row 1
        return error(UNSUPPORTED, None, ("Allow", "GET, HEAD"))
    match read_path(question.path):
        case Refused() as refused:  # rows 2 and 22, and what breaks the grammar
            return error(refused.error, refused.detail)
        case Base() if has_v1_only(question):
            return error(NOT_FOUND)
        case Base():  # row 3
            return content(b"{}", JSON, REVALIDATE)
        case ManifestOf() as asked:
            return _manifest(question, asked, known, rules)
        case BlobOf() as asked:
            return _blob(question, asked, known, rules)
        case TagsOf() as asked:
            return _tags(question, asked, known, rules)
        case ReferrersOf() as asked:
            return _referrers(question, asked, known, rules)
        case Repositories():
            return _repositories(question, known, rules)
        case Front():  # row 21
            return content(front_page(question, known, browse=rules.browse), "text/html; charset=utf-8", REVALIDATE)
        case asked_v1:  # rows 13 to 20
            return answer_v1(question, asked_v1, known, rules)


def _manifest(question: Question, asked: ManifestOf, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Rows 4 to 8."""
    name, reference = asked.name, asked.reference
    by_tag = not isinstance(reference, Digest)
    document = known.recall(RepositoryLookup(name))
    if document is None:
        return RepositoryLookup(name)
    entry = _entry_in(document, asked) if isinstance(document, Repository) else None
    if entry is None:
        itself = ManifestLookup(name, reference)
        found = known.recall(itself)
        # Where the document cannot be seen, a redirect will do, unless manifests are not to be had elsewhere.
        if found is None and (document is not UNKNOWN or rules.inline):
            return itself
        if found is ABSENT:
            return unknown_manifest(question, asked, known, rules, repository_too=document is ABSENT)
        if found is None or isinstance(found, Missing):  # row 8
            redirected = _redirect(question, rules, manifest_key(name, reference), REVALIDATE)
            return unseen_manifest(question, asked, known, rules) or redirected
        entry = found.entry
    if is_not_accepted(question, asked, entry):
        return manifest_not_accepted(asked, entry, known, rules)
    outlived = rules.inline and known.recall(ManifestLookup(name, entry.digest)) is ABSENT
    if question.method == "HEAD" and not outlived:
        return manifest(question, entry, b"", by_tag=by_tag)
    if rules.inline:
        return _inline(question, asked, entry, known, rules)
    cached = REVALIDATE if by_tag else REDIRECT_CACHE
    return _redirect(question, rules, manifest_key(name, entry.digest), cached, digest_header(entry.digest))


def _inline(
    question: Question, asked: ManifestOf, entry: ManifestEntry, known: Known, rules: Rules
) -> Answer | Lookup[Any]:
    """Row 5 with ``--manifests inline``: the bytes, as soon as they are known."""
    by_tag = not isinstance(asked.reference, Digest)
    if matches(question.if_none_match, f'"{entry.digest}"'):
        return manifest(question, entry, b"", by_tag=by_tag)
    # Where the tag's document has outlived its manifest, the tag's own object knows better.
    for reference in (entry.digest, asked.reference):
        itself = ManifestLookup(asked.name, reference)
        found = known.recall(itself)
        if found is None:
            return itself
        if isinstance(found, FoundManifest) and found.body:
            return manifest(question, found.entry, found.body, by_tag=by_tag)
        if found is not ABSENT:
            cached = REVALIDATE if by_tag else REDIRECT_CACHE
            promised = (digest_header(reference),) if isinstance(reference, Digest) else ()
            return _redirect(question, rules, manifest_key(asked.name, reference), cached, *promised)
    return unknown_manifest(question, asked, known, rules, repository_too=False)


def _entry_in(document: Repository, asked: ManifestOf) -> ManifestEntry | None:
    if isinstance(asked.reference, Digest):
        return document.by_digest.get(asked.reference)
    return document.tags.get(asked.reference)


def _blob(question: Question, asked: BlobOf, known: Known, rules: Rules) -> Answer:
    """Row 9: never a look."""
    if known.is_absent(asked.name):
        return error(NAME_UNKNOWN)
    return _redirect(question, rules, blob_key(asked.digest), REDIRECT_CACHE, digest_header(asked.digest))


def _tags(question: Question, asked: TagsOf, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Row 10."""
    document = known.recall(RepositoryLookup(asked.name))
    if document is None:
        return RepositoryLookup(asked.name)
    if isinstance(document, Repository):
        tags = document.tag_names
    else:
        itself = TagsLookup(asked.name)
        found = known.recall(itself)
        if found is None and document is not UNKNOWN:
            return itself
        if found is ABSENT:
            return unknown_repository(asked, known, rules)
        if found is None or isinstance(found, Missing):
            redirected = _redirect(question, rules, tags_key(asked.name), REVALIDATE)
            return unseen_repository(question, asked, known, rules) or redirected
        tags = found
    try:
        page = page_of(tags, question)
    except BadNumber as bad:
        return error(PAGINATION_NUMBER_INVALID, str(bad))
    return content(encode_tags(asked.name, page.items), JSON, REVALIDATE, *page.link)


def _referrers(question: Question, asked: ReferrersOf, known: Known, rules: Rules) -> Answer | Lookup[Any]:
    """Row 11: the specification wants an empty index, not 404, where there is nothing."""
    itself = ReferrersLookup(asked.name, asked.digest)
    found = known.recall(itself)
    if found is None:
        return itself
    if found is UNKNOWN:
        return _redirect(question, rules, referrers_key(asked.name, asked.digest), REVALIDATE)
    referrers = Referrers() if isinstance(found, Missing) else found
    wanted = parameter(question, "artifactType")
    if not wanted:
        return content(referrers.index(), OCI_INDEX, REVALIDATE)
    # A plus that a client left as it is reads as a space; no media type has one.
    wanted = wanted.replace(" ", "+")
    return content(referrers.index(wanted), OCI_INDEX, REVALIDATE, ("OCI-Filters-Applied", "artifactType"))


def _repositories(question: Question, known: Known, rules: Rules) -> Answer:
    """Row 12."""
    if not rules.browse:
        return error(NOT_FOUND)
    try:
        page = page_of(known.names(), question, at_most=REPOSITORIES_AT_ONCE)
    except BadNumber as bad:
        return error(PAGINATION_NUMBER_INVALID, str(bad))
    return content(encode_repositories_page(page.items), JSON, REVALIDATE, *page.link)


def _redirect(question: Question, rules: Rules, key: str, cache_control: str, *more: tuple[str, str]) -> Answer:
    try:
        return redirect(location(question, rules.cdn, key), cache_control, *more)
    except NoLocation as reason:
        return error(reason.code, reason.detail)
