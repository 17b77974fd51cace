"""Choosing one image of those in a source, by the REF that stands after its second colon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sdr.publish.image import BadSource
from sdr.registry.grammar import Digest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One image that a source holds.

    :param identity: equal for two entries that mean the same image.
    """

    value: T
    identity: object
    names: tuple[str, ...]


def choose(choices: Sequence[Choice[T]], ref: str | None, location: str) -> T:
    """Return the image that is meant.

    :param ref: a name, ``@N`` for the N-th (as skopeo counts, from 0), or ``None`` if there is just one.
    :raise BadSource: if none or several fit; the message lists them.
    """
    if not choices:
        raise BadSource(f"{location}: there is no image in it")
    found = _matching(choices, ref)
    if not found:
        raise BadSource(f"{location}: there is no {ref} in it, only {_listed(choices)}")
    if len({choice.identity for choice in found}) > 1:
        raise BadSource(f"{location}: {len(found)} images{_fitting(ref)}; say which after a colon: {_listed(choices)}")
    return found[0].value


def _matching(choices: Sequence[Choice[T]], ref: str | None) -> Sequence[Choice[T]]:
    if ref is None:
        return choices
    if ref.startswith("@"):
        number = ref[1:]
        return [choices[int(number)]] if number in map(str, range(len(choices))) else []
    exact = [choice for choice in choices if ref in choice.names]
    return exact or [choice for choice in choices if whole_name(ref) in map(whole_name, choice.names)]


def _fitting(ref: str | None) -> str:
    return f" fit {ref}" if ref else ""


def _listed(choices: Sequence[Choice[T]]) -> str:
    return ", ".join(choice.names[0] if choice.names else f"@{number}" for number, choice in enumerate(choices))


def whole_name(name: str) -> str:
    """Return a docker name with everything that may be left out: ``app`` is ``docker.io/library/app:latest``."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def digest_in(ref: str | None) -> Digest | None:
    """Return the digest that ``@algorithm:hex`` names, or ``None`` for another REF."""
    if ref is None or not ref.startswith("@") or ":" not in ref:
        return None
    try:
        return Digest.parse(ref[1:])
    except ValueError as error:
        raise BadSource(f"{ref}: {error}") from error
