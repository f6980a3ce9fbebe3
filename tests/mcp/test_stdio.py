"""`orderdesk stdio`: the same catalogue for a client that starts us, and not one byte on stdout
that is no JSON-RPC.
"""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client.stdio import StdioServerParameters, stdio_client
from sqlmodel import col, select

from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.tools.catalogue import every_tool
from tests.mcp_server import MODERN, REVISIONS, McpServer, call, modern, speaking
from tests.worlds import KMS_KEY, ROOT, own_environment

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "orderdesk_app", "stdio"]
HELLO = {
    "jsonrpc": "2.0",
    "id": "hello",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "pipes", "version": "7"},
    },
}


def _environment(mcp_server: McpServer, key: str = "", **values: str) -> dict[str, str]:
    return {
        **own_environment(),
        "DATABASE_URL": mcp_server.database_url,
        "MCP_KMS_KEY": KMS_KEY,
        "ORDERDESK_API_URL": mcp_server.sandbox_url,
        "ORDERDESK_MCP_KEY": key,
        "RATE_LIMIT_RPM": "100000",
        **values,
    }


def _pipe(environment: dict[str, str], *messages: Any) -> tuple[int, list[Any], str]:
    """All messages at once, then the end of stdin: the exit code, what came back, and stderr."""
    lines = b"".join(
        message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        for message in messages
    )
    done = subprocess.run(
        COMMAND,
        input=lines,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        done.stderr.decode(),
    )


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_revision_lists_and_calls_beside_the_server(
    mcp_server: McpServer, revision: str
) -> None:
    parameters = StdioServerParameters(
        command=COMMAND[0], args=COMMAND[1:], env=_environment(mcp_server, mcp_server.key), cwd=ROOT
    )

    async with speaking(stdio_client(parameters), revision) as client, mcp_server.client() as other:
        tools = (await client.list_tools()).tools
        mine = await client.call_tool("stores_list", {})
        theirs = await other.call_tool("stores_list", {})

        assert client.protocol_version == revision
    assert len(tools) == len(every_tool())
    assert {store["store_id"] for store in mine.structured_content["stores"]} == {
        store["store_id"] for store in theirs.structured_content["stores"]
    }


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
async def test_signed_out_every_tool_says_how_to_sign_in(
    mcp_server: McpServer, revision: str
) -> None:
    parameters = StdioServerParameters(
        command=COMMAND[0], args=COMMAND[1:], env=_environment(mcp_server), cwd=ROOT
    )

    async with speaking(stdio_client(parameters), revision) as client:
        for tool in (await client.list_tools()).tools:
            if tool.name != "tenant_use_master_key":
                refused = await client.call_tool(tool.name, {})
                assert refused.content[0].text.startswith("AUTH_ERROR: "), tool.name
                assert "tenant_use_master_key" in refused.content[0].text
        wrong = await client.call_tool("tenant_use_master_key", {"master_key": "w" * 64})
        still_out = await client.call_tool("stores_list", {})
        right = await client.call_tool("tenant_use_master_key", {"master_key": mcp_server.key})
        stores = await client.call_tool("stores_list", {})

    assert wrong.is_error
    assert still_out.is_error
    assert right.structured_content["tenant"]["name"] == "Ada's Teas"
    assert mcp_server.store_id in {
        store["store_id"] for store in stores.structured_content["stores"]
    }


async def test_progress_is_told_over_stdio(mcp_server: McpServer) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    parameters = StdioServerParameters(
        command=COMMAND[0], args=COMMAND[1:], env=_environment(mcp_server, mcp_server.key), cwd=ROOT
    )
    async with speaking(stdio_client(parameters), "2025-11-25") as client:
        await client.call_tool("stores_list", {}, progress_callback=hear)
        await client.list_tools()

    assert told == ["started", "done"]


def test_what_was_asked_before_the_end_is_answered_and_written_down(mcp_server: McpServer) -> None:
    asked = [call("stores_list", message_id=number) for number in range(5)]
    hello = {
        **HELLO,
        "params": {
            **HELLO["params"],
            "clientInfo": {"name": "asked before the end", "version": "7"},
        },
    }  # type: ignore[dict-item]

    code, answers, errors = _pipe(
        _environment(mcp_server, mcp_server.key),
        hello,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        *asked,
    )

    assert code == 0, errors
    assert {answer["id"] for answer in answers} == {"hello", 0, 1, 2, 3, 4}
    assert all("result" in answer for answer in answers)
    rows = asyncio.run(_rows(mcp_server, "asked before the end"))
    assert len(rows) == 5
    assert len({row.request_id for row in rows}) == 5
    assert {(row.via, row.client_version, row.outcome) for row in rows} == {("stdio", "7", "ok")}


