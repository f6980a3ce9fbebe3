"""What every client of every revision gets: the catalogue, calls, errors, progress."""

from typing import Any

import jsonschema
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import Request
from pydantic import TypeAdapter

from orderdesk_app.tools.catalogue import every_tool
from tests.mcp_server import LEGACY, MODERN, REVISIONS, McpServer, call, modern
from tests.worlds import API_KEY, FIRST_ORDER

pytestmark = pytest.mark.parametrize("revision", REVISIONS)


async def test_the_revision_asked_for_is_spoken(mcp_server: McpServer, revision: str) -> None:
    async with mcp_server.client(revision) as client:
        await client.list_tools()

        assert client.protocol_version == revision


async def test_every_tool_is_listed_whole(mcp_server: McpServer, revision: str) -> None:
    async with mcp_server.client(revision) as client:
        tools = (await client.list_tools()).tools

    assert [tool.name for tool in tools] == [tool.name for tool in every_tool()]
    for tool in tools:
        assert tool.description
        assert tool.annotations is not None
        about = tool.annotations.model_dump()
        assert {
            name: about[name]
            for name in ("read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint")
        }.keys()
        assert None not in about.values(), tool.name
        assert tool.input_schema["type"] == "object"
        if revision != "2025-03-26":
            assert tool.title
            assert tool.output_schema is not None


async def test_prompts_and_resources_are_listed_and_empty(
    mcp_server: McpServer, revision: str
) -> None:
    async with mcp_server.client(revision) as client:
        assert (await client.list_prompts()).prompts == []
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []


async def test_a_prompt_or_resource_that_is_not_there_is_named(
    mcp_server: McpServer, revision: str
) -> None:
    async with mcp_server.client(revision) as client:
        with pytest.raises(MCPError) as no_prompt:
            await client.get_prompt("daily")
        with pytest.raises(MCPError) as no_resource:
            await client.read_resource("orderdesk://orders/1")

    assert (no_prompt.value.error.code, no_prompt.value.error.data) == (-32602, {"name": "daily"})
    assert (no_resource.value.error.code, no_resource.value.error.data) == (
        -32602,
        {"uri": "orderdesk://orders/1"},
    )


async def test_every_tool_answers_as_its_schema_says(mcp_server: McpServer, revision: str) -> None:
    deleted = str(100000040 + REVISIONS.index(revision))
    spare = str(10080 + REVISIONS.index(revision))
    own: dict[str, dict[str, Any]] = {
        "stores_register": {"store_id": spare, "api_key": API_KEY, "label": f"spare {revision}"},
        "stores_list": {},
        "stores_use_store": {"identifier": mcp_server.store_id},
        "stores_resolve": {"identifier": f"spare {revision}"},
        "stores_delete": {"store_id": spare},
        "orders_delete": {"order_id": deleted, "store_identifier": mcp_server.store_id},
        "tenant_use_master_key": {"master_key": mcp_server.key},
    }
    order = sorted(
        every_tool(),
        key=lambda tool: (tool.name != "stores_register", tool.name == "stores_delete"),
    )

    async with mcp_server.client(revision) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        for tool in order:
            arguments = own.get(tool.name) or {
                **tool.example.model_dump(mode="json", exclude_unset=True),
                **({"store_identifier": mcp_server.store_id} if tool.takes_store else {}),
            }
            result = await client.call_tool(tool.name, arguments)

            assert not result.is_error, f"{tool.name}: {_text(result)}"
            assert _text(result)
            if revision != "2025-03-26":
                assert result.structured_content is not None
                jsonschema.validate(
                    result.structured_content,
                    listed[tool.name].output_schema or {},
                    jsonschema.Draft202012Validator,
                )


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "field"),
    [
        ("orders_get", {"order_id": "abc"}, "VALIDATION_ERROR", "order_id"),
        ("orders_get", {}, "VALIDATION_ERROR", "order_id"),
        ("orders_get", {"order_id": FIRST_ORDER, "colour": "red"}, "VALIDATION_ERROR", "colour"),
        ("orders_get", {"order_id": {"a": 1}}, "VALIDATION_ERROR", "order_id"),
        ("orders_list", {"limit": "many"}, "VALIDATION_ERROR", "limit"),
        ("orders_get", {"order_id": "999999999"}, "NOT_FOUND", "order_id"),
        (
            "orders_get",
            {"order_id": FIRST_ORDER, "store_identifier": "nowhere"},
            "NOT_FOUND",
            "store_identifier",
        ),
        ("no_such_tool", {}, "VALIDATION_ERROR", "name"),
        ("tenant_use_master_key", {"master_key": "wrong" * 8}, "AUTH_ERROR", "master_key"),
    ],
)
async def test_a_failed_call_says_code_field_and_next_step(
    mcp_server: McpServer,
    revision: str,
    tool: str,
    arguments: dict[str, Any],
    code: str,
    field: str,
) -> None:
    async with mcp_server.client(revision) as client:
        result = await client.call_tool(tool, arguments)

    assert result.is_error
    assert _text(result).startswith(f"{code}: ")
    assert "pydantic" not in _text(result)
    about = (result.meta or {})["orderdesk/error"]
    assert about["code"] == code
    assert about["field"] == field
    assert {"retry_after", "outcome"} <= about.keys()


