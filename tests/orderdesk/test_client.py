"""Every way a request can end, what is sent again, and what is said about a write."""

import asyncio
import gzip
import ssl
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from orderdesk_app.context import OrderId, Secret, StoreId
from orderdesk_app.errors import (
    NotFound,
    OrderDeskAgentsError,
    RateLimited,
    StoreKeyRefused,
    UpstreamFailed,
    UpstreamUnreachable,
    ValidationFailed,
)
from orderdesk_app.orderdesk import json_text
from orderdesk_app.orderdesk import transport as transport_module
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from tests.orderdesk.conftest import (
    KEY,
    Answer,
    Said,
    Upstream,
    an_order,
    answer,
    budget,
    client_of,
    clock,
)

ORDER = OrderId("100000001")
ERROR = {"status": "error", "message": "Something Went Wrong"}


async def slow(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(100)
    return an_order().response()


async def dribble(request: httpx.Request) -> httpx.Response:
    async def pieces() -> Any:
        while True:
            await asyncio.sleep(1)
            yield b" "

    return httpx.Response(200, content=pieces())


# each: what upstream does, the error, how often it is asked (GET, PUT), and the outcome of a PUT
FAULTS: dict[str, tuple[Answer, type[OrderDeskAgentsError], int, int, str]] = {
    "429 with a header": (answer(ERROR, 429, X_Retry_After="1"), RateLimited, 4, 4, "not_done"),
    "429 without": (answer("slow down", 429), RateLimited, 4, 4, "not_done"),
    "500 with an envelope": (answer(ERROR, 500), UpstreamUnreachable, 4, 1, "unknown"),
    "502 as HTML": (answer("<html>502</html>", 502), UpstreamUnreachable, 4, 1, "unknown"),
    "503": (answer(ERROR, 503), UpstreamUnreachable, 4, 1, "unknown"),
    "broken JSON": (
        answer('{"status":"success","order":{"id"'),
        UpstreamUnreachable,
        4,
        1,
        "unknown",
    ),
    "HTML that calls itself a success": (
        answer("<html>Back soon</html>"),
        UpstreamUnreachable,
        4,
        1,
        "unknown",
    ),
    "an error in a 200": (answer(ERROR), UpstreamFailed, 1, 1, "unknown"),
    "400": (answer(ERROR, 400), UpstreamFailed, 1, 1, "unknown"),
    "401": (answer(ERROR, 401), StoreKeyRefused, 1, 1, "not_done"),
    "403 as HTML": (answer("<html>no</html>", 403), StoreKeyRefused, 1, 1, "not_done"),
    "a refused key in a 200": (
        answer({"status": "error", "message": "Invalid API Key"}),
        StoreKeyRefused,
        1,
        1,
        "unknown",
    ),
    "404": (answer(ERROR, 404), NotFound, 1, 1, "unknown"),
    "not found in a 200": (
        answer({"status": "error", "message": "Order Not Found"}),
        NotFound,
        1,
        1,
        "unknown",
    ),
    "a redirect": (
        answer("", 302, Location="https://elsewhere.example/"),
        UpstreamFailed,
        1,
        1,
        "unknown",
    ),
    "a redirect to nonsense": (
        answer("", 302, Location="https://x.example:notaport/"),
        UpstreamUnreachable,
        4,
        1,
        "unknown",
    ),
    "no connection": (httpx.ConnectError("refused"), UpstreamUnreachable, 4, 4, "not_done"),
    "a bad certificate": (
        httpx.ConnectError("certificate verify failed"),
        UpstreamUnreachable,
        4,
        4,
        "not_done",
    ),
    "no connection in time": (httpx.ConnectTimeout("slow"), UpstreamUnreachable, 4, 4, "not_done"),
    "no free connection": (httpx.PoolTimeout("full"), UpstreamUnreachable, 4, 4, "not_done"),
    "no answer in time": (httpx.ReadTimeout("slow"), UpstreamUnreachable, 4, 1, "unknown"),
    "not sent in time": (httpx.WriteTimeout("slow"), UpstreamUnreachable, 4, 1, "unknown"),
    "a slow answer": (slow, UpstreamUnreachable, 1, 1, "unknown"),
    "an answer without end": (dribble, UpstreamUnreachable, 1, 1, "unknown"),
    "a broken connection": (
        httpx.RemoteProtocolError("gone"),
        UpstreamUnreachable,
        4,
        1,
        "unknown",
    ),
    "a reset connection": (httpx.ReadError("gone"), UpstreamUnreachable, 4, 1, "unknown"),
    "a reset while sending": (httpx.WriteError("gone"), UpstreamUnreachable, 4, 1, "unknown"),
    "an ssl fault": (ssl.SSLError("bad record"), UpstreamUnreachable, 4, 1, "unknown"),
    "another order": (an_order(id="2"), UpstreamUnreachable, 1, 1, "unknown"),
    "no order": (answer({"message": "fine"}), UpstreamUnreachable, 1, 1, "unknown"),
    "an empty order": (answer({"order": []}), UpstreamUnreachable, 1, 1, "unknown"),
    "not what its encoding says": (
        answer(b"not gzip", 200, Content_Encoding="gzip"),
        UpstreamUnreachable,
        4,
        1,
        "unknown",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_read_ends_in_its_error_and_is_repeated_only_where_that_can_help(
    name: str, store: StoreAccess
) -> None:
    said, error, asked, _, _ = FAULTS[name]
    upstream, waiting = Upstream([said]), budget()

    with pytest.raises(error) as met:
        await client_of(upstream).orders.get_order(store, ORDER, waiting)

    assert type(met.value) is error
    assert len(upstream.requests) == waiting.requests == asked
    assert met.value.outcome == ("not_done" if error is RateLimited else None)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_write_is_never_blindly_repeated_and_says_what_is_known(
    name: str, store: StoreAccess
) -> None:
    said, error, _, asked, outcome = FAULTS[name]
    upstream = Upstream([said])
    # The words of a refused write may be about anything in its body ("Item not found"): the order
    # is read before anybody believes them.
    expected = (
        error
        if outcome == "not_done" or (error is not NotFound and error is not StoreKeyRefused)
        else UpstreamFailed
    )

    with pytest.raises(expected) as met:
        await client_of(upstream).orders.replace_order(store, ORDER, {"id": ORDER}, budget())

    assert type(met.value) is expected
    assert len(upstream.requests) == asked
    assert met.value.outcome == outcome
    assert (
        outcome != "unknown"
        or "read before you repeat" in met.value.message
        or expected is UpstreamFailed
    )


@pytest.mark.parametrize("name", FAULTS)
async def test_no_error_shows_a_key_or_a_librarys_words(name: str, store: StoreAccess) -> None:
    said, error, _, _, _ = FAULTS[name]

    with pytest.raises(error) as met:
        await client_of(Upstream([said])).orders.get_order(store, ORDER, budget())

    words = f"{met.value.message} {met.value.details} {met.value!r}"
    assert KEY not in words
    assert not any(
        part in words
        for part in ("httpx", "Error(", 'refused")', "certificate", "Traceback", "<html")
    )


@pytest.mark.parametrize(
    "name",
    [
        "429 with a header",
        "429 without",
        "500 with an envelope",
        "502 as HTML",
        "broken JSON",
        "no connection",
        "a broken connection",
        "no answer in time",
    ],
)
async def test_a_read_recovers(name: str, store: StoreAccess) -> None:
    upstream, waiting = (
        Upstream([FAULTS[name][0], FAULTS[name][0], an_order(email="a@example.com")]),
        budget(),
    )

    order = await client_of(upstream).orders.get_order(store, ORDER, waiting)

    assert order["email"] == "a@example.com"
    assert waiting.requests == 3


@pytest.mark.parametrize(
    "name", ["429 with a header", "429 without", "no connection", "no connection in time"]
)
async def test_a_write_that_was_never_looked_at_is_sent_again(
    name: str, store: StoreAccess
) -> None:
    upstream = Upstream([FAULTS[name][0], an_order()])

    await client_of(upstream).orders.replace_order(store, ORDER, {"id": ORDER}, budget())

    assert len(upstream.requests) == 2
    assert upstream.requests[0].content == upstream.requests[1].content


async def test_a_429_makes_everybody_of_that_store_wait_as_long_as_it_says(
    store: StoreAccess,
) -> None:
    upstream = Upstream([answer(ERROR, 429, X_Retry_After="5"), an_order()])
    client, began = client_of(upstream), clock()

    await asyncio.gather(
        client.orders.get_order(store, ORDER, budget()),
        client.orders.get_order(store, ORDER, budget()),
    )

    assert [at - began for at in upstream.at] == pytest.approx([0, 5, 5.33], abs=0.05)


async def test_who_was_refused_goes_ahead_of_those_who_came_later(store: StoreAccess) -> None:
    served = list[str]()

    async def upstream(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        if not served:
            served.append(f"{name} refused")
            return answer(ERROR, 429, X_Retry_After="2").response()
        served.append(name)
        return an_order(id=name).response()

    client = OrderDeskClient(
        Transport(
            httpx.AsyncClient(transport=httpx.MockTransport(upstream)),
            MemoryBuckets(clock),
            timeout=30,
            max_retries=3,
            clock=clock,
        )
    )
    first = asyncio.create_task(client.orders.get_order(store, OrderId("1"), budget()))
    await asyncio.sleep(0.5)
    later = [
        asyncio.create_task(client.orders.get_order(store, OrderId(str(number)), budget()))
        for number in (2, 3)
    ]
    await asyncio.gather(first, *later)

    assert served == ["1 refused", "1", "2", "3"]


async def test_a_wait_longer_than_the_wait_budget_is_not_begun(store: StoreAccess) -> None:
    upstream = Upstream([answer(ERROR, 429, Retry_After="120"), an_order()])
    client, began = client_of(upstream), clock()

    with pytest.raises(RateLimited) as met:
        await client.orders.replace_order(store, ORDER, {}, budget())
    with pytest.raises(RateLimited) as next_one:
        await client.orders.get_order(store, ORDER, budget())

    assert clock() == began
    assert (met.value.retry_after, next_one.value.retry_after) == (120, 120)
    assert len(upstream.requests) == 1


async def test_a_retry_after_of_a_503_is_obeyed_by_reads(store: StoreAccess) -> None:
    upstream = Upstream([answer(ERROR, 503, Retry_After="4"), an_order()])

    await client_of(upstream).orders.get_order(store, ORDER, budget())

    assert upstream.at[1] - upstream.at[0] == pytest.approx(4)


async def test_a_read_is_not_asked_for_ever(store: StoreAccess) -> None:
    async def tardy(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(12)
        return answer(ERROR, 500).response()

    upstream, began = Upstream([tardy]), clock()

    with pytest.raises(UpstreamUnreachable):
        await client_of(upstream, max_retries=10).orders.get_order(store, ORDER, budget())

    assert len(upstream.requests) == 3
    assert clock() - began < 60


async def test_a_slow_answer_ends_at_the_timeout_to_the_second(store: StoreAccess) -> None:
    began = clock()

    with pytest.raises(UpstreamUnreachable):
        await client_of(Upstream([dribble]), timeout=7).orders.get_order(store, ORDER, budget())

    assert clock() - began == pytest.approx(7, abs=0.05)


async def test_without_retries_a_request_is_sent_once(store: StoreAccess) -> None:
    upstream = Upstream([answer(ERROR, 500)])

    with pytest.raises(UpstreamUnreachable):
        await client_of(upstream, max_retries=0).orders.get_order(store, ORDER, budget())

    assert len(upstream.requests) == 1


async def test_every_request_is_introduced_signed_and_free_of_what_order_desk_calls_invalid(
    store: StoreAccess,
) -> None:
    upstream = Upstream()
    client = client_of(upstream)

    await client.orders.get_order(store, ORDER, budget())
    await client.orders.delete_order(store, ORDER, budget())
    await client.orders.replace_order(store, ORDER, {"id": ORDER}, budget())

    for request in upstream.requests:
        assert request.headers["ORDERDESK-STORE-ID"] == "4711"
        assert request.headers["ORDERDESK-API-KEY"] == KEY
        assert request.headers["User-Agent"].startswith("OrderDeskAgents/")
    for request in upstream.requests[:2]:
        assert not {"content-type", "content-length", "transfer-encoding"} & set(request.headers)
        assert request.content == b""
    assert upstream.requests[2].headers["Content-Type"] == "application/json"


async def test_a_redirect_never_carries_the_key_away(store: StoreAccess) -> None:
    upstream = Upstream([answer("", 307, Location="https://elsewhere.example/steal"), an_order()])
    # even where somebody asked for it
    http = httpx.AsyncClient(transport=httpx.MockTransport(upstream), follow_redirects=True)
    client = OrderDeskClient(
        Transport(http, MemoryBuckets(clock), timeout=30, max_retries=3, clock=clock)
    )

    with pytest.raises(UpstreamFailed, match="another address"):
        await client.orders.get_order(store, ORDER, budget())

    assert [request.url.host for request in upstream.requests] == ["orderdesk.example"]


async def test_a_cookie_of_one_store_never_travels_with_another(store: StoreAccess) -> None:
    upstream = Upstream(
        [answer({"order": {"id": ORDER}}, Set_Cookie="session=of-the-first-store; Path=/")]
    )
    client, other = (
        client_of(upstream),
        StoreAccess(store.api_url, StoreId("4712"), Secret("another-key-altogether")),
    )

    await client.orders.get_order(store, ORDER, budget())
    await client.orders.get_order(other, ORDER, budget())

    assert "cookie" not in upstream.requests[1].headers


async def test_the_pool_follows_no_redirects_and_keeps_no_cookies() -> None:
    async with open_http(
        mounts={
            "https://": httpx.MockTransport(lambda request: answer({}, Set_Cookie="a=b").response())
        }
    ) as http:
        await http.get("https://orderdesk.example/")

        assert not http.follow_redirects
        assert not http.cookies


async def test_order_desks_count_of_tokens_corrects_ours(store: StoreAccess) -> None:
    upstream = Upstream([answer({"order": {"id": ORDER}}, X_Tokens_Remaining="0")])
    client = client_of(upstream)

    for _ in range(3):
        await client.orders.get_order(store, ORDER, budget())

    assert upstream.at[1] - upstream.at[0] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("header", ["many", "-3", "", "1e9"])
async def test_a_strange_count_of_tokens_is_ignored(header: str, store: StoreAccess) -> None:
    upstream = Upstream([answer({"order": {"id": ORDER}}, X_Tokens_Remaining=header)])
    client = client_of(upstream)

    for _ in range(3):
        await client.orders.get_order(store, ORDER, budget())

    assert upstream.at[2] == upstream.at[0]


async def test_trouble_of_the_bucket_never_hides_an_answer(store: StoreAccess) -> None:
    class Failing(MemoryBuckets):
        async def correct(self, key: str, remaining: int) -> None:
            raise ConnectionError

        async def drain(self, key: str, seconds: float) -> None:
            raise ConnectionError

    upstream = Upstream(
        [answer(ERROR, 429), answer({"order": {"id": ORDER}}, X_Tokens_Remaining="3")]
    )

    order = await client_of(upstream, buckets=Failing(clock)).orders.replace_order(
        store, ORDER, {}, budget()
    )

    assert order["id"] == ORDER


async def test_a_hundred_calls_at_once_are_sent_in_order_and_never_refused_by_order_desk(
    store: StoreAccess,
) -> None:
    tokens, last, sent = 20.0, clock(), list[str]()

    async def bucket(request: httpx.Request) -> httpx.Response:
        nonlocal tokens, last
        tokens, last = min(20.0, tokens + 3 * (clock() - last)) - 1, clock()
        assert tokens > -0.001
        sent.append(request.url.path.rsplit("/", 1)[-1])
        return answer({"order": {"id": sent[-1]}}, X_Tokens_Remaining=str(int(tokens))).response()

    client = client_of(Upstream([bucket]))
    await asyncio.gather(
        *(
            client.orders.get_order(store, OrderId(str(number)), budget(60))
            for number in range(1, 101)
        )
    )

    assert sent == [str(number) for number in range(1, 101)]


async def test_a_cancelled_call_leaves_the_line_moving(store: StoreAccess) -> None:
    upstream = Upstream([slow, an_order()])
    client = client_of(upstream)

    hanging = asyncio.create_task(client.orders.get_order(store, ORDER, budget()))
    await asyncio.sleep(1)
    hanging.cancel()
    await client.orders.get_order(store, ORDER, budget())

    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "bad", ["", "12a", "../store", "1/2", "１２", "1 ", "-1", "1" * 21, "%31", "1?x=1"]
)
async def test_an_id_that_is_not_digits_is_refused_by_name_before_anything_is_sent(
    bad: str, store: StoreAccess
) -> None:
    upstream = Upstream()
    client = client_of(upstream)
    calls: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("order_id", lambda: client.orders.get_order(store, OrderId(bad), budget())),
        ("order_id", lambda: client.orders.replace_order(store, OrderId(bad), {}, budget())),
        ("order_id", lambda: client.orders.delete_order(store, OrderId(bad), budget())),
        (
            "order_id",
            lambda: client.orders.move_orders(store, [OrderId(bad)], budget(), folder_id="1"),
        ),
        ("folder_id", lambda: client.orders.move_orders(store, [ORDER], budget(), folder_id=bad)),
        ("product_id", lambda: client.inventory.get_inventory_item(store, bad, budget())),
        (
            "store_id",
            lambda: client.store.test_connection(
                StoreAccess(store.api_url, StoreId(bad), store.api_key), budget()
            ),
        ),
    ]

    for field, call in calls:
        with pytest.raises(ValidationFailed) as refused:
            await call()
        assert refused.value.field == field
        assert refused.value.outcome == "not_done"

    assert upstream.requests == []


@pytest.mark.parametrize(
    "key", ["", "with\nnewline", "with\x00zero", "ключ", " padded ", "tab\there"]
)
async def test_a_key_that_cannot_be_sent_is_refused_as_a_key(key: str, store: StoreAccess) -> None:
    upstream = Upstream()

    with pytest.raises(StoreKeyRefused) as refused:
        await client_of(upstream).store.test_connection(
            StoreAccess(store.api_url, store.store_id, Secret(key)), budget()
        )

    assert not key.strip() or key not in refused.value.message
    assert upstream.requests == []


async def test_a_test_tells_what_order_desk_said(store: StoreAccess) -> None:
    said = {
        "message": "Connection Successful",
        "current_date_time": "2015-04-14 22:00:10",
        "execution_time": "0.0102 seconds",
    }

    told = await client_of(Upstream([answer(said)])).store.test_connection(store, budget())

    assert (told.message, told.current_date_time, told.execution_time) == tuple(said.values())


@pytest.mark.parametrize(
    "said",
    [
        answer(ERROR),
        answer(ERROR, 401),
        answer("no", 403),
        answer({"status": "error", "message": "Invalid API Key"}),
    ],
)
async def test_any_no_to_a_test_is_a_bad_key(said: Said, store: StoreAccess) -> None:
    with pytest.raises(StoreKeyRefused, match="Settings"):
        await client_of(Upstream([said])).store.test_connection(store, budget())


@pytest.mark.parametrize(
    "said",
    [
        answer("<html>hello</html>"),
        answer(b"{}"),
        answer(ERROR, 404),
        answer(ERROR, 500),
        answer(ERROR, 400),
        answer("", 301, Location="/"),
    ],
)
async def test_what_is_not_order_desk_is_not_called_a_bad_key(
    said: Said, store: StoreAccess
) -> None:
    with pytest.raises(UpstreamFailed):
        await client_of(Upstream([said])).store.test_connection(store, budget())


async def test_the_store_comes_without_its_secrets(store: StoreAccess) -> None:
    said = {
        "store": {
            "id": "4711",
            "name": "Test",
            "settings": {"timezone": "Europe/Oslo", "api_key": KEY, "smtp_password": "x"},
            "folders": {"9": "New", "3": "Closed"},
        }
    }

    seen = await client_of(Upstream([answer(said)])).store.get_store(store, budget())

    assert seen["folders"] == [["9", "New"], ["3", "Closed"]]
    assert seen["timezone"] == "Europe/Oslo"
    assert KEY not in str(seen)


async def test_a_page_of_orders_comes_with_its_counts(store: StoreAccess) -> None:
    upstream = Upstream(
        [
            answer(
                {
                    "orders": [{"id": "1"}, {"id": "2"}],
                    "total_records": 12,
                    "records_returned": 2,
                    "offset": 10,
                    "limit": 2,
                }
            )
        ]
    )
    parameters = {
        "limit": "2",
        "offset": "10",
        "customer_last_name": "O'Néill & Søn +1",
        "search_start_date": "2026-01-01 00:00:00",
    }

    page = await client_of(upstream).orders.list_orders(store, parameters, budget())

    assert ([order["id"] for order in page.rows], page.total, page.limit, page.offset) == (
        ["1", "2"],
        12,
        2,
        10,
    )
    assert dict(upstream.requests[0].url.params) == parameters
    assert "+" not in upstream.requests[0].url.query.decode()


async def test_a_page_without_counts_falls_back_on_what_was_asked(store: StoreAccess) -> None:
    client = client_of(Upstream([answer({"orders": []})]))

    asked = await client.orders.list_orders(store, {"limit": "7", "offset": "3"}, budget())
    plain = await client.orders.list_orders(store, {}, budget())

    assert (asked.total, asked.limit, asked.offset) == (None, 7, 3)
    assert (plain.total, plain.limit, plain.offset) == (None, 50, 0)


@pytest.mark.parametrize("value", ["half a character \ud800", "x" * 1001])
async def test_a_filter_that_cannot_be_sent_is_refused_by_name(
    value: str, store: StoreAccess
) -> None:
    upstream = Upstream()

    with pytest.raises(ValidationFailed) as refused:
        await client_of(upstream).orders.list_orders(
            store, {"limit": "1", "email": value}, budget()
        )

    assert (refused.value.field, upstream.requests) == ("email", [])


async def test_the_inventory_reads_its_odd_counts(store: StoreAccess) -> None:
    items = [{"id": 1}, {"id": 2}, {"id": 3}]
    upstream = Upstream(
        [
            answer({"inventory_items": items, "total_records": "5"}),
            answer({"inventory_items": items, "total_records": "0"}),
        ]
    )
    client = client_of(upstream)

    honest, captured = [
        await client.inventory.list_inventory(store, {"code": "A,B"}, budget()) for _ in range(2)
    ]

    assert (honest.rows, honest.total, honest.limit, honest.offset) == (items, 5, None, None)
    assert captured.total is None


@pytest.mark.parametrize(
    "said",
    [
        {"orders": {}},
        {"orders": ["1"]},
        {"inventory_items": None},
        {"store": []},
        {"results": "moved"},
        {},
    ],
)
async def test_a_success_without_its_payload_cannot_be_read(
    said: dict[str, Any], store: StoreAccess
) -> None:
    client = client_of(Upstream([answer(said)]))

    for call in (
        lambda: client.orders.list_orders(store, {}, budget()),
        lambda: client.inventory.list_inventory(store, {}, budget()),
        lambda: client.store.get_store(store, budget()),
        lambda: client.orders.create_order(store, {}, budget()),
        lambda: client.orders.move_orders(store, [ORDER], budget(), folder_name="New"),
    ):
        with pytest.raises(UpstreamUnreachable):
            await call()


async def test_an_item_of_the_inventory_is_found_by_its_number(store: StoreAccess) -> None:
    upstream = Upstream(
        [answer({"inventory_item": {"id": 2509, "price": 1}, "records_returned": 1})]
    )

    item = await client_of(upstream).inventory.get_inventory_item(store, "2509", budget())

    assert item["id"] == 2509
    assert upstream.requests[0].url.path == "/api/v2/inventory-items/2509"


async def test_orders_are_moved_by_number_to_one_folder(store: StoreAccess) -> None:
    moved = [
        {"order_id": 29491, "message": "Order Moved to Prepared Folder", "original_folder_id": 6587}
    ]
    upstream = Upstream([answer({"results": moved})])
    client = client_of(upstream)

    assert (
        await client.orders.move_orders(store, [OrderId("29491")], budget(), folder_id="9384")
        == moved
    )
    await client.orders.move_orders(store, [OrderId("29491")], budget(), folder_name="Prepared")
    for both in ({"folder_id": "1", "folder_name": "x"}, {}):
        with pytest.raises(ValidationFailed):
            await client.orders.move_orders(store, [ORDER], budget(), **both)

    bodies = [json_text.loads(request.content) for request in upstream.requests]
    assert bodies == [
        {"order_id_list": [29491], "destination_folder_id": 9384},
        {"order_id_list": [29491], "destination_folder_name": "Prepared"},
    ]


async def test_an_order_read_and_written_back_is_the_same_byte_for_byte(store: StoreAccess) -> None:
    text = (
        b'{"id":"100000001","order_total":21.10,"tax_total":0.00,"weight_total":1e2,'
        b'"folder_id":21654,"checkout_data":[],"note":"\\u00c5 '
        b'\\ud83d\\ude00","order_items":[{"price":9.90}]}'
    )
    upstream = Upstream([answer(b'{"status":"success","order":%s}' % text)])
    client = client_of(upstream)

    order = await client.orders.get_order(store, ORDER, budget())
    await client.orders.replace_order(store, ORDER, order, budget())

    assert upstream.requests[1].content == text
    assert order["order_total"] + order["tax_total"] == Decimal("21.10")


async def test_an_order_that_json_cannot_carry_is_not_sent(store: StoreAccess) -> None:
    upstream = Upstream()

    with pytest.raises(ValidationFailed) as refused:
        await client_of(upstream).orders.replace_order(
            store, ORDER, {"order_total": float("nan")}, budget()
        )

    assert (refused.value.outcome, upstream.requests) == ("not_done", [])


async def test_a_new_order_has_an_id(store: StoreAccess) -> None:
    upstream = Upstream([answer({"order": {"id": "7"}}, 201), answer({"order": {"id": ""}}, 201)])
    client = client_of(upstream)

    assert (await client.orders.create_order(store, {"source_id": "a"}, budget()))["id"] == "7"
    with pytest.raises(UpstreamUnreachable) as met:
        await client.orders.create_order(store, {"source_id": "a"}, budget())

    assert met.value.outcome == "unknown"


async def test_order_desks_own_sentence_is_quoted(store: StoreAccess) -> None:
    said = answer({"status": "error", "message": "This order was already imported: 29491"}, 400)

    with pytest.raises(UpstreamFailed, match="already imported: 29491") as met:
        await client_of(Upstream([said])).orders.create_order(store, {}, budget())

    assert met.value.details == {
        "upstream_status": 400,
        "upstream_message": "This order was already imported: 29491",
    }


async def test_a_deleted_order_is_gone_also_without_a_word(store: StoreAccess) -> None:
    client = client_of(
        Upstream([answer({"message": "Order 1 Deleted"}), answer("", 204), answer("")])
    )

    await client.orders.delete_order(store, ORDER, budget())
    await client.orders.delete_order(store, ORDER, budget())
    with pytest.raises(
        UpstreamUnreachable
    ) as met:  # an empty 200 is what a crashed PHP page looks like
        await client.orders.delete_order(store, ORDER, budget())

    assert met.value.outcome == "unknown"


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_measure_is_not_swallowed(
    packed: bool, store: StoreAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_ANSWER", 10_000)
    body = b'{"status":"success","order":{"id":"100000001","x":"' + b"x" * 20_000 + b'"}}'
    said = answer(gzip.compress(body), 200, Content_Encoding="gzip") if packed else answer(body)

    with pytest.raises(UpstreamUnreachable):
        await client_of(Upstream([said]), max_retries=0).orders.get_order(store, ORDER, budget())


def test_a_large_answer_is_read_without_holding_up_the_others(store: StoreAccess) -> None:
    body = json_text.dumps(
        {
            "status": "success",
            "orders": [
                {"id": str(number), "note": "x" * 2000, "order_total": Decimal("1.10")}
                for number in range(1000)
            ],
        }
    )

    async def main() -> int:
        http = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda request: answer(body).response())
        )
        client = OrderDeskClient(Transport(http, MemoryBuckets(), timeout=5, max_retries=0))
        return len((await client.orders.list_orders(store, {}, WaitBudget(5))).rows)

    assert asyncio.run(main()) == 1000


async def test_a_packed_answer_is_unpacked(store: StoreAccess) -> None:
    said = answer(
        gzip.compress(b'{"status":"success","order":{"id":"100000001"}}', mtime=0),
        200,
        Content_Encoding="gzip",
    )

    assert await client_of(Upstream([said])).orders.get_order(store, ORDER, budget()) == {
        "id": ORDER
    }


async def test_each_request_is_observed_by_method_and_outcome(store: StoreAccess) -> None:
    seen = list[tuple[str, str, float]]()
    upstream = Upstream([answer(ERROR, 500), slow, an_order()])

    def observe(method: str, outcome: str, seconds: float) -> None:
        seen.append((method, outcome, seconds))

    client = client_of(upstream, observe=observe)
    with pytest.raises(UpstreamUnreachable):
        await client.orders.get_order(store, ORDER, budget())
    await client.orders.replace_order(store, ORDER, {}, budget())

    assert [(method, outcome) for method, outcome, _ in seen] == [
        ("GET", "server_error"),
        ("GET", "timed_out"),
        ("PUT", "ok"),
    ]
    assert seen[1][2] == pytest.approx(30)


async def test_the_waiting_in_between_is_taken_from_the_wait_budget(store: StoreAccess) -> None:
    waiting = budget(3)
    upstream = Upstream([answer(ERROR, 429, X_Retry_After="2"), an_order()])
    client = client_of(upstream)

    await client.orders.get_order(store, ORDER, waiting)

    assert waiting.remaining() == pytest.approx(1, abs=0.05)


def test_on_the_wire_a_get_and_a_delete_are_bare_and_connections_are_kept(
    store: StoreAccess,
) -> None:
    """Over a real socket, read byte by byte: nothing that httpx adds by itself escapes us."""
    heard, connections = list[bytes](), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while head := await reader.read(65_536):
            heard.append(head)
            body = b'{"status":"success","order":{"id":"100000001"}}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        here = StoreAccess(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2",
            store.store_id,
            store.api_key,
        )
        async with open_http() as http:
            client = OrderDeskClient(Transport(http, MemoryBuckets(), timeout=5, max_retries=0))
            await client.orders.get_order(here, ORDER, WaitBudget(5))
            await client.orders.delete_order(here, ORDER, WaitBudget(5))
            await client.orders.replace_order(here, ORDER, {"id": ORDER}, WaitBudget(5))
        server.close()

    asyncio.run(main())
    get, delete, put = (head.lower() for head in heard)

    assert connections == 1
    for bare in (get, delete):
        assert not any(
            name in bare
            for name in (b"content-type", b"content-length", b"transfer-encoding", b"cookie")
        )
        assert bare.endswith(b"\r\n\r\n")
    assert b"content-type: application/json" in put
    assert b"content-length: 18" in put


@pytest.mark.parametrize("answered", ["nobody listens", "closed unread"])
def test_over_a_real_socket_only_an_unheard_write_is_called_not_done(
    answered: str, store: StoreAccess
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    async def main() -> OrderDeskAgentsError:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        here = StoreAccess(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2",
            store.store_id,
            store.api_key,
        )
        if answered == "nobody listens":
            server.close()
            await server.wait_closed()
        async with open_http() as http:
            client = OrderDeskClient(
                Transport(http, MemoryBuckets(), timeout=5, max_retries=1, random=lambda: 0.0)
            )
            with pytest.raises(UpstreamUnreachable) as met:
                await client.orders.replace_order(here, ORDER, {"id": ORDER}, WaitBudget(5))
        server.close()
        return met.value

    began = time.monotonic()

    error = asyncio.run(main())

    assert error.outcome == ("not_done" if answered == "nobody listens" else "unknown")
    assert time.monotonic() - began < 4


def test_the_authorities_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: given.append(options["verify"]))
    open_http()
    open_http()

    assert isinstance(given[0], ssl.SSLContext)
    assert given[0] is given[1]
