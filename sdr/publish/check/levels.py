"""Whether the derived documents say what the manifests say; byte for byte, for they are canonical."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TypeVar

from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.holdings import Holding
from sdr.publish.check.inspecting import Inspection
from sdr.publish.check.verdicts import verdicts
from sdr.registry.grammar import Digest
from sdr.stores.interface import NotThere, Store
from sdr.tree import documents, headers, keys

T = TypeVar("T")

MEND = "run sdr index"


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one repository, as they are in the store; ``None`` for one that is not there.

    :param referrers: by subject.
    """

    tags: bytes | None
    repository: bytes | None
    referrers: Mapping[Digest, bytes | None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What has come out of documents.

    :param level: whether they say, in the store, what they should.
    :param revision: what the line that stands for the document has to say: empty where there must be no line, ``None``
        where that cannot be told.
    """

    findings: list[Finding]
    level: bool
    revision: str | None


class Levels:
    """Compares the documents of a store."""

    def __init__(self, store: Store, inspection: Inspection) -> None:
        self._store, self._inspection = store, inspection

    def documents(self, holding: Holding) -> Documents:
        """Read a repository's documents."""
        subjects = sorted(holding.subjects | holding.referrers.keys())
        return Documents(
            self._read(keys.tags_key(holding.name)),
            self._read(keys.repository_key(holding.name)),
            {subject: self._read(keys.referrers_key(holding.name, subject)) for subject in subjects},
        )

    def repository(self, holding: Holding, there: Documents) -> Compared:
        """Compare a repository's documents."""
        name, tags = holding.name, entries(holding, there.repository)
        # What says nothing need not be there.
        needed = bool(holding.tags)
        found, level = self._document(
            keys.tags_key(name),
            headers.TAGS_HEADERS,
            there.tags,
            documents.encode_tags(name, holding.tags),
            lambda data: documents.decode_tags(data, name),
            needed=needed,
        )
        for subject, data in there.referrers.items():
            known = lenient(data, documents.decode_referrers) or ()
            listed = dict(holding.referrers.get(subject, {}))
            # What cannot be read is a fault of its own.
            listed |= {
                str(entry["digest"]): entry for entry in known if Digest.parse(entry["digest"]) in holding.spoilt
            }
            more, is_level = self._document(
                keys.referrers_key(name, subject),
                headers.REFERRERS_HEADERS,
                data,
                documents.encode_referrers(listed.values()),
                documents.decode_referrers,
                needed=bool(listed),
            )
            found, level = found + more, level and is_level
        more, is_level = self._document(
            keys.repository_key(name),
            headers.REPOSITORY_HEADERS,
            there.repository,
            documents.encode_repository(documents.Repository(name, tags)),
            lambda data: documents.decode_repository(data, name),
            needed=needed,
        )
        return Compared(found + more, level and is_level, _revision(there.repository, is_level))

    def of_prefix(self, prefix: str, revisions: Mapping[str, str | None], *, whole: bool) -> Compared:
        """Compare one list of repositories.

        :param revisions: of the repositories that belong in it.
        :param whole: whether these are all of them.
        """
        key = keys.list_key(prefix)
        return self._revisions(
            key,
            headers.LIST_HEADERS,
            revisions,
            lambda data: documents.decode_list(data, prefix),
            documents.encode_list,
            keys.repository_key,
            whole=whole,
        )

    def lists(self, revisions: Mapping[str, str | None], *, whole: bool) -> list[Finding]:
        """Compare the list of the lists."""
        encode, decode = documents.encode_lists, documents.decode_lists
        stands_for = keys.list_key
        return self._revisions(
            keys.LISTS_KEY, headers.LISTS_HEADERS, revisions, decode, encode, stands_for, whole=whole
        ).findings

    def _revisions(
        self,
        key: str,
        with_headers: headers.Headers,
        revisions: Mapping[str, str | None],
        decode: Callable[[bytes], dict[str, str]],
        encode: Callable[[Mapping[str, str]], bytes],
        stands_for: Callable[[str], str],
        *,
        whole: bool,
    ) -> Compared:
        data = self._read(key)
        known = lenient(data, decode) or {}
        judged = known.keys() | revisions.keys() if whole else revisions.keys()
        newer = {name: known[name] for name in judged if self._is_newer(name, known, revisions, stands_for)}
        revisions = {**revisions, **newer}
        unjudged = {name for name, revision in revisions.items() if revision is None}
        expected = {name: known[name] for name in known if name in unjudged or not (whole or name in revisions)}
        expected |= {name: revision for name, revision in revisions.items() if revision}
        needed = any(revision != "" for revision in revisions.values())
        found, level = self._document(key, with_headers, data, encode(expected), decode, needed=needed)
        return Compared(found, level, _revision(data, level))

    def _is_newer(
        self,
        name: str,
        known: Mapping[str, str],
        revisions: Mapping[str, str | None],
        stands_for: Callable[[str], str],
    ) -> bool:
        """Tell whether a line that is not as it was expected stands for what has been written since that was read."""
        expected = revisions.get(name, "")
        if name not in known or expected is None or known[name] == expected:
            return False
        data = self._read(stands_for(name))
        return data is not None and documents.revision(data) == known[name]

    def _document(
        self,
        key: str,
        with_headers: headers.Headers,
        data: bytes | None,
        expected: bytes,
        decode: Callable[[bytes], object],
        *,
        needed: bool,
    ) -> tuple[list[Finding], bool]:
        """Return the faults of a document, and whether it is level."""
        if data is None:
            missing = Finding(key, Fault.MISSING, f"not there; {MEND}", verdicts(key, Fault.MISSING))
            return ([missing], False) if needed else ([], True)
        if data != expected:
            try:
                decode(data)
            except documents.BadDocument as error:
                return [Finding(key, Fault.MALFORMED, f"{error}; {MEND}")], False
            return [Finding(key, Fault.STALE, f"not what the objects of the tree say; {MEND}")], False
        return self._inspection.small(key, with_headers, data), True

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)[0]
        except NotThere:
            return None


def _revision(data: bytes | None, level: bool) -> str | None:
    if not level:
        return None
    return "" if data is None else documents.revision(data)


def entries(holding: Holding, repository: bytes | None) -> dict[str, documents.ManifestEntry]:
    """Return the lines that a repository's document has to have."""
    document = lenient(repository, lambda data: documents.decode_repository(data, holding.name))
    known = document.tags if document else {}
    lines: dict[str, documents.ManifestEntry] = {}
    for tag, tagged in holding.tags.items():
        line = known.get(tag)
        if tagged is None:
            # A fault of the tag's own object.
            lines |= {tag: line} if line else {}
            continue
        # The bytes do not tell by which of their digests they are stored.
        by_digest = [digest for digest in tagged.digests if holding.has(digest)]
        if line is not None and line.digest in tagged.digests:
            by_digest.insert(0, line.digest)
        lines[tag] = tagged.entry((by_digest or tagged.digests)[0])
    return lines


def listed_tags(name: str, there: Documents) -> Set[str]:
    """Return the tags that both documents name: no publisher leaves them so when it has removed a tag."""
    tags = lenient(there.tags, lambda data: documents.decode_tags(data, name)) or ()
    document = lenient(there.repository, lambda data: documents.decode_repository(data, name))
    return set(tags) & (document.tags.keys() if document else set())


def lenient(data: bytes | None, decode: Callable[[bytes], T]) -> T | None:
    """Decode a document; ``None`` where there is none, or none that can be read."""
    try:
        return None if data is None else decode(data)
    except documents.BadDocument:
        return None
