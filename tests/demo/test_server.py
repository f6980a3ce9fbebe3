"""The sandbox as a server of its own, and its address for tests."""

import asyncio
import os
import signal
import sys

import httpx
import pytest

from orderdesk_app.demo.server import StandaloneSandbox, serving, stores_of

HEADERS = {"ORDERDESK-STORE-ID": "10001", "ORDERDESK-API-KEY": "key"}


@pytest.fixture
async def controlled():
    async with (
        serving(StandaloneSandbox({"10001": "key"}, orders=5, inventory=5, control=True)) as url,
        httpx.AsyncClient(headers=HEADERS) as http,
    ):
        yield http, url, url.removesuffix("/api/v2") + "/_control"


@pytest.mark.parametrize(
    ("texts", "stores"),
    [
        (["10001:key"], {"10001": "key"}),
        (["10001:a:b", "7:c"], {"10001": "a:b", "7": "c"}),
        (["8-10:k"], {"8": "k", "9": "k", "10": "k"}),
    ],
)
def test_stores_are_told_by_id_or_range(texts, stores):
    assert stores_of(texts) == stores


@pytest.mark.parametrize("text", ["10001", "10001:", "x:key", "1-x:key", ":key"])
def test_a_store_without_id_or_key_is_refused(text):
    with pytest.raises(ValueError, match="10001:key"):
        stores_of([text])


async def test_faults_switches_and_log_are_set_and_read_over_http(controlled):
    http, url, control = controlled

    await http.post(
        f"{control}/faults", json=[{"kind": "server_error", "method": "GET", "path": "/test"}]
    )
    await http.post(f"{control}/switches", json={"created_status": 200})
    statuses = [(await http.get(f"{url}/test")).status_code for _ in range(2)]
    made = await http.post(
        f"{url}/orders", json={"shipping": {"company": "x"}, "order_items": [{"name": "a"}]}
    )
    log = (await http.get(f"{control}/requests", params={"path": "/test"})).json()

    assert (statuses, made.status_code) == ([500, 200], 200)
    assert [(row["method"], row["path"], row["status"], row["fault"]) for row in log] == [
        ("GET", "/test", 500, "server_error"),
        ("GET", "/test", 200, None),
    ]
    assert (await http.delete(f"{control}/requests")).json() == {"requests": 0}
    assert (await http.get(f"{control}/requests")).json() == []


async def test_an_order_is_read_raw_and_edited_by_somebody_else(controlled):
    http, url, control = controlled

    await http.post(f"{control}/orders/10001/100000001", json={"email": "staff@example.com"})

    raw = (await http.get(f"{control}/orders/10001/100000001")).json()
    assert (raw["order"]["email"], raw["history"]) == ("staff@example.com", [])
    assert (await http.get(f"{url}/orders/100000001")).json()["order"] == raw["order"]
    assert (await http.get(f"{control}/orders/10001/5")).json() is None


async def test_a_reset_makes_it_as_just_started(controlled):
    http, url, control = controlled
    await http.delete(f"{url}/orders/100000001")
    await http.post(f"{control}/switches", json={"not_found_status": 200})
    await http.post(f"{control}/clock", json={"advance": 3600})

    await http.post(f"{control}/reset")

    assert (await http.get(f"{url}/orders/100000001")).status_code == 200
    assert (await http.get(f"{url}/orders/5")).status_code == 404


async def test_the_clock_moves_forward_and_the_bucket_fills(controlled):
    http, url, control = controlled
    statuses = [(await http.get(f"{url}/test")).status_code for _ in range(25)]

    await http.post(f"{control}/clock", json={"advance": 10})

    assert 429 in statuses
    assert (await http.get(f"{url}/test")).status_code == 200


async def test_stores_are_added_while_it_runs(controlled):
    http, url, control = controlled

    await http.post(f"{control}/stores", json={"10002": "other"})

    answer = await http.get(
        f"{url}/test", headers={"ORDERDESK-STORE-ID": "10002", "ORDERDESK-API-KEY": "other"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "fire"}),
        ("/faults", {"sort": "x"}),
        ("/switches", {"no_such": 1}),
        ("/nothing", {}),
    ],
)
async def test_a_wrong_control_says_so(controlled, path, body):
    http, _, control = controlled

    answer = await http.post(f"{control}{path}", json=body)

    assert (answer.status_code, set(answer.json())) == (400, {"error"})


async def test_without_control_the_door_is_a_wall():
    async with (
        serving(StandaloneSandbox({"10001": "key"}, orders=5)) as url,
        httpx.AsyncClient(headers=HEADERS) as http,
    ):
        answer = await http.get(url.removesuffix("/api/v2") + "/_control/requests")

    assert answer.status_code == 404


async def test_answers_are_not_held_back(controlled):
    http, url, _ = controlled

    seconds = [(await http.get(f"{url}/test")).elapsed.total_seconds() for _ in range(100)]

    assert min(seconds) < 0.03  # Nagle's wait would add 0.04 to each


async def test_a_dropped_connection_gives_not_a_byte(controlled):
    _, url, control = controlled
    async with httpx.AsyncClient() as other:
        await other.post(f"{control}/faults", json={"kind": "dropped"})
    host, port = url.split("/")[2].split(":")

    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /api/v2/test HTTP/1.1\r\nHost: x\r\nORDERDESK-STORE-ID: "
        b"10001\r\nORDERDESK-API-KEY: key\r\n\r\n"
    )
    try:
        received = await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        received = b""
    writer.close()

    assert received == b""


@pytest.mark.slow
async def test_it_starts_from_the_command_line_and_stops_when_told():
    command = (
        "-m",
        "orderdesk_app.demo.server",
        "--store",
        "10001:key",
        "--orders",
        "3",
        "--switch",
        "delay=0.01",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()[-1]

    async with httpx.AsyncClient(headers=HEADERS) as http:
        body = (await http.get(f"{url}/orders")).json()
    os.kill(process.pid, signal.SIGTERM)
    await asyncio.wait_for(process.wait(), 10)

    assert body["total_records"] == 3
    assert (await process.stderr.read()) == b"" if process.stderr else True
