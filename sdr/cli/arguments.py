"""What users write for repositories, tags, durations and URLs.

Each function raises ``ValueError`` that says what is wrong.
"""

import re
from urllib.parse import urlsplit

from sdr.registry.grammar import Digest, Reference, is_name, is_tag
from sdr.tree.keys import RESERVED_TAG

DEFAULT_TAG = "latest"

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_name(text: str) -> str:
    """Read ``NAME``."""
    if not is_name(text):
        raise ValueError(f"{text!r} is no repository's name: lower-case letters, digits and . _ - between them, and /")
    return text


def parse_tag(text: str) -> str:
    """Read ``TAG``."""
    if not is_tag(text):
        raise ValueError(f"{text!r} is no tag: letters, digits, _ . and -, at most 128, and no . or - to begin with")
    if text == RESERVED_TAG:
        raise ValueError(f"{text!r} is the name of a file that sdr itself writes; use another tag")
    return text


def parse_target(text: str) -> tuple[str, str]:
    """Read ``NAME[:TAG]``."""
    name, tag = _split(text, "NAME[:TAG]", "acme/app:1.0")
    return parse_name(name), DEFAULT_TAG if tag is None else parse_tag(tag)


def parse_tagged(text: str) -> tuple[str, str]:
    """Read ``NAME:TAG``; what moves or removes a tag asks for it in full."""
    name, tag = _split(text, "NAME:TAG", "acme/app:1.0")
    parse_name(name)
    if tag is None:
        raise ValueError(f"{text!r} names no tag: NAME:TAG, such as {name}:{DEFAULT_TAG}")
    return name, parse_tag(tag)


def parse_digested(text: str) -> tuple[str, Digest | None]:
    """Read ``NAME[@DIGEST]``."""
    name, at, digest = text.partition("@")
    if ":" in name:
        raise ValueError(f"{text!r}: NAME or NAME@DIGEST, without a registry's host or a tag; sdr untag removes a tag")
    return parse_name(name), Digest.parse(digest) if at else None


def parse_reference(text: str) -> tuple[str, Reference]:
    """Read ``NAME:TAG`` or ``NAME@DIGEST``."""
    if "@" not in text:
        return parse_tagged(text)
    name, digest = parse_digested(text)
    assert digest is not None
    return name, digest


def parse_duration(text: str) -> float:
    """Read a duration such as ``24h`` into seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration: a whole number and s, m, h or d, such as 24h")
    return float(int(found[1]) * _SECONDS[found[2]])


def parse_cdn(text: str) -> str:
    """Read a CDN's URL; it comes without a slash at its end."""
    parts = urlsplit(text)
    _ = parts.port  # raises, where it is no number
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is no URL that begins with https:// or http://")
    if "?" in text or "#" in text:
        raise ValueError(f"{text!r}: without a query and a fragment")
    return text.rstrip("/")


def _split(text: str, form: str, example: str) -> tuple[str, str | None]:
    head, slash, last = text.rpartition("/")
    component, colon, tag = last.partition(":")
    if "@" in text or ":" in head:
        raise ValueError(f"{text!r}: {form} without a registry's host or a digest, such as {example}")
    return f"{head}{slash}{component}", tag if colon else None
