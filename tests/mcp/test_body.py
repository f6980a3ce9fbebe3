"""Bodies that nobody should send: all of them get an answer in words, none of them a fault of
ours.
"""

import json
import math
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from orderdesk_app.mcp import body as bodies
from orderdesk_app.mcp.body import InvalidRequest, drain_body, read_body
from orderdesk_app.tools.catalogue import every_tool
from tests.mcp_server import LEGACY, MODERN, McpServer, call, modern
from tests.worlds import FIRST_ORDER

MOST = 4 * 1024 * 1024
REFUSED = {
    "empty": b"",
    "half": b'{"jsonrpc":"2.0","id":1',
    "text": b"hello",
    "two": b"{}{}",
    "bad utf-8": b'{"jsonrpc":"2.0","id":1,"method":"tools/list\xff\xfe"}',
    "half a character": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    b'"name":"stores_resolve","arguments":{"identifier":"\\ud800"}}}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    b'"name":"orders_list","arguments":{"limit":NaN}}}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    b'"name":"orders_list","arguments":{"limit":-Infinity}}}',
    "more than a number can be": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    b'"name":"orders_list","arguments":{"limit":1e400}}}',
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
    b'"name":"orders_list","arguments":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "number": b"17",
    "null": b"null",
    "string": b'"tools/list"',
    "object": b"{}",
    "other version": b'{"jsonrpc":"1.0","id":1,"method":"tools/list"}',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "method is a number": b'{"jsonrpc":"2.0","id":1,"method":5}',
    "id is null": b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}',
    "id is an object": b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
    "id is half": b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}',
    "params is a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[1]}',
}


@pytest.mark.parametrize("revision", [None, *LEGACY[1:], MODERN])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_message_is_refused_in_words(
    mcp_server: McpServer, name: str, revision: str | None
) -> None:
    headers = (
        {}
        if revision is None
        else modern("tools/list")[0]
        if revision == MODERN
        else {"mcp-protocol-version": revision}
    )

    with mcp_server.http() as http:
        answer = http.post("/mcp", content=REFUSED[name], headers=headers)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] in (-32700, -32600)
    assert answer.json()["id"] is None
    _in_our_words(answer.text)


ODD: dict[str, Any] = {
    "arguments are a list": [1, 2],
    "arguments are text": "all",
    "arguments are a number": 3,
    "an argument is an object": {"order_id": {"a": {"b": 1}}},
    "an argument is a list": {"order_id": [FIRST_ORDER]},
    "an argument is null": {"order_id": None},
    "an argument is true": {"order_id": True},
    "an id is a float": {"order_id": 1.5},
    "an id is huge": {"order_id": 10**400},
    "an id is long": {"order_id": "1" * 5000},
    "nul": {"order_id": "\x00"},
    "other digits": {"order_id": "١٢٣"},
    "path": {"order_id": "../../store"},
    "a name of nothing": {"": 1},
    "a long name": {"x" * 20_000: 1},
    "many names": {f"name{i}": i for i in range(5000)},
    "deep": {"order_id": json.loads("[" * 150 + "]" * 150)},
    "huge": {"order_id": "9" * 3_000_000},
}


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
@pytest.mark.parametrize("name", ODD)
def test_odd_arguments_are_errors_in_words(mcp_server: McpServer, name: str, revision: str) -> None:
    arguments = ODD[name]
    headers, body = modern("tools/call", {"name": "orders_get", "arguments": arguments})
    if revision != MODERN:
        headers, body = (
            {"mcp-protocol-version": revision},
            {**call("orders_get"), "params": {"name": "orders_get", "arguments": arguments}},
        )

    with mcp_server.http() as http:
        answer = http.post("/mcp", json=body, headers=headers)

    assert answer.status_code in (200, 400)
    told = answer.json()
    if "error" in told:
        assert told["error"]["code"] == -32602
    else:
        assert told["result"]["isError"] is True
        assert told["result"]["content"][0]["text"].startswith("VALIDATION_ERROR: ")
    assert len(answer.content) < 60_000
    _in_our_words(answer.text)


def test_of_a_name_given_twice_the_last_counts_at_both_places(mcp_server: McpServer) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
        b'"name":"orders_delete","name":"stores_list","arguments":{"a":1},"arguments":{}}}'
    )

    with mcp_server.http() as http:
        answer = http.post("/mcp", content=body)

    assert answer.json()["result"]["structuredContent"]["count"] >= 1


def test_an_answer_to_nothing_is_taken_and_forgotten(mcp_server: McpServer) -> None:
    with mcp_server.http() as http:
        legacy = http.post("/mcp", json={"jsonrpc": "2.0", "id": 7, "result": {}})
        modern_one = http.post(
            "/mcp", json={"jsonrpc": "2.0", "id": 7, "result": {}}, headers=modern("tools/list")[0]
        )

    assert legacy.status_code == 202
    assert modern_one.status_code == 400


