"""Old stores in memory, as a docker-registry of 2014 wrote them: as a source, and behind Swift's and S3's HTTP."""

import json
from collections.abc import Sequence
from urllib.parse import unquote
from xml.sax.saxutils import escape

from twisted.internet.defer import Deferred, succeed
from twisted.web.http import Request
from twisted.web.resource import Resource

from sdr.catalog.sources import CannotList, Fetched, FetchFailed, Listed

TOP, BASE, HALF = "a" * 64, "b" * 64, "c" * 64


def image(image_id: str, ancestry: Sequence[str] = (), layer: bytes = b"layer") -> dict[str, bytes]:
    """Return the objects of a whole image."""
    return {
        f"images/{image_id}/json": b'{"id":"%s"}' % image_id.encode(),
        f"images/{image_id}/ancestry": json.dumps([image_id, *ancestry]).encode(),
        f"images/{image_id}/layer": layer,
        f"images/{image_id}/_checksum": b'["sha256:0"]',
    }


def old_store() -> dict[str, bytes]:
    """Return the objects of a store: one image whole, on a base, and one half pushed."""
    half = image(HALF)
    half[f"images/{HALF}/_inprogress"] = b"true"
    index = [{"id": BASE}, {"id": TOP, "Tag": "latest"}]
    return {
        **image(TOP, [BASE]),
        **image(BASE, layer=b"base layer"),
        **half,
        "repositories/demo/hello/_index_images": json.dumps(index).encode(),
        "repositories/demo/hello/json": b"{}",
        "repositories/demo/hello/tag_latest": TOP.encode(),
        "repositories/demo/hello/taglatest_json": b"{}",
        "repositories/demo/hello/tag_half": HALF.encode(),
        "repositories/demo/conv/_index_images": json.dumps([{"id": HALF}]).encode(),
    }


class MemorySource:
    """Objects as a source; what is asked is counted, and faults are failures."""

    location = "memory:"

    def __init__(self, objects: dict[str, bytes] | None = None, *, lists: bool = True) -> None:
        self.objects = old_store() if objects is None else objects
        self.lists = lists
        self.down = False
        #: Keys that cannot be seen, while others can.
        self.faults: set[str] = set()
        #: What is asked waits here while it is not None.
        self.held: list[Deferred[None]] | None = None
        self.asked: list[str] = []
        self.stopped = False

    async def _ask(self, what: str, key: str) -> None:
        self.asked.append(f"{what} {key}")
        if self.held is not None:
            self.held.append(Deferred())
            await self.held[-1]
        if self.down or key in self.faults:
            raise FetchFailed("HTTP status 503")

    async def fetch(self, key: str, *, limit: int, seconds: float, etag: str = "") -> Fetched:
        """Read an object whole."""
        await self._ask("GET", key)
        body = self.objects.get(key)
        if body is None:
            return Fetched(403)
        if len(body) > limit:
            raise FetchFailed(f"larger than {limit} bytes")
        return Fetched(200, body)

    async def size(self, key: str, *, seconds: float) -> int | None:
        """Return how large an object is."""
        await self._ask("HEAD", key)
        return len(self.objects[key]) if key in self.objects else None

    async def list(self, prefix: str, *, seconds: float) -> Sequence[Listed]:
        """Return what begins with the prefix."""
        await self._ask("LIST", prefix)
        if not self.lists:
            raise CannotList
        names = ((key.removeprefix(prefix), body) for key, body in self.objects.items() if key.startswith(prefix))
        return [Listed(name, str(hash(body))) for name, body in names if "/" not in name]

    def stop(self) -> Deferred[None]:
        """Remember it."""
        self.stopped = True
        return succeed(None)


class StoreFace(Resource):
    """Objects over HTTP, below the path of their container.

    :param container: the path, such as ``/v1/AUTH_x/images``.
    """

    isLeaf = True

    def __init__(self, objects: dict[str, bytes], container: str = "", page: int = 2) -> None:
        super().__init__()
        self.objects = objects
        self.container = container
        self.page = page
        #: The targets that were asked for.
        self.asked: list[str] = []
        #: What is said where there is no object.
        self.missing = 404
        #: What is said to everything, while it is set.
        self.status: int | None = None

    def render(self, request: Request) -> bytes:
        """Answer."""
        target = request.uri.decode()
        self.asked.append(f"{request.method.decode()} {target}")
        path, _, _ = target.partition("?")
        parameters = {name.decode(): values[0].decode() for name, values in request.args.items()}
        body: bytes | None
        if self.status is not None:
            request.setResponseCode(self.status)
            body = b""
        elif path.rstrip("/") == self.container:
            body = self.listing(parameters)
        else:
            body = self.objects.get(unquote(path.removeprefix(f"{self.container}/")))
        if body is None:
            request.setResponseCode(self.missing)
            body = b"<h1>No</h1>"
        request.setHeader("Content-Length", str(len(body)))
        return b"" if request.method == b"HEAD" else body

    def listing(self, parameters: dict[str, str]) -> bytes | None:
        """Return a listing; ``None`` where there is none."""
        return None

    def entries(self, prefix: str, after: str) -> list[str]:
        """Return the keys and common prefixes on a page."""
        found = {prefix + key[len(prefix) :].partition("/")[0] for key in self.objects if key.startswith(prefix)}
        found = {entry if entry in self.objects else f"{entry}/" for entry in found}
        return sorted(entry for entry in found if entry > after)[: self.page]


class SwiftFace(StoreFace):
    """Swift."""

    def render(self, request: Request) -> bytes:
        """Answer; the account lists its containers."""
        account = self.container.rpartition("/")[0]
        if self.status is None and request.path.decode() == account and b"format" in request.args:
            return b"[]" if b"prefix" in request.args else b'[{"name": "images", "count": 1, "bytes": 1}]'
        return super().render(request)

    def listing(self, parameters: dict[str, str]) -> bytes | None:
        """Return a page, empty after the last."""
        if parameters.get("format") != "json":
            return "\n".join(self.objects).encode()
        entries = self.entries(parameters["prefix"], parameters.get("marker", ""))
        return json.dumps(
            [
                {"subdir": entry}
                if entry.endswith("/")
                else {"name": entry, "hash": str(hash(self.objects[entry])), "last_modified": "2014", "bytes": 1}
                for entry in entries
            ]
        ).encode()


class S3Face(StoreFace):
    """S3."""

    def listing(self, parameters: dict[str, str]) -> bytes | None:
        """Return a page with a token for the next."""
        prefix = parameters.get("prefix", "")
        entries = self.entries(prefix, parameters.get("continuation-token", ""))
        more = bool(entries) and bool(self.entries(prefix, entries[-1]))
        contents = "".join(
            f'<Contents><Key>{escape(entry)}</Key><ETag>"{hash(self.objects[entry])}"</ETag></Contents>'
            for entry in entries
            if entry in self.objects
        )
        token = f"<NextContinuationToken>{escape(entries[-1])}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        ).encode()
