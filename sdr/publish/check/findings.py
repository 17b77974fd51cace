"""What a check finds wrong with the objects of a tree."""

from dataclasses import dataclass
from enum import StrEnum

from sdr.publish.progress import readable


class Fault(StrEnum):
    """What is wrong with an object."""

    #: It is not there, or not for the public.
    MISSING = "missing"
    #: It is there and cannot be read.
    UNREADABLE = "unreadable"
    #: It is no manifest, or no document, of which anything could be made.
    MALFORMED = "malformed"
    #: Another Content-Type than the tree's.
    TYPE = "type"
    #: Another length, or none that is told.
    LENGTH = "length"
    #: Other bytes than its digest stands for.
    DIGEST = "digest"
    #: A Content-Encoding, which nothing in a tree has.
    ENCODING = "encoding"
    #: Another Cache-Control than the tree's.
    CACHING = "caching"
    #: No part of it can be had, or another part than was asked for.
    RANGE = "range"
    #: HEAD is not answered as GET is.
    HEAD = "head"
    #: It does not say what the manifests, or the store, say by now.
    STALE = "stale"


#: A client, and what it makes of a fault.
Verdict = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one object; as text, one line.

    :param clients: what clients make of it, where that is known.
    """

    key: str
    fault: Fault
    detail: str
    clients: tuple[Verdict, ...] = ()

    def __str__(self) -> str:
        verdicts = "; ".join(f"{client} {verdict}" for client, verdict in self.clients)
        return f"{self.key}: {self.fault}: {self.detail}{f' ({verdicts})' if verdicts else ''}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check has come to; as text, one line.

    :param objects: how many were looked at.
    :param size: of what was read of them, in bytes.
    :param findings: by key.
    :param notes: what deserves a word and is no fault, a line each.
    """

    objects: int
    size: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        faults = f"{len(self.findings)} fault{'' if len(self.findings) == 1 else 's'}"
        return f"{self.objects} objects, {readable(self.size)} read, {faults}"
