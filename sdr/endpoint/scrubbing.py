"""What must not get into a log: credentials and the queries of URLs; pure."""

import re

#: What stands in the place of a credential.
HIDDEN = "***"

_USER = re.compile(r"(?<=://)[^\s/@'\"<>]+@")
_QUERY = re.compile(r"((?:https?://|\s/|^/)[^\s?'\"<>]*\?)[^\s'\"<>]+", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"(\b(?:proxy-)?authorization\b['\"]?\s*[:=]\s*\[?b?['\"]?(?:(?:basic|bearer|digest|negotiate)\s+)?"
    r"|\b(?:basic|bearer)\s+)[A-Za-z0-9+/=._~-]{6,}",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(\b[\w-]*(?:password|passwd|secret|token|cookie|signature|credential|api[_-]?key)[\w-]*['\"]?\s*[:=]\s*['\"]?)"
    r"[^\s'\",;&]+",
    re.IGNORECASE,
)
_NAME = re.compile(r"password|passwd|secret|token|cookie|signature|credential|authorization|api_?key", re.IGNORECASE)


def scrubbed(text: str) -> str:
    """Return a text without credentials, and without what its URLs have behind their question marks."""
    if "://" in text:
        text = _USER.sub(f"{HIDDEN}@", text)
    if "?" in text:
        text = _QUERY.sub(r"\1", text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)


def is_secret(name: str) -> bool:
    """Tell whether a field of this name is nobody's business."""
    return _NAME.search(name) is not None


def trimmed(target: str) -> str:
    """Return a request's target or a URL up to its question mark, without a user and password."""
    before, mark, _ = target.partition("?")
    return (_USER.sub(f"{HIDDEN}@", before) if "://" in before else before) + mark
