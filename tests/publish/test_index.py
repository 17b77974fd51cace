"""Tests of the derived documents where several publishers are at work, at every step of each."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from sdr.publish.index import Index
from sdr.publish.jobs import Jobs
from sdr.publish.progress import Silent
from sdr.publish.touched import Touched
from sdr.publish.writing import Writing
from sdr.stores.interface import Bytes, Changed, Stat, Store, StoreError
from sdr.tree.documents import decode_lists, encode_lists, revision
from sdr.tree.headers import LIST_HEADERS, LISTS_HEADERS, TAGS_HEADERS
from sdr.tree.keys import LISTS_KEY, LISTS_PREFIX, list_key, list_of
from tests.publish.interleaving import Interleaving, SteppedStore
from tests.publish.publishing import NAME, MemoryTestCase, publish
from tests.publish.trees import broken_references, snapshot_of, stale_documents
from tests.stores.memory import MemoryStore


def at_once(seconds: float) -> None:
    """Sleep not at all."""


class SideBySideTests(MemoryTestCase):
    """Two publishers, the second begun and held at every step."""

    def every_step(
        self, conditional: bool, first: Callable[..., object], second: Callable[..., object], *, waits: bool
    ) -> None:
        """Require that nothing is lost.

        :param waits: whether the second goes on while the first sleeps, or only once that is done.
        """
        starts_at = 1
        while True:
            held_at = 1
            while True:
                self.store = MemoryStore(conditional_writes=conditional)
                self.publish("index", "before")
                both = Interleaving(self.store, starts_at, held_at)
                both.run(
                    partial(first, both.first, sleep=both.let_go if waits else at_once),
                    partial(second, both.second, sleep=at_once),
                )
                tree = snapshot_of(self.store)
                wrong = broken_references(tree) + stale_documents(tree)
                self.assertEqual(wrong, [], f"started at {starts_at}, held at {held_at}")
                if both.second.steps < held_at:
                    break
                held_at += 1
            if both.first.steps < starts_at:
                break
            starts_at += 1
        self.assertGreater(starts_at, 15)

    def source(self, ref: str) -> str:
        """Return a SOURCE."""
        return f"oci:{self.path}:{ref}"

    def in_one_repository(self, store: Store, sleep: Callable[[float], None], tag: str = "a") -> None:
        """Publish into the repository that is there."""
        publish(store, self.source("image"), tag=tag, sleep=sleep)

    def attached(self, store: Store, sleep: Callable[[float], None]) -> None:
        """Publish what refers to an image."""
        publish(store, self.source("signature"), tag="b", sleep=sleep)

    def elsewhere(self, store: Store, sleep: Callable[[float], None]) -> None:
        """Publish into another repository."""
        publish(store, self.source("image"), name="other", sleep=sleep)

    def test_one_repository(self) -> None:
        """No tag and no referrer is lost, with conditional writes or without."""
        for conditional in (True, False):
            self.every_step(conditional, self.in_one_repository, self.attached, waits=not conditional)

    def test_one_tag(self) -> None:
        """Of a tag that two move, the documents say what it is in the end."""
        moved = partial(publish, source=self.source("other"), tag="a")
        for conditional in (True, False):
            self.every_step(conditional, self.in_one_repository, moved, waits=not conditional)

    def test_two_repositories(self) -> None:
        """No repository is lost."""
        for conditional in (True, False):
            self.every_step(conditional, self.elsewhere, self.in_one_repository, waits=not conditional)

    def test_late_overwriting(self) -> None:
        """Without conditional writes, whoever overwrites the work of one who is done mends that."""
        self.every_step(False, self.in_one_repository, self.attached, waits=False)


class Contested(MemoryStore):
    """A store in which somebody always comes first."""

    def put(self, *arguments: object, **options: object) -> str:
        """Refuse."""
        raise Changed(self.location, str(arguments[0]), "something else is there by now")


class IndexTests(MemoryTestCase):
    """One document after the other."""

    def index(self, store: Store) -> Index:
        """Return the documents of a store."""
        return Index(store, Jobs(1), Writing(store, Jobs(1), Silent()), sleep=at_once)

    def test_gives_up(self) -> None:
        """A document that others change without end is given up with a line that says so."""
        self.publish("image", "1")
        store = Contested()
        store.objects = {key: found for key, found in self.store.objects.items() if "tags/list" not in key}
        error = self.assertRaises(StoreError, self.index(store).level, NAME, Touched())
        self.assertIn("run the command again", str(error))

    def test_what_is_level_costs_no_writes(self) -> None:
        """Looking at what is level writes nothing, and reads no manifest that has not changed."""
        self.publish("image", "1")
        self.store.now = lambda: 2e9
        for key in [f"v2/{NAME}/_repository.json", "v2/_repositories.json"]:
            data, headers, _ = self.store.objects[key]
            self.store.put(key, Bytes(data), headers)
        read: list[str] = []
        stepped = SteppedStore(self.store, lambda number: None)
        stepped.get = lambda key: read.append(key) or self.store.get(key)  # type: ignore[method-assign, func-returns-value]
        before = self.store.snapshot()
        self.index(stepped).level(NAME, Touched())
        self.assertEqual(self.store.snapshot(), before)
        self.assertEqual([key for key in read if "/manifests/" in key], [])

    def test_many_lists(self) -> None:
        """Among thousands of lists only the neighbours are listed; one whose publisher died is found among those."""
        self.publish("image", "1")
        own = list_of(NAME)
        lists = decode_lists(self.store.get(LISTS_KEY)[0])
        for number in range(0, 4096, 8):
            prefix = f"{number:03x}"
            if prefix != own:
                data = prefix.encode()
                lists[prefix] = revision(data)
                self.store.put(list_key(prefix), Bytes(data), LIST_HEADERS)
        near, far = _not_in(lists, own[:2]), _not_in(lists, "0" if own[0] != "0" else "1")
        for prefix in (near, far):
            self.store.put(list_key(prefix), Bytes(b"its publisher died"), LIST_HEADERS)
        self.store.now = lambda: 2e9
        self.store.put(LISTS_KEY, Bytes(encode_lists(lists)), LISTS_HEADERS)
        stepped = SteppedStore(self.store, lambda number: None)
        seen: list[str] = []

        def listed(prefix: str, *, delimiter: str = "") -> Iterator[Stat | str]:
            for found in self.store.list(prefix, delimiter=delimiter):
                if isinstance(found, Stat) and found.key.startswith(LISTS_PREFIX):
                    seen.append(found.key)
                yield found

        stepped.list = listed  # type: ignore[method-assign]
        self.index(stepped).level(NAME, Touched())
        found = decode_lists(self.store.get(LISTS_KEY)[0])
        self.assertEqual(found, {**lists, near: revision(b"its publisher died")})
        self.assertLess(len(seen), 17)
        others = (f"acme/other{number}" for number in range(10_000))
        neighbour = next(name for name in others if list_of(name)[:2] == far[:2] and list_of(name) not in lists)
        self.index(self.store).level(neighbour, Touched())
        self.assertIn(far, decode_lists(self.store.get(LISTS_KEY)[0]))

    def test_malformed(self) -> None:
        """A document that is not sdr's is named, with the command that makes it anew, and left as it is."""
        self.publish("image", "1")
        key = f"v2/{NAME}/tags/list"
        self.store.put(key, Bytes(b'{"tags": 1}'), TAGS_HEADERS)
        for use in (self.index(self.store).check, self.index(self.store).level):
            error = self.assertRaises(StoreError, use, NAME, Touched())
            self.assertEqual(error.key, key)
            self.assertIn("sdr index", str(error))
        self.assertEqual(json.loads(self.store.get(key)[0]), {"tags": 1})


def _not_in(lists: Mapping[str, str], beginning: str) -> str:
    """Return the digits of a list that is none of these."""
    every = (f"{number:03x}" for number in range(4096))
    return next(prefix for prefix in every if prefix.startswith(beginning) and prefix not in lists)
