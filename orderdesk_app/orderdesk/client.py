"""Order Desk's endpoints as methods: one request each, in line for the store's bucket, repeated
only where that is harmless.
"""

import asyncio
import itertools
import logging
import random as chance
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from orderdesk_app.context import OrderId, now
from orderdesk_app.errors import Fault, UpstreamFailed, ValidationFailed
from orderdesk_app.observability import log
from orderdesk_app.orderdesk import answers, json_text, refusals, store_settings
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.answers import InventoryPage, OrderPage, TestAnswer
from orderdesk_app.orderdesk.buckets import BucketLine, TokenBuckets
from orderdesk_app.orderdesk.retry import asked_wait, delay, is_harmless
from orderdesk_app.orderdesk.user_agent import USER_AGENT
from orderdesk_app.orderdesk.wait_budget import WaitBudget

_LOG = log(__name__)

LARGEST_ANSWER = 32 * 1024 * 1024  # 500 complete orders are about 2 MB
# from here on it is read in a thread, as the others' calls would feel it
LARGE_ANSWER = 1024 * 1024
LONGEST_CONNECT = 10.0
LONGEST_PARAMETER = 1000

_ID = re.compile(r"[0-9]{1,20}")

Observe = Callable[[str, str, float], None]  # method, outcome ("ok" or a Fault), seconds


def open_http(*, mounts: Mapping[str, httpx.AsyncBaseTransport] | None = None) -> httpx.AsyncClient:
    """The one pool of connections of this process.

    No redirects, no cookies: what one store is given, the next must not send.
    """
    for name in ("httpx", "httpcore"):
        # they log addresses with customers' names, and headers with keys
        logging.getLogger(name).setLevel(logging.WARNING)
    if find_spec("sniffio") is None:
        # httpcore looks for it on the disk four times a request; so it knows at once
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    return httpx.AsyncClient(
        follow_redirects=False,
        cookies=_NoCookies(),
        limits=httpx.Limits(
            max_connections=400, max_keepalive_connections=100, keepalive_expiry=15
        ),
        mounts=mounts,
    )


