"""Which of many images are published together: small ones, in their order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sdr.publish.member import Wanted
from sdr.registry.grammar import Digest

#: How many images are published together at most; each is told when all of them are.
COUNT = 64

#: So many bytes are published together at most, or one image: with more it is the bytes that take the time.
SIZE = 64 * 1024 * 1024

#: With so many open files no more images are added. A process may commonly have 1024; the last image brings its own.
FILES = 200

#: The directories of a repository.
_PARTS = ("manifests", "tags", "referrers")


class Group:
    """Images that are published together.

    What may keep another from being written is in no group with it: the first is published, and the other is told of.

    :param alone: whether it is to be of one image.
    :ivar failure: what became of the one after them, which could not be added.
    :ivar late: the one after them, in a group of its own, if it was too large.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._count = 1 if alone else COUNT
        self._sizes: dict[Digest, int] = {}
        self._names: set[tuple[str, str]] = set()
        self.wanted: list[Wanted] = []
        #: What more there is to say of each.
        self.more: list[dict[str, object]] = []
        self.failure: Exception | None = None
        self.late: Group | None = None

    def takes(self, name: str, tags: Sequence[str], open_files: int = 0) -> bool:
        """Tell whether one more can be added: under no tag that another of them has.

        :param open_files: how many those that are in it have open.
        """
        is_full = len(self.wanted) == self._count or sum(self._sizes.values()) >= SIZE or open_files >= FILES
        if self.failure or self.late or is_full or self._names & {(name, tag) for tag in tags}:
            return False
        return not any(_is_in_the_way(name, other) for other, _ in self._names)

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Keep what goes wrong with one more, if there are any before it: they are to be published first."""
        try:
            yield
        except Exception as error:
            if not self.wanted:
                raise
            self.failure = error

    def add(self, wanted: Wanted, more: dict[str, object]) -> None:
        """Add an image, or keep it for the next group."""
        # What several of them need is written once.
        sizes = self._sizes | {blob.digest: blob.size for blob in wanted.image.blobs}
        if self.wanted and sum(sizes.values()) > SIZE:
            self.late = Group(alone=True)
            self.late.add(wanted, more)
            return
        self.wanted.append(wanted)
        self.more.append(more)
        self._sizes = sizes
        self._names |= {(wanted.name, tag) for tag in wanted.tags}


def _is_in_the_way(name: str, other: str) -> bool:
    """Tell whether one is where the other has its files, so that a directory cannot hold both, whatever their tags."""
    shorter, longer = sorted((name, other), key=len)
    return longer.startswith(f"{shorter}/") and longer[len(shorter) + 1 :].split("/")[0] in _PARTS
