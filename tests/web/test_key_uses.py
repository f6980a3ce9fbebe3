"""The last use of a key: when, by which program and from which address are those of one request,
whatever that request asked for.
"""

from typing import Any

import pytest

from orderdesk_app.context import ALL_SCOPES
from orderdesk_app.db.keys import Credential
from tests.web.browser_session import BrowserSession

FIRST, SECOND = "cursor/1.0", "thief/2.0"


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def initialize(name: str) -> dict[str, Any]:
    info = {"name": name, "version": "3"}
    return message("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=info)


WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "initialize": ({"method": "POST", "json": initialize("thief")}, "thief 3"),
    "ping": ({"method": "POST", "json": message("ping")}, SECOND),
    "tools/list": ({"method": "POST", "json": message("tools/list")}, SECOND),
    "resources/list": ({"method": "POST", "json": message("resources/list")}, SECOND),
    "GET": ({"method": "GET"}, SECOND),
    "no JSON": ({"method": "POST", "content": b"{"}, SECOND),
    "health": ({"method": "GET", "path": "/health/detailed"}, ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_key_is_sent_with_is_its_last_use(ada: BrowserSession, way: str) -> None:
    services = ada.web.services
    view, key = ada.web.do(services.keys.create, ada.actor, "till", ALL_SCOPES & ada.actor.scopes)
    given, program = WAYS[way]

    def send(agent: str, path: str = "/mcp", **request: Any) -> None:
        headers = {
            "host": "localhost:8080",
            "authorization": f"Bearer {key.reveal()}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": "2025-11-25",
            "user-agent": agent,
        }
        ada.web.client.request(url=path, headers=headers, **request)

    async def last_use() -> tuple[Any, str, str]:
        await services.key_uses.flush(is_last=True)
        async with services.database.read() as session:
            row = await session.get(Credential, view.id)
        assert row is not None
        return row.last_used_at, row.last_client, row.last_address

    send(FIRST, method="POST", json=message("tools/list"))
    before = ada.web.do(last_use)
    services.signals.deliver(f"tenant:{ada.actor.tenant_id}")  # as in a process that starts
    send(SECOND, **given)
    after = ada.web.do(last_use)

    assert (before[1], after[1]) == (FIRST, program)
    assert after[0] > before[0]


def test_a_key_that_is_only_looked_up_is_written_nothing_of(ada: BrowserSession) -> None:
    services = ada.web.services
    view, key = ada.web.do(services.keys.create, ada.actor, "till")

    async def used_at() -> Any:
        await services.access.by_token(key.reveal())
        async with services.database.read() as session:
            row = await session.get(Credential, view.id)
        assert row is not None
        return row.last_used_at

    assert ada.web.do(used_at) is None