class _NoCookies(CookieJar):
    """Takes none and sends none, without reading a header."""

    def extract_cookies(self, response: object, request: object) -> None: ...

    def add_cookie_header(self, request: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Reply:
    """What became of one request: an answer, or a fault with what is known about it."""

    fault: Fault | None
    status: int | None = None
    answer: dict[str, Any] | None = None
    asked: float | None = None  # seconds that Order Desk wants us to wait
    cause: Exception | None = None


class OrderDeskClient:
    """Raises StoreKeyRefused, NotFound, RateLimited, UpstreamFailed and UpstreamUnreachable; for a
    write `outcome` says what is known.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        buckets: TokenBuckets,
        *,
        timeout: float,  # seconds for each answer; waiting in line is the budget's
        max_retries: int,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
        observe: Observe | None = None,
    ) -> None:
        self._http = http
        self._buckets = buckets
        self._line = BucketLine(buckets, sleep)
        self._timeout = timeout
        self._max_retries = max_retries
        self._sleep = sleep
        self._clock = clock
        self._random = random
        self._observe = observe
        # Connecting ends well before the whole request does, so that "never sent" is told from "no
        # answer".
        connect = min(LONGEST_CONNECT, timeout * 0.3)
        self._extensions = {
            "timeout": {"connect": connect, "pool": connect, "read": timeout, "write": timeout}
        }

    async def test(self, store: StoreAccess, budget: WaitBudget) -> TestAnswer:
        """Whether Order Desk accepts the store's credentials: its answer, or StoreKeyRefused."""
        try:
            answer = await self._ask("GET", store, "/test", budget)
        except UpstreamFailed as error:
            if error.fault is Fault.SAID_NO and error.status is not None and error.status < 300:
                raise refusals.key_refused_by_test(error) from error
            raise
        if "status" not in answer:
            raise refusals.unreadable("GET")  # some other service's JSON
        words = {
            name: value if isinstance(value := answer.get(name), str) else ""
            for name in ("current_date_time", "execution_time")
        }
        return TestAnswer(answers.sentence(answer, store.api_key), **words)

    async def get_store(self, store: StoreAccess, budget: WaitBudget) -> dict[str, Any]:
        """The store's view (store_settings.view): id, name, timezone, locale, folders in order,
        settings without secrets.
        """
        answer = await self._ask("GET", store, "/store", budget)
        return store_settings.view(_inner(answer, "store", "GET"), store.api_key)

    async def list_orders(
        self, store: StoreAccess, parameters: Mapping[str, str], budget: WaitBudget
    ) -> OrderPage:
        """A page of complete orders.

        Parameters are Order Desk's own, dates in its form (dates.to_upstream).
        """
        answer = await self._ask("GET", store, "/orders", budget, parameters=parameters)
        orders = answers.rows(answer.get("orders"))
        if orders is None:
            raise refusals.unreadable("GET")
        limit = answers.count(answer.get("limit"))
        offset = answers.count(answer.get("offset"))
        return OrderPage(
            orders,
            answers.count(answer.get("total_records")),
            limit if limit is not None else answers.count(parameters.get("limit")) or 50,
            offset if offset is not None else answers.count(parameters.get("offset")) or 0,
        )

    async def get_order(
        self, store: StoreAccess, order_id: OrderId, budget: WaitBudget
    ) -> dict[str, Any]:
        """The inner order, as it came: empty maps may be [] and numbers are int or Decimal."""
        path = f"/orders/{_path_id(order_id, 'order_id')}"
        answer = await self._ask(
            "GET", store, path, budget, thing=f"order {order_id} in this store"
        )
        return _same(_inner(answer, "order", "GET"), order_id, "GET")

    async def create_order(
        self, store: StoreAccess, order: dict[str, Any], budget: WaitBudget
    ) -> dict[str, Any]:
        """The new order with its id.

        Never repeated when its answer was lost: the caller looks for its source_id.
        """
        answer = await self._ask("POST", store, "/orders", budget, body=order)
        made = _inner(answer, "order", "POST")
        if not _ID.fullmatch(str(made.get("id", ""))):
            raise refusals.unreadable("POST")
        return made

    async def replace_order(
        self, store: StoreAccess, order_id: OrderId, order: dict[str, Any], budget: WaitBudget
    ) -> dict[str, Any]:
        """The whole order is replaced: what `order` leaves out becomes blank (docs/orderdesk-api.md
        section 7.2).
        """
        path = f"/orders/{_path_id(order_id, 'order_id')}"
        answer = await self._ask("PUT", store, path, budget, body=order)
        return _same(_inner(answer, "order", "PUT"), order_id, "PUT")

    async def delete_order(self, store: StoreAccess, order_id: OrderId, budget: WaitBudget) -> None:
        """Gone for good."""
        path = f"/orders/{_path_id(order_id, 'order_id')}"
        await self._ask("DELETE", store, path, budget, thing=f"order {order_id} in this store")

    async def move_orders(
        self,
        store: StoreAccess,
        order_ids: Iterable[OrderId],
        budget: WaitBudget,
        *,
        folder_id: str | int | None = None,
        folder_name: str | None = None,
    ) -> list[dict[str, Any]]:
        """One row for each order that Order Desk speaks of (order_id is a number there).

        Exactly one of folder_id and folder_name.
        """
        if (folder_id is None) == (folder_name is None):
            raise ValidationFailed("Give either folder_id or folder_name.", field="folder_id")
        body: dict[str, Any] = {
            "order_id_list": [int(_path_id(order_id, "order_id")) for order_id in order_ids]
        }
        if folder_id is not None:
            body["destination_folder_id"] = int(_path_id(str(folder_id), "folder_id"))
        else:
            body["destination_folder_name"] = folder_name
        answer = await self._ask("POST", store, "/move-orders", budget, body=body)
        results = answers.rows(answer.get("results"))
        if results is None:
            raise refusals.unreadable("POST")
        return results

    async def list_inventory(
        self, store: StoreAccess, parameters: Mapping[str, str], budget: WaitBudget
    ) -> InventoryPage:
        """A page of inventory items.

        Order Desk may not mind limit and offset: stop when a page repeats ids (section 9).
        """
        answer = await self._ask("GET", store, "/inventory-items", budget, parameters=parameters)
        items = answers.rows(answer.get("inventory_items"))
        if items is None:
            raise refusals.unreadable("GET")
        total = answers.count(answer.get("total_records"))
        if total is not None and total < len(items):
            total = None  # a real answer said "0" above three items
        return InventoryPage(
            items, total, answers.count(answer.get("limit")), answers.count(answer.get("offset"))
        )

    async def get_inventory_item(
        self, store: StoreAccess, item_id: str, budget: WaitBudget
    ) -> dict[str, Any]:
        """The inner item; its id is a number."""
        path = f"/inventory-items/{_path_id(item_id, 'product_id')}"
        answer = await self._ask(
            "GET", store, path, budget, thing=f"product {item_id} in this store"
        )
        return _same(_inner(answer, "inventory_item", "GET"), item_id, "GET")

    async def _ask(
        self,
        method: str,
        store: StoreAccess,
        path: str,
        budget: WaitBudget,
        *,
        parameters: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
        thing: str | None = None,
    ) -> dict[str, Any]:
        """The envelope of a success, or the error of the last try."""
        url = f"{store.api_url}{path}{_query(parameters)}"
        headers = _headers(store, has_body=body is not None)
        content = None if body is None else _body(body)
        ticket = self._line.ticket()
        begun: float | None = None
        for attempt in itertools.count(1):
            await self._line.token(store.upstream_id, budget, ticket)
            begun = self._clock() if begun is None else begun
            reply = await self._try(
                httpx.Request(
                    method, url, headers=headers, content=content, extensions=self._extensions
                ),
                store,
                budget,
                thing,
            )
            if reply.fault is None:
                return reply.answer or {}
            wait = delay(attempt, reply.fault, reply.asked, self._random())
            if reply.fault is Fault.RATE_LIMITED:
                # the wait is in the line, where all others of this store wait too
                await self._tell_bucket(self._buckets.drain(store.upstream_id, wait))
            if (
                attempt > self._max_retries
                or not is_harmless(method, reply.fault)
                or self._too_late(reply.fault, begun, wait, budget)
            ):
                said = answers.sentence(reply.answer, store.api_key)
                asked = wait if reply.fault is Fault.RATE_LIMITED else reply.asked
                raise refusals.refusal(
                    reply.fault,
                    method=method,
                    status=reply.status,
                    said=said,
                    thing=thing,
                    wait=asked,
                ) from reply.cause
            if reply.fault is not Fault.RATE_LIMITED:
                with budget.waiting():
                    await self._sleep(wait)
        raise AssertionError("counting never ends")

    def _too_late(self, fault: Fault, begun: float, wait: float, budget: WaitBudget) -> bool:
        """Repeats end with the budget; after anything but a 429 also once one whole timeout has
        gone by since the first try.
        """
        if wait > budget.remaining():
            return True
        return fault is not Fault.RATE_LIMITED and self._clock() - begun + wait >= self._timeout

    async def _try(
        self, request: httpx.Request, store: StoreAccess, budget: WaitBudget, thing: str | None
    ) -> _Reply:
        """One request and what became of it; tells the bucket and the metrics."""
        budget.requests += 1
        started = self._clock()
        reply = _Reply(Fault.BROKEN_OFF)  # what a cancelled request counts as
        try:
            reply, remaining = await self._exchange(request, thing)
            if remaining is not None:
                await self._tell_bucket(self._buckets.correct(store.upstream_id, remaining))
        finally:
            if self._observe is not None:
                self._observe(
                    request.method,
                    reply.fault.value if reply.fault else "ok",
                    self._clock() - started,
                )
        return reply

    @staticmethod
    async def _tell_bucket(news: Awaitable[None]) -> None:
        try:
            await news
        except (
            Exception
        ) as error:  # the answer is there, of a write perhaps: no trouble of the bucket may hide it
            _LOG.warning("a store's bucket could not be told", exc_info=error)

    async def _exchange(
        self, request: httpx.Request, thing: str | None
    ) -> tuple[_Reply, int | None]:
        """The reply, and X-Tokens-Remaining where it stands in it."""
        try:
            async with asyncio.timeout(
                self._timeout
            ):  # httpx's own timeouts begin anew with each piece that arrives
                response = await self._http.send(
                    request, stream=True, follow_redirects=False, auth=None
                )
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
            httpx.ProxyError,
        ) as error:
            return _Reply(Fault.NOT_SENT, cause=error), None
        except (TimeoutError, httpx.TimeoutException) as error:
            return _Reply(Fault.TIMED_OUT, cause=error), None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            return _Reply(
                Fault.UNREADABLE if isinstance(error, httpx.DecodingError) else Fault.BROKEN_OFF,
                cause=error,
            ), None
        status = response.status_code
        answer = {} if status == 204 and request.method == "DELETE" else await _envelope(body)
        fault = answers.fault(
            status, answer, names_a_thing=thing is not None, is_read=request.method == "GET"
        )
        return _Reply(fault, status, answer, asked_wait(response.headers, now())), answers.count(
            response.headers.get("X-Tokens-Remaining", "").strip()
        )