@pytest.mark.parametrize(
    "method", ["notifications/initialized", "notifications/cancelled", "notifications/of/nothing"]
)
@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_notifications_are_taken_in_silence(
    mcp_server: McpServer, method: str, revision: str
) -> None:
    with mcp_server.http() as http:
        answer = http.post(
            "/mcp",
            json={"jsonrpc": "2.0", "method": method, "params": {"requestId": 1}},
            headers={"mcp-protocol-version": revision, "mcp-method": method},
        )

    assert answer.status_code == 202
    assert answer.content == b""


@pytest.mark.parametrize("revision", [None, "2025-11-25", MODERN])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json-patch+json"}, 415),
        ({"content-type": ""}, 415),
        ({"accept": "text/html"}, 406),
        ({"accept": "text/event-stream"}, 406),
    ],
)
@pytest.mark.parametrize("in_batch", [False, True])
def test_what_is_neither_sent_nor_taken_as_json_is_refused_in_words(
    mcp_server: McpServer, revision: str | None, sent: dict[str, str], status: int, in_batch: bool
) -> None:
    headers, body = modern("tools/list")
    if revision != MODERN:
        headers, body = (
            {} if revision is None else {"mcp-protocol-version": revision},
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        )

    with mcp_server.http() as http:
        answer = http.post("/mcp", json=[body] if in_batch else body, headers={**headers, **sent})

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == -32600
    _in_our_words(answer.text)