def test_stdout_holds_nothing_but_messages(mcp_server: McpServer) -> None:
    noisy = _environment(
        mcp_server, mcp_server.key, LOG_LEVEL="DEBUG", PYTHONWARNINGS="always", PYTHONDEVMODE="1"
    )

    code, answers, errors = _pipe(noisy, HELLO, call("orders_get", {"order_id": "abc"}))

    assert code == 0, errors
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)
    assert mcp_server.key not in errors


def test_a_line_that_is_no_message_is_refused_and_the_next_one_served(
    mcp_server: McpServer,
) -> None:
    lines = [
        b"hello\n",
        b"{\n",
        b"\xff\xfe\n",
        b"[]\n",
        b'{"id":{},"method":"ping"}\n',
        b'{"id":"\\ud83d","method":"ping"}\n',
    ]
    asked = [
        message
        for number, line in enumerate(lines)
        for message in (line, call("stores_list", message_id=f"after {number}"))
    ]

    code, answers, _ = _pipe(_environment(mcp_server, mcp_server.key), HELLO, *asked)

    assert code == 0
    refused = [answer for answer in answers if "error" in answer]
    assert [answer["id"] for answer in refused] == [None] * len(lines)
    assert {answer["error"]["code"] for answer in refused} <= {-32700, -32600}
    served = {answer["id"] for answer in answers if "result" in answer}
    assert served == {"hello", *(f"after {number}" for number in range(len(lines)))}


def test_a_blank_line_is_skipped(mcp_server: McpServer) -> None:
    blanks = [b"\n", b"\r\n", b" \t \n", b"\n" * 100, b"\x0b\x0c\n"]
    asked = [
        message
        for number, blank in enumerate(blanks)
        for message in (call("stores_list", message_id=f"before {number}"), blank)
    ]

    code, answers, errors = _pipe(
        _environment(mcp_server, mcp_server.key), *blanks, HELLO, *blanks, *asked
    )

    assert code == 0, errors
    assert {answer["id"] for answer in answers} == {
        "hello",
        *(f"before {number}" for number in range(len(blanks))),
    }
    assert len(answers) == len(blanks) + 1
    assert all("result" in answer for answer in answers)


def test_an_unfit_question_is_refused_by_its_id(mcp_server: McpServer) -> None:
    arguments = [
        b'{"limit":NaN}',
        b'{"search":"caf\\ud83d"}',
        b'{"limit":1e400}',
        b'{"limit":' + b"9" * 6000 + b"}",
        b'{"search":"\xff"}',
    ]
    lines = [
        b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"orders_list","arguments":%s}}\n'
        % pair
        for pair in enumerate(arguments, start=1)
    ]
    others = [
        b'{"jsonrpc":"2.0","id":"list","method":"tools/list","params":[]}\n',
        b'{"jsonrpc":"1.0","id":"old","method":"ping"}\n',
    ]

    code, answers, errors = _pipe(_environment(mcp_server, mcp_server.key), HELLO, *lines, *others)

    assert code == 0, errors
    assert {answer["id"] for answer in answers if "error" in answer} == {
        1,
        2,
        3,
        4,
        5,
        "list",
        "old",
    }


def test_a_batch_is_answered_in_the_revision_that_has_batches(mcp_server: McpServer) -> None:
    hello = {**HELLO, "params": {**HELLO["params"], "protocolVersion": "2025-03-26"}}
    batch = [
        {"jsonrpc": "2.0", "id": 5, "method": "ping"},
        {"jsonrpc": "1.0", "id": 6},
        {**call("stores_list"), "id": 7},
    ]

    _, answers, _ = _pipe(_environment(mcp_server, mcp_server.key), hello, batch)
    _, later, _ = _pipe(_environment(mcp_server, mcp_server.key), HELLO, batch)

    told = {answer["id"]: answer for answer in answers}
    assert told[5]["result"] == {}
    assert told[6]["error"]["code"] == -32600
    assert told[7]["result"]["structuredContent"]["count"] >= 1
    assert [answer["id"] for answer in later if "error" in answer] == [None]


def test_arguments_that_are_no_object_are_refused_in_words(mcp_server: McpServer) -> None:
    wrong = call("orders_get")
    wrong["params"]["arguments"] = ["100000001"]

    _, answers, _ = _pipe(_environment(mcp_server, mcp_server.key), HELLO, {**wrong, "id": 5})

    assert (
        answers[-1]["result"]["content"][0]["text"]
        == "VALIDATION_ERROR: Arguments must be an object of names and values."
    )


