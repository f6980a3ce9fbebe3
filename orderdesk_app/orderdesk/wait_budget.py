"""How long one call may wait in all: for the store's bucket, for the order's lock and between
retries.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager


class WaitBudget:
    """Seconds that a call may wait. Only waiting uses them up: a slow answer of Order Desk does
    not.

    One call has one WaitBudget, also where it makes several requests. `requests` counts those that
    were sent. `check` raises where the caller of the call was stopped while it waited.
    """

    __slots__ = ("_check", "_clock", "_since", "_spent", "_waiting", "requests", "seconds")

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.seconds = seconds
        self._check = check
        self.requests = 0
        self._clock = clock
        self._spent = 0.0
        self._waiting = 0
        self._since = 0.0

    def remaining(self) -> float:
        """Seconds left, never below 0."""
        spent = self._spent + (self._clock() - self._since if self._waiting else 0.0)
        return max(0.0, self.seconds - spent)

    async def require_allowed(self) -> None:
        """To be asked after the last wait before something is changed."""
        if self._check is not None:
            await self._check()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The time inside the `with` uses up the budget; parallel waits of one call count once."""
        if not self._waiting:
            self._since = self._clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._spent += self._clock() - self._since
