"""How a worker's catalog is kept level with the parent's: what is sent of it, and what is made of that."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from sdr.catalog.catalog import Catalog, State
from sdr.catalog.snapshot import Listing, Snapshot
from sdr.endpoint.workers.messages import Message

#: One list, which counts once the next standing has come.
LIST = "list"
#: The state of the catalog, and which lists there are if that has changed.
STANDING = "standing"

_NOTHING = Snapshot()


class Told:
    """What one worker was told of the catalog."""

    def __init__(self) -> None:
        self._snapshot = _NOTHING
        self._state: State | None = None

    def news(self, snapshot: Snapshot, state: State) -> Iterator[Message]:
        """Return what it has to be told to know this; it is taken for told then."""
        if state is State.NONE:
            snapshot = _NOTHING  # a worker forgets all of it
        before, self._snapshot = self._snapshot, snapshot
        for prefix, listing in snapshot.lists.items():
            known = before.lists.get(prefix)
            if known is None or known.revision != listing.revision:
                yield Message(LIST, {"prefix": prefix, "revision": listing.revision}, listing.data)
        # That nothing is known yet is no news: the worker may have read the saved copy meanwhile.
        is_begin = self._state is None and state is State.STARTING and not snapshot.lists
        is_new = snapshot is not before and not is_begin
        if is_new or state is not self._state:
            self._state = state
            yield Message(STANDING, {"state": state.value, "wanted": dict(snapshot.wanted) if is_new else None})


class Following:
    """Brings a worker's catalog level with what the parent says of its own."""

    _log = Logger()

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._read: dict[str, Listing] = {}
        # Names may be sorted in between; what is said meanwhile waits.
        self._one_after_another = DeferredLock()

    def take(self, message: Message) -> None:
        """Take a message of one of the kinds above."""
        if message.kind == LIST:
            self._read[message.fields["prefix"]] = Listing(message.fields["revision"], message.data)
        else:
            read, self._read = self._read, {}
            self.then(lambda: self._follow(message, read))

    def then(self, call: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Do something after all that was taken or asked for before, and before all that comes later."""
        doing = self._one_after_another.run(lambda: Deferred.fromCoroutine(call()))
        doing.addErrback(
            lambda failure: self._log.failure("cannot follow the parent; the catalog stays as it was", failure)
        )

    async def _follow(self, message: Message, read: dict[str, Listing]) -> None:
        catalog, state, wanted = self._catalog, State(message.fields["state"]), message.fields["wanted"]
        if state is State.NONE:
            catalog.forget()
            return
        if wanted is not None:
            snapshot = catalog.snapshot.replaced(wanted, read)
            await catalog.prepare(snapshot)
            catalog.snapshot = snapshot
        if state is State.LOADED:
            catalog.adopt(catalog.snapshot)
        else:
            catalog.state = state
