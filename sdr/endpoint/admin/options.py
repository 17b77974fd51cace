"""The options of the admin listener: from what a person wrote to what the parts are built from."""

from collections.abc import Sequence
from dataclasses import dataclass


class BadAdminOption(ValueError):
    """An option's value cannot be used; the message names the option, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where the admin listener is, and when the endpoint counts as ready.

    :param listen: Twisted endpoint descriptions.
    :param ready_max_age: seconds, or nothing for any age.
    """

    listen: tuple[str, ...]
    ready_max_age: float | None = None


def read_admin(listen: Sequence[str], ready_max_age: str | None) -> AdminSettings | None:
    """Check the options' values.

    :param listen: the values of ``--admin``; a bare number is a port of this machine only.
    :return: nothing if there is to be no admin listener.
    :raise BadAdminOption: if one cannot be used.
    """
    if not listen:
        if ready_max_age is not None:
            raise BadAdminOption(
                "--ready-max-age does nothing without --admin: give an address for /readyz, such as --admin 9090"
            )
        return None
    age = None if ready_max_age is None else _age(ready_max_age)
    return AdminSettings(tuple(_description(text) for text in listen), age)


def _description(text: str) -> str:
    if not text.isascii() or not text.isdigit():
        return text
    if not 0 < int(text) < 65536:
        raise BadAdminOption(f"--admin {text}: a port is a number from 1 to 65535")
    return f"tcp:{text}:interface=127.0.0.1"


def _age(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 31_536_000.0:
        raise BadAdminOption(f"--ready-max-age {text}: it is a number of seconds, from 1 to 31536000")
    return seconds
