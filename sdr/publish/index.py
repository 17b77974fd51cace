"""Keeping the derived documents level with the manifests, beside other publishers that do the same.

Each document is read, merged with what it stands for, and put back on the condition that nobody has changed it
meanwhile; else all that again. What it stands for (the tags' own objects, the repository's document, the list) is read
after the document itself, so whoever comes last writes what is true.

Where the store has no conditional writes, a document is read again right before it is put back, and all of them are
looked at again after a short random time, until there is nothing to mend. Tags and referrers that another publisher has
overwritten are found by whichever of the two comes last; the line of a repository in a list is found only if it was
overwritten before its publisher looked again, and else by the next publish there, or by ``sdr index``.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sdr.publish.image import ImageManifest
from sdr.publish.jobs import Jobs
from sdr.publish.keeping import TRIES, Documents, Found, Putting
from sdr.publish.referrers import merged, present
from sdr.publish.rounds import Rounds
from sdr.publish.touched import Touched
from sdr.publish.truth import SLACK, Truth, read, tagged, tags_of
from sdr.registry.grammar import Digest
from sdr.stores.interface import NotThere, Stat, Store, StoreError
from sdr.tree import documents, headers, keys

#: With up to so many lists all are looked at when one is written: the listing is small.
FEW_LISTS = 256


class Index:
    """The derived documents of one store.

    :param writing: puts, and keeps count.
    :param mends: whether a document that is malformed is made anew, instead of being refused.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        writing: Putting,
        *,
        mends: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._jobs = store, jobs
        self._documents = Documents(store, jobs, writing, mends=mends, sleep=sleep)
        #: What was found well-formed.
        self._seen: dict[str, Found] = {}
        #: What has to be true still when the documents that say so are written.
        self._promised: list[Callable[[], bool]] = []
        #: By repository, its manifests as they were listed last.
        self._manifests: dict[str, Mapping[Digest, Stat]] = {}

    def looks(self, touched: Mapping[str, Touched]) -> dict[str, list[Callable[[], None]]]:
        """Return what reads ahead the documents that :meth:`level_all` would change, by the repository that needs it.

        What several of them need is for the first.
        """
        self._documents.let_go()
        found: dict[str, list[Callable[[], None]]] = {}
        seen: set[str] = set()
        for name, its in touched.items():
            new = [key for key in _needed(name, its) if key not in seen]
            seen |= {*new}
            found[name] = [partial(self._documents.hold_one, key) for key in new]
        return found

    def check(self, name: str, touched: Touched) -> None:
        """See that the documents that :meth:`level` would change are well-formed: better know it before the tag moves.

        :raise StoreError: if one is not what sdr writes there.
        """
        prefix, each = keys.list_of(name), self._documents
        for key in _needed(name, touched):
            if key not in each.held:
                each.hold_one(key)
            found = each.held[key]
            # What several repositories need was seen by the first.
            if self._seen.get(key) is found:
                continue
            if key == keys.tags_key(name):
                each.decoded(found, lambda data: documents.decode_tags(data, name))
            elif key == keys.repository_key(name):
                each.decoded(found, lambda data: documents.decode_repository(data, name))
            elif key == keys.list_key(prefix):
                each.decoded(found, lambda data: documents.decode_list(data, prefix))
            elif key == keys.LISTS_KEY:
                each.decoded(found, documents.decode_lists)
            else:
                each.decoded(found, documents.decode_referrers)
            self._seen[key] = found

    def is_documented(self, name: str) -> bool:
        """Tell whether a repository whose documents were read ahead has one."""
        found = self._documents.held.get(keys.repository_key(name))
        return found is not None and found.data is not None

    def level(self, name: str, touched: Touched) -> None:
        """Bring each document level that has to do with a repository; see :meth:`level_all`."""
        self.level_all({name: touched})

    def level_all(self, touched: Mapping[str, Touched]) -> None:
        """Bring each document level that has to do with repositories, in the order of :class:`sdr.tree.keys.Stage`.

        :raise StoreError: if one cannot be written, or is not what sdr writes there.
        """
        leaving = {name for name, its in touched.items() if its.leaving}
        rounds, new = Rounds(touched, leaving), {*touched}

        def repository(name: str) -> bool:
            hopeful = name in new
            new.discard(name)
            return self._repository(name, touched[name], hopeful=hopeful)

        steps = [
            # Nothing may lead to what is about to be removed.
            lambda: rounds.take_repositories(repository, self._at_once),
            lambda: rounds.take_lists(
                lambda prefix, names: self._list(prefix, names, leaving & {*names}), self._at_once
            ),
            lambda: self._lists(rounds.prefixes),
        ]
        self._settle(steps, lambda: self._needed_in(rounds, touched))

    def _at_once(self, steps: Sequence[Callable[[], bool]]) -> list[bool]:
        return self._jobs.run(self._documents.uninterrupted, steps)

    def _needed_in(self, rounds: Rounds, touched: Mapping[str, Touched]) -> list[str]:
        lists = [keys.list_key(prefix) for prefix in sorted(rounds.lists)]
        of_their_own = [key for name in sorted(rounds.repositories) for key in _own(name, touched[name])]
        return [*of_their_own, *lists, keys.LISTS_KEY]

    def level_repository(self, name: str, touched: Touched) -> None:
        """Bring level what is in a repository; :meth:`level_lists` is to follow."""
        self._settle([lambda: self._repository(name, touched)])

    def level_lists(self, names: Iterable[str]) -> None:
        """Bring every list, and the list of lists, level.

        :param names: the repositories whose documents are known to be there; those that are listed are looked at too.
        """
        by_prefix: dict[str, set[str]] = {prefix: set() for prefix in self._prefixes()}
        for name in names:
            by_prefix.setdefault(keys.list_of(name), set()).add(name)
        steps = [self._list_step(prefix, here) for prefix, here in sorted(by_prefix.items())]
        self._settle([*steps, lambda: self._lists(set(by_prefix), exact=True)])

    def _list_step(self, prefix: str, names: set[str]) -> Callable[[], bool]:
        return lambda: self._list(prefix, names, exact=True)

    def _repository(self, name: str, touched: Touched, *, hopeful: bool = False) -> bool:
        """Level what a repository has, all of it read before the truth is looked for.

        :param hopeful: take for true what was just done, where what is written is looked at again anyway.
        """
        repository, tags = self._documents.read(keys.repository_key(name)), self._documents.read(keys.tags_key(name))
        known = (
            self._documents.decoded(repository, lambda data: dict(documents.decode_repository(data, name).tags)) or {}
        )
        self._documents.decoded(tags, lambda data: documents.decode_tags(data, name))
        before = [self._documents.read(keys.referrers_key(name, subject)) for subject in touched.by_subject]
        given = touched.given
        if hopeful and not self._store.conditional_writes and any(known.get(tag) != given[tag] for tag in given):
            # What this leads to is written, so all of it is looked at again.
            truth = Truth({**known, **given}, {})
        else:
            anew = bool(touched.by_subject)
            seen = None if anew else self._manifests.get(name)
            truth = tags_of(
                self._store, name, known, repository.since, touched.tags, touched.sure, manifests=seen, attached=anew
            )
            self._manifests[name] = truth.manifests
        entries = {tag: entry for tag, entry in truth.tags.items() if tag not in touched.hidden}
        # A repository without a tag has no documents, unless it had one.
        is_documented = bool(entries) or repository.data is not None
        wrote = False
        if is_documented:
            wrote = self._documents.write(tags, documents.encode_tags(name, entries), headers.TAGS_HEADERS)
        for found, (subject, attached) in zip(before, touched.by_subject.items(), strict=True):
            referrers = self._referrers(name, subject, found, attached, truth, touched)
            wrote |= self._documents.write(found, documents.encode_referrers(referrers), headers.REFERRERS_HEADERS)
        if not is_documented:
            return wrote
        document = documents.encode_repository(documents.Repository(name, entries))
        wrote |= self._documents.write(repository, document, headers.REPOSITORY_HEADERS)
        for tag in {*known, *entries} - touched.hidden:
            if known.get(tag) != entries.get(tag):
                self._promised.append(partial(self._is_tag, name, tag, entries.get(tag), touched))
        return wrote

    def _referrers(
        self,
        name: str,
        subject: Digest,
        found: Found,
        attached: Iterable[ImageManifest],
        truth: Truth,
        touched: Touched,
    ) -> Iterable[Mapping[str, Any]]:
        listed = self._documents.decoded(found, documents.decode_referrers) or ()
        entries = merged(self._store, name, subject, listed, found.since, attached, truth)
        if subject in touched.subjects:
            entries = present(self._store, name, subject, entries, attached)
        hidden = {str(digest) for digest in touched.detached}
        return [entry for text, entry in entries.items() if text not in hidden]

    def _list(self, prefix: str, names: Collection[str], leaving: Collection[str] = (), *, exact: bool = False) -> bool:
        """Level one list.

        :param exact: look at all that it names, and not only at these repositories.
        """
        found = self._documents.read(keys.list_key(prefix))
        known = self._documents.decoded(found, lambda data: documents.decode_list(data, prefix)) or {}
        revisions = dict(known)
        wanted = {keys.repository_key(name): name for name in sorted({*names, *(known if exact else ())})}
        its = self._documents.read_all(wanted)
        for key, name in wanted.items():
            _set(revisions, name, None if name in leaving else its[key])
        if found.data is None and not revisions:
            return False
        wrote = self._documents.write(found, documents.encode_list(revisions), headers.LIST_HEADERS)
        for name in {*known, *revisions} - {*leaving}:
            if known.get(name) != revisions.get(name):
                self._promised.append(partial(self._is_revision, keys.repository_key(name), revisions.get(name)))
        return wrote

    def _lists(self, prefixes: Collection[str], *, exact: bool = False) -> bool:
        """Level the list of lists; a list that a publisher wrote and died before it got here is found too.

        Where there are many lists, only if it is a neighbour of these: the next publish beside it will look, too.
        """
        found = self._documents.read(keys.LISTS_KEY)
        known = self._documents.decoded(found, documents.decode_lists) or {}
        revisions = dict(known)
        few = exact or len(known) <= FEW_LISTS
        listed = self._listed_lists([""] if few else _neighbourhoods(prefixes))
        doubtful = {
            prefix
            for prefix, stat in listed.items()
            if exact or prefix not in known or found.since is None or stat.modified >= found.since - SLACK
        }
        wanted = {keys.list_key(prefix): prefix for prefix in sorted({*prefixes, *doubtful, *(known if exact else ())})}
        for key, document in self._documents.read_all(wanted).items():
            _set(revisions, wanted[key], document)
        if found.data is None and not revisions:
            return False
        wrote = self._documents.write(found, documents.encode_lists(revisions), headers.LISTS_HEADERS)
        for prefix in {*known, *revisions}:
            if known.get(prefix) != revisions.get(prefix):
                self._promised.append(partial(self._is_revision, keys.list_key(prefix), revisions.get(prefix)))
        return wrote

    def _settle(self, steps: Collection[Callable[[], bool]], needed: Callable[[], Collection[str]] = tuple) -> None:
        """Take the steps, until what was changed in the documents is true when they are written.

        Somebody may have made something what it was again while a document still said that, and so have left it alone:
        it can be put back then on the condition that it is the same, with what was true in between. Where nothing is
        conditional all is looked at again anyway.
        """
        for _ in range(TRIES):
            self._promised.clear()
            self._documents.settle(steps, needed)
            if not self._store.conditional_writes or all(self._jobs.run(_is_kept, self._promised)):
                return
        raise StoreError(self._store.location, "", f"others changed the catalog {TRIES} times; run sdr index")

    def _is_tag(self, name: str, tag: str, entry: documents.ManifestEntry | None, touched: Touched) -> bool:
        hints = [entry.digest] if entry else ()
        return tagged(self._store, name, tag, hints, sure=touched.sure) == entry

    def _is_revision(self, key: str, revision: str | None) -> bool:
        data, _ = read(self._store, key)
        return (None if data is None else documents.revision(data)) == revision

    def _prefixes(self) -> set[str]:
        known = self._documents.decoded(self._documents.read(keys.LISTS_KEY), documents.decode_lists) or {}
        return {*known, *self._listed_lists([""])}

    def _listed_lists(self, beginnings: Collection[str]) -> dict[str, Stat]:
        """Return the lists that are there whose digits begin so."""
        found = [stat for stats in self._jobs.run(self._lists_below, beginnings) for stat in stats]
        lists = {stat.key.removeprefix(keys.LISTS_PREFIX).removesuffix(".ndjson"): stat for stat in found}
        return {prefix: stat for prefix, stat in lists.items() if keys.is_list_prefix(prefix)}

    def _lists_below(self, beginning: str) -> list[Stat]:
        try:
            listed = self._store.list(f"{keys.LISTS_PREFIX}{beginning}", delimiter="/")
            return [found for found in listed if isinstance(found, Stat) and found.key.endswith(".ndjson")]
        except NotThere:
            return []


def _own(name: str, touched: Touched) -> list[str]:
    """Return the keys of the documents of a repository."""
    referrers = [keys.referrers_key(name, subject) for subject in touched.by_subject]
    return [keys.repository_key(name), keys.tags_key(name), *referrers]


def _needed(name: str, touched: Touched) -> list[str]:
    """Return the keys of the documents that have to do with a repository."""
    return [*_own(name, touched), keys.list_key(keys.list_of(name)), keys.LISTS_KEY]


def _neighbourhoods(prefixes: Collection[str]) -> Collection[str]:
    """Return what the digits of lists begin with that are looked at with these: 16 lists each, or all at once."""
    found = {prefix[:2] for prefix in prefixes}
    return sorted(found) if len(found) < 16 else [""]


def _is_kept(promise: Callable[[], bool]) -> bool:
    return promise()


def _set(revisions: dict[str, str], key: str, document: bytes | None) -> None:
    if document is None:
        revisions.pop(key, None)
    else:
        revisions[key] = documents.revision(document)
