"""A store in memory: what is in it, its faults, and three faces of it.

:class:`FakeStore` is the model: objects by key, what was asked, and what goes wrong. :class:`StoreSource` answers a
catalog straight from it; :class:`StoreResource` is its HTTP face, for ``RequestTraversalAgent``; ``wire.Wire`` is its
face in bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, succeed
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sdr.catalog.sources import Fetched, FetchFailed
from sdr.registry.grammar import Digest, Reference
from sdr.registry.media_types import OCI_INDEX
from sdr.tree.documents import (
    ManifestEntry,
    Repository,
    encode_list,
    encode_lists,
    encode_repository,
    encode_tags,
    revision,
)
from sdr.tree.keys import LISTS_KEY, list_key, list_of, manifest_key, repository_key, tags_key


@dataclass(frozen=True)
class Reply:
    """What a store answers to one request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request that a store has seen."""

    key: str
    if_none_match: str
    at: float


def manifest(text: str = "") -> bytes:
    """Return the bytes of a small index; another text makes another digest."""
    return b'{"schemaVersion":2,"manifests":[],"annotations":{"text":"%s"}}' % text.encode()


class FakeStore:
    """Objects by key, a publisher for them, what was asked, and switches for what goes wrong.

    :param seconds: tells the time of each request.
    """

    def __init__(self, seconds: Callable[[], float] = lambda: 0.0) -> None:
        self._seconds = seconds
        self._repositories: dict[str, dict[str, ManifestEntry]] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        #: What is answered instead of an object, by key.
        self.faults: dict[str, Reply] = {}
        #: What is answered to everything, while it is set.
        self.down: Reply | None = None
        #: Whether objects have validators.
        self.etags = True

    # What is in it.

    def publish(
        self, name: str, tag: str, body: bytes | None = None, *, document: bool = True, listed: bool = True
    ) -> Digest:
        """Publish a manifest, in the order of writes.

        :param document: write the repository's document too.
        :param listed: write the lists too.
        """
        body = manifest(f"{name}:{tag}") if body is None else body
        digest = Digest.of(body)
        references: tuple[Reference, ...] = (digest, tag)
        for reference in references:
            self.objects[manifest_key(name, reference)] = body
        tags = self._repositories.setdefault(name, {})
        tags[tag] = ManifestEntry(digest, OCI_INDEX, len(body))
        self.objects[tags_key(name)] = encode_tags(name, tags)
        if document:
            self.objects[repository_key(name)] = encode_repository(Repository(name, dict(tags)))
        if listed:
            self.write_lists()
        return digest

    def remove(self, name: str) -> None:
        """Remove a repository, and what the lists say of it."""
        del self._repositories[name]
        for key in [key for key in self.objects if key.startswith(f"v2/{name}/")]:
            del self.objects[key]
        self.write_lists()

    def write_lists(self) -> None:
        """Write the lists of all repositories that have a document."""
        lists: dict[str, dict[str, str]] = {}
        for name in self._repositories:
            document = self.objects.get(repository_key(name))
            if document is not None:
                lists.setdefault(list_of(name), {})[name] = revision(document)
        self.set_lists(lists)

    def set_lists(self, lists: Mapping[str, Mapping[str, str]]) -> None:
        """Write these lists, and no others."""
        for key in [key for key in self.objects if key.startswith("v2/_repositories/")]:
            del self.objects[key]
        bodies = {prefix: encode_list(listing) for prefix, listing in lists.items()}
        self.objects.update({list_key(prefix): body for prefix, body in bodies.items()})
        self.objects[LISTS_KEY] = encode_lists({prefix: revision(body) for prefix, body in bodies.items()})

    # What is asked of it.

    def reply(self, key: str, if_none_match: str) -> Reply:
        """Answer a request, and count it."""
        self.asked.append(Asked(key, if_none_match, self._seconds()))
        if self.down is not None:
            return self.down
        if key in self.faults:
            return self.faults[key]
        body = self.objects.get(key)
        if body is None:
            return Reply(404, b"<h1>Not Found</h1>")
        etag = f'"{revision(body)}"'
        if self.etags and if_none_match == etag:
            return Reply(304, b"", {"ETag": etag})
        return Reply(200, body, {"ETag": etag} if self.etags else {})

    def count(self, key: str = "") -> int:
        """Return how often a key was asked for, or all of them together."""
        return len([asked for asked in self.asked if key in ("", asked.key)])

    def keys_asked(self, since: int = 0) -> list[str]:
        """Return the keys that were asked for, but for the first ``since``, in order."""
        return [asked.key for asked in self.asked[since:]]


class StoreSource:
    """A store as a catalog's source, without HTTP; other statuses than a source may return are failures."""

    location = "memory:"

    def __init__(self, store: FakeStore) -> None:
        self.store = store
        self.stopped = False

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole."""
        reply = self.store.reply(key, etag)
        if reply.status not in (200, 304, 403, 404) or len(reply.body) > limit:
            raise FetchFailed(f"HTTP status {reply.status}", float(reply.headers.get("Retry-After", "0")), "status")
        return Fetched(reply.status, reply.body if reply.status == 200 else b"", reply.headers.get("ETag", ""))

    def stop(self) -> Deferred[None]:
        """Remember it."""
        self.stopped = True
        return succeed(None)


class LateSource(StoreSource):
    """A source that answers when it is told to, while ``late`` is set."""

    def __init__(self, store: FakeStore) -> None:
        super().__init__(store)
        self.late = False
        self.waiting: list[Deferred[None]] = []

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole, once it may."""
        if self.late:
            waiting: Deferred[None] = Deferred()
            self.waiting.append(waiting)
            await waiting
        return await super().fetch(key, limit=limit, seconds=seconds, etag=etag)

    def release(self) -> int:
        """Answer what waits by now; return how many that were."""
        released, self.waiting = self.waiting, []
        for waiting in released:
            waiting.callback(None)
        return len(released)


class StoreResource(Resource):
    """The HTTP face of a store, for ``RequestTraversalAgent``. Requests can be held back, to be answered later."""

    isLeaf = True

    def __init__(self, store: FakeStore) -> None:
        super().__init__()
        self.store = store
        #: Tells whether to hold back a request, by its key.
        self.holds: Callable[[str], bool] = lambda key: False
        self.held: list[tuple[Request, Reply]] = []

    def render(self, request: Request) -> int:
        """Answer a request, or hold it back."""
        key = request.path.decode().removeprefix("/")
        reply = self.store.reply(key, request.getHeader("if-none-match") or "")
        if self.holds(key):
            self.held.append((request, reply))
        else:
            _write(request, reply)
        return NOT_DONE_YET

    def release(self) -> None:
        """Answer the requests that are held back; their clients see it at the agent's next ``flush``."""
        held, self.held = self.held, []
        for request, reply in held:
            _write(request, reply)


def _write(request: Request, reply: Reply) -> None:
    request.setResponseCode(reply.status)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    request.setHeader("Content-Length", str(len(reply.body)))
    if request.method != b"HEAD":
        request.write(reply.body)
    request.finish()