def _headers(store: StoreAccess, *, has_body: bool) -> dict[str, str]:
    """All that is sent; no Content-Type without a body, Order Desk calls it invalid
    (docs/orderdesk-api.md section 11).
    """
    if not _ID.fullmatch(store.store_id):
        raise ValidationFailed(
            "store_id is the number of the store in Order Desk, digits only.",
            field="store_id",
            outcome="not_done",
        )
    if refused := refusals.bad_key(store.api_key):
        raise refused
    headers = {
        "ORDERDESK-STORE-ID": store.store_id,
        "ORDERDESK-API-KEY": store.api_key.reveal(),
        "User-Agent": USER_AGENT,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
    }
    if has_body:
        headers["Content-Type"] = "application/json"
    return headers


def _query(parameters: Mapping[str, str] | None) -> str:
    for name, value in (parameters or {}).items():
        if len(value) > LONGEST_PARAMETER or any(
            "\ud800" <= character <= "\udfff" for character in value
        ):
            raise ValidationFailed(
                f"{name} must be plain text of at most {LONGEST_PARAMETER} characters.", field=name
            )
    return f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""


def _body(order: dict[str, Any]) -> bytes:
    try:
        return json_text.dumps(order)
    except (ValueError, TypeError) as error:
        raise ValidationFailed(
            (
                "The order holds a value that JSON cannot carry, such as an endless nesting "
                "or a number that is none."
            ),
            outcome="not_done",
        ) from error


