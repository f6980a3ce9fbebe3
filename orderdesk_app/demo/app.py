"""The sandbox Order Desk as an ASGI app: reached in process through httpx, or served alone by
demo/server.py.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orderdesk_app.demo import orders
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.buckets import Bucket
from orderdesk_app.demo.dates import stamp
from orderdesk_app.demo.endpoints import Call, Endpoints, Reply
from orderdesk_app.demo.faults import Dropped, Fault, Faults, Served
from orderdesk_app.demo.inventory_endpoints import InventoryEndpoints
from orderdesk_app.demo.order_endpoints import OrderEndpoints
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.rows import ORDER, SandboxRows
from orderdesk_app.demo.seed import Seed, default_seed
from orderdesk_app.demo.shelf import Shelf, WriteContention
from orderdesk_app.demo.shipment_endpoints import ShipmentEndpoints
from orderdesk_app.demo.store_endpoints import StoreEndpoints
from orderdesk_app.demo.switches import Switches
from orderdesk_app.token_bucket import Level

BASE = "/api/v2"
# the host of in-process stores; their api_url is this with BASE
SANDBOX_URL = "http://sandbox.invalid"
METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
HTML_502 = (
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad "
    "Gateway</h1></center>\n<hr><center>nginx</center>\n</body>\n</html>\n"
)

# the API key of a store id, None for an unknown store
Accounts = Callable[[str], Awaitable[str | None]]
Clock = Callable[[], float]  # seconds since 1970: dates and buckets read it


def sandbox_app(
    accounts: Accounts,
    rows: SandboxRows,
    *,
    switches: Switches = Switches(),  # noqa: B008  frozen
    faults: Faults | None = None,
    clock: Clock = time.time,
    seed: Seed | None = None,
) -> "SandboxApp":
    """An Order Desk under /api/v2, with header auth per store, its own bucket per store, and the
    store's rows over the seeded set.
    """
    return SandboxApp(accounts, rows, switches, faults, clock, seed or default_seed())


class SandboxApp:
    """`switches` may be exchanged while it runs; `faults` is None outside tests. `late` holds the
    answers whose effect is still to come.
    """

    def __init__(
        self,
        accounts: Accounts,
        rows: SandboxRows,
        switches: Switches,
        faults: Faults | None,
        clock: Clock,
        seed: Seed,
    ) -> None:
        self.accounts = accounts
        self.rows = rows
        self.switches = switches
        self.faults = faults
        self.clock = clock
        self.seed = seed
        self.buckets: dict[str, Bucket] = {}
        self.late: set[asyncio.Task[Response]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        response = await self._serve(request, body)
        await response(scope, receive, send)

    async def _serve(self, request: Request, body: bytes) -> Response:
        """One request from arrival to answer, faults included. Raises Dropped."""
        started = time.perf_counter()
        switches = self.switches
        store_id = request.headers.get("orderdesk-store-id", "")
        method = request.method
        path = request.scope["path"]
        path = path.removeprefix(BASE) if path.startswith(f"{BASE}/") else ""
        if switches.method_override and method == "POST":
            method = request.headers.get("x-http-method-override", "POST").upper()
        served = self._log(request, method, path, store_id, body)
        headers: dict[str, str] = {}
        try:
            _check_form(request, method, body, switches)
            api_key = await self._authorise(store_id, request.headers.get("orderdesk-api-key", ""))
            self._take_token(store_id, headers)
            call = Call(
                method,
                path.strip("/").split("/"),
                request.query_params,
                body,
                Shelf(self.rows, self.seed, store_id),
                stamp(self.clock()),
                api_key,
            )
            fault = self.faults.strike(served) if self.faults and served else None
            response = await (
                self._faulty(call, fault, started, headers)
                if fault
                else self._answer(call, started, headers)
            )
        except Refusal as refusal:
            response = _envelope(
                {"status": "error", "message": refusal.message}, refusal.status, started, headers
            )
            if refusal.status == 429 and not switches.json_429:
                response = Response(
                    "Too Many Requests",
                    429,
                    {k: v for k, v in response.headers.items() if k.startswith("x-")},
                    "text/plain",
                )
        if served:
            served.status = response.status_code
        if switches.delay:
            await asyncio.sleep(max(0.0, switches.delay - (time.perf_counter() - started)))
        return response

    def _log(
        self, request: Request, method: str, path: str, store_id: str, body: bytes
    ) -> Served | None:
        if self.faults is None:
            return None
        headers = {
            name: value for name, value in request.headers.items() if name != "orderdesk-api-key"
        }
        return self.faults.note(
            self.clock(),
            method,
            path,
            request.url.query,
            store_id,
            headers,
            body.decode("utf-8", "replace"),
        )

    async def _authorise(self, store_id: str, presented: str) -> str:
        """The store's key. Raises Refusal when the two headers are not this store's."""
        expected = (
            await self.accounts(store_id) if store_id.isascii() and store_id.isdigit() else None
        )
        if expected is not None and hmac.compare_digest(expected.encode(), presented.encode()):
            return expected
        if expected is not None and self.switches.bad_credentials_cost:
            self._take_token(store_id, {})
        raise Refusal(self.switches.bad_credentials_status, self.switches.bad_credentials_message)

    def _take_token(self, store_id: str, headers: dict[str, str]) -> None:
        if not self.switches.rate_limited:
            return
        now = self.clock()
        bucket = self.buckets.setdefault(
            store_id, Bucket(Level(float(self.switches.bucket_size), now))
        )
        left = bucket.take(now, self.switches)
        headers["X-Tokens-Remaining"] = str(left or 0)
        if left is None:
            headers["X-Retry-After"] = str(bucket.wait(self.switches))
            raise Refusal(429, "Too Many Requests")

    async def _answer(self, call: Call, started: float, headers: dict[str, str]) -> Response:
        try:
            reply = await answer(call, self.switches)
        except Refusal as refusal:
            return _envelope(
                {"status": "error", "message": refusal.message}, refusal.status, started, headers
            )
        except WriteContention:
            return _envelope(
                {"status": "error", "message": "The order is busy, try again"},
                503,
                started,
                headers,
            )
        return _envelope(
            {"status": "success"} | reply.payload, reply.status, started, headers, reply.ready
        )

    async def _faulty(
        self, call: Call, fault: Fault, started: float, headers: dict[str, str]
    ) -> Response:
        """The answer as the fault has it. Raises Dropped."""
        if fault.kind == "edit":
            answer = await self._answer(call, started, headers)
            await call.shelf.change(
                ORDER,
                fault.order_id or call.parts[1],
                lambda document: edit(document, fault.patch, call.now),
            )
            return answer
        response = await self._answer(call, started, headers) if fault.effect == "done" else None
        if fault.kind == "slow":
            if fault.effect == "late":
                return await self._answer_late(call, fault, started, headers)
            await fault.wait()
            return response or Response(
                "<html><body><h1>504 Gateway Time-out</h1></body></html>",
                504,
                media_type="text/html",
            )
        if fault.kind == "dropped":
            raise Dropped("the sandbox dropped the connection, as it was told to")
        if fault.kind == "broken_json":
            whole = bytes(response.body) if response else b'{"status": "success", "order": {"id": "'
            return Response(whole[: max(1, len(whole) // 2)], 200, headers, "application/json")
        return _fault_response(fault, started, headers)

    async def _answer_late(
        self, call: Call, fault: Fault, started: float, headers: dict[str, str]
    ) -> Response:
        """The effect comes after the wait, even when the caller is gone by then."""

        async def late() -> Response:
            await fault.wait()
            return await self._answer(call, started, headers)

        task = asyncio.create_task(late())
        self.late.add(task)
        task.add_done_callback(self.late.discard)
        return await asyncio.shield(task)


def edit(document: Body, patch: Body, now: str) -> None:
    """Somebody else changes an order: keys of `patch` merged into it, lists and scalars replaced,
    totals and date_updated as after any write.
    """
    _merge(document["order"], patch)
    orders.touch(document, patch.get("date_updated", now))


def _merge(into: Body, patch: Body) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _fault_response(fault: Fault, started: float, headers: dict[str, str]) -> Response:
    if fault.kind == "bad_gateway":
        return Response(HTML_502, 502, media_type="text/html")
    if fault.kind == "rate_limited":
        headers = {"X-Tokens-Remaining": "0", "X-Retry-After": str(max(1, round(fault.seconds)))}
    if fault.kind == "rate_limited_bare":
        headers = {}
    status, words = {
        "rate_limited": (429, "Too Many Requests"),
        "rate_limited_bare": (429, "Too Many Requests"),
        "server_error": (500, "Internal Server Error"),
        "unavailable": (503, "Service Unavailable"),
        "error_in_200": (200, "Something Went Wrong"),
        "status": (fault.status, "Something Went Wrong"),
    }[fault.kind]
    return _envelope(
        {"status": "error", "message": fault.message or words}, status, started, headers
    )


def _check_form(request: Request, method: str, body: bytes, switches: Switches) -> None:
    """Refuse what section 11 calls an invalid request."""
    if method not in METHODS:
        raise Refusal(switches.bad_method_status, f"Method {method} is not supported")
    if method == "GET" and body:
        raise Refusal(400, "Invalid Request: GET has no body")
    if (
        method == "GET"
        and switches.strict_get_headers
        and ("content-type" in request.headers or "content-length" in request.headers)
    ):
        raise Refusal(400, "Invalid Request: GET has no Content-Type and no Content-Length")


def _envelope(
    payload: Body,
    status: int,
    started: float,
    headers: dict[str, str],
    ready: tuple[str, bytes] | None = None,
) -> Response:
    content = json.dumps(
        payload | {"execution_time": f"{time.perf_counter() - started:.4f} seconds"}
    ).encode()
    if ready:
        content = b'%s, "%s": %s}' % (content[:-1], ready[0].encode(), ready[1])
    return Response(content, status, headers, "application/json")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


NOUNS: tuple[type[Endpoints], ...] = (
    StoreEndpoints,
    OrderEndpoints,
    ShipmentEndpoints,
    InventoryEndpoints,
)


async def answer(call: Call, switches: Switches) -> Reply:
    """What the noun that the address belongs to answers. Raises Refusal."""
    for noun in NOUNS:
        reply = await noun(call, switches).reply()
        if reply is not None:
            return reply
    raise Refusal(switches.not_found_status, "Endpoint Not Found")
