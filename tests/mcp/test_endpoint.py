"""`/mcp` as a stranger meets it: keys, methods, pages of our own and of others, tokens in
addresses. No client library smooths anything.
"""

import gzip
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from sqlalchemy import text
from sqlmodel import select

from orderdesk_app import wiring
from orderdesk_app.context import Actor, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.services.limits import WRONG_KEYS
from tests.conftest import Postgres
from tests.mcp_server import MODERN, REVISIONS, InProcessApp, McpServer, call, modern
from tests.worlds import FIRST_ORDER, MASTER_KEY, PROMISED, eventually, on_sqlite, open_services

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


@pytest.fixture
def stranger(mcp_server: McpServer) -> Iterator[httpx.Client]:
    with mcp_server.http("") as http:
        yield http


@pytest.fixture
def agent(mcp_server: McpServer) -> Iterator[httpx.Client]:
    with mcp_server.http() as http:
        yield http


# ------------------------------------------------------------------ who are you?


@pytest.mark.parametrize("method", METHODS)
def test_without_a_key_every_method_is_asked_for_one(stranger: httpx.Client, method: str) -> None:
    answer = stranger.request(method, "/mcp")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "error=" not in answer.headers["www-authenticate"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", METHODS)
def test_a_bad_key_is_called_invalid_whatever_the_method(
    stranger: httpx.Client, method: str
) -> None:
    answer = stranger.request(method, "/mcp", headers={"authorization": "Bearer odk_not-a-key"})

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("headers", "words"),
    [({}, "needs a key"), ({"authorization": "Bearer odk_not-a-key"}, "not known here")],
)
def test_a_client_of_mcp_reads_the_reason_as_an_error_of_json_rpc(
    stranger: httpx.Client, headers: dict[str, str], words: str
) -> None:
    answer = stranger.post("/mcp", json=LIST, headers=headers)

    assert answer.status_code == 401
    assert (answer.json()["jsonrpc"], answer.json()["id"]) == ("2.0", None)
    assert words in answer.json()["error"]["message"]
    assert answer.json()["message"] == answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer \t ",
        "Token abc",
        "Bearer \xff\xfe",
        "Bearer " + "k" * 9000,
        "Bearer a b c",
    ],
)
def test_what_is_no_bearer_key_is_refused(mcp_server: McpServer, given: str) -> None:
    answer = mcp_server.raw(
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n"
        b"authorization: " + given.encode("latin-1") + b"\r\n\r\n{}"
    )

    assert answer.startswith(b"HTTP/1.1 401 ")


def test_the_scheme_may_be_written_in_any_case(
    mcp_server: McpServer, stranger: httpx.Client
) -> None:
    answer = stranger.post(
        "/mcp", json=LIST, headers={"authorization": f"bEARER   {mcp_server.key}"}
    )

    assert answer.status_code == 200


def test_a_body_is_not_read_for_a_stranger(mcp_server: McpServer) -> None:
    answer = mcp_server.raw(
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        b"application/json\r\nContent-Length: 4000000\r\n\r\n{"
    )

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_sdks_client_shows_why_a_key_is_refused(
    mcp_server: McpServer, revision: str
) -> None:
    async def list_tools() -> None:
        async with mcp_server.client(revision, key="a-key-that-nobody-has") as client:
            await client.list_tools()

    with pytest.raises((MCPError, ExceptionGroup)) as refused:
        await list_tools()

    error: BaseException = refused.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert "This key is not known here" in str(error)
    assert "as Authorization: Bearer" in str(error)


@on_sqlite
async def test_wrong_keys_are_limited_and_keys_that_work_are_not(inside: InProcessApp) -> None:
    async with inside() as http:
        good = await http.post("/mcp", json=LIST, headers=BEARER)
        answers = [
            await http.post("/mcp", json=LIST, headers={"authorization": f"Bearer odk_{'x' * 43}"})
            for _ in range(WRONG_KEYS + 20)
        ]
        still_good = await http.post("/mcp", json=LIST, headers=BEARER)
        services = wiring.current()
        await services.audit.stop()
        async with services.database.read() as session:
            question = select(AuditEntry).where(AuditEntry.action == "key.check")
            rows = (await session.exec(question)).all()

    assert {answer.status_code for answer in answers} == {401, 429}
    limited = answers[-1]
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) >= 1
    assert "Too many wrong keys" in limited.json()["error"]["message"]
    assert (good.status_code, still_good.status_code) == (200, 200)
    refused = sum(answer.status_code == 401 for answer in answers)
    assert sorted(row.times for row in rows) == [1] * 10 + [refused - 10]


