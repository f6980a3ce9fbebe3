"""Faults on demand, in process and over a real socket, and the log that tells what truly happened
(point 17).
"""

import asyncio
import json

import httpx
import pytest

from orderdesk_app.demo.faults import KINDS, Dropped, Fault
from orderdesk_app.demo.server import StandaloneSandbox, serving
from tests.worlds import eventually

HEADERS = {"ORDERDESK-STORE-ID": "10001", "ORDERDESK-API-KEY": "the-key"}
NOTE = {"note": "once"}
HISTORY = "/orders/100000001/order-history"


class FaultSwitch:
    """One form of the sandbox: how to reach it, and its faults."""

    def __init__(self, http, faults, url):
        self.http, self.faults, self.url = http, faults, url

    async def post(self):
        return await self.http.post(f"{self.url}{HISTORY}", json=NOTE, headers=HEADERS)

    async def post_and_leave(self):
        """Leaves when the request has come, and before it is answered."""
        posting = asyncio.create_task(self.post())

        async def has_come():
            return self.faults.requests("POST")

        await eventually(has_come, 20)
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting

    async def notes(self):
        found = await self.http.get(
            f"{self.url}/orders",
            params={"get_order_history": "1", "order": "asc", "limit": "1"},
            headers=HEADERS,
        )
        return [line["note"] for line in found.json()["orders"][0]["order_history"]]


@pytest.fixture(params=["in process", "over HTTP"])
async def fault_switch(request, world):
    if request.param == "in process":
        yield FaultSwitch(world.http, world.faults, "http://sandbox.invalid/api/v2")
        return
    standalone = StandaloneSandbox({"10001": "the-key"}, orders=5, inventory=5, control=True)
    async with serving(standalone) as url, httpx.AsyncClient() as http:
        yield FaultSwitch(http, standalone.faults, url)


@pytest.mark.parametrize("effect", ["not_done", "done"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "edit"])
async def test_a_fault_shows_and_its_effect_is_as_told(fault_switch, kind, effect):
    fault_switch.faults.add(
        Fault(kind, "POST", "/orders/*/order-history", effect=effect, seconds=0.05)
    )

    try:
        answer = await fault_switch.post()
        seen = answer.status_code
    except httpx.RemoteProtocolError:
        seen = None

    (served,) = fault_switch.faults.requests("POST")
    expected = {
        "rate_limited": 429,
        "rate_limited_bare": 429,
        "server_error": 500,
        "bad_gateway": 502,
        "unavailable": 503,
        "dropped": None,
        "broken_json": 200,
        "error_in_200": 200,
        "status": 409,
    }
    assert seen == expected.get(kind, 200 if effect == "done" else 504)
    assert (served.fault, served.took_effect, served.status) == (kind, effect == "done", seen)
    assert await fault_switch.notes() == (["once"] if effect == "done" else [])


async def test_a_fault_is_used_up(fault_switch):
    fault_switch.faults.add(Fault("server_error", "POST", times=2, skip=1))

    assert [(await fault_switch.post()).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert await fault_switch.notes() == ["once"] * 3


async def test_a_fault_meets_only_its_method_path_and_store(fault_switch):
    fault_switch.faults.add(Fault("server_error", "PUT", times=-1))
    fault_switch.faults.add(Fault("server_error", "POST", "/orders/*", times=-1))
    fault_switch.faults.add(Fault("server_error", store_id="10002", times=-1))

    assert (await fault_switch.post()).status_code == 200


async def test_a_429_comes_with_its_header_or_bare(fault_switch):
    fault_switch.faults.add(Fault("rate_limited", seconds=7))
    fault_switch.faults.add(Fault("rate_limited_bare"))

    first, second = await fault_switch.post(), await fault_switch.post()

    assert (first.headers["X-Retry-After"], first.headers["X-Tokens-Remaining"]) == ("7", "0")
    assert not [name for name in second.headers if name.startswith(("x-", "retry"))]


async def test_broken_json_is_really_broken_and_a_gateway_speaks_html(fault_switch):
    fault_switch.faults.add(Fault("broken_json"))
    fault_switch.faults.add(Fault("bad_gateway"))

    broken, gateway = await fault_switch.post(), await fault_switch.post()

    with pytest.raises(json.JSONDecodeError):
        broken.json()
    assert gateway.text.startswith("<html>")


async def test_a_late_effect_happens_after_the_client_has_gone(fault_switch):
    fault_switch.faults.add(Fault("slow", "POST", effect="late", seconds=1))

    await fault_switch.post_and_leave()
    before = await fault_switch.notes()

    async def has_happened():
        return await fault_switch.notes() == ["once"]

    await eventually(has_happened, 20, every=0.5)
    assert before == []


async def test_a_slow_answer_may_hide_an_effect_that_is_there(fault_switch):
    fault_switch.faults.add(Fault("slow", "POST", seconds=1))

    await fault_switch.post_and_leave()

    assert await fault_switch.notes() == ["once"]


async def test_somebody_else_edits_between_a_read_and_a_write(fault_switch):
    fault_switch.faults.add(
        Fault(
            "edit",
            "GET",
            "/orders/*",
            patch={"email": "staff@example.com", "shipping": {"city": "Köln"}},
        )
    )

    read = (
        await fault_switch.http.get(f"{fault_switch.url}/orders/100000001", headers=HEADERS)
    ).json()["order"]
    now = (
        await fault_switch.http.get(f"{fault_switch.url}/orders/100000001", headers=HEADERS)
    ).json()["order"]

    assert read["email"] != "staff@example.com"
    assert (now["email"], now["shipping"]) == (
        "staff@example.com",
        read["shipping"] | {"city": "Köln"},
    )
    assert now["date_updated"] > read["date_updated"]


async def test_the_log_keeps_the_body_and_never_the_key(fault_switch):
    await fault_switch.post()

    (served,) = fault_switch.faults.requests("POST", HISTORY)
    assert (json.loads(served.body), served.store_id, served.status) == (NOTE, "10001", 200)
    assert "the-key" not in repr(served)
    fault_switch.faults.forget()
    assert fault_switch.faults.requests() == []


async def test_an_unknown_fault_is_refused_by_name():
    with pytest.raises(ValueError, match="no such fault: fire"):
        Fault("fire")


async def test_a_dropped_connection_in_process_is_an_httpx_error(world):
    world.faults.add(Fault("dropped"))

    with pytest.raises(Dropped) as caught:
        await world.ask("GET", "/test")

    assert isinstance(caught.value, httpx.TransportError)
