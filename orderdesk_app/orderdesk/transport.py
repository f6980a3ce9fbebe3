"""Sends requests to Order Desk: waits for a token of the store's bucket, keeps time limits, retries
where that does no harm, and counts every request.
"""

import asyncio
import logging
import random as chance
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar
from importlib.util import find_spec
from ssl import SSLContext
from urllib.parse import quote, urlencode

import httpx

from orderdesk_app.context import JsonObject, now
from orderdesk_app.errors import (
    ConfigurationError,
    Fault,
    OrderDeskAgentsError,
    ValidationFailed,
)
from orderdesk_app.observability import log
from orderdesk_app.orderdesk import answers, json_text, refusals
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import BucketQueue, TokenBuckets
from orderdesk_app.orderdesk.proxy import proxy_for, unusable_proxy
from orderdesk_app.orderdesk.retry import asked_wait, delay, is_harmless
from orderdesk_app.orderdesk.unpacking import ENCODING, unpack
from orderdesk_app.orderdesk.user_agent import USER_AGENT
from orderdesk_app.orderdesk.wait_budget import WaitBudget

_LOG = log(__name__)

LARGEST_ANSWER = 32 * 1024 * 1024  # 500 complete orders are about 2 MB
# a larger answer is parsed in a thread, so that other calls are not held up
LARGE_ANSWER = 1024 * 1024
LONGEST_CONNECT = 10.0
LONGEST_PARAMETER = 1000

_STORE_ID = re.compile(r"[0-9]{1,20}")

Observe = Callable[[str, str, float], None]  # method, outcome ("ok" or a Fault), seconds


def open_http(*, mounts: Mapping[str, httpx.AsyncBaseTransport] | None = None) -> httpx.AsyncClient:
    """The process's pool of connections. The caller closes it.

    No redirects and no cookies: a cookie set for one store must not be sent for the next. Raises
    ConfigurationError for a proxy of the environment that cannot be used.
    """
    for name in ("httpx", "httpcore"):
        # they log addresses with customers' names, and headers with keys
        logging.getLogger(name).setLevel(logging.WARNING)
    if find_spec("sniffio") is None:
        # httpcore searches the disk for it four times a request; this entry answers at once
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    try:
        return httpx.AsyncClient(
            follow_redirects=False,
            cookies=_NoCookies(),
            limits=httpx.Limits(
                max_connections=400, max_keepalive_connections=100, keepalive_expiry=15
            ),
            mounts=mounts,
            verify=_authorities(),
        )
    except (ImportError, ValueError):
        # Without its words: they may quote the address with its password.
        variable = unusable_proxy()
        if variable is None:
            raise
        raise ConfigurationError(
            f"{variable}: calls to Order Desk go through a proxy of http:// or https:// alone. "
            f"Example: {variable}=http://proxy.example.com:3128"
        ) from None


@cache
def _authorities() -> SSLContext:
    """Whom we trust, as httpx finds it: read once, as it takes 30 ms. Worker processes have what
    the main process read.
    """
    return httpx.create_ssl_context()


