"""The worlds in which tools are tried: the same tests over the sandbox in this process and over the
sandbox as a server.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.worlds import World, copy_of, open_world, sandbox_server, settings_for

__all__ = ["sandbox_server"]


@pytest.fixture
def is_rate_limited() -> bool:
    """Whether the world has Order Desk's rate limit, which costs a test seconds.

    A test that needs it says so: `@pytest.mark.parametrize("is_rate_limited", [True])`.
    """
    return False


@pytest.fixture(params=["in_process", "over_http"])
async def world(
    request: pytest.FixtureRequest, sqlite_url: str, is_rate_limited: bool
) -> AsyncIterator[World]:
    """Both forms, one after the other."""
    server = None
    if request.param == "over_http":
        server = request.getfixturevalue("sandbox_server")
        server.reset()
    async with open_world(
        settings_for(sqlite_url, **({"ORDERDESK_API_URL": server.url} if server else {})),
        server,
        is_rate_limited=is_rate_limited,
    ) as world:
        yield world


@pytest.fixture
async def small(sqlite_url: str) -> AsyncIterator[World]:
    """One form is enough where Order Desk has no say."""
    async with open_world(settings_for(sqlite_url), None) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> AsyncIterator[World]:
    url = copy_of(sqlite_template, tmp_path_factory.mktemp("shared"))
    async with open_world(settings_for(url), None) as world:
        yield world