# ------------------------------------------------------------------ methods


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_only_post_is_served(agent: httpx.Client, method: str) -> None:
    answer = agent.request(method, "/mcp", headers={"mcp-session-id": "of-an-old-server"})

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert "mcp-session-id" not in answer.headers


def test_options_is_answered_also_to_strangers(stranger: httpx.Client) -> None:
    answer = stranger.options("/mcp")

    assert answer.status_code == 204
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_ours_may_ask_first_and_then_call(
    mcp_server: McpServer, agent: httpx.Client
) -> None:
    origin = f"http://localhost:{mcp_server.server.port}"
    ask = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, mcp-method",
    }

    asked = agent.options("/mcp", headers=ask)
    called = agent.post("/mcp", json=LIST, headers={"origin": origin})

    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == origin
    assert "mcp-method" in asked.headers["access-control-allow-headers"].lower()
    assert called.status_code == 200
    assert called.headers["access-control-allow-origin"] == origin
    assert "Origin" in called.headers["vary"]


def test_an_address_below_is_not_the_entry_point(agent: httpx.Client) -> None:
    assert agent.post("/mcp/tools", json=LIST).status_code == 404


@pytest.mark.parametrize("revision", [None, "2025-03-26", MODERN])
def test_a_slash_at_the_end_changes_nothing(
    agent: httpx.Client, stranger: httpx.Client, mcp_server: McpServer, revision: str | None
) -> None:
    headers, body = modern("tools/list") if revision == MODERN else ({}, LIST)
    if revision and revision != MODERN:
        headers = {"mcp-protocol-version": revision}

    plain, slashed = [agent.post(path, json=body, headers=headers) for path in ("/mcp", "/mcp/")]
    in_address = stranger.post("/mcp/", params={"token": mcp_server.key}, json=LIST)

    assert slashed.status_code == in_address.status_code == 200
    assert slashed.json() == plain.json()
    assert stranger.post("/mcp/", json=LIST).status_code == 401
    assert agent.get("/mcp/").status_code == 405
    assert stranger.options("/mcp/").status_code == 204


# ------------------------------------------------------------------ packed bodies


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "br", "zstd", "deflate", "x", "identity, gzip"]
)
def test_a_packed_body_is_refused_and_not_unpacked(agent: httpx.Client, encoding: str) -> None:
    body = gzip.compress(json.dumps(LIST).encode())

    answer = agent.post("/mcp", content=body, headers={"content-encoding": encoding})
    plain = agent.post("/mcp", json=LIST, headers={"content-encoding": encoding})

    assert answer.status_code == plain.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]["message"]
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "", "Identity"])
def test_a_plain_body_may_say_so(agent: httpx.Client, encoding: str) -> None:
    answer = agent.post("/mcp", json=LIST, headers={"content-encoding": encoding})

    assert answer.status_code == 200


# ------------------------------------------------------------------ sessions that are none


@pytest.mark.parametrize("revision", [None, "2025-11-25"])
def test_a_session_id_of_another_server_is_ignored(
    agent: httpx.Client, revision: str | None
) -> None:
    answer = agent.post(
        "/mcp",
        json=LIST,
        headers={
            "mcp-session-id": "0123",
            "last-event-id": "7",
            **({"mcp-protocol-version": revision} if revision else {}),
        },
    )

    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers


