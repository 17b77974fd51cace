"""What docker, podman and containerd make of each fault of an object, as far as it was measured; pure.

Measured with docker 20.10, containerd 1.6.20 and skopeo 1.9.3, which reads as podman does.
"""

from sdr.publish.check.findings import Fault, Verdict
from sdr.registry.media_types import JSON, OCTET_STREAM
from sdr.tree.keys import place_of

_USELESS = "pulls an image of nothing but the manifest, and says that all is well"
_SIGNATURE = 'fails: "missing signature key"'
_SCHEMA = 'fails: "unsupported schema version 2"'
_PULLS = "pulls it"

#: By the Content-Type with which a manifest came.
_TYPES: dict[str, tuple[Verdict, ...]] = {
    OCTET_STREAM: (("docker", _SIGNATURE), ("podman", _SCHEMA), ("containerd", _USELESS)),
    "binary/octet-stream": (("docker", _SIGNATURE), ("containerd", _USELESS)),
    JSON: (("docker", "fails"), ("podman", "fails"), ("containerd", _USELESS)),
    "text/plain": (("docker", "fails"), ("podman", "fails"), ("containerd", 'fails: "no signatures"')),
    "": (
        ("docker", 'fails: "missing or empty Content-Type"'),
        ("podman", "fails"),
        ("containerd", 'fails: "MediaType must be set"'),
    ),
}
_FAIL = (("docker", "fails"), ("podman", "fails"), ("containerd", "fails"))
_DO_NOT_MIND = (("docker", _PULLS), ("podman", _PULLS), ("containerd", _PULLS))
_RANGE = (
    ("docker", "begins a lost download anew"),
    ("podman", "cannot go on with a lost download"),
    ("containerd", "reads a lost download anew up to where it was"),
)
_ENCODED_BLOB = (("containerd", "undoes the encoding: the digest is wrong unless the CDN itself encoded it"),)
_HEAD_FORBIDDEN = (("docker", _PULLS), ("podman", _PULLS), ("containerd", "fails: 403"))
_NO_LENGTH = (("docker", 'fails: "missing Content-Length"'), ("podman", _PULLS), ("containerd", _PULLS))
_WRONG_HEADER = (("docker", "fails"), ("podman", _PULLS), ("containerd", "fails"))


def verdicts(key: str, fault: Fault, sent: str | None = None) -> tuple[Verdict, ...]:
    """Return what each client makes of a fault; nothing where that is not known, or no client reads the object.

    :param sent: what the client is sent where the tree has something else: a type, a length, or the status of a
        HEAD; ``None`` where it is sent nothing.
    """
    place = place_of(key)
    if key.startswith("blobs/"):
        if fault is Fault.LENGTH and sent is None:
            return ()
        return {Fault.RANGE: _RANGE, Fault.ENCODING: _ENCODED_BLOB, **_FATAL}.get(fault, ())
    if place is not None and place.kind == "manifests":
        return _of_manifest(fault, sent)
    if place is not None and place.kind == "tags" and fault is Fault.MISSING:
        return (("podman", "pulls, and skopeo inspect fails"),)
    return ()


#: What ends every pull.
_FATAL = dict.fromkeys((Fault.MISSING, Fault.UNREADABLE, Fault.LENGTH, Fault.DIGEST), _FAIL)


def _of_manifest(fault: Fault, sent: str | None) -> tuple[Verdict, ...]:
    if fault is Fault.TYPE:
        media_type, parameter, _ = (sent or "").partition(";")
        return _TYPES.get(media_type.strip(), _DO_NOT_MIND if parameter else ())
    if fault is Fault.HEAD:
        return _HEAD_FORBIDDEN if sent == "403" else ()
    if fault is Fault.LENGTH and sent is None:
        return _NO_LENGTH
    if fault is Fault.ENCODING:
        return _DO_NOT_MIND
    return _FATAL.get(fault, ())


def of_digest_header(key: str) -> tuple[Verdict, ...]:
    """Return what each client makes of a wrong ``Docker-Content-Digest``; nobody reads a blob's."""
    place = place_of(key)
    return _WRONG_HEADER if place is not None and place.kind == "manifests" else ()
