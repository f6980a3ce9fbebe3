"""Servers as processes, in pairs on one database: what has to hold between them is proven on both
engines.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Actor, Via
from tests.conftest import Postgres
from tests.worlds import (
    KMS_KEY,
    AgentClient,
    SandboxServer,
    Server,
    copy_of,
    eventually,
    open_services,
    sandbox_server,
    serving,
    settings_for,
)

__all__ = ["sandbox_server"]


@dataclass
class Pair:
    """Two server processes on one database, and Order Desk."""

    engine: str
    database_url: str
    servers: list[Server]
    sandbox: SandboxServer

    @property
    def settings(self) -> Settings:
        """For the app of the same installation in this process."""
        return settings_for(
            self.database_url, MCP_KMS_KEY=KMS_KEY, ORDERDESK_API_URL=self.sandbox.url
        )


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox_server: SandboxServer,
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        name = postgres.new_database()
        url = postgres.url(name)
    else:
        template: Path = request.getfixturevalue("sqlite_template")
        url = copy_of(template, folder)
    with serving(folder, url, count=2, ORDERDESK_API_URL=sandbox_server.url) as servers:
        yield Pair(request.param, url, servers, sandbox_server)
    if request.param == "postgres":
        postgres.drop(name)


@pytest.fixture
async def services(pair: Pair) -> AsyncIterator[wiring.Services]:
    """A third process of the installation: this one."""
    async with open_services(pair.settings) as services:
        yield services


@pytest.fixture
async def agents(
    pair: Pair, services: wiring.Services
) -> AsyncIterator[tuple[AgentClient, AgentClient]]:
    """A client at each of the two, with the admin's key; no store is connected yet, Order Desk is
    as just started, and nothing of the past is news.
    """
    one = await with_no_store(pair)
    two = pair.servers[1].client()
    await all_is_heard(pair, services)
    yield one, two
    await asyncio.gather(one.http.aclose(), two.http.aclose())


@pytest.fixture
async def agent(pair: Pair) -> AsyncIterator[AgentClient]:
    """One of the two, for tests of which the other server is no part: it waits for no news."""
    agent = await with_no_store(pair)
    yield agent
    await agent.http.aclose()


async def with_no_store(pair: Pair) -> AgentClient:
    """A client at the first server, no store connected, and Order Desk as just started."""
    pair.sandbox.reset()
    agent = pair.servers[0].client()
    for store in (await agent.get("stores_list"))["stores"]:
        await agent.get("stores_delete", store_id=store["store_id"])
    return agent


async def all_is_heard(pair: Pair, services: wiring.Services) -> None:
    """Until both servers know all that was written so far.

    News comes in order: who has heard that this key is no more has heard what was before it.
    """
    view, key = await services.tenants.make_tenant("Passing through")
    clients = [server.client(key.reveal()) for server in pair.servers]
    assert {(await client.post("tools/list", {})).status_code for client in clients} == {200}
    await services.keys.rotate_master(Actor(view.id, via=Via.WEB, session_id="01SESSION"))

    async def both_know() -> bool:
        return {(await client.post("tools/list", {})).status_code for client in clients} == {401}

    await eventually(both_know, 30)
    await asyncio.gather(*(client.http.aclose() for client in clients))