async def _read(response: httpx.Response) -> bytes | None:
    """The whole body; None when it is larger than anything that Order Desk has to say."""
    if (answers.count(response.headers.get("Content-Length", "")) or 0) > LARGEST_ANSWER:
        return None
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > LARGEST_ANSWER:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def _envelope(body: bytes | None) -> dict[str, Any] | None:
    if body is None:
        return None
    return (
        answers.envelope(body)
        if len(body) < LARGE_ANSWER
        else await asyncio.to_thread(answers.envelope, body)
    )


def _path_id(value: str, field: str) -> str:
    if not _ID.fullmatch(value):
        raise ValidationFailed(
            f"{field} is Order Desk's own number, digits only, such as 100000001.",
            field=field,
            outcome="not_done",
        )
    return quote(value, safe="")


def _inner(answer: dict[str, Any], name: str, method: str) -> dict[str, Any]:
    inner = answer.get(name)
    if not isinstance(inner, dict) or not inner:
        raise refusals.unreadable(method)
    return inner


def _same(thing: dict[str, Any], wanted: str, method: str) -> dict[str, Any]:
    """Another order than the one asked for would be merged and written back under the wrong id: it
    is no answer at all.
    """
    if str(thing.get("id", "")).lstrip("0") != wanted.lstrip("0"):
        raise refusals.unreadable(method)
    return thing