def test_an_unknown_revision_is_refused_in_words(agent: httpx.Client) -> None:
    headers, body = modern("tools/list")
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2031-01-01"

    answer = agent.post(
        "/mcp", json=body, headers={**headers, "mcp-protocol-version": "2031-01-01"}
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32022
    assert MODERN in answer.json()["error"]["data"]["supported"]


def test_an_unknown_revision_of_the_old_era_is_told_what_is_spoken(agent: httpx.Client) -> None:
    answer = agent.post("/mcp", json=LIST, headers={"mcp-protocol-version": "1999-01-01"})

    assert answer.status_code == 400
    assert "'1999-01-01' of MCP is not spoken here" in answer.json()["error"]["message"]
    assert "2025-11-25, 2026-07-28" in answer.json()["error"]["message"]


def test_white_space_around_header_values_does_not_count(
    agent: httpx.Client, mcp_server: McpServer
) -> None:
    headers, body = modern("tools/call", {"name": "stores_list", "arguments": {}})
    sent = json.dumps(body).encode()
    lines = [
        f"{name}: \t {value} \t ".encode()
        for name, value in {
            **headers,
            "accept": "application/json",
            "content-type": "application/json",
            "authorization": f"Bearer {mcp_server.key}",
        }.items()
    ]

    answer = mcp_server.raw(
        b"\r\n".join(
            [
                b"POST /mcp HTTP/1.1",
                b"host: localhost",
                *lines,
                b"content-length: %d" % len(sent),
                b"",
                sent,
            ]
        )
    )

    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]


def test_a_header_that_contradicts_the_body_is_refused(agent: httpx.Client) -> None:
    headers, body = modern("tools/call", {"name": "stores_list", "arguments": {}})

    answer = agent.post("/mcp", json=body, headers={**headers, "mcp-name": "orders_delete"})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32020


# ------------------------------------------------------------------ a key in the address


@pytest.fixture(scope="module")
def master_key(mcp_server: McpServer) -> str:
    return mcp_server.key


def test_a_master_key_may_stand_in_the_address(stranger: httpx.Client, master_key: str) -> None:
    answer = stranger.post("/mcp", params={"token": master_key}, json=call("stores_list"))

    assert answer.json()["result"]["isError"] is False


def test_an_access_key_may_not(stranger: httpx.Client, mcp_server: McpServer) -> None:
    answer = stranger.post("/mcp", params={"token": mcp_server.reading_key}, json=LIST)

    assert answer.status_code == 401
    assert "Send it as Authorization: Bearer" in answer.json()["message"]


def test_the_header_wins_over_the_address(stranger: httpx.Client, mcp_server: McpServer) -> None:
    good_header = stranger.post(
        "/mcp",
        params={"token": "nonsense"},
        json=LIST,
        headers={"authorization": f"Bearer {mcp_server.reading_key}"},
    )
    bad_header = stranger.post(
        "/mcp",
        params={"token": mcp_server.key},
        json=LIST,
        headers={"authorization": "Bearer nonsense"},
    )

    assert {tool["name"] for tool in good_header.json()["result"]["tools"]} == {
        "orders_list",
        "orders_get",
    }
    assert bad_header.status_code == 401


def test_no_key_ever_stands_in_the_log(mcp_server: McpServer, stranger: httpx.Client) -> None:
    stranger.post("/mcp", params={"token": mcp_server.key}, json=call("stores_list"))
    stranger.post("/mcp", params={"token": "a-wrong-key-in-the-address", "page": "2"}, json=LIST)
    stranger.get("/health", params={"token": mcp_server.key})
    stranger.post("/mcp", json=LIST, headers={"authorization": "Bearer a-wrong-key-in-the-header"})
    stranger.post(
        "/mcp",
        content=b"{" + mcp_server.key.encode(),
        headers={"authorization": f"Bearer {mcp_server.key}"},
    )

    log = mcp_server.server.log.read_text()

    assert '"level": "debug"' in log
    for secret in (
        mcp_server.key,
        mcp_server.neighbours_key,
        mcp_server.reading_key,
        "a-wrong-key",
        "token=",
    ):
        assert secret not in log


# ------------------------------------------------------------------ request ids


def test_a_request_id_comes_back_and_stands_in_the_log(
    agent: httpx.Client, mcp_server: McpServer
) -> None:
    answer = agent.post("/mcp", json=LIST, headers={"x-request-id": "from-outside-0001"})

    assert answer.headers["x-request-id"] == "from-outside-0001"
    # it is written after the answer
    assert _appears(mcp_server, '"request_id": "from-outside-0001"')


