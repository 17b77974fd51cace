"""The referrers of a manifest as they are sent: there may be ten thousand, so each is encoded once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from sdr.tree.documents import decode_referrers, encode_referrers

_HEAD, _TAIL = encode_referrers([]).split(b"[]")


@dataclass(frozen=True, slots=True)
class Referrers:
    """An index of referrers.

    :param entries: the descriptors in the order of the index, each with its ``artifactType`` and encoded.
    """

    entries: tuple[tuple[object, bytes], ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read an index.

        :raise BadDocument: if it is none.
        """
        return cls.of(decode_referrers(data))

    @classmethod
    def of(cls, manifests: Iterable[Mapping[str, Any]]) -> Self:
        """Take descriptors."""
        ordered = sorted(manifests, key=lambda entry: str(entry["digest"]))
        start, end = len(_HEAD) + 1, -len(_TAIL) - 1
        return cls(tuple((entry.get("artifactType"), encode_referrers([entry])[start:end]) for entry in ordered))

    def index(self, artifact_type: str | None = None) -> bytes:
        """Return the index, or that of only those with an ``artifactType``."""
        chosen = (data for its, data in self.entries if artifact_type is None or its == artifact_type)
        return b"%b[%b]%b" % (_HEAD, b",".join(chosen), _TAIL)
