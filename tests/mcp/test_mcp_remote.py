"""mcp-remote, through which Claude Desktop reaches us, as the process that it is, in its oldest
release that people still run and in its newest: the configuration that Settings shows works, so
does the command of the older system, and a wrong key is explained.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client.stdio import StdioServerParameters, stdio_client

from orderdesk_app.tools.catalogue import every_tool
from tests.mcp_server import MODERN, McpServer, speaking
from tests.node_clients import NEWEST, OLDER, NodeClients
from tests.worlds import FIRST_ORDER

LEGACY = "2025-11-25"
# A server, the clients, the folder of the release, a home, a key.
Form = Callable[[McpServer, NodeClients, Path, Path, str], StdioServerParameters]
each_release = pytest.mark.parametrize("release", [OLDER, NEWEST], ids=["oldest", "newest"])


def _environment(node: NodeClients, home: Path, **values: str) -> dict[str, str]:
    return {
        **node.environment,
        "HOME": str(home),
        "MCP_REMOTE_CONFIG_DIR": str(home / "mcp-auth"),
        "BROWSER": "true",  # no test opens a window
        **values,
    }


def _with_header(
    mcp_server: McpServer, node: NodeClients, release: Path, home: Path, key: str
) -> StdioServerParameters:
    """As Settings shows it."""
    command, *arguments = node.command(
        "mcp-remote",
        f"{mcp_server.server.url}/mcp",
        "--allow-http",
        "--transport",
        "http-only",
        "--header",
        "Authorization:${ORDERDESK_AUTHORIZATION}",
        folder=release,
    )
    environment = _environment(node, home, ORDERDESK_AUTHORIZATION=f"Bearer {key}")
    return StdioServerParameters(command=command, args=arguments, env=environment)


def _with_token(
    mcp_server: McpServer, node: NodeClients, release: Path, home: Path, key: str
) -> StdioServerParameters:
    """`npx -y mcp-remote http://…/mcp?token=KEY`, as users of the older system have it."""
    command, *arguments = node.npx("-y", "mcp-remote", f"{mcp_server.server.url}/mcp?token={key}")
    return StdioServerParameters(
        command=command, args=arguments, env=_environment(node, home), cwd=release
    )


@pytest.mark.parametrize("form", [_with_header, _with_token])
@pytest.mark.parametrize(
    ("release", "revision"),
    [(OLDER, LEGACY), (NEWEST, LEGACY), (NEWEST, MODERN)],
    ids=["oldest", "newest", "newest in the newest revision"],
)
async def test_mcp_remote_lists_and_calls_the_tools(
    mcp_server: McpServer,
    node_clients: NodeClients,
    tmp_path: Path,
    release: Path,
    revision: str,
    form: Form,
) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    with (tmp_path / "stderr").open("w") as errors:
        async with speaking(
            stdio_client(
                form(mcp_server, node_clients, release, tmp_path, mcp_server.key), errlog=errors
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


def test_the_key_of_a_header_stands_in_no_list_of_processes(
    mcp_server: McpServer, node_clients: NodeClients, tmp_path: Path
) -> None:
    parameters = _with_header(mcp_server, node_clients, NEWEST, tmp_path, mcp_server.key)

    assert mcp_server.key not in " ".join(parameters.args)


@each_release
@pytest.mark.parametrize("form", [_with_header, _with_token])
async def test_a_wrong_key_is_explained_to_the_person_who_reads_the_log(
    mcp_server: McpServer, node_clients: NodeClients, tmp_path: Path, release: Path, form: Form
) -> None:
    """After the 401 mcp-remote looks for OAuth, and shows what it is told there."""
    parameters = form(mcp_server, node_clients, release, tmp_path, "a-key-that-nobody-has")

    process = await asyncio.create_subprocess_exec(
        parameters.command,
        *parameters.args,
        env=parameters.env,
        cwd=parameters.cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            shown = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()

    last = shown.rpartition("Fatal error:")[2]
    assert process.returncode == 1, shown
    assert "a key from Settings in the web app, as Authorization: Bearer" in last, shown
    assert "is not valid JSON" not in shown
    assert "transport fallback" not in shown


def _code(result: Any) -> str:
    return str(result.meta["orderdesk/error"]["code"])