def test_a_client_that_stops_listening_ends_it_quietly(mcp_server: McpServer) -> None:
    with subprocess.Popen(
        COMMAND,
        env=_environment(mcp_server, mcp_server.key),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(json.dumps(call("stores_list")).encode() + b"\n")
        process.stdin.close()
        errors = process.stderr.read().decode()
        code = process.wait(30)

    assert (code, errors) == (0, "")


def test_a_modern_request_needs_no_handshake(mcp_server: McpServer) -> None:
    code, answers, _ = _pipe(
        _environment(mcp_server, mcp_server.key),
        modern("server/discover", message_id=1)[1],
        modern("tools/call", {"name": "stores_list", "arguments": {}}, message_id=2)[1],
    )

    assert code == 0
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["resultType"] == "complete"


def test_a_wrong_key_stops_the_start_with_a_sentence(mcp_server: McpServer) -> None:
    code, answers, errors = _pipe(_environment(mcp_server, "a-key-that-nobody-has"), HELLO)

    assert code == 2
    assert answers == []
    assert errors.startswith("orderdesk: ORDERDESK_MCP_KEY: ")
    assert "Traceback" not in errors


def test_signing_in_by_the_environment_is_written_down(mcp_server: McpServer) -> None:
    before = asyncio.run(_sign_ins(mcp_server))

    _pipe(_environment(mcp_server, mcp_server.reading_key), HELLO)
    _pipe(_environment(mcp_server, "a-key-that-nobody-has"), HELLO)

    good, bad = asyncio.run(_sign_ins(mcp_server))[len(before) :]
    assert (good.via, good.outcome, bool(good.tenant_id), bool(good.credential_id)) == (
        "stdio",
        "ok",
        True,
        True,
    )
    assert (bad.via, bad.outcome, bad.tenant_id, bad.credential_id) == (
        "stdio",
        "AUTH_ERROR",
        None,
        None,
    )


def test_settings_of_servers_do_not_matter(mcp_server: McpServer) -> None:
    listening = {
        "WORKERS": "4",
        "HOST": "0.0.0.0",
        "PORT": str(mcp_server.server.port),
        "PUBLIC_URL": "https://orders.example.com",
    }

    code, answers, errors = _pipe(
        _environment(mcp_server, mcp_server.key, **listening), HELLO, call("stores_list")
    )

    assert code == 0, errors
    assert len(answers) == 2


def test_a_stop_signal_ends_it_and_loses_no_row(mcp_server: McpServer, tmp_path: Path) -> None:
    hello = {
        **HELLO,
        "params": {**HELLO["params"], "clientInfo": {"name": "stopped", "version": "1"}},
    }  # type: ignore[dict-item]
    with subprocess.Popen(
        COMMAND,
        env=_environment(mcp_server, mcp_server.key),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in (hello, call("stores_list")):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    assert len(asyncio.run(_rows(mcp_server, "stopped"))) == 1


def test_the_web_framework_is_never_loaded(mcp_server: McpServer) -> None:
    program = (
        "import sys\nfrom orderdesk_app.cli import main\ncode = main(['stdio'])\n"
        "print(sorted(name for name in sys.modules if "
        "name.split('.')[0].startswith('reflex')), file=sys.stderr)\nsys.exit(code)"
    )
    lines = b"".join(
        json.dumps(message).encode() + b"\n" for message in (HELLO, call("stores_list"))
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=lines,
        env=_environment(mcp_server, mcp_server.key),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert done.stderr.decode().strip().splitlines()[-1] == "[]"


async def _sign_ins(mcp_server: McpServer) -> list[AuditEntry]:
    database = Database(mcp_server.database_url)
    try:
        async with database.read() as session:
            mine = (col(AuditEntry.action) == "sign_in.key", col(AuditEntry.via) == "stdio")
            return list(
                (
                    await session.exec(select(AuditEntry).where(*mine).order_by(col(AuditEntry.at)))
                ).all()
            )
    finally:
        await database.close()


async def _rows(mcp_server: McpServer, client: str) -> list[AuditEntry]:
    database = Database(mcp_server.database_url)
    try:
        async with database.read() as session:
            return list(
                (
                    await session.exec(
                        select(AuditEntry).where(col(AuditEntry.client_name) == client)
                    )
                ).all()
            )
    finally:
        await database.close()
