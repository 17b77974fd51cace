"""The two forms in which stores list what they have, Swift's and S3's: what to ask, and how to read it; pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree

#: Objects on a page, and the largest page in bytes.
PAGE_OBJECTS, PAGE_LIMIT = 1000, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing.

    :param keys: with the prefix, and with the validator of each.
    :param after: what to ask for the next page with; ``None`` after the last.
    """

    keys: tuple[tuple[str, str], ...]
    after: str | None


class Form(Protocol):
    """A form of listing, for one container."""

    @property
    def root(self) -> str:
        """What the keys of the container begin with, which the store's URL has in its path; with a slash, or empty."""
        ...

    def url(self, prefix: str, after: str | None) -> str:
        """Return what to ask.

        :param prefix: with the root.
        """
        ...

    def read(self, body: bytes) -> Page | None:
        """Read what came; ``None`` if it is no listing of this form."""
        ...


@dataclass(frozen=True, slots=True)
class SwiftForm:
    """Swift's: JSON, and the last name of a page asks for the next, until that is empty."""

    container: str
    root: str

    def url(self, prefix: str, after: str | None) -> str:
        """Return what to ask."""
        query = {"format": "json", "prefix": prefix, "delimiter": "/", "limit": str(PAGE_OBJECTS)}
        return _with_query(self.container, query if after is None else {**query, "marker": after})

    def read(self, body: bytes) -> Page | None:
        """Read what came; an account's listing has no hashes."""
        try:
            entries = json.loads(body.decode())
        except (ValueError, RecursionError):
            return None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return None
        last, keys = None, []
        for entry in entries:
            last, validator = entry.get("name", entry.get("subdir")), entry.get("hash", "")
            if not isinstance(last, str) or ("name" in entry and not (isinstance(validator, str) and validator)):
                return None
            if "name" in entry:
                keys.append((last, f"{validator}{entry.get('last_modified', '')}"))
        return Page(tuple(keys), last)


@dataclass(frozen=True, slots=True)
class S3Form:
    """S3's ListObjectsV2: XML, with a token for the next page."""

    bucket: str
    root: str

    def url(self, prefix: str, after: str | None) -> str:
        """Return what to ask."""
        query = {"list-type": "2", "prefix": prefix, "delimiter": "/", "max-keys": str(PAGE_OBJECTS)}
        return _with_query(self.bucket, query if after is None else {**query, "continuation-token": after})

    def read(self, body: bytes) -> Page | None:
        """Read what came, whatever its namespace."""
        try:
            # The store is the operator's own, a page is bounded, and expat bounds what entities may grow to.
            document = ElementTree.fromstring(body)  # noqa: S314
        except (ElementTree.ParseError, ValueError, LookupError):
            return None
        if _name(document) != "ListBucketResult":
            return None
        keys = []
        for entry in document:
            if _name(entry) == "Contents":
                members = {_name(member): member.text or "" for member in entry}
                keys.append((members.get("Key", ""), members.get("ETag", "") + members.get("LastModified", "")))
        members = {_name(member): member.text or "" for member in document}
        more = members.get("IsTruncated") == "true" and members.get("NextContinuationToken")
        return Page(tuple(keys), more or None)


def forms(base: str) -> Iterator[Form]:
    """Return the forms in which a store may list that has this URL; where its container ends, the URL does not say.

    The longest container comes first: a Swift account would answer, too.
    """
    parts = urlsplit(base)
    segments = [segment for segment in parts.path.split("/") if segment]
    for length in range(len(segments), -1, -1):
        container = f"{parts.scheme}://{parts.netloc}/{'/'.join(segments[:length])}"
        root = "".join(f"{unquote(segment)}/" for segment in segments[length:])
        yield SwiftForm(container, root)
        yield S3Form(container, root)


def _with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}?{urlencode(query, quote_via=quote)}"


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
