"""mcp-remote, through which Claude Desktop reaches us, as the process that it is: the configuration
that Settings shows works.
"""

from pathlib import Path
from typing import Any

import pytest
from mcp.client.stdio import StdioServerParameters, stdio_client

from orderdesk_app.tools.catalogue import every_tool
from tests.mcp.conftest import NodeClients
from tests.mcp_server import MODERN, McpServer, speaking
from tests.worlds import FIRST_ORDER


def _parameters(
    mcp_server: McpServer, node: NodeClients, folder: Path, key: str
) -> StdioServerParameters:
    command, *arguments = node.command(
        "mcp-remote",
        f"{mcp_server.server.url}/mcp",
        "--allow-http",
        "--transport",
        "http-only",
        "--header",
        "Authorization:${ORDERDESK_AUTHORIZATION}",
    )
    environment = {
        **node.environment,
        "HOME": str(folder),
        "MCP_REMOTE_CONFIG_DIR": str(folder / "mcp-auth"),
        "ORDERDESK_AUTHORIZATION": f"Bearer {key}",
    }
    return StdioServerParameters(command=command, args=arguments, env=environment)


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
async def test_mcp_remote_lists_and_calls_the_tools(
    mcp_server: McpServer, node_clients: NodeClients, tmp_path: Path, revision: str
) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    with (tmp_path / "stderr").open("w") as errors:
        async with speaking(
            stdio_client(
                _parameters(mcp_server, node_clients, tmp_path, mcp_server.key), errlog=errors
            ),
            revision,
            read_timeout_seconds=60,
        ) as client:
            tools = (await client.list_tools()).tools
            order = await client.call_tool(
                "orders_get",
                {"order_id": FIRST_ORDER, "store_identifier": mcp_server.store_id},
                progress_callback=hear,
            )
            refused = await client.call_tool("orders_get", {"order_id": "abc"})

            assert client.protocol_version == revision
    assert len(tools) == len(every_tool())
    assert order.structured_content["order"]["id"] == FIRST_ORDER
    assert _code(refused) == "VALIDATION_ERROR"
    assert "done" in told
    assert mcp_server.key not in " ".join(
        _parameters(mcp_server, node_clients, tmp_path, mcp_server.key).args
    )


def _code(result: Any) -> str:
    return str(result.meta["orderdesk/error"]["code"])
