"""What an agent is told of its limit: `RateLimit-*` on every answer that a key gets at `/mcp`, and
`Retry-After` where a call was refused.
"""

from typing import Any

import httpx
import pytest

from orderdesk_app import wiring
from orderdesk_app.services.limits import WRONG_KEYS
from orderdesk_app.token_bucket import TokenBucket
from tests.mcp_server import REVISIONS, InProcessApp, call, modern
from tests.worlds import MASTER_KEY, on_sqlite

BEARER = {
    "authorization": f"Bearer {MASTER_KEY}",
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
}
NAMES = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def told(answer: httpx.Response) -> tuple[int, ...]:
    return tuple(int(answer.headers[name]) for name in NAMES)


def slow(capacity: float) -> TokenBucket:
    """A bucket into which nothing comes back while a test runs."""
    return TokenBucket(capacity, 1 / 1000)


async def ask(
    http: httpx.AsyncClient, revision: str, tool: str = "stores_list", **meta: Any
) -> httpx.Response:
    if revision == REVISIONS[-1]:
        headers, body = modern("tools/call", {"name": tool, "arguments": {}}, **meta)
    else:
        headers, body = {"mcp-protocol-version": revision}, call(tool, **meta)
    return await http.post("/mcp", json=body, headers=BEARER | headers)


@on_sqlite
@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_call_says_what_is_left(inside: InProcessApp, revision: str) -> None:
    async with inside(RATE_LIMIT_RPM="120") as http:
        first = await ask(http, revision)
        wiring.current().limits.tools.rules = slow(240)
        answers = [await ask(http, revision) for _ in range(3)]

    assert told(first) == (240, 239, 1)
    assert [told(answer)[1] for answer in answers] == [238, 237, 236]
    assert all("retry-after" not in answer.headers for answer in answers)


@on_sqlite
@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("meta", [{}, {"progressToken": "p"}])
async def test_a_refused_call_says_when_to_come_back(
    inside: InProcessApp, revision: str, meta: dict[str, str]
) -> None:
    async with inside(RATE_LIMIT_RPM="120") as http:
        wiring.current().limits.tools.rules = slow(1)
        await ask(http, revision)
        answer = await ask(http, revision, **meta)

    assert "RATE_LIMIT_EXCEEDED" in answer.text
    assert told(answer)[:2] == (1, 0)
    if "text/event-stream" not in answer.headers["content-type"]:  # it began before the call did
        assert 990 < int(answer.headers["retry-after"]) <= 1000
        assert told(answer)[2] >= int(answer.headers["retry-after"])


@on_sqlite
@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_stream_has_each_header_once_and_none_of_an_earlier_one(
    inside: InProcessApp, revision: str
) -> None:
    """The SDK begins all its streams with one list of headers."""
    origin = {"origin": "http://localhost:8080"}
    async with inside() as http:
        for _ in range(3):
            headers, body = modern("tools/call", {"name": "stores_list", "arguments": {}})
            if revision != REVISIONS[-1]:
                headers, body = {"mcp-protocol-version": revision}, call("stores_list")
            body["params"].setdefault("_meta", {})["progressToken"] = "p"
            answer = await http.post("/mcp", json=body, headers=BEARER | origin | headers)
            names = [name for name, _ in answer.headers.raw]

    assert "text/event-stream" in answer.headers["content-type"]
    assert sorted(names) == sorted(set(names))


@on_sqlite
async def test_the_bucket_of_the_key_is_said_where_it_has_less(inside: InProcessApp) -> None:
    async with inside(RATE_LIMIT_RPM="120") as http:
        wiring.current().limits.tools.rules = slow(240)
        wiring.current().limits.tools.caller_rules = slow(5)
        answers = [await ask(http, REVISIONS[-1]) for _ in range(7)]
        account = (await http.get("/mcp", headers=BEARER)).headers

    assert [told(answer)[:2] for answer in answers] == [(5, left) for left in (4, 3, 2, 1, 0, 0, 0)]
    assert ["retry-after" in answer.headers for answer in answers] == [False] * 5 + [True] * 2
    assert account["ratelimit-limit"] == "5"


@on_sqlite
async def test_every_answer_to_a_key_says_it_whatever_was_asked(inside: InProcessApp) -> None:
    listed, hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, {"jsonrpc": "2.0"}
    bodies: list[Any] = [listed, hello, [], [call("stores_list"), call("stores_list")], 7, "x"]
    bodies += [{**listed, "method": "no/such"}, {"jsonrpc": "2.0", "method": "notifications/x"}]
    async with inside(RATE_LIMIT_RPM="120") as http:
        answers = [await http.post("/mcp", json=body, headers=BEARER) for body in bodies]
        answers += [
            await http.request(method, "/mcp", headers=BEARER)
            for method in ("GET", "HEAD", "PUT", "DELETE")
        ]
        answers.append(await http.post("/mcp", content=b"{", headers=BEARER))
        stranger = await http.post("/mcp", json=listed)

    assert [told(answer)[0] for answer in answers] == [240] * len(answers)
    assert {answer.status_code for answer in answers} >= {200, 202, 400, 405}
    assert not set(NAMES) & set(stranger.headers)


@on_sqlite
async def test_a_batch_waits_for_the_call_that_has_to_wait_longest(inside: InProcessApp) -> None:
    async with inside(RATE_LIMIT_RPM="120") as http:
        wiring.current().limits.tools.rules = TokenBucket(2, 1 / 100)
        body = [call("orders_delete"), call("orders_delete"), call("stores_list")]
        answer = await http.post("/mcp", json=body, headers=BEARER)

    assert answer.text.count("RATE_LIMIT_EXCEEDED") == 4  # each in the code and in the text
    assert 190 < int(answer.headers["retry-after"]) <= 200


@on_sqlite
async def test_a_network_with_too_many_wrong_keys_is_told_too(inside: InProcessApp) -> None:
    wrong = BEARER | {"authorization": f"Bearer odk_{'x' * 43}"}
    async with inside(RATE_LIMIT_RPM="120") as http:
        for _ in range(WRONG_KEYS + 2):
            answer = await http.post("/mcp", json=call("stores_list"), headers=wrong)

    assert answer.status_code == 429
    assert told(answer)[:2] == (WRONG_KEYS, 0)
    assert int(answer.headers["retry-after"]) >= 1


@on_sqlite
async def test_a_page_of_ours_may_read_what_is_left(inside: InProcessApp) -> None:
    async with inside(RATE_LIMIT_RPM="120") as http:
        answer = await http.post(
            "/mcp", json=call("stores_list"), headers=BEARER | {"origin": "http://localhost:8080"}
        )

    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {*NAMES, "retry-after"} <= set(exposed)
