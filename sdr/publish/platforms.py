"""What ``--platform`` names, and which manifest of an index it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")

#: What is meant where no variant is said (containerd's ``platforms.Normalize``).
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, such as ``linux/arm/v7``.

    :param variant: of the architecture, or empty.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/architecture[/variant]``.

        :raise ValueError: if it is none.
        """
        if _PLATFORM.fullmatch(text) is None:
            raise ValueError(f"not os/architecture[/variant], such as linux/arm64: {text!r}")
        return cls(*text.split("/"))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self | None:
        """Read a descriptor's ``platform`` member, or a config; ``None`` if it names no platform."""
        parts = [document.get(member) or "" for member in ("os", "architecture", "variant")]
        if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
            return None
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def usual(self) -> "Platform":
        """The same with the variant that is meant where none is said."""
        return Platform(self.os, self.architecture, self.variant or _USUAL_VARIANTS.get(self.architecture, ""))

    def distance(self, asked: "Platform") -> int | None:
        """Tell how well this fits what was asked for: 0 exactly, 1 but for a variant not asked for, ``None`` not."""
        if self.usual == asked.usual:
            return 0
        is_other_variant = (self.os, self.architecture) == (asked.os, asked.architecture) and not asked.variant
        return 1 if is_other_variant else None
