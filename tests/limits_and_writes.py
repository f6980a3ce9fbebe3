"""No limit is asked while a write is open: its store may be another machine, and everybody who
writes would wait for it. Every test looks, at all that it makes the app do.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orderdesk_app.db.engine import Database
from orderdesk_app.services.limit_store import MemoryLimitBuckets, MemoryLimitTries

_WRITING: set["asyncio.Task[Any] | None"] = set()
FOUND: list[str] = []  # where a limit was asked inside a write, in the test that runs
_ASKED = {
    MemoryLimitBuckets: ("take", "give_back", "level"),
    MemoryLimitTries: ("attempt", "give_back", "forget"),
}


@pytest.fixture(scope="session", autouse=True)
def watched_limits() -> Iterator[None]:
    """Notes each call of a limit's store by a task that has a write open."""
    write = Database.write

    @asynccontextmanager
    async def noted(self: Database) -> AsyncIterator[Any]:
        async with write(self) as session:
            task = asyncio.current_task()
            _WRITING.add(task)
            try:
                yield session
            finally:
                _WRITING.discard(task)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Database, "write", noted)
        for store, names in _ASKED.items():
            for name in names:
                patched.setattr(store, name, _watched(getattr(store, name)))
        yield


def _watched(ask: Any) -> Any:
    async def watched(*given: Any) -> Any:
        if asyncio.current_task() in _WRITING:
            FOUND.append("".join(traceback.format_stack(limit=6)))
        return await ask(*given)

    return watched


@pytest.fixture(autouse=True)
def no_limit_inside_a_write(watched_limits: None) -> Iterator[None]:
    """Fails a test in which one was asked inside a write."""
    FOUND.clear()
    yield
    assert not FOUND, FOUND[0]