@pytest.mark.parametrize(
    "given",
    [
        "short",
        "with space inside",
        "x" * 65,
        'quote"quote"',
        "näme-with-umlaut",
        "<script>alert</script>",
    ],
)
def test_a_strange_request_id_is_replaced(agent: httpx.Client, given: str) -> None:
    answer = agent.post("/mcp", json=LIST, headers=[(b"x-request-id", given.encode("latin-1"))])

    assert re.fullmatch(r"[0-9A-Z]{26}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0","id":1,"method":"nothing"}']
)
def test_errors_of_the_protocol_carry_a_request_id_too(agent: httpx.Client, body: bytes) -> None:
    assert agent.post("/mcp", content=body).headers["x-request-id"]
    assert agent.post("/mcp", content=body, headers=modern("tools/list")[0]).headers["x-request-id"]


# ------------------------------------------------------------------ bare sockets


def _request(
    mcp_server: McpServer,
    body: bytes,
    *lines: bytes,
    path: bytes = b"/mcp",
    host: bytes = b"host: localhost",
    key: str | None = None,
) -> bytes:
    head = [
        b"POST " + path + b" HTTP/1.1",
        host,
        b"authorization: Bearer " + (key or mcp_server.key).encode(),
        b"content-type: application/json",
        b"accept: application/json",
    ]
    return b"\r\n".join([*head, *lines, b"", body])


def test_requests_sent_in_one_go_are_answered_in_their_order(mcp_server: McpServer) -> None:
    one = _body(call("stores_list", message_id=1))
    two = _body(call("stores_resolve", {"identifier": mcp_server.store_id}, message_id=2))
    *requests, last = [[body, b"content-length: %d" % len(body)] for body in (one, two, one)]
    sent = b"".join(
        _request(mcp_server, *request) for request in [*requests, [*last, b"connection: close"]]
    )

    answer = mcp_server.raw(sent, quiet=20)  # the server closes it when all is said

    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert [int(found) for found in re.findall(rb'"id":(\d)', answer)] == [1, 2, 1]


def test_two_hosts_are_none(mcp_server: McpServer) -> None:
    body = _body(LIST)

    answer = mcp_server.raw(
        _request(
            mcp_server,
            body,
            b"host: localhost",
            b"connection: close",
            b"content-length: %d" % len(body),
        )
    )

    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421")


def test_no_host_is_none(mcp_server: McpServer) -> None:
    body = _body(LIST)

    answer = mcp_server.raw(
        _request(
            mcp_server,
            body,
            b"connection: close",
            b"content-length: %d" % len(body),
            host=b"x-nothing: 1",
        )
    )

    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421")


def test_two_lengths_are_refused(mcp_server: McpServer) -> None:
    body = _body(LIST)

    answer = mcp_server.raw(
        _request(mcp_server, body, b"content-length: %d" % len(body), b"content-length: 5")
    )

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_who_hangs_up_in_the_middle_harms_nobody(
    mcp_server: McpServer, agent: httpx.Client
) -> None:
    for sent in (b'{"jsonrpc"', _body(call("orders_get", {"order_id": FIRST_ORDER}))):
        mcp_server.raw(_request(mcp_server, sent, b"content-length: 5000"), seconds=0.3)

    assert agent.post("/mcp", json=LIST).status_code == 200
    assert "Traceback" not in mcp_server.server.log.read_text()


def _appears(mcp_server: McpServer, text: str) -> bool:
    until = time.monotonic() + 5
    while text not in mcp_server.server.log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    return text in mcp_server.server.log.read_text()


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


# ------------------------------------------------------------------ other settings, broken parts, a


UNKNOWN = "Bearer odk_" + "x" * 43
BEARER = {
    "authorization": f"Bearer {MASTER_KEY}",
    "accept": "application/json",
    "content-type": "application/json",
}


@on_sqlite
async def test_keys_in_addresses_can_be_refused(inside: InProcessApp) -> None:
    async with inside(ALLOW_QUERY_TOKEN="false") as http:
        in_address = await http.post(
            "/mcp", params={"token": MASTER_KEY}, json=LIST, headers={"accept": "application/json"}
        )
        in_header = await http.post("/mcp", json=LIST, headers=BEARER)

    assert in_address.status_code == 401
    assert in_header.status_code == 200


