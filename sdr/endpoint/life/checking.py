"""`--check-config`: everything that a start would trip over, without starting."""

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.task import Clock

from sdr.endpoint.settings import Settings
from sdr.endpoint.sockets import BadAddress, read_addresses
from sdr.endpoint.tls.certificates import BadCertificate
from sdr.endpoint.tls.serving import StandardTLS
from sdr.endpoint.tls.shelf import first_shelf


def start_checks(settings: Settings) -> tuple[Sequence[Callable[[], object]], tuple[type[BaseException], ...]]:
    """Return what a start reads besides the options, and what that raises for a person to read."""
    checks: list[Callable[[], object]] = []
    listened = [("--listen", settings.listen)]
    tls = settings.tls
    if tls is not None:
        # Nothing waits in here.
        checks.append(lambda: first_shelf(tls.places, StandardTLS(Clock()).check))
        listened.append(("--tls", tls.listen))
    if settings.admin is not None:
        listened.append(("--admin", settings.admin.listen))
    for option, texts in listened:
        # Sockets of systemd are there at the start only.
        checks.extend(
            lambda option=option, text=text: read_addresses(None, option, [text], {})  # type: ignore[misc]
            for text in texts
            if not text.startswith("systemd:")
        )
    return checks, (BadCertificate, BadAddress)


def complaints(checks: Iterable[Callable[[], object]], expected: tuple[type[BaseException], ...]) -> tuple[str, ...]:
    """Return what is wrong, a line each; nothing where all is well.

    :param checks: each reads one thing as the start would: the certificates, the addresses to listen on.
    :param expected: what they raise for a person to read; anything else is a mistake of the program.
    """
    found = []
    for check in checks:
        try:
            check()
        except expected as error:
            found.append(" ".join(str(error).splitlines()))
    return tuple(found)


def verdict(found: Iterable[str]) -> tuple[str, int]:
    """Return what `--check-config` prints, and its exit code."""
    lines = [f"sdr: {line.removeprefix('sdr: ')}" for line in found]
    return ("\n".join(lines), 1) if lines else ("OK", 0)
