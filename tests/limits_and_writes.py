"""No limit is asked while a write or a read is open: its store may be another machine, and
everybody who writes, or needs a connection, would wait for it. Every test looks, at all that it
makes the app do.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orderdesk_app.db.engine import Database
from orderdesk_app.services.limit_store import MemoryLimitBuckets, MemoryLimitTries

_INSIDE: Counter["asyncio.Task[Any] | None"] = Counter()
FOUND: list[str] = []  # where a limit was asked inside a session, in the test that runs
_ASKED = {
    MemoryLimitBuckets: ("take", "give_back", "level"),
    MemoryLimitTries: ("attempt", "give_back", "forget"),
}


@pytest.fixture(scope="session", autouse=True)
def watched_limits() -> Iterator[None]:
    """Notes each call of a limit's store by a task that has a session open."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("read", "write"):
            patched.setattr(Database, name, _noted(getattr(Database, name)))
        for store, names in _ASKED.items():
            for name in names:
                patched.setattr(store, name, _watched(getattr(store, name)))
        yield


def _noted(opens: Any) -> Any:
    @asynccontextmanager
    async def noted(self: Database) -> AsyncIterator[Any]:
        async with opens(self) as session:
            task = asyncio.current_task()
            _INSIDE[task] += 1
            try:
                yield session
            finally:
                _INSIDE[task] -= 1
                if not _INSIDE[task]:
                    del _INSIDE[task]

    return noted


def _watched(ask: Any) -> Any:
    async def watched(*given: Any) -> Any:
        if asyncio.current_task() in _INSIDE:
            FOUND.append("".join(traceback.format_stack(limit=6)))
        return await ask(*given)

    return watched


@pytest.fixture(autouse=True)
def no_limit_inside_a_write(watched_limits: None) -> Iterator[None]:
    """Fails a test in which one was asked inside a session."""
    FOUND.clear()
    yield
    assert not FOUND, FOUND[0]
