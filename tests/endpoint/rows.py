"""Cases of the table of docs/request-handling.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdr.catalog.lookups import Lookup
from sdr.cdn.locations import RemoteCDN
from sdr.endpoint.rules import Rules
from sdr.registry.questions import Question

CDN = "https://cdn.example.com/tree"
REDIRECT = Rules(RemoteCDN(CDN))


@dataclass(frozen=True)
class Row:
    """A case of the table.

    :param row: the number in docs/request-handling.md.
    :param status: what is answered; or the lookup that must come instead.
    :param headers: headers that must be there; ``None`` for one that must not.
    :param says: the error's code, or a part of the body.
    """

    row: int
    method: str
    path: str
    findings: Mapping[Lookup[Any], Any]
    status: int | Lookup[Any]
    headers: Mapping[str, str | None] = field(default_factory=dict)
    says: str = ""
    rules: Rules = REDIRECT
    etag: str = ""
    absent: tuple[str, ...] = ()
    accept: str = ""
    user_agent: str = ""


def to(key: str, cdn: str = CDN) -> dict[str, str | None]:
    """Expect a redirect to a key on a CDN."""
    return {"Location": f"{cdn}/{key}", "Content-Length": "0"}


def question(method: str, target: str, etag: str = "", host: str = "registry.example.com") -> Question:
    """Ask as a request line would."""
    path, _, query = target.partition("?")
    return Question(method, path, query, host=host, if_none_match=etag)
