"""After a walk through everything that an agent can do, well and badly, no secret stands anywhere
in the clear, DEBUG logs included.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orderdesk_app.context import ALL_SCOPES, Actor, Via
from orderdesk_app.db.engine import Database
from tests.searcher import files_below, joined, search
from tests.worlds import (
    API_KEY,
    FIRST_ORDER,
    KMS_KEY,
    MASTER_KEY,
    MINIMAL_ORDER,
    SandboxServer,
    copy_of,
    open_services,
    serving,
    settings_for,
)

WRONG_API_KEY = "wrong-api-key-typed-by-somebody-0123456789"
UNKNOWN_KEY = "an-unknown-master-key-that-somebody-tries-0123456789abcdefghijkl"
METRICS_TOKEN = "metrics-token-0123456789-abcdefghijklmnop"
JWT_KEY = "jwt-secret-key-of-the-tests-0123456789-abcdefghij"
CSRF_KEY = "csrf-secret-key-of-the-tests-9876543210-jihgfedcba"


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_no_secret_stands_in_the_clear_after_a_walk_through_everything(
    engine: str,
    tmp_path: Path,
    sqlite_template: Path,
    sandbox_server: SandboxServer,
    everything_in: Any,
    request: pytest.FixtureRequest,
) -> None:
    sandbox_server.reset()
    data = tmp_path / "data"
    url = (
        copy_of(sqlite_template, data)
        if engine == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    values = {
        "ORDERDESK_API_URL": sandbox_server.url,
        "LOG_LEVEL": "DEBUG",
        "METRICS_TOKEN": METRICS_TOKEN,
        "JWT_SECRET_KEY": JWT_KEY,
        "CSRF_SECRET_KEY": CSRF_KEY,
        **({"CACHE_BACKEND": "sqlite"} if engine == "sqlite" else {}),
        "HTTP_TIMEOUT": "3",
        "HTTP_MAX_RETRIES": "0",
        "MUTATION_MAX_RETRIES": "0",
    }
    heard: list[bytes] = []
    with serving(tmp_path, url, **values) as (server,):
        async with open_services(settings_for(url, MCP_KMS_KEY=KMS_KEY)) as services:
            admin = (await services.access.by_token(MASTER_KEY)).actor
            _, access_key = await services.keys.create(
                Actor(admin.tenant_id, admin.user_id, via=Via.WEB), "for the walk", ALL_SCOPES
            )
            link = await services.sign_in.make_link(admin.tenant_id)
            cookie = await services.sign_in.use_link(
                link.reveal(), address="127.0.0.1", user_agent="tests"
            )
            _, spare_link = await services.keys.create(
                Actor(admin.tenant_id, admin.user_id, via=Via.WEB), "spare"
            )
        agent = server.client(access_key.reveal())
        heard = agent.heard
        await walk(agent, sandbox_server)
        for key in (UNKNOWN_KEY, MASTER_KEY):
            for path in (
                f"/mcp?token={key}",
                f"/health?token={key}",
                f"/nowhere/{key}",
                f"/health/detailed?key={key}",
            ):
                answers = [
                    await agent.http.get(path),
                    await agent.http.post(
                        path, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
                    ),
                ]
                heard += [str(answer.headers).encode() + answer.content for answer in answers]
        for header in (
            {"authorization": f"Bearer {METRICS_TOKEN}"},
            {"authorization": f"Bearer {UNKNOWN_KEY}"},
            {"cookie": f"orderdesk_session={cookie}"},
        ):
            for path in ("/metrics", "/health", "/health/ready", "/health/detailed"):
                answer = await agent.http.get(path, headers=header)
                heard.append(str(answer.headers).encode() + answer.content)
        await asyncio.sleep(1)  # the rows of reads
        await agent.http.aclose()
    places = {**files_below(tmp_path), "what the server sent": joined(heard)}
    if engine == "postgres":
        database = Database(url)
        places["the database"] = await everything_in(database)
        await database.close()
    secrets = {
        "the master key": MASTER_KEY,
        "the access key": access_key.reveal(),
        "another access key": spare_link.reveal(),
        "the store's api key": API_KEY,
        "a refused api key": WRONG_API_KEY,
        "an unknown key": UNKNOWN_KEY,
        "the link's token": link.reveal(),
        "the session cookie": cookie,
        "the KMS key": KMS_KEY,
        "the metrics token": METRICS_TOKEN,
        "the key of cookies": JWT_KEY,
        "the key of forms": CSRF_KEY,
    }

    found = search(secrets, places)

    assert found == []
    assert len(places) >= 2
    assert sum(map(len, places.values())) > 100_000, "there was something to search"
    log = server.log.read_bytes()
    assert log.count(b'"event"') > 20, "DEBUG was on"
    assert [
        personal for personal in (b"@example", b"Okafor", b"Ada", b"Lagos") if personal in log
    ] == []


async def walk(agent: Any, sandbox: SandboxServer) -> None:
    """Every tool, well and badly."""
    await agent.call("stores_register", store_id="10001", api_key=WRONG_API_KEY)
    await agent.get("stores_register", store_id="10001", api_key=API_KEY, label="eu")
    await agent.call("stores_register", store_id="10001", api_key=API_KEY)
    await agent.call("stores_register", store_id=API_KEY, api_key="10001")
    await agent.call("stores_register", store_id="10002", api_key=API_KEY, apikey=API_KEY)
    await agent.call("tenant_use_master_key", master_key=MASTER_KEY)
    await agent.call("tenant_use_master_key", master_key=UNKNOWN_KEY)
    await agent.call("tenant_use_master_key", masterkey=UNKNOWN_KEY)
    await agent.call("stores_resolve", identifier=MASTER_KEY)
    await agent.call("stores_use_store", identifier="eu")
    await agent.call("stores_list")
    await agent.call(MASTER_KEY)
    await agent.get("stores_register", store_id="10003", api_key=API_KEY, label="us")
    await agent.get("orders_get", order_id=FIRST_ORDER)
    await agent.get("orders_list", search="Okafor")
    await agent.get("orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"})
    sandbox.fault("error_in_200", method="PUT", message=f"Invalid API Key {API_KEY}")
    await agent.call("orders_update", order_id=FIRST_ORDER, changes={"email": "newer@example.com"})
    await agent.call("orders_update", order_id=FIRST_ORDER, changes={"api_key": API_KEY})
    await agent.call("products_list", search="notebook", store_identifier="us")
    await agent.call("products_get", product_id="1", store_identifier="us")
    await agent.call("orders_create", order_data=MINIMAL_ORDER, store_identifier="us")
    await agent.call("orders_delete", order_id="100000002", store_identifier="us")
    for kind in (
        "server_error",
        "bad_gateway",
        "dropped",
        "broken_json",
        "error_in_200",
        "rate_limited",
    ):
        sandbox.fault(kind, method="GET", path="/orders/100000003")
        await agent.call("orders_get", order_id="100000003", store_identifier="us")
        sandbox.control("DELETE", "faults")
    await agent.call("stores_delete", store_id="10001")
    await agent.call("orders_get", order_id=FIRST_ORDER, store_identifier="10001")