async def test_arguments_may_be_null(mcp_server: McpServer, revision: str) -> None:
    async with mcp_server.client(revision) as client:
        result = await client.call_tool("stores_list", None)

    assert not result.is_error


async def test_a_key_for_reading_sees_and_does_no_more(
    mcp_server: McpServer, revision: str
) -> None:
    async with mcp_server.client(revision, mcp_server.reading_key) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        refused = await client.call_tool("orders_delete", {"order_id": FIRST_ORDER})

    assert names == {"orders_list", "orders_get"}
    assert _text(refused).startswith("PERMISSION_DENIED: ")


async def test_a_neighbours_store_is_as_good_as_none(mcp_server: McpServer, revision: str) -> None:
    async with mcp_server.client(revision, mcp_server.neighbours_key) as client:
        theirs = await client.call_tool(
            "orders_get", {"order_id": FIRST_ORDER, "store_identifier": mcp_server.store_id}
        )
        nobodys = await client.call_tool(
            "orders_get", {"order_id": FIRST_ORDER, "store_identifier": "19999"}
        )

    assert _text(theirs) == _text(nobodys)


async def test_progress_is_told_to_those_who_ask(mcp_server: McpServer, revision: str) -> None:
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with mcp_server.client(revision) as client:
        result = await client.call_tool("stores_list", {}, progress_callback=hear)
        await client.list_tools()  # what was told may arrive with the next answer

    assert not result.is_error
    assert [message for _, message in told] == ["started", "done"]
    assert told[0][0] < told[1][0]


async def test_a_token_brings_a_stream_and_none_brings_json(
    mcp_server: McpServer, revision: str
) -> None:
    with mcp_server.http() as http:
        plain = _post(http, revision, "stores_list")
        streamed = _post(http, revision, "stores_list", progressToken="t")

    assert plain.headers["content-type"] == "application/json"
    assert plain.json()["result"]["isError"] is False
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert "notifications/progress" in streamed.text
    assert streamed.text.index('"progress":0') < streamed.text.index('"structuredContent"')


async def test_who_takes_no_stream_gets_json_token_or_not(
    mcp_server: McpServer, revision: str
) -> None:
    with mcp_server.http() as http:
        http.headers["accept"] = "application/json"
        answer = _post(http, revision, "stores_list", progressToken="t")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


async def test_an_unknown_method_is_told_so(mcp_server: McpServer, revision: str) -> None:
    with mcp_server.http() as http:
        if revision == MODERN:
            headers, body = modern("orders/everything")
            answer = http.post("/mcp", json=body, headers=headers)
            assert answer.status_code == 404
        else:
            answer = http.post(
                "/mcp",
                json={"jsonrpc": "2.0", "id": 1, "method": "orders/everything"},
                headers={"mcp-protocol-version": revision},
            )

    assert answer.json()["error"]["code"] == -32601


async def test_lists_are_private_to_the_key(mcp_server: McpServer, revision: str) -> None:
    with mcp_server.http() as http:
        headers, body = modern("tools/list")
        answer = http.post("/mcp", json=body, headers=headers).json()["result"]

    assert answer["cacheScope"] == "private"
    assert answer["ttlMs"] > 0
    assert answer["resultType"] == "complete"


async def test_the_server_names_what_it_speaks(mcp_server: McpServer, revision: str) -> None:
    with mcp_server.http() as http:
        headers, body = modern("server/discover")
        answer = http.post("/mcp", json=body, headers=headers).json()["result"]

    assert MODERN in answer["supportedVersions"]
    assert answer["capabilities"]["tools"] == {"listChanged": False}
    assert answer["cacheScope"] == "private"


async def test_a_tool_call_without_its_name_is_a_protocol_error(
    mcp_server: McpServer, revision: str
) -> None:
    async with mcp_server.client(revision) as client:
        with pytest.raises(MCPError) as refused:
            await _raw_call(client, {"arguments": {}})

    assert refused.value.error.code == -32602
    assert "pydantic" not in refused.value.error.message


async def _raw_call(client: Client, params: dict[str, Any]) -> Any:
    request = Request[dict[str, Any], str](method="tools/call", params=params)
    return await client.session.send_request(request, TypeAdapter(dict[str, Any]))


def _text(result: Any) -> str:
    return "\n".join(part.text for part in result.content if part.type == "text")


def _post(http: Any, revision: str, tool: str, **meta: Any) -> Any:
    if revision == MODERN:
        headers, body = modern("tools/call", {"name": tool, "arguments": {}}, **meta)
        return http.post("/mcp", json=body, headers=headers)
    return http.post(
        "/mcp",
        json=call(tool, **meta),
        headers={"mcp-protocol-version": revision} if revision != LEGACY[0] else {},
    )
