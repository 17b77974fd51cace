"""The grammar of repository names, tags and digests (OCI Distribution Specification 1.1, "Pull")."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
#: A repository's name, as a regular expression.
NAME_PATTERN = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_NAME = re.compile(NAME_PATTERN)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "sha512": re.compile(r"[0-9a-f]{128}")}

#: Clients cut the whole reference, host included, at 255 characters; the specification advises the same for names.
NAME_LENGTH = 255


def is_name(text: str) -> bool:
    """Tell whether this is a repository's name, such as ``acme/app``."""
    return len(text) <= NAME_LENGTH and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Tell whether this is a tag, such as ``1.2``."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content address (OCI Image Specification 1.1, "Digests"): the registered algorithms only.

    :param algorithm: ``sha256`` or ``sha512``.
    :param hex: the hash, in lower-case hexadecimal.
    """

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``.

        :raise ValueError: if it is no digest, or of an algorithm that is not registered.
        """
        algorithm, colon, encoded = text.partition(":")
        pattern = _HEX.get(algorithm)
        if not colon or pattern is None or pattern.fullmatch(encoded) is None:
            raise ValueError(f"not a sha256 or sha512 digest: {text!r}")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Return the digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


#: What a manifest is asked for by: a tag, as text, or a digest.
Reference = str | Digest


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest; only a digest has a colon.

    :raise ValueError: if it is neither.
    """
    if ":" in text:
        return Digest.parse(text)
    if is_tag(text):
        return text
    raise ValueError(f"not a tag: {text!r}")
