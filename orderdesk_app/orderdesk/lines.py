"""Waiting lines within this process: one turn per name at a time, first come, first served."""

import asyncio
from collections import deque


class Lines:
    """A name in the table has somebody at its head; the deque holds those behind. A line without people takes no memory."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    async def enter(self, name: str, seconds: float, *, first: bool = False) -> bool:
        """Wait for the turn; True once it has come (then `leave` must follow), False when `seconds` ran out.

        `first` stands ahead of all others: for somebody who had his turn already and was sent back.
        """
        line = self._lines.get(name)
        if line is None:
            self._lines[name] = deque()
            return True
        if seconds <= 0:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            line.appendleft(turn)
        else:
            line.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            line.remove(turn)
            return False
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(name)  # the turn came in the same moment: hand it on, or the line stands still for ever
            else:
                line.remove(turn)
            raise
        return True

    def leave(self, name: str) -> None:
        """The turn is over; the next in line has it."""
        line = self._lines[name]
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._lines[name]

    def behind(self, name: str) -> int:
        """How many wait behind the head of that line."""
        return len(self._lines.get(name, ()))
