"""One writer per object at a time, in this process and in all processes that share the leases."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from orderdesk_app.context import new_id
from orderdesk_app.errors import RateLimited
from orderdesk_app.observability import log
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.fair_queue import FairQueue
from orderdesk_app.orderdesk.wait_budget import WaitBudget

_LOG = log(__name__)

LEASE_SECONDS = 15.0  # how long others wait for the lock of a process that died
POLL_SECONDS = 0.03  # between two looks at a lock that another process holds
# turns that one process takes in a row while its own queue lasts, before others may try
IN_A_ROW = 4


class Leases(Protocol):
    """A name is held by one holder until it is released or its seconds are over. No method
    waits.
    """

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Takes the lease for `seconds`; False if another holder has it.

        A lease that is over, or this holder's already, can be taken.
        """

    async def renew(self, name: str, holder: str, seconds: float) -> bool:
        """Extends the holder's lease to `seconds` from now; False if the holder no longer has
        it.
        """

    async def release(self, name: str, holder: str) -> None:
        """Frees the name, if this holder has it."""


class MemoryLeases:
    """Leases in the memory of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        owner, until = self._held.get(name, (holder, 0.0))
        if owner != holder and until > self._clock():
            return False
        self._held[name] = (holder, self._clock() + seconds)
        return True

    async def renew(self, name: str, holder: str, seconds: float) -> bool:
        owner, _ = self._held.get(name, ("", 0.0))
        if owner != holder:
            return False
        # it may be over, but no other holder took it: it is extended
        self._held[name] = (holder, self._clock() + seconds)
        return True

    async def release(self, name: str, holder: str) -> None:
        if self._held.get(name, ("", 0.0))[0] == holder:
            del self._held[name]


class Lock:
    """A lock while it is held.

    Ask `still_held` right before writing: a process that was suspended may have lost it.
    """

    def __init__(self, until: float, clock: Callable[[], float]) -> None:
        self._until = until
        self._clock = clock

    def still_held(self) -> bool:
        """Whether the lease has not run out, by our own clock."""
        return self._clock() < self._until

    def renew(self, until: float) -> None:
        """The lease now lasts until this time of the clock, in seconds."""
        self._until = until

    def lose(self) -> None:
        """Another process has the lease."""
        self._until = float("-inf")


class WriteLocks:
    """Locks by store, kind and object: a fair queue within the process, and a lease between
    processes.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._leases = leases
        self._sleep = sleep
        self._clock = clock
        self._seconds = lease_seconds
        self._poll = poll_seconds
        self._queue = FairQueue()
        self._in_a_row: dict[str, int] = {}  # turns in a row within this process
        self._releases: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def holding(
        self, store: StoreAccess, object_id: str, budget: WaitBudget, *, kind: str = "order"
    ) -> AsyncIterator[Lock]:
        """Holds the lock on one object of that kind inside the `async with`.

        Raises RateLimited with outcome "not_done" once the budget is spent. Order Desk has no lock
        or version of its own (docs/orderdesk-api.md section 13).
        """
        name = f"{kind}|{store.upstream_id}|{object_id.lstrip('0')}"  # 0123 is 123
        holder = new_id()
        with budget.waiting():
            if not await self._queue.enter(name, budget.remaining(), self._queue.ticket()):
                raise _busy(kind)
        heartbeat: asyncio.Task[None] | None = None
        try:
            with budget.waiting():
                lock = await self._leased(name, holder, budget, kind)
            heartbeat = asyncio.create_task(self._renew(name, holder, lock))
            yield lock
        finally:
            # In a task of its own: a second cancellation must not leave the object locked until the
            # lease is over.
            release = asyncio.create_task(self._give_back(name, holder, heartbeat))
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)
            await asyncio.shield(release)

    async def _leased(self, name: str, holder: str, budget: WaitBudget, kind: str) -> Lock:
        if self._in_a_row.get(name, 0) >= IN_A_ROW:
            self._in_a_row[name] = 0
            # longer than the poll of other processes: else a busy process would starve them
            await self._sleep(self._poll * 1.5)
        while True:
            # read before we ask: the lease then ends no sooner than we think
            asked_at = self._clock()
            if await self._leases.acquire(name, holder, self._seconds):
                return Lock(asked_at + self._seconds, self._clock)
            left = budget.remaining()
            if left <= 0:
                raise _busy(kind)
            await self._sleep(min(self._poll, left))

    async def _renew(self, name: str, holder: str, lock: Lock) -> None:
        while True:
            await self._sleep(self._seconds / 3)
            asked_at = self._clock()
            try:
                is_ours = await self._leases.renew(name, holder, self._seconds)
            except Exception as error:
                # the database failed once: the lock is ours until its seconds are over, and
                # the next renewal may work
                _LOG.warning("a lock could not be renewed", exc_info=error)
                continue
            if not is_ours:
                lock.lose()
                return
            lock.renew(asked_at + self._seconds)

    async def _give_back(
        self, name: str, holder: str, heartbeat: asyncio.Task[None] | None
    ) -> None:
        try:
            if heartbeat is not None:
                heartbeat.cancel()
                await asyncio.wait([heartbeat])
            await self._leases.release(name, holder)
        except Exception as error:
            # the write is done, and the lease ends by itself: this is not a failure of the write
            _LOG.warning("a lock could not be given back", exc_info=error)
        finally:
            if self._queue.behind(name):
                self._in_a_row[name] = self._in_a_row.get(name, 0) + 1
            else:
                self._in_a_row.pop(name, None)
            self._queue.leave(name)


def _busy(kind: str) -> RateLimited:
    return RateLimited(
        (
            f"Other changes to this {kind} are still under way. Nothing was written. Try again "
            "in a few seconds."
        ),
        retry_after=2,
        outcome="not_done",
    )
