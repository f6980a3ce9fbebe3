"""Batches: a must of revision 2025-03-26, and of no other."""

from typing import Any

import httpx
import pytest

from orderdesk_app.tools.catalogue import every_tool
from tests.mcp_server import MODERN, McpServer, call, modern
from tests.worlds import FIRST_ORDER

LIST = {"jsonrpc": "2.0", "id": "list", "method": "tools/list"}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
OLD = [{}, {"mcp-protocol-version": "2025-03-26"}]


def _post(mcp_server: McpServer, body: Any, headers: dict[str, str]) -> httpx.Response:
    with mcp_server.http() as http:
        return http.post("/mcp", json=body, headers=headers)


@pytest.mark.parametrize("headers", OLD)
def test_every_request_of_a_batch_is_answered_by_its_id(
    mcp_server: McpServer, headers: dict[str, str]
) -> None:
    answer = _post(
        mcp_server,
        [
            LIST,
            INITIALIZED,
            call("stores_list", message_id=7),
            call("orders_get", {"order_id": "abc"}, message_id="bad"),
        ],
        headers,
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = {one["id"]: one for one in answer.json()}
    assert told.keys() == {"list", 7, "bad"}
    assert len(told["list"]["result"]["tools"]) == len(every_tool())
    assert told[7]["result"]["isError"] is False
    assert told["bad"]["result"]["content"][0]["text"].startswith("VALIDATION_ERROR: ")


@pytest.mark.parametrize("headers", OLD)
def test_a_batch_that_asks_nothing_is_taken_in_silence(
    mcp_server: McpServer, headers: dict[str, str]
) -> None:
    answer = _post(mcp_server, [INITIALIZED, {"jsonrpc": "2.0", "id": 3, "result": {}}], headers)

    assert answer.status_code == 202
    assert answer.content == b""


def test_what_is_no_message_is_refused_in_its_place(mcp_server: McpServer) -> None:
    answer = _post(mcp_server, [5, {"jsonrpc": "2.0"}, [LIST], LIST], {})

    assert [one.get("error", {}).get("code") for one in answer.json()] == [
        -32600,
        -32600,
        -32600,
        None,
    ]
    assert [one["id"] for one in answer.json()] == [None, None, None, "list"]


def test_a_handshake_is_never_part_of_a_batch(mcp_server: McpServer) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-03-26",
            "capabilities": {},
            "clientInfo": {"name": "a", "version": "1"},
        },
    }

    answer = _post(mcp_server, [hello, LIST], {})

    assert answer.json()[0]["error"]["code"] == -32600
    assert "result" in answer.json()[1]


def test_two_writes_in_one_batch_are_done_in_their_order(mcp_server: McpServer) -> None:
    update = [
        call(
            "orders_update",
            {
                "order_id": FIRST_ORDER,
                "store_identifier": mcp_server.store_id,
                "changes": {"shipping": {"city": city}},
            },
            message_id=city,
        )
        for city in ("Lagos", "Accra")
    ]

    answer = _post(mcp_server, update, {})

    assert [
        one["result"]["structuredContent"]["order"]["shipping"]["city"] for one in answer.json()
    ] == ["Lagos", "Accra"]


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_holds_one_to_fifty(mcp_server: McpServer, count: int) -> None:
    answer = _post(mcp_server, [LIST] * count, {})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25", MODERN])
def test_later_revisions_have_no_batches(mcp_server: McpServer, revision: str) -> None:
    headers = modern("tools/list")[0] if revision == MODERN else {"mcp-protocol-version": revision}

    answer = _post(mcp_server, [LIST], headers)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600


def test_a_batch_needs_a_key_like_everything_else(mcp_server: McpServer) -> None:
    with mcp_server.http("") as http:
        assert http.post("/mcp", json=[LIST]).status_code == 401
