"""Queues within this process: one turn per name at a time, first come, first served."""

import asyncio
import itertools
from collections import deque
from contextlib import suppress


class FairQueue:
    """A queue for each name. A name in the table has a holder of the turn; its deque holds the
    waiters behind the holder, by ticket. An empty queue takes no memory.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}
        self._tickets = itertools.count(1)

    def ticket(self) -> int:
        """A place in the order of arrival.

        A caller that enters a second time with its ticket goes ahead of all who came later.
        """
        return next(self._tickets)

    async def enter(self, name: str, seconds: float, ticket: int) -> bool:
        """Waits for the turn.

        True once it has come (then `leave` must follow), False when `seconds` ran out.
        """
        line = self._lines.get(name)
        if line is None:
            self._lines[name] = deque()
            return True
        if seconds <= 0:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (ticket, turn)
        line.insert(
            next((at for at, (other, _) in enumerate(line) if other > ticket), len(line)), place
        )
        try:
            async with asyncio.timeout(seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.done() and not turn.cancelled():  # the turn came in the very same moment
                if isinstance(end, TimeoutError):
                    return True
                self.leave(name)  # pass the turn on, or the queue stops for ever
                raise
            with suppress(ValueError):  # the caller before may have removed our ticket already
                line.remove(place)
            if isinstance(end, TimeoutError):
                return False
            raise
        return True

    def leave(self, name: str) -> None:
        """Ends the turn and gives it to the next waiter."""
        line = self._lines[name]
        while line:
            _, turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._lines[name]

    def behind(self, name: str) -> int:
        """How many wait behind the holder of the turn."""
        return len(self._lines.get(name, ()))