async def test_a_row_names_program_address_and_request(inside: InProcessApp) -> None:
    async with inside(TRUST_PROXY="2") as http:
        told = {**BEARER, "user-agent": "shop-bot/3", "x-forwarded-for": "203.0.113.9, 192.0.2.1"}
        for revision, request in (("2025-11-25", "of-the-old-era"), (MODERN, "of-the-new-era")):
            headers, body = modern("tools/call", {"name": "stores_list", "arguments": {}})
            if revision != MODERN:
                headers, body = {"mcp-protocol-version": revision}, call("stores_list")
            await http.post("/mcp", json=body, headers={**told, **headers, "x-request-id": request})
        services = wiring.current()
        await services.audit.flush()
        async with services.database.read() as session:
            rows = (
                await session.exec(select(AuditEntry).where(AuditEntry.tool == "stores_list"))
            ).all()

    assert {(row.request_id, row.client_name, row.client_version) for row in rows} == {
        ("of-the-old-era", "shop-bot/3", ""),
        ("of-the-new-era", "tests", "1"),
    }
    assert {row.address for row in rows} == {"203.0.113.9"}


@on_sqlite
@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("arguments", [[], ["x"], "[]", "text", 5, True])
@pytest.mark.parametrize("revision", ["2025-03-26", "2025-11-25", MODERN])
async def test_arguments_that_are_no_object_are_refused_in_words_and_leave_a_row(
    inside: InProcessApp, revision: str, arguments: Any, progress: bool
) -> None:
    meta = {"progressToken": "p"} if progress else {}
    headers, body = modern("tools/call", {"name": "orders_get", "arguments": arguments}, **meta)
    if revision != MODERN:
        headers, body = {"mcp-protocol-version": revision}, call("orders_get", arguments, **meta)
    async with inside() as http:
        answer = await http.post(
            "/mcp",
            json=body,
            headers={
                **BEARER,
                "accept": "application/json, text/event-stream",
                **headers,
                "x-request-id": "malformed",
            },
        )
        services = wiring.current()
        await services.audit.flush()
        async with services.database.read() as session:
            rows = (
                await session.exec(select(AuditEntry).where(AuditEntry.request_id == "malformed"))
            ).all()

    result = json.loads(
        next(line for line in answer.text.splitlines() if "result" in line).removeprefix("data: ")
    )["result"]
    assert result["isError"] is True
    assert (
        result["content"][0]["text"]
        == "VALIDATION_ERROR: Arguments must be an object of names and values."
    )
    assert result["_meta"]["orderdesk/error"]["code"] == "VALIDATION_ERROR"
    assert [(row.tool, row.outcome) for row in rows] == [("orders_get", "VALIDATION_ERROR")]


async def test_a_program_that_said_its_name_at_the_handshake_is_known_by_it(
    inside: InProcessApp,
) -> None:
    def hello(name: str) -> dict[str, object]:
        about = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": name, "version": "9"},
        }
        return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about}

    async with inside() as http:
        for agent in ("one", "two"):
            await http.post(
                "/mcp", json=hello(f"program {agent}"), headers={**BEARER, "user-agent": agent}
            )
        for agent in ("one", "two", "three"):
            await http.post(
                "/mcp", json=call("stores_list"), headers={**BEARER, "user-agent": agent}
            )
        services = wiring.current()
        await services.audit.flush()
        async with services.database.read() as session:
            rows = (
                await session.exec(select(AuditEntry).where(AuditEntry.tool == "stores_list"))
            ).all()

    assert sorted(row.client_name for row in rows) == ["program one", "program two", "three"]


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
async def test_a_write_works_whatever_its_program_calls_itself(
    inside: InProcessApp, revision: str
) -> None:
    strange = {"name": "Cl\u0000au\u202ede\n" + "x" * 200, "version": "1\u0000"}
    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": strange},
    }
    update = {
        "name": "orders_update",
        "arguments": {"order_id": FIRST_ORDER, "changes": {"shipping": {"city": "Lagos"}}},
    }
    async with inside() as http:
        services = wiring.current()
        await services.stores.add_sandbox((await services.access.by_token(MASTER_KEY)).actor)
        if revision == MODERN:
            headers, body = modern(
                "tools/call", update, **{"io.modelcontextprotocol/clientInfo": strange}
            )
        else:
            await http.post("/mcp", json=hello, headers=BEARER)
            headers, body = (
                {"mcp-protocol-version": revision},
                call("orders_update", update["arguments"]),
            )
        named = await http.post("/mcp", json=body, headers={**BEARER, **headers})
        async with services.database.read() as session:
            [row] = (
                await session.exec(select(AuditEntry).where(AuditEntry.tool == "orders_update"))
            ).all()

    assert named.json()["result"]["isError"] is False, named.text
    assert row.client_name == "Claude " + "x" * 73
    assert row.client_version == "1"


