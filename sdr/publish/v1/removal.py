"""Taking tags and repositories of protocol v1 away, beside those of protocol v2 that have the same name.

``app`` and ``library/app`` are two repositories of protocol v2 and one of protocol v1: what the other one has there,
too, stays. Images are left to ``sdr gc``.
"""

from collections.abc import Callable, Iterable

from sdr.publish.progress import Report
from sdr.publish.truth import read
from sdr.publish.v1.index import V1Index
from sdr.stores.interface import NotThere, Stat, Store
from sdr.tree import v1
from sdr.tree.documents import BadDocument
from sdr.tree.keys import manifest_key, manifests_prefix


class V1Removal:
    """Removes from one store what protocol v1 has of a repository.

    :param delete: removes objects, and keeps count.
    """

    def __init__(self, store: Store, index: V1Index, report: Report, delete: Callable[[Iterable[str]], None]) -> None:
        self._store, self._index, self._report, self._delete = store, index, report, delete

    def objects(self, name: str) -> list[Stat]:
        """Return the objects that go with a repository."""
        found = self._objects(name)
        if not found or not self._is_shared(name):
            return found
        going = self._not_shared(name, self._published(name))
        return [stat for stat in found if _tag(stat) in going]

    def tags(self, name: str, tags: Iterable[str]) -> list[Stat]:
        """Return the objects of those of these tags that go."""
        there = (self._store.head(v1.tag_key(name, tag)) for tag in sorted(self._not_shared(name, tags)))
        return [stat for stat in there if stat is not None]

    def untag(self, name: str, tags: Iterable[str]) -> bool:
        """Remove tags: from the documents, then their objects; and look again for those who were busy meanwhile.

        :return: whether any of them was there.
        """
        own = self._not_shared(name, tags := set(tags))
        self._tell(name, tags - own)
        keys = [v1.tag_key(name, tag) for tag in sorted(own)]
        going = [key for key in keys if self._store.head(key) is not None]
        if not going and not own & self._listed(name):
            return False
        self._index.level(name, own, hidden=own)
        self._delete(going)
        # What an old registry wrote down of who pushed them; a tag's own key may look like that.
        prefix = v1.repository_prefix(name)
        besides = [f"{prefix}tag{tag}_json" for tag in sorted(own) if not tag.startswith("_")]
        self._delete([key for key in besides if self._store.head(key) is not None])
        self._index.level(name, own)
        return True

    def remove(self, name: str) -> None:
        """Remove all that goes with a repository."""
        if self._is_shared(name):
            self.untag(name, self._published(name))
            return
        going = self._objects(name)
        if not going:
            return
        tags = {*(_tag(stat) for stat in going), *self._listed(name)} - {""}
        self._index.level(name, tags, hidden=tags)
        documents = [v1.tags_key(name), v1.images_key(name)]
        self._delete([stat.key for stat in going if stat.key in documents])
        self._delete([stat.key for stat in going if _tag(stat)])
        # A publisher may have come meanwhile; whichever of the two is later makes it level.
        left = self._objects(name)
        if not any(_tag(stat) for stat in left):
            self._delete([stat.key for stat in left])
        self._index.level(name, tags)

    def _not_shared(self, name: str, tags: Iterable[str]) -> set[str]:
        """Return those of these tags that the other repository with this place in protocol v1 does not have."""
        own = set(tags)
        return own - self._shared(name, own)

    def _shared(self, name: str, tags: Iterable[str]) -> set[str]:
        other = _other(name)
        return {tag for tag in tags if other is not None and self._store.head(manifest_key(other, tag)) is not None}

    def _tell(self, name: str, shared: Iterable[str]) -> None:
        for tag in sorted(shared):
            if self._store.head(key := v1.tag_key(name, tag)) is not None:
                self._report.say(f"{key} stays: {_other(name)}:{tag} is that tag of protocol v1, too")

    def _is_shared(self, name: str) -> bool:
        """Tell whether the other repository with this place in protocol v1 is there."""
        other = _other(name)
        return other is not None and any(True for _ in self._store.list(manifests_prefix(other), delimiter="/"))

    def _published(self, name: str) -> set[str]:
        """Return the tags of protocol v1 that are there by this very name in protocol v2."""
        tags = {_tag(stat) for stat in self._objects(name)} - {""}
        return {tag for tag in tags if self._store.head(manifest_key(name, tag)) is not None}

    def _objects(self, name: str) -> list[Stat]:
        """Return all objects of a repository, and of no other whose name begins with its name."""
        prefix = v1.repository_prefix(name)
        try:
            return [each for each in self._store.list(prefix, delimiter="/") if isinstance(each, Stat)]
        except NotThere:
            return []

    def _listed(self, name: str) -> set[str]:
        """Return the tags that the repository's document names; where it is malformed that is told elsewhere."""
        data, _ = read(self._store, v1.tags_key(name))
        try:
            return set() if data is None else set(v1.decode_tags(data))
        except BadDocument:
            return set()


def _other(name: str) -> str | None:
    """Return the other name that stands for the same repository of protocol v1, if there is one."""
    namespace, _, rest = name.rpartition("/")
    if not namespace:
        return f"{v1.LIBRARY}/{name}"
    return rest if namespace == v1.LIBRARY else None


def _tag(stat: Stat) -> str:
    entry = v1.entry_of(stat.key)
    return entry.tag or "" if entry else ""