@pytest.mark.parametrize(
    "kind",
    ["APPLICATION/JSON", "application/json;charset=UTF-8", "Application/Json ; charset=utf-8"],
)
@pytest.mark.parametrize(
    "accept",
    ["APPLICATION/JSON", "*/*", "application/*;q=0.8, text/html", "text/html, application/json"],
)
@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_media_types_are_read_as_http_writes_them(
    mcp_server: McpServer, kind: str, accept: str, revision: str
) -> None:
    headers, body = modern("tools/list")
    if revision != MODERN:
        headers, body = (
            {"mcp-protocol-version": revision},
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        )

    with mcp_server.http() as http:
        answer = http.post(
            "/mcp", json=body, headers={**headers, "content-type": kind, "accept": accept}
        )

    assert answer.status_code == 200
    assert len(answer.json()["result"]["tools"]) == len(every_tool())


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json, Text/Event-Stream", "application/json;q=0.1, text/*"]
)
@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
def test_who_takes_event_streams_is_told_of_progress(
    mcp_server: McpServer, accept: str, revision: str
) -> None:
    headers, body = modern(
        "tools/call", {"name": "stores_list", "arguments": {}}, progressToken="p"
    )
    if revision != MODERN:
        headers, body = {"mcp-protocol-version": revision}, call("stores_list", progressToken="p")

    with mcp_server.http() as http:
        answer = http.post("/mcp", json=body, headers={**headers, "accept": accept})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "notifications/progress" in answer.text


# ------------------------------------------------------------------ size and time


@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize("extra", [0, 1, 500_000])
def test_four_mebibytes_are_taken_and_no_byte_more(
    mcp_server: McpServer, with_length: bool, extra: int
) -> None:
    head = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
        b'"name":"stores_list","arguments":{"x":"'
    )
    body = head + b"y" * (MOST + extra - len(head) - 4) + b'"}}}'
    assert len(body) == MOST + extra

    with mcp_server.http() as http:
        answer = http.post(
            "/mcp", content=body if with_length else iter([body[:1_000_000], body[1_000_000:]])
        )

    assert answer.status_code == (413 if extra else 200)
    if extra:
        assert (
            answer.json()["error"]["message"]
            == "The request is larger than 4194304 bytes. Send less at a time."
        )


def test_a_length_that_is_only_claimed_is_refused_at_once(mcp_server: McpServer) -> None:
    head = (
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer "
        f"{mcp_server.key}\r\ncontent-type: application/json\r\ncontent-length: "
        "99999999999\r\n\r\n{"
    )
    started = time.monotonic()

    answer = mcp_server.raw(head.encode())

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("headers", "size", "status"),
    [
        ({}, MOST + 1, 413),
        ({}, 5 * MOST, 413),
        ({"authorization": "Bearer nobody's"}, MOST - 1, 401),
        ({"content-type": "text/plain"}, MOST - 1, 415),
    ],
)
async def test_who_sends_much_hears_why_it_is_refused(
    mcp_server: McpServer, headers: dict[str, str], size: int, status: int
) -> None:
    """asyncio's connections forget an answer that came while they were cut off, and the SDK's
    client runs on these.
    """
    headers = {
        "authorization": f"Bearer {mcp_server.key}",
        "content-type": "application/json",
        **headers,
    }

    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"{mcp_server.server.url}/mcp", content=b"y" * size, headers=headers
        )

    assert answer.status_code == status


async def test_a_refused_request_without_an_end_is_not_heard_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "DRAIN_SECONDS", 0.01)
    heard = 0

    async def more() -> Any:
        nonlocal heard
        heard += 1
        return {"type": "http.request", "body": b"y" * 1024 * 1024, "more_body": True}

    async def silence() -> Any:
        await bodies.asyncio.sleep(60)

    await drain_body(silence)
    await drain_body(more)

    assert heard * 1024 * 1024 <= bodies.MAX_DRAINED_BYTES + 1024 * 1024


def test_a_body_in_small_pieces_arrives_whole(mcp_server: McpServer) -> None:
    body = json.dumps(call("stores_list")).encode()
    head = (
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer "
        f"{mcp_server.key}\r\ncontent-type: application/json\r\naccept: "
        f"application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", mcp_server.server.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head.encode())
        for at in range(0, len(body), 7):
            connection.sendall(body[at : at + 7])
            time.sleep(0.005)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)

    async def drop() -> Any:
        await bodies.asyncio.sleep(0.004)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(InvalidRequest) as refused:
        await read_body(Headers({}), drop)

    assert refused.value.status == 408


async def test_a_body_that_does_not_arrive_whole_is_refused() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(InvalidRequest, match="whole") as refused:
        await read_body(Headers({}), gone)

    assert refused.value.status == 400


def _in_our_words(text: str) -> None:
    for word in (
        "pydantic",
        "Traceback",
        "validation error",
        "expected",
        ".py",
        "codec",
        "surrogate",
        "jiter",
    ):
        assert word not in text, text[:500]
    assert not math.isnan(len(text))


@pytest.mark.parametrize("filling", [b"[],", b"{},", b"0,", b'"a":0,'])
def test_a_body_of_very_many_values_is_refused_before_it_is_read(
    mcp_server: McpServer, filling: bytes
) -> None:
    opening, closing = (b"{", b'"z":0}') if filling.startswith(b'"') else (b"[", b"0]")
    deep = opening + filling * 30_000 + closing
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":' + deep + b"}}"

    with mcp_server.http() as http:
        answer = http.post("/mcp", content=body)

    assert answer.status_code == 400
    assert "20,000 values" in answer.json()["error"]["message"]


def test_a_long_text_is_not_many_values(mcp_server: McpServer) -> None:
    note = {"order_id": "1", "changes": {"order_notes": "word " * 100_000}}

    with mcp_server.http() as http:
        answer = http.post("/mcp", json=call("orders_update", note))

    assert answer.status_code == 200
    assert answer.json()["result"]["content"][0]["text"].startswith("VALIDATION_ERROR: order_notes")


@pytest.mark.parametrize(
    "changes",
    [
        {"order_notes": ["note"] * 501},
        {"discount_list": [{"name": "A", "amount": "1"}] * 501},
        {"order_items": [{"name": "Mug"}] * 501},
        {"order_metadata": {str(number): 1 for number in range(501)}},
        {"shipping": {str(number): "x" for number in range(501)}},
        {str(number): "x" for number in range(501)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_list_and_map_has_an_upper_limit(mcp_server: McpServer, changes: Any) -> None:
    arguments = {"order_id": FIRST_ORDER, "changes": changes}

    with mcp_server.http() as http:
        answer = http.post("/mcp", json=call("orders_update", arguments))

    assert "at most 500 entries" in answer.json()["result"]["content"][0]["text"]


LARGE = {
    "one text": b'["' + b"x" * (MOST - 4) + b'"]',
    "escapes": b'["' + b"\\u00e9" * (MOST // 6 - 4) + b'"]',
    "letters of two bytes": b'["' + "é".encode() * (MOST // 2 - 4) + b'"]',
    "backslashes": b'["' + b"\\\\" * (MOST // 2 - 4) + b'"]',
    "spaces": b" " * (MOST - 2) + b"{}",
    "long whole numbers": b"[" + b",".join([b"9" * 200] * 19_000) + b"]",
    "texts like exponents": b'["' + b"e12x" * (MOST // 4 - 4) + b'"]',
    "values": b"[" + b",".join([b'{"a":1.5}'] * 9_900) + b"]",
}


@pytest.mark.parametrize("kind", LARGE)
def test_the_largest_body_is_read_in_a_moment(kind: str) -> None:
    """All others wait meanwhile. Compared with reading an array of numbers of that size."""
    numbers = b"[" + b"1234567," * (MOST // 8 - 1) + b"0]"

    assert _seconds(lambda: bodies.parse(LARGE[kind])) < _seconds(lambda: json.loads(numbers))


def _seconds(work: Callable[[], object]) -> float:
    """Of the processor; the best of three."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


@pytest.mark.parametrize("number", [b"1e400", b"-1E+999", b"9" * 400 + b".0"])
@pytest.mark.parametrize("place", [b"%s", b'{"a":[{"b":%s}]}', b'["' + b"x" * 20_000 + b'",%s]'])
def test_a_number_beyond_all_is_refused_in_bodies_of_any_length(
    place: bytes, number: bytes
) -> None:
    with pytest.raises(InvalidRequest):
        bodies.parse(place % number)