async def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    mcp_server: McpServer,
) -> None:
    async with open_services(mcp_server.settings) as elsewhere:
        tenant = (await elsewhere.access.by_token(mcp_server.key)).actor
        person = Actor(tenant_id=tenant.tenant_id, via=Via.WEB)
        view, key = await elsewhere.keys.create(person, "for a moment")
        with mcp_server.http(key.reveal()) as http:
            assert http.post("/mcp", json=LIST).status_code == 200
            await elsewhere.keys.revoke(person, view.id)

            async def is_refused() -> bool:
                return http.post("/mcp", json=LIST).status_code == 401

            await eventually(is_refused, PROMISED)


async def test_without_a_database_callers_are_told_to_come_back(inside: InProcessApp) -> None:
    async with inside() as http:
        known = await http.post("/mcp", json=LIST, headers=BEARER)
        async with wiring.current().database.write() as session:
            await (await session.connection()).execute(
                text("ALTER TABLE credentials RENAME TO elsewhere")
            )
        still_known = await http.post("/mcp", json=LIST, headers=BEARER)
        unknown = await http.post("/mcp", json=LIST, headers={**BEARER, "authorization": UNKNOWN})

    assert known.status_code == still_known.status_code == 200
    assert unknown.status_code == 503
    assert int(unknown.headers["retry-after"]) > 0
    assert unknown.json()["error"]["code"] == -32603
    assert unknown.headers["x-request-id"] in unknown.json()["error"]["message"]
    assert "credentials" not in unknown.text
    assert "SELECT" not in unknown.text


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_good_keys_work_again_as_soon_as_postgres_is_back(
    inside: InProcessApp, postgres: Postgres, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with inside(LOG_LEVEL="ERROR") as http:
        before = await http.post("/mcp", json=LIST, headers=BEARER)
        postgres.shut(name)
        # as when the line on which changes are heard breaks: what was known is asked anew
        wiring.current().signals.deliver("*")
        capfd.readouterr()
        away = [
            await http.post(
                "/mcp", json=LIST, headers={**BEARER, **key, "x-request-id": "while-it-was-away"}
            )
            for key in ({}, {"authorization": UNKNOWN})
        ]
        told = [line for line in capfd.readouterr().err.splitlines() if "while-it-was-away" in line]
        postgres.reopen(name)
        after = await http.post("/mcp", json=LIST, headers=BEARER)

    assert [answer.status_code for answer in (before, *away, after)] == [200, 503, 503, 200]
    # one line a second of each kind: an outage does not fill the log
    assert 1 <= len(told) <= 2


@on_sqlite
@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
async def test_a_fault_of_ours_in_the_protocol_tells_a_reference_and_no_text(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    def broken() -> None:
        raise KeyError("a secret of ours")

    async with inside() as http:
        monkeypatch.setattr("orderdesk_app.mcp.server.every_tool", broken)
        headers, body = modern("tools/list")
        answer = await http.post(
            "/mcp",
            json=body if revision == MODERN else LIST,
            headers={**BEARER, **(headers if revision == MODERN else {})},
        )

    assert answer.json()["error"]["code"] == -32603
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "secret" not in answer.text


@on_sqlite
async def test_without_the_web_app_nobody_is_sent_to_oauth(inside: InProcessApp) -> None:
    async with inside() as http:
        refused = await http.post("/mcp")
        metadata = await http.get("/.well-known/oauth-protected-resource/mcp")
        token = await http.post("/token", data={"grant_type": "authorization_code"})

    assert "resource_metadata" not in refused.headers["www-authenticate"]
    assert "scope" not in refused.headers["www-authenticate"]
    assert (metadata.status_code, token.status_code) == (404, 403)
    for answer in (metadata, token):
        assert "This server has no OAuth sign-in" in answer.json()["error_description"]
