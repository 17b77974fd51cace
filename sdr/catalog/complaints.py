"""What is logged of looks that found nothing of use, and how seldom: anybody may cause them."""

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sdr.catalog.memory import Memory

#: Of looks that fail, one is logged in so many seconds.
QUIET_SECONDS = 60.0


class Complaints:
    """Complaints about one store."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._malformed: Memory[str, str] = Memory(1000)
        self._quiet_until = 0.0

    def failing(self, key: str, error: Exception) -> None:
        """Log that a look failed, now and then: a stranger could cause a line for each name that he invents."""
        now = self._clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            self._log.warn(
                "a look at the store's {key} failed: {error}; others within a minute are not logged",
                key=key,
                error=error,
            )

    def malformed(self, key: str, reason: str) -> None:
        """Log what is wrong with an object, once until it is wrong in another way."""
        if self._malformed.get(key) != reason:
            self._malformed.put(key, reason)
            self._log.warn("the store's {key} is not usable: {reason}", key=key, reason=reason)
