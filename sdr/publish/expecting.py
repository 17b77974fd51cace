"""What a publisher may demand of a tag before it moves it: ``--if-tag``."""

from dataclasses import dataclass
from typing import Self

from sdr.publish.refused import Refused
from sdr.registry.grammar import Digest

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a tag has to be.

    :param digest: what it has to name by now, or ``None`` where it may not be there yet.
    """

    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``absent`` or a digest.

        :raise ValueError: if it is neither.
        """
        return cls(None if text == ABSENT else Digest.parse(text))

    def require(self, tagged: str, data: bytes | None) -> None:
        """Return if the tag is as expected.

        :param tagged: ``NAME:TAG``, for the message.
        :param data: the manifest that it names by now, or ``None`` where it is not there.
        :raise Refused: if it is not.
        """
        if self.digest is None:
            if data is not None:
                raise Refused(f"{tagged} is there already, as {Digest.of(data)}; --if-tag absent leaves it alone")
        elif data is None:
            raise Refused(f"{tagged} is not there; --if-tag wants it to be {self.digest}")
        elif Digest.of(data, self.digest.algorithm) != self.digest:
            found = Digest.of(data, self.digest.algorithm)
            raise Refused(f"{tagged} is {found} by now; --if-tag wants it to be {self.digest}")
