"""Requests that a machine thinks up: Schemathesis over the plain routes, and JSON-RPC bodies at
`/mcp`. None ends in a 5xx, and none hangs. Guards: the checks of forms, and of mcp/body.py.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderdesk_app.mcp import endpoint
from orderdesk_app.routes import every_route, forms
from orderdesk_app.routes.openapi import openapi
from orderdesk_app.tools.catalogue import every_tool
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, switched_off
from tests.web.browser_session import ORIGIN

SECONDS = 10.0  # of one answer, on a busy machine
FEW = settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,  # the same requests at each run: a failure can be seen again
    suppress_health_check=list(HealthCheck),
)


def operations() -> Iterator[Any]:
    document = schemathesis.openapi.from_dict(openapi(every_route()))
    for found in document.get_all_operations():
        yield found.ok()


def send(cast: Cast, who: str, case: Any) -> httpx.Response:
    """The request that was thought up, from a page of ours, with the session of that person."""
    cast.sign_in_again(who)  # the one before may have signed them out
    given = case.as_transport_kwargs(base_url=ORIGIN)
    fields = given.get("data")
    if isinstance(fields, dict):  # else no form would get past its token
        fields = {**fields, "form_token": cast.form_token(who)}
    headers = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
    if cast[who].cookie:
        headers["cookie"] = f"orderdesk_session={cast[who].cookie}"
    if "json" in given:
        headers["content-type"] = "application/json"
        body: Any = {"content": json.dumps(given["json"]).encode()}
    else:
        body = {"data": _texts(fields)}
    request = httpx.Request(
        given["method"], given["url"], params=given.get("params"), headers=headers, **body
    )
    return ask(cast, request)


def _texts(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return None
    return {
        str(name).encode(errors="ignore").decode(): str(value).encode(errors="ignore").decode()
        for name, value in fields.items()
    }


def ask(cast: Cast, request: httpx.Request) -> httpx.Response:
    async def within_its_time() -> httpx.Response:
        transport = httpx.ASGITransport(cast.web.client.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with asyncio.timeout(SECONDS):
            answer = await transport.handle_async_request(request)
            await answer.aread()
            return answer

    answer: httpx.Response = cast.web.do(within_its_time)
    return answer


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_request_that_schemathesis_makes_fails_or_hangs(cast: Cast, who: str) -> None:
    failed: list[Any] = []
    asked: set[str] = set()

    for operation in operations():

        @FEW
        @given(operation.as_strategy())
        def run(case: Any) -> None:
            answer = send(cast, who, case)
            if answer.status_code >= 500:
                failed.append((case.method, case.formatted_path, case.query, case.body))
            asked.add(case.path)

        run()

    assert failed == []
    # nobody wrote what they have to write who delete themselves
    assert {"/account/delete", "/account/delete-account", "/sign-out"} <= asked
    assert who == ANONYMOUS or cast.form_token(who)


# ------------------------------------------------------------------ JSON-RPC

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
_METHODS = st.sampled_from(
    [
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "prompts/get",
        "prompts/list",
        "completion/complete",
        "server/discover",
        "logging/setLevel",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "subscriptions/listen",
        "tasks/get",
    ]
)
_NAMES = st.sampled_from([tool.name for tool in every_tool() if tool.reads]) | st.text(max_size=20)
_META = st.fixed_dictionaries(
    {},
    optional={
        "progressToken": _VALUES,
        "io.modelcontextprotocol/protocolVersion": st.sampled_from(
            ["2026-07-28", "2025-11-25", "x"]
        )
        | _VALUES,
        "io.modelcontextprotocol/clientInfo": _VALUES,
        "io.modelcontextprotocol/clientCapabilities": _VALUES,
    },
)
_PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "name": _NAMES | _VALUES,
        "arguments": st.dictionaries(st.text(max_size=15), _VALUES, max_size=4) | _VALUES,
        "uri": st.text(max_size=30) | _VALUES,
        "cursor": _VALUES,
        "requestId": _VALUES,
        "protocolVersion": _VALUES,
        "_meta": _META | _VALUES,
    },
)
_MESSAGE = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | _VALUES, "method": _METHODS | st.text(max_size=20)},
    optional={"id": st.integers() | st.text(max_size=10) | _VALUES, "params": _PARAMS | _VALUES},
)
_BODY = st.one_of(
    _MESSAGE.map(json.dumps),
    st.lists(_MESSAGE | _VALUES, max_size=4).map(json.dumps),
    _VALUES.map(json.dumps),
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    _MESSAGE.map(lambda message: json.dumps(message)[:-3]),
)
_REVISION = st.sampled_from(
    ["", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "2099-01-01", "x"]
)
_ACCEPT = st.sampled_from(["application/json", "application/json, text/event-stream", "*/*", ""])


def rpc(cast: Cast, body: str, revision: str, accept: str) -> httpx.Response:
    named = {"mcp-protocol-version": revision, "accept": accept}
    headers = {
        "authorization": f"Bearer {cast[OWNER].key.reveal()}",
        "content-type": "application/json",
        **{name: value for name, value in named.items() if value},
    }
    return ask(cast, httpx.Request("POST", f"{ORIGIN}/mcp", content=body.encode(), headers=headers))


def test_no_json_rpc_body_fails_or_hangs(cast: Cast) -> None:
    failed = []

    @settings(FEW, max_examples=150)
    @given(body=_BODY, revision=_REVISION, accept=_ACCEPT)
    def run(body: str, revision: str, accept: str) -> None:
        answer = rpc(cast, body, revision, accept)
        if answer.status_code >= 500:
            failed.append((answer.status_code, revision, accept, body))

    run()

    assert failed == []


# ------------------------------------------------------------------ with the guards off


def test_without_the_checks_of_a_body_it_would_fail(cast: Cast) -> None:
    def broken(body: bytes) -> Any:
        return json.loads(body)

    with switched_off(endpoint, "parse", broken):
        assert rpc(cast, "{", "", "").status_code >= 500


def test_without_the_checks_of_a_form_it_would_fail(cast: Cast) -> None:
    async def unread(_: Any) -> Any:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "no text")

    request = httpx.Request(
        "POST", f"{ORIGIN}/sign-in/key", data={"key": "x"}, headers={"origin": ORIGIN}
    )
    with switched_off(forms, "read_form", unread):
        assert ask(cast, request).status_code >= 500
