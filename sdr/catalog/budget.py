"""How many looks at the store strangers may cause."""


class Budget:
    """A token bucket. Time is an argument, so it needs no clock.

    :param rate: looks a second in the long run.
    :param burst: looks at once after a quiet time.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left = burst
        self._at = 0.0

    def spend(self, now: float) -> bool:
        """Take one look from the budget.

        :param now: seconds of a clock that never goes back.
        :return: whether there was one left.
        """
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
