"""Protocol v1 as docker speaks it: from ``_ping`` to the layers."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.real.v1_layers import Layer, laid_over
from tests.real.v1_versions import Trait
from tests.real.v1_wire import NOBODY, PullFailed, Wire

T = TypeVar("T")

#: How often docker tries what may be tried again.
TRIES = 5


class _Failed(Exception):
    """One request did not bring what it should have; it may be tried again, or elsewhere."""


class Session:
    """What one pull asks over protocol v1.

    :ivar naps: how often docker would have slept before another try.
    """

    def __init__(self, wire: Wire, host: str) -> None:
        self._wire, self._host = wire, host
        self._version = wire.version
        self._hosts: list[str] = [host]
        self._scheme = "http"
        self._authorization: dict[str, str] = {}
        self._kept: dict[str, Layer] = {}
        self.naps = 0

    def first_ping(self) -> str:
        """Ask ``_ping`` over https, then over http, and return the scheme that is answered."""
        problem = "nothing answers"
        for scheme in ("https", "http"):
            try:
                self._ping(scheme)
            except OSError as error:
                problem = str(error)
            except _Failed as error:
                problem = str(error)
            else:
                return scheme
        raise PullFailed(f"Invalid registry endpoint http://{self._host}/v1/: {problem}")

    def _ping(self, scheme: str) -> bool:
        """Return whether the registry is standalone."""
        nameless = self._version.has(Trait.NAMELESS_PINGS)
        # Its status is never looked at.
        reply = self._wire.ask("GET", f"{scheme}://{self._host}/v1/_ping", {}, nameless=nameless)
        if self._version.has(Trait.INSISTS_ON_HEADERS) and not reply.headers.get("X-Docker-Registry-Version"):
            raise _Failed('This does not look like a Registry server ("X-Docker-Registry-Version" header not found)')
        standalone = True
        if self._version.has(Trait.READS_PING_BODY):
            body = _json(reply.body)
            standalone = bool(body.get("standalone", True)) if isinstance(body, dict) else True
        said = reply.headers.get("X-Docker-Registry-Standalone", "")
        return said.lower() == "true" or said == "1" if said else standalone

    def pull(self, scheme: str, name: str, tag: str | None, *, confirmed: bool) -> dict[str, list[Layer]]:
        """Pull a tag, or every tag.

        :param confirmed: whether the host is known to speak v2.
        """
        self._scheme = scheme
        self._begin(confirmed)
        self._index(name)
        tags = self._tags(name, tag)
        return {each: self._image(top) for each, top in tags.items()}

    def _begin(self, confirmed: bool) -> None:
        """Find out, over https, whether to send a user and a password with every request."""
        if self._scheme != "https":
            return
        version = self._version
        if confirmed and version.has(Trait.PINGS_TWICE_OVER_HTTPS):
            self._wire.ask("GET", f"https://{self._host}/v2/", {}, nameless=version.has(Trait.NAMELESS_PINGS))
            standalone = True
        elif version.has(Trait.PROBES_V2_AGAIN):
            again = self._wire.ask("GET", f"https://{self._host}/v2/", {})
            says_so = "registry/2.0" in again.headers.get("Docker-Distribution-Api-Version", "")
            standalone = True if says_so else self._ping("https")
        else:
            standalone = self._ping("https")
        if standalone and version.has(Trait.TOKEN_PER_REQUEST):
            self._authorization = {"Authorization": NOBODY}
        self._wire.basic = standalone and not version.has(Trait.TOKEN_PER_REQUEST)

    def _index(self, name: str) -> None:
        """Ask for the repository's images, and learn which hosts have them."""
        # Without library/, unlike the tags.
        url = f"{self._scheme}://{self._host}/v1/repositories/{name}/images"
        reply = self._wire.ask("GET", url, {"X-Docker-Token": "true", **self._authorization})
        if reply.status == 401:
            raise PullFailed("Authentication is required.")
        if reply.status == 404:
            raise PullFailed(f"Error: image {name} not found")
        if reply.status != 200:
            raise PullFailed(f"HTTP code: {reply.status}: {reply.body[:200]!r}")
        images = _json(reply.body)
        if not isinstance(images, list) or not all(isinstance(one, dict) for one in images):
            raise PullFailed(f"{url}: json: cannot unmarshal {reply.body[:200]!r}")
        hosts = reply.values("X-Docker-Endpoints")
        if not hosts and self._version.has(Trait.INSISTS_ON_HEADERS):
            raise PullFailed("Index response didn't contain any endpoints")
        if self._version.has(Trait.COMMA_ENDPOINTS):
            hosts = [host.strip() for line in hosts for host in line.split(",")]
        self._hosts = hosts or [self._host]
        if self._version.has(Trait.TOKEN_PER_REQUEST) and not self._authorization:
            # With no token it still says so.
            self._authorization = {"Authorization": f"Token {','.join(reply.values('X-Docker-Token'))}"}

    def _tags(self, name: str, tag: str | None) -> dict[str, str]:
        full = name if "/" in name else f"library/{name}"
        whole = tag is None or self._version.has(Trait.WHOLE_TAGS)
        path = f"repositories/{full}/tags" + ("" if whole else f"/{tag}")
        for host in self._hosts:
            reply = self._wire.ask("GET", f"{self._scheme}://{host}/v1/{path}", self._authorization)
            if reply.status == 404:
                raise PullFailed("Repository not found" if whole else f"Tag {tag} not found in repository {name}")
            if reply.status == 200:
                said = _json(reply.body)
                break
        else:
            raise PullFailed("Could not reach any registry endpoint")
        tags = said if whole else {tag: said}
        if not isinstance(tags, dict) or not all(isinstance(each, str) for each in tags.values()):
            raise PullFailed(f"{path}: json: cannot unmarshal {reply.body[:200]!r}")
        if tag is not None and tag not in tags:
            raise PullFailed(f"Tag {tag} not found in repository {name}")
        return dict(tags) if tag is None else {tag: tags[tag]}

    def _image(self, top: str) -> list[Layer]:
        history = list(reversed(self._somewhere(lambda base: self._ancestry(base, top))))
        if not history and self._version.has(Trait.ALL_JSON_FIRST):
            raise PullFailed("empty image history")
        missing = [each for each in history if each not in self._kept]
        if self._version.has(Trait.ALL_JSON_FIRST):
            said = [self._about(each) for each in missing]
            with ThreadPoolExecutor(3) as threads:
                self._kept.update(zip(missing, threads.map(self._layer, missing, said), strict=True))
        else:
            for each in missing:
                self._kept[each] = self._layer(each, self._about(each))
        layers = [self._kept[each] for each in history]
        for below, one in zip([None, *layers], layers, strict=False):
            parent = json.loads(one.json).get("parent")
            if parent != (below.id if below else None):
                raise PullFailed(f"image {one.id} has the parent {parent}, and its ancestry says something else")
        return layers

    def _somewhere(self, ask: Callable[[str], T]) -> T:
        """Ask one host after the other until one has it."""
        problem: Exception = _Failed("no host")
        for host in self._hosts:
            try:
                return ask(f"{self._scheme}://{host}/v1/images")
            except (_Failed, OSError) as error:
                problem = error
        raise PullFailed(str(problem)) from problem

    def _ancestry(self, base: str, top: str) -> list[str]:
        reply = self._wire.ask("GET", f"{base}/{top}/ancestry", self._authorization)
        if reply.status == 401:
            raise PullFailed("Authentication is required.")
        if reply.status != 200:
            raise _Failed(f"Server error: {reply.status} trying to fetch remote history for {top}")
        ids = _json(reply.body)
        if not isinstance(ids, list):
            raise _Failed(f"{top}/ancestry: json: cannot unmarshal {reply.body[:200]!r}")
        return ids

    def _again(self, attempt: Callable[[], T]) -> T:
        """Try five times, with naps between."""
        for left in reversed(range(TRIES)):
            try:
                return attempt()
            except (_Failed, OSError):
                if not left:
                    raise
                self.naps += 1
        raise AssertionError

    def _about(self, image_id: str) -> tuple[bytes, int]:
        """Return what an image says of itself, and the size of its layer, 0 if that is not told."""
        return self._somewhere(lambda base: self._again(lambda: self._about_once(base, image_id)))

    def _about_once(self, base: str, image_id: str) -> tuple[bytes, int]:
        reply = self._wire.ask("GET", f"{base}/{image_id}/json", self._authorization)
        if reply.status != 200:
            raise _Failed(f"HTTP code {reply.status}")
        said = reply.headers.get("X-Docker-Size", "")
        if not re.fullmatch("[0-9]+", said) and (said or self._version.has(Trait.INSISTS_ON_HEADERS)):
            raise _Failed(f'strconv.ParseInt: parsing "{said}": invalid syntax')
        about = _json(reply.body)
        if not isinstance(about, dict):
            raise _Failed(f"Failed to parse json: {reply.body[:200]!r}")
        if about.get("id") != image_id or not re.fullmatch("[0-9a-f]{64}", image_id):
            raise PullFailed(f"image {image_id} says that it is {about.get('id')}")
        return reply.body, int(said or 0)

    def _layer(self, image_id: str, about: tuple[bytes, int]) -> Layer:
        text, size = about
        data = self._somewhere(lambda base: self._layer_from(f"{base}/{image_id}/layer", size))
        laid_over([data])
        return Layer(image_id, text, data, size)

    def _layer_from(self, url: str, size: int) -> bytes:
        if self._version.has(Trait.RETRIES_LAYERS):
            return self._again(lambda: self._layer_once(url, size))
        return self._layer_once(url, size)

    def _layer_once(self, url: str, size: int) -> bytes:
        has_ranges = False
        if self._version.has(Trait.HEADS_LAYERS):
            head = self._wire.ask("HEAD", url, self._authorization)
            has_ranges = head.status == 200 and head.headers.get("Accept-Ranges") == "bytes"
        reply = self._again(lambda: self._wire.ask("GET", url, self._authorization))
        # Those that asked HEAD do not look at the status of what they may resume.
        if reply.status != 200 and not (has_ranges and size):
            raise _Failed(f"Server error: Status {reply.status} while fetching image layer")
        if not self._version.has(Trait.HEADS_LAYERS):
            has_ranges = reply.headers.get("Accept-Ranges") == "bytes"
        got, failures = reply.body, 0
        while not reply.whole:
            failures += 1
            if not (has_ranges and size and self._version.has(Trait.RESUMES)) or failures > TRIES:
                raise _Failed("unexpected EOF")
            # One past the last byte.
            reply = self._wire.ask("GET", url, {**self._authorization, "Range": f"bytes={len(got)}-{size}"})
            if reply.status == 416:
                break
            if reply.status != 206:
                raise _Failed("the server doesn't support byte ranges")
            got += reply.body
        return got


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
