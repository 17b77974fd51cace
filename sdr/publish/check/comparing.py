"""Comparing what an object is served with and what the tree says; pure."""

from dataclasses import dataclass

from sdr.publish.check.findings import Fault, Finding
from sdr.publish.check.reading import NOT_FOUND, OK, Reply
from sdr.publish.check.verdicts import of_digest_header, verdicts
from sdr.tree.headers import Headers

#: Not there, or not for the public: a bucket without leave to list answers 403 for what is not there.
_NOT_THERE = frozenset({401, 403, NOT_FOUND, 410})


@dataclass(frozen=True, slots=True)
class Expected:
    """What an object should be.

    :param digests: those of its bytes, by each algorithm, of what has a digest.
    :param needed: what needs it, to be said when it is not there.
    """

    headers: Headers
    size: int
    digests: frozenset[str] = frozenset()
    needed: str = ""


class Faults:
    """The faults of one object, each kind once: what HEAD and GET both show is one fault."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.found: dict[Fault, Finding] = {}

    def add(self, fault: Fault, detail: str, sent: str | None = None) -> None:
        """Add a fault, unless its like is known."""
        self.found.setdefault(fault, Finding(self.key, fault, detail, verdicts(self.key, fault, sent)))


def compare(faults: Faults, reply: Reply, expected: Expected) -> bool:
    """Compare the beginning of an answer, and tell whether the object is there."""
    if reply.status in _NOT_THERE:
        told = "" if reply.status == NOT_FOUND else f" or not for the public: answered {reply.status}"
        faults.add(Fault.MISSING, f"not there{told}{expected.needed}")
        return False
    if reply.status != OK:
        faults.add(Fault.UNREADABLE, f"answered {reply.status}")
        return False
    served, headers = reply.served, expected.headers
    if served is not None:
        content_type = (served.content_type or "").strip()
        if content_type != headers.content_type:
            faults.add(Fault.TYPE, f"{_told(content_type)} where {headers.content_type} belongs", content_type)
        if (served.cache_control or "") != headers.cache_control:
            told = f"Cache-Control: {_told(served.cache_control or '')} where {headers.cache_control} belongs"
            faults.add(Fault.CACHING, told)
        if served.content_encoding:
            faults.add(Fault.ENCODING, f"Content-Encoding: {served.content_encoding}, and nothing may have one")
        if expected.digests and served.digest and served.digest not in expected.digests:
            detail = f"Docker-Content-Digest: {served.digest}, not {' or '.join(sorted(expected.digests))}"
            found = Finding(faults.key, Fault.DIGEST, detail, of_digest_header(faults.key))
            faults.found.setdefault(Fault.DIGEST, found)
    # What is encoded has another length, or none: that is one fault.
    if Fault.ENCODING not in faults.found:
        if reply.length is None and served is not None:
            faults.add(Fault.LENGTH, "no Content-Length")
        elif reply.length not in (None, expected.size):
            told = f"{reply.length} bytes where {expected.size} belong"
            faults.add(Fault.LENGTH, told, f"{reply.length}")
    return True


def _told(value: str) -> str:
    return value or "none"
