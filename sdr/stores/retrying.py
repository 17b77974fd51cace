"""Trying again what a store could not do just now."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from sdr.stores.interface import NotReachable

T = TypeVar("T")


class Busy(NotReachable):
    """The store asks to be left alone for a while.

    :param retry_after: for how many seconds, where it says so.
    """

    def __init__(self, store: str, key: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(store, key, reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Patience:
    """How often something is tried, and how long is waited in between: longer each time, and never the same.

    :param attempts: how often in all.
    :param first: about how many seconds are waited after the first failure; it doubles each time.
    :param longest: the longest wait in seconds, also where the store asks for more.
    :param sleep: waits.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, attempt: Callable[[], T]) -> T:
        """Do something, again while it raises :class:`NotReachable`; the last failure comes out as it is."""
        return Retrying(
            retry=retry_if_exception_type(NotReachable),
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            sleep=self.sleep,
            reraise=True,
        )(attempt)

    def _wait(self, state: RetryCallState) -> float:
        backoff = wait_random_exponential(multiplier=self.first, max=self.longest)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after if isinstance(error, Busy) else None
        # What is random comes on top: whoever was told the same number is not to come back at the same moment.
        return backoff if asked is None else min(asked, self.longest) + min(backoff, 1.0)
