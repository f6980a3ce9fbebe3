"""The sandbox Order Desk as an ASGI app: reached in process through httpx, or served alone by
demo/server.py.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orderdesk_app.demo import inventory, orders, shipments
from orderdesk_app.demo.buckets import Bucket
from orderdesk_app.demo.dates import stamp
from orderdesk_app.demo.faults import Dropped, Fault, Faults, Served
from orderdesk_app.demo.orders import FOLDERS, Body, text
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.rows import INVENTORY, ORDER, SandboxRows
from orderdesk_app.demo.search import page_of, search
from orderdesk_app.demo.seed import Seed
from orderdesk_app.demo.shelf import Crowded, Shelf
from orderdesk_app.demo.stores import store_view
from orderdesk_app.demo.switches import Switches

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
    return SandboxApp(accounts, rows, switches, faults, clock, seed or Seed())


@dataclass(slots=True)
class Reply:
    """What goes back: a payload for the envelope, or JSON text already made."""

    payload: Body = field(default_factory=dict)
    status: int = 200
    ready: tuple[str, bytes] | None = None  # a key of the envelope and its JSON


@dataclass(slots=True)
class Call:
    """One authorised request."""

    method: str
    parts: list[str]
    query: QueryParams
    body: bytes
    shelf: Shelf
    now: str
    api_key: str


class SandboxApp:
    """`switches` may be exchanged while it runs; `faults` is None outside tests."""

    def __init__(
        self,
        accounts: Accounts,
        rows: SandboxRows,
        switches: Switches,
        faults: Faults | None,
        clock: Clock,
        seed: Seed,
    ) -> None:
        self.accounts, self.rows, self.switches, self.faults, self.clock, self.seed = (
            accounts,
            rows,
            switches,
            faults,
            clock,
            seed,
        )
        self.buckets: dict[str, Bucket] = {}
        self._late: set[asyncio.Task[Response]] = set()

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
        """One request from arrival to answer, whatever befalls it. Raises Dropped."""
        started = time.perf_counter()
        switches = self.switches
        store_id, method, path = (
            request.headers.get("orderdesk-store-id", ""),
            request.method,
            request.scope["path"],
        )
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
        bucket = self.buckets.setdefault(store_id, Bucket(self.switches.bucket_size, now))
        left = bucket.take(now, self.switches)
        headers["X-Tokens-Remaining"] = str(left or 0)
        if left is None:
            headers["X-Retry-After"] = str(bucket.wait(self.switches))
            raise Refusal(429, "Too Many Requests")

    async def _answer(self, call: Call, started: float, headers: dict[str, str]) -> Response:
        try:
            reply = await _Desk(call, self.switches).reply()
        except Refusal as refusal:
            return _envelope(
                {"status": "error", "message": refusal.message}, refusal.status, started, headers
            )
        except Crowded:
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
                return await self._answer_late(call, fault.seconds, started, headers)
            await asyncio.sleep(fault.seconds)
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
        self, call: Call, seconds: float, started: float, headers: dict[str, str]
    ) -> Response:
        """The effect comes after the wait, even when the caller is gone by then."""

        async def late() -> Response:
            await asyncio.sleep(seconds)
            return await self._answer(call, started, headers)

        task = asyncio.create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return await asyncio.shield(task)


def edit(document: Body, patch: dict[str, Any], now: str) -> None:
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


class _Desk:
    """One call's endpoint."""

    def __init__(self, call: Call, switches: Switches) -> None:
        self.call, self.switches, self.shelf, self.now = call, switches, call.shelf, call.now

    async def reply(self) -> Reply:
        match self.call.method, self.call.parts:
            case "GET", ["test"]:
                return Reply({"message": "Connection Successful", "current_date_time": self.now})
            case "GET", ["store"]:
                return Reply(
                    {
                        "store": store_view(
                            self.shelf.store_id, self.call.api_key, self.switches.timezone
                        )
                    }
                )
            case "GET", ["orders"]:
                return await self._search()
            case "POST", ["orders"]:
                return await self._create_order()
            case "POST", ["move-orders"]:
                return await self._move()
            case _, ["orders", order_id]:
                return await self._order(order_id)
            case "POST", ["orders", order_id, "order-history"]:
                return await self._add_history(order_id)
            case "GET", ["orders", order_id, "order-items" | "shipments" as what]:
                return await self._parts(order_id, what)
            case "GET", ["orders", order_id, "order-items" | "shipments" as what, part_id]:
                return await self._part(order_id, what, part_id)
            case _, ["orders", order_id, "order-items", *rest]:
                return await self._write_item(order_id, rest)
            case _, ["orders", order_id, "shipments", *rest]:
                return await self._write_shipment(order_id, rest)
            case "POST", ["batch-shipments"]:
                return await self._batch_shipments()
            case "GET", ["inventory-items"]:
                return await self._inventory()
            case "POST", ["inventory-items"]:
                return await self._create_inventory()
            case _, ["inventory-items", item_id]:
                return await self._inventory_item(item_id)
            case "PUT", ["batch-inventory-items"]:
                return await self._batch_inventory()
        raise self._not_found("Endpoint")

    async def _search(self) -> Reply:
        page = search(await self.shelf.views(ORDER), self.call.query, FOLDERS, self.switches)
        with_history = self.call.query.get("get_order_history", "").lower() in ("1", "true")
        found = [
            row["order"] | {"order_history": row["history"]} if with_history else row["order"]
            for row in page.rows
        ]
        return Reply(
            {
                "total_records": page.total,
                "records_returned": len(found),
                "offset": page.offset,
                "limit": page.limit,
                "orders": found,
            }
        )

    async def _order(self, order_id: str) -> Reply:
        match self.call.method:
            case "GET":
                found = await self.shelf.answer(ORDER, order_id)
                if found is None:
                    raise self._not_found("Order")
                return Reply(ready=("order", found))
            case "PUT":
                body = self._object()
                document = await self._edit(
                    order_id,
                    lambda document: orders.replace(
                        document, body, FOLDERS, self.now, self.switches
                    ),
                )
                return Reply({"order": document["order"]})
            case "DELETE":
                if not await self.shelf.delete(ORDER, order_id):
                    raise self._not_found("Order")
                return Reply({"message": f"Order {order_id} Deleted"})
        raise self._not_found("Endpoint")

    async def _create_order(self) -> Reply:
        body = self._object()

        def make(order_id: str, others: list[Body]) -> Body:
            document = orders.new_document(
                order_id,
                body,
                FOLDERS,
                self.now,
                self.switches,
                email_count=_with_email(others, text(body.get("email"))) + 1,
            )
            twin = (
                _duplicate(document["order"], others, self.switches)
                if text(body.get("source_id"))
                else None
            )
            if twin:
                raise Refusal(
                    self.switches.duplicate_order_status,
                    f"Duplicate Order: this order already exists as order {twin}",
                )
            return document

        document = await self.shelf.create(ORDER, make)
        return Reply({"order": document["order"]}, self.switches.created_status)

    async def _add_history(self, order_id: str) -> Reply:
        body = self._object()
        note = text(body.get("note"))
        if not note.strip() or len(note) > orders.HISTORY_LIMIT:
            raise self._invalid(
                f"Order History Not Added: note is required, {orders.HISTORY_LIMIT} "
                "characters at most"
            )
        document = await self._edit(
            order_id,
            lambda document: orders.add_history(
                document, note, text(body.get("source_name")) or "API", self.now
            ),
        )
        return Reply(
            {
                "total_records": len(document["history"]),
                "order": document["order"] | {"order_history": document["history"]},
            }
        )

    async def _parts(self, order_id: str, what: str) -> Reply:
        key, _ = _PARTS[what]
        found = (await self._view(order_id))["order"][key]
        return Reply(
            {
                "total_records": len(found),
                "order_items" if what == "order-items" else "shipments": found,
            }
        )

    async def _part(self, order_id: str, what: str, part_id: str) -> Reply:
        key, noun = _PARTS[what]
        found = (await self._view(order_id))["order"][key]
        return Reply(
            {
                "order_item" if what == "order-items" else "shipment": found[
                    orders.position(found, part_id, noun, self.switches)
                ]
            }
        )

    async def _write_item(self, order_id: str, rest: list[str]) -> Reply:
        match self.call.method, rest:
            case "POST", []:
                body = self._object()
                await self._edit(
                    order_id,
                    lambda document: orders.add_item(document, body, self.now, self.switches),
                )
                return Reply({"message": "Order Item Added"}, self.switches.created_status)
            case "PUT", [item_id]:
                body = self._object()
                await self._edit(
                    order_id,
                    lambda document: orders.update_item(
                        document, item_id, body, self.now, self.switches
                    ),
                )
                return Reply({"message": "Order Item Updated"})
            case "DELETE", [item_id]:
                await self._edit(
                    order_id,
                    lambda document: orders.remove_item(document, item_id, self.now, self.switches),
                )
                return Reply({"message": f"Order Item {item_id} Deleted"})
        raise self._not_found("Endpoint")

    async def _write_shipment(self, order_id: str, rest: list[str]) -> Reply:
        match self.call.method, rest:
            case "POST", []:
                await self._ship(order_id, self._object())
                return Reply({"message": "Shipment Added"}, self.switches.created_status)
            case "PUT", [shipment_id]:
                body = self._object()
                await self._edit(
                    order_id,
                    lambda document: shipments.update(
                        document, shipment_id, body, self.now, self.switches
                    ),
                )
                return Reply({"message": "Shipment Updated"})
            case "DELETE", [shipment_id]:
                await self._edit(
                    order_id,
                    lambda document: shipments.remove(
                        document, shipment_id, self.now, self.switches
                    ),
                )
                return Reply({"message": f"Shipment {shipment_id} Deleted"})
        raise self._not_found("Endpoint")

    async def _batch_shipments(self) -> Reply:
        results = []
        for body in self._array("shipments"):
            order_id = text(body.get("order_id"))
            result: Body = {
                "status": "success",
                "order_id": body.get("order_id"),
                "message": "Shipment Added",
            }
            try:
                result["shipment_id"] = await self._ship(
                    order_id, body, with_items=self.switches.batch_order_items_honoured
                )
            except Refusal as refusal:
                result |= {"status": "error", "message": refusal.message}
            results.append(result)
        return Reply(
            {
                "message": (
                    f"{sum(result['status'] == 'success' for result in results)} Shipments Added"
                ),
                "results": results,
            }
        )

    async def _ship(self, order_id: str, body: Body, *, with_items: bool = True) -> str:
        """Add a shipment; returns its id."""
        changed = await self.shelf.change(
            ORDER,
            order_id,
            lambda document: shipments.add(
                document, body, self.shelf.store_id, self.now, self.switches, with_items=with_items
            ),
        )
        if changed is None:
            raise self._not_found("Order")
        return str(changed[0]["id"])

    async def _move(self) -> Reply:
        body = self._object()
        ids = body.get("order_id_list")
        if not isinstance(ids, list) or not ids:
            raise self._invalid("Orders Not Moved: order_id_list is required")
        folder_id, name = self._destination(body)
        results: list[Body] = []
        for order_id in dict.fromkeys(text(one) for one in ids):
            changed = await self.shelf.change(
                ORDER, order_id, lambda document: orders.move(document, folder_id, name, self.now)
            )
            number = (
                int(order_id)
                if order_id.isascii() and order_id.isdigit() and len(order_id) < 19
                else order_id
            )
            if changed is None:
                results.append({"order_id": number, "message": "Order Not Found"})
            else:
                results.append(
                    {
                        "order_id": number,
                        "message": f"Order Moved to {name} Folder",
                        "original_folder_id": changed[0],
                    }
                )
        moved = sum("original_folder_id" in result for result in results)
        return Reply(
            {
                "message": f"{moved} Orders Moved",
                "results": results,
            }
        )

    def _destination(self, body: Body) -> tuple[int, str]:
        folder_id, name = (
            text(body.get("destination_folder_id")),
            text(body.get("destination_folder_name")),
        )
        if folder_id and name and self.switches.move_with_both_destinations == "error":
            raise self._invalid(
                "Orders Not Moved: give destination_folder_id or destination_folder_name, not both"
            )
        for known, known_name in FOLDERS.items():
            if (folder_id and known == folder_id) or (
                not folder_id and name and known_name == name
            ):
                return int(known), known_name
        raise self._invalid("Orders Not Moved: Folder Not Found")

    async def _inventory(self) -> Reply:
        found = inventory.chosen(await self.shelf.views(INVENTORY), self.call.query.get("code", ""))
        limit, offset = (
            page_of(self.call.query, self.switches)
            if self.switches.inventory_paging == "honoured"
            else (len(found), 0)
        )
        rows = found[offset : offset + limit]
        total = str(len(found)) if self.switches.inventory_total == "count" else "0"
        return Reply(
            {
                "initial_records_returned": len(rows),
                "records_returned": len(rows),
                "total_records": total,
                "inventory_items": rows,
            }
        )

    async def _inventory_item(self, item_id: str) -> Reply:
        match self.call.method:
            case "GET":
                found = await self.shelf.answer(INVENTORY, item_id)
                if found is None:
                    raise self._not_found("Inventory Item")
                return Reply({"records_returned": 1}, ready=("inventory_item", found))
            case "PUT":
                await self._replace_inventory(item_id, self._object(), blank=True)
                return Reply({"message": "Inventory Item Updated"})
            case "DELETE":
                if not await self.shelf.delete(INVENTORY, item_id):
                    raise self._not_found("Inventory Item")
                return Reply({"message": f"Inventory Item {item_id} Deleted"})
        raise self._not_found("Endpoint")

    async def _create_inventory(self) -> Reply:
        body = self._object()

        def make(item_id: str, others: list[Body]) -> Body:
            item = inventory.new_item(int(item_id), body, self.now, self.switches)
            if self.switches.inventory_code_unique and any(
                other["code"].lower() == item["code"].lower() for other in others
            ):
                raise self._invalid("Inventory Item Not Added: code is in use")
            return item

        item = await self.shelf.create(INVENTORY, make)
        return Reply(
            {"message": "Inventory Item Added", "inventory_item": item},
            self.switches.created_status,
        )

    async def _replace_inventory(self, item_id: str, body: Body, *, blank: bool) -> None:
        def write(item: Body) -> None:
            after = inventory.replaced(item, body, self.now, self.switches, blank=blank)
            item.clear()
            item.update(after)

        if await self.shelf.change(INVENTORY, item_id, write) is None:
            raise self._not_found("Inventory Item")

    async def _batch_inventory(self) -> Reply:
        items = self._array("inventory_items")
        for body in items:
            if not text(body.get("id")):
                raise self._invalid(
                    "Inventory Items Not Updated: every item needs id, name and code"
                )
        for body in items:
            await self._replace_inventory(
                text(body["id"]), body, blank=self.switches.batch_inventory_blanks
            )
        return Reply({"message": f"{len(items)} Inventory Items Updated"})

    async def _view(self, order_id: str) -> Body:
        found = await self.shelf.view(ORDER, order_id)
        if found is None:
            raise self._not_found("Order")
        return found

    async def _edit(self, order_id: str, change: Callable[[Body], object]) -> Body:
        changed = await self.shelf.change(ORDER, order_id, change)
        if changed is None:
            raise self._not_found("Order")
        return changed[1]

    def _json(self) -> Any:
        try:
            return json.loads(self.call.body, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self._invalid("Invalid JSON") from error

    def _object(self) -> Body:
        body = self._json()
        if not isinstance(body, dict):
            raise self._invalid("Invalid Request: the body must be a JSON object")
        return body

    def _array(self, wrapper: str) -> list[Body]:
        """The rows of a batch: a bare array, as only that is known to work."""
        body = self._json()
        if isinstance(body, dict) and self.switches.accept_wrapped_batch:
            body = body.get(wrapper)
        if not isinstance(body, list) or not body or not all(isinstance(row, dict) for row in body):
            raise self._invalid("Invalid Request: the body must be a JSON array of objects")
        return body

    def _not_found(self, noun: str) -> Refusal:
        return Refusal(self.switches.not_found_status, f"{noun} Not Found")

    def _invalid(self, message: str) -> Refusal:
        return Refusal(self.switches.validation_status, message)


_PARTS = {
    "order-items": ("order_items", "Order Item"),
    "shipments": ("order_shipments", "Shipment"),
}


def _no_number(name: str) -> None:
    raise ValueError(name)


def _with_email(documents: list[Body], email: str) -> int:
    return (
        sum(document["order"]["email"].lower() == email.lower() for document in documents)
        if email
        else 0
    )


def _duplicate(order: Body, others: list[Body], switches: Switches) -> str | None:
    """The id of the order that this one repeats."""
    keys = {"source": ("source_name", "source_id"), "source_id": ("source_id",), "off": ()}[
        switches.duplicates
    ]
    for other in others:
        if keys and all(other["order"][key].lower() == order[key].lower() for key in keys):
            found: str = other["order"]["id"]
            return found
    return None