class _NoCookies(CookieJar):
    """Keeps no cookie and sends none, without parsing a header."""

    def extract_cookies(self, response: object, request: object) -> None: ...

    def add_cookie_header(self, request: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Sent:
    """One request, the same at every attempt."""

    method: str
    store: StoreAccess
    url: str
    headers: dict[str, str]
    content: bytes | None
    thing: str | None


@dataclass(frozen=True, slots=True)
class _Reply:
    """What became of one request: an answer, or a fault with what is known about it."""

    fault: Fault | None
    status: int | None = None
    answer: JsonObject | None = None
    asked: float | None = None  # seconds that Order Desk wants us to wait
    cause: Exception | None = None


class Transport:
    """Sends requests to Order Desk. `timeout` is in seconds for each answer; the WaitBudget of a
    call limits its waits before and between them.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        buckets: TokenBuckets,
        *,
        timeout: float,
        max_retries: int,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
        observe: Observe | None = None,
    ) -> None:
        self._http = http
        self._buckets = buckets
        self._queue = BucketQueue(buckets, sleep)
        self._timeout = timeout
        self._max_retries = max_retries
        self._sleep = sleep
        self._clock = clock
        self._random = random
        self._observe = observe
        # The time to connect is much shorter than the time for the whole request, so that "never
        # sent" can be distinguished from "no answer".
        connect = min(LONGEST_CONNECT, timeout * 0.3)
        self._extensions = {
            "timeout": {"connect": connect, "pool": connect, "read": timeout, "write": timeout}
        }

    async def request(
        self,
        method: str,
        store: StoreAccess,
        path: str,
        budget: WaitBudget,
        *,
        parameters: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        thing: str | None = None,
    ) -> JsonObject:
        """The envelope of a success (docs/orderdesk-api.md section 5).

        `path` is beneath the store's api_url. `thing` names the one object that the path leads to,
        so that "not found" means that one. Raises StoreKeyRefused, NotFound, Conflict, RateLimited,
        UpstreamFailed or UpstreamUnreachable, as the last attempt ended; ValidationFailed for what
        cannot be sent; what `budget` raises where the caller was stopped, and nothing was sent.
        """
        sent = _Sent(
            method,
            store,
            f"{store.api_url}{path}{_query(parameters)}",
            _headers(store, has_body=body is not None),
            None if body is None else _body(body),
            thing,
        )
        ticket = self._queue.ticket()
        attempt = 0
        first_sent_at: float | None = None
        while True:
            attempt += 1
            await self._queue.token(store.upstream_id, budget, ticket)
            if method != "GET":
                await budget.require_allowed()
            if first_sent_at is None:
                first_sent_at = self._clock()
            reply = await self._try(sent, budget)
            if reply.fault is None:
                return reply.answer or {}
            wait = delay(attempt, reply.fault, reply.asked, self._random())
            if reply.fault is Fault.RATE_LIMITED:
                # the wait happens in the queue, with all other requests to this store
                await self._update_bucket(self._buckets.drain(store.upstream_id, wait))
            if (
                attempt > self._max_retries
                or not is_harmless(method, reply.fault)
                or self._is_too_late(reply.fault, first_sent_at, wait, budget)
            ):
                raise _refusal(sent, reply, reply.fault, wait) from reply.cause
            if reply.fault is not Fault.RATE_LIMITED:
                with budget.waiting():
                    await self._sleep(wait)

    def _is_too_late(
        self, fault: Fault, first_sent_at: float, wait: float, budget: WaitBudget
    ) -> bool:
        """Retries end with the budget; after any fault but a 429 also once a whole timeout has
        passed since the first attempt.
        """
        if wait > budget.remaining():
            return True
        passed = self._clock() - first_sent_at
        return fault is not Fault.RATE_LIMITED and passed + wait >= self._timeout

    async def _try(self, sent: _Sent, budget: WaitBudget) -> _Reply:
        """One request and what became of it; corrects the bucket and counts the request."""
        budget.requests += 1
        started = self._clock()
        reply = _Reply(Fault.BROKEN_OFF)  # what a cancelled request counts as
        try:
            reply, remaining = await self._exchange(sent)
            if remaining is not None:
                await self._update_bucket(self._buckets.correct(sent.store.upstream_id, remaining))
        finally:
            if self._observe is not None:
                self._observe(
                    sent.method,
                    reply.fault.value if reply.fault else "ok",
                    self._clock() - started,
                )
        return reply

    @staticmethod
    async def _update_bucket(update: Awaitable[None]) -> None:
        try:
            await update
        except Exception as error:
            # the answer, perhaps of a write, is there: a failure of the bucket must not hide it
            _LOG.warning("a store's bucket could not be updated", exc_info=error)

    async def _exchange(self, sent: _Sent) -> tuple[_Reply, int | None]:
        """The reply, and its X-Tokens-Remaining if it has one."""
        request = httpx.Request(
            sent.method,
            sent.url,
            headers=sent.headers,
            content=sent.content,
            extensions=self._extensions,
        )
        try:
            # for the whole answer: httpx's own timeouts start again with each piece that arrives
            async with asyncio.timeout(self._timeout):
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
            return _Reply(Fault.BROKEN_OFF, cause=error), None
        status = response.status_code
        answer = {} if status == 204 and sent.method == "DELETE" else await _envelope(body)
        fault = answers.fault(
            status, answer, names_a_thing=sent.thing is not None, is_read=sent.method == "GET"
        )
        remaining = answers.count(response.headers.get("X-Tokens-Remaining", "").strip())
        return _Reply(fault, status, answer, asked_wait(response.headers, now())), remaining


def _refusal(sent: _Sent, reply: _Reply, fault: Fault, wait: float) -> OrderDeskAgentsError:
    return refusals.refusal(
        fault,
        method=sent.method,
        status=reply.status,
        said=answers.sentence(reply.answer, sent.store.api_key),
        thing=sent.thing,
        wait=wait if fault is Fault.RATE_LIMITED else reply.asked,
        through=str(proxy_for(sent.url) or ""),
    )


def _headers(store: StoreAccess, *, has_body: bool) -> dict[str, str]:
    """All headers of a request; no Content-Type without a body, which Order Desk calls invalid
    (docs/orderdesk-api.md section 11).
    """
    if not _STORE_ID.fullmatch(store.store_id):
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
        "Accept-Encoding": ENCODING,
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


def _body(body: JsonObject) -> bytes:
    try:
        return json_text.dumps(body)
    except (ValueError, TypeError) as error:
        raise ValidationFailed(
            (
                "The order holds a value that JSON cannot carry, such as an endless nesting "
                "or a number that is none."
            ),
            outcome="not_done",
        ) from error


async def _read(response: httpx.Response) -> bytes | None:
    """The whole body; None when it is larger than LARGEST_ANSWER, or packed
    in a way that was not asked for.
    """
    if (answers.count(response.headers.get("Content-Length", "")) or 0) > LARGEST_ANSWER:
        return None
    encoding = response.headers.get("Content-Encoding", "")
    return await unpack(response.aiter_raw(), encoding, limit=LARGEST_ANSWER)


async def _envelope(body: bytes | None) -> JsonObject | None:
    if body is None:
        return None
    return (
        answers.envelope(body)
        if len(body) < LARGE_ANSWER
        else await asyncio.to_thread(answers.envelope, body)
    )
