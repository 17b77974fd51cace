"""Protocol v2 as the dockers that also speak v1 do it: what they take, and after which errors they go back to v1."""

import hashlib
import json
from typing import Any

from tests.images import DOCKER_LIST, DOCKER_MANIFEST
from tests.real.v1_layers import Layer, laid_over
from tests.real.v1_versions import Trait
from tests.real.v1_wire import PullFailed, Reply, Wire

#: What is asked for since 1.10, a header each.
_ACCEPTED = (
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
    DOCKER_MANIFEST,
    DOCKER_LIST,
)

#: What docker's errors say when nobody gave them a message of their own.
_DEFAULT_MESSAGES = {
    "UNAUTHORIZED": "authentication required",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
}

#: The errors after which the versions with schema 2 go back to v1. Some take NAME_UNKNOWN for one, not all.
_LEAD_BACK = ("UNAUTHORIZED", "MANIFEST_UNKNOWN")


class FallBack(Exception):
    """Docker goes on with protocol v1."""


def pull_v2(wire: Wire, base: str, name: str, tag: str | None, *, confirmed: bool) -> dict[str, list[Layer]]:
    """Pull a tag, or every tag, over protocol v2.

    :param base: scheme and host.
    :param confirmed: whether ``/v2/`` said that it is a registry.
    :raise FallBack: if docker goes on with v1.
    :raise PullFailed: if docker gives up.
    """
    root = f"{base}/v2/{name}"
    if tag is not None:
        tags = [tag]
    else:
        reply = wire.ask("GET", f"{root}/tags/list", {})
        _judge(wire, reply, confirmed)
        tags = json.loads(reply.body)["tags"]
    return {each: _image(wire, root, each, confirmed) for each in tags}


def _image(wire: Wire, root: str, reference: str, confirmed: bool) -> list[Layer]:
    accept = {} if wire.version.has(Trait.ONLY_SCHEMA_1) else {"Accept": "\n".join(_ACCEPTED)}
    reply = wire.ask("GET", f"{root}/manifests/{reference}", accept)
    _judge(wire, reply, confirmed)
    kind = reply.headers.get("Content-Type", "")
    if wire.version.has(Trait.ONLY_SCHEMA_1):
        raise FallBack(f"no signed manifest: {kind}")
    document = _json(reply.body)
    if kind == DOCKER_LIST:
        chosen = [
            each["digest"]
            for each in document["manifests"]
            if (each["platform"]["os"], each["platform"]["architecture"]) == ("linux", "amd64")
        ]
        if not chosen:
            raise PullFailed("no supported platform found in manifest list")
        return _image(wire, root, chosen[0], confirmed)
    if kind != DOCKER_MANIFEST:
        # Taken for schema 1, which is signed.
        raise PullFailed("missing signature key") if confirmed else FallBack(kind)
    config = _blob(wire, root, document["config"]["digest"])
    layers = [(each["digest"], _blob(wire, root, each["digest"])) for each in document["layers"]]
    laid_over(data for _, data in layers)
    return [Layer(digest, config, data, len(data)) for digest, data in layers]


def _judge(wire: Wire, reply: Reply, confirmed: bool) -> None:
    """Decide whether an answer is one, or leads back to v1, or ends the pull."""
    if reply.status == 200:
        return
    version, problem = wire.version, f"{reply.status}: {reply.body[:300]!r}"
    document = _json(reply.body) if 400 <= reply.status < 500 else None
    errors = document.get("errors") if isinstance(document, dict) else None
    error: dict[str, Any] = errors[0] if errors else {}
    code, detail = str(error.get("code", "")), error.get("detail")
    if version.has(Trait.ANY_V2_ERROR_FALLS_BACK):
        raise FallBack(problem)
    if version.has(Trait.DETAIL_STOPS):
        if code and code not in ("UNAUTHORIZED", "MANIFEST_UNKNOWN") and detail is not None:
            raise PullFailed(problem)
        raise FallBack(problem)
    if not confirmed:
        raise FallBack(problem)
    # Without either, Go reads it as another type of error, which nobody has thought of here.
    of_its_own = detail is not None or error.get("message") not in (None, "", _DEFAULT_MESSAGES.get(code))
    if code in _LEAD_BACK and of_its_own:
        raise FallBack(problem)
    raise PullFailed(problem)


def _blob(wire: Wire, root: str, digest: str) -> bytes:
    reply = wire.ask("GET", f"{root}/blobs/{digest}", {})
    if reply.status != 200 or not reply.whole:
        raise PullFailed(f"{digest}: {reply.status}")
    if f"sha256:{hashlib.sha256(reply.body).hexdigest()}" != digest:
        raise PullFailed(f"filesystem layer verification failed for digest {digest}")
    return reply.body


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
