"""Tools about orders: find, read, create, change, delete."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from orderdesk_app.context import Json, JsonObject, OrderId, Scope
from orderdesk_app.errors import VersionConflict
from orderdesk_app.services.order_kind import Written
from orderdesk_app.services.order_search import OrderQuery
from orderdesk_app.services.orders import OrderPage, Orders
from orderdesk_app.services.writes import Preview
from orderdesk_app.tools.arguments import AnyObject, Arguments, DigitsId, StoreIdentifier, TextId
from orderdesk_app.tools.catalogue import ToolCall, tool
from orderdesk_app.tools.conflicts import with_both_versions
from orderdesk_app.tools.object_schemas import ORDER_CHANGES, ORDER_DATA
from orderdesk_app.tools.order_results import (
    DeletedOrder,
    OneOrder,
    OrderPagination,
    OrderRows,
    WrittenOrder,
)
from orderdesk_app.tools.paging import cut_words, pagination
from orderdesk_app.tools.views import (
    NOTICE_WORDS,
    ViewCache,
    check_fields,
    fitting,
    folder_name,
    plain_object,
    selected,
    summary,
    untrusted_paths,
)

_VIEWS = ViewCache()
_MAX_FIELDS = 100


def _fields(value: object) -> object:
    """A list of paths; models also send them as one text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and len(value) > _MAX_FIELDS:  # before each is looked at
        raise ValueError(f"must hold at most {_MAX_FIELDS} entries")
    return value


Fields = Annotated[
    list[Annotated[str, Field(max_length=120)]] | None,
    BeforeValidator(_fields),
    Field(
        description="Only these fields, as dotted paths; the id always comes along.",
        examples=[["source_id", "shipping.city", "order_items.code"]],
    ),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "description": "Only these fields, as dotted paths; the id always comes along.",
            "examples": [["source_id", "shipping.city", "order_items.code"]],
        }
    ),
]


def _not_the_shops_number(value: object) -> object:
    """An id as it is; for anything with other signs the way to the id."""
    if isinstance(value, str) and not value.strip().isdigit():
        shown = json.dumps(value.strip()[:60], ensure_ascii=False)
        raise ValueError(
            "must be Order Desk's own id, digits only. Find it by the shop's number first: "
            f"orders_list with source_id {shown}"
        )
    return value


TheOrder = Annotated[
    DigitsId,
    BeforeValidator(_not_the_shops_number),
    Field(
        description=(
            "Order Desk's internal order id, not the shop's own number (that is source_id)."
        ),
        examples=["100000001"],
    ),
]
Filter = Annotated[TextId | None, Field(max_length=200)]
Day = Annotated[str | None, Field(max_length=40)]


class ListOrders(Arguments):
    store_identifier: StoreIdentifier = None
    limit: int = Field(default=25, description="How many rows, 1 to 100.", ge=1, le=100)
    offset: int = Field(
        default=0,
        description=(
            "How many rows to skip, counted now: after moving, changing or deleting listed orders "
            "it skips others. Use cursor instead."
        ),
        ge=0,
        le=10_000_000,
    )
    cursor: str | None = Field(
        default=None,
        description=(
            "next_cursor of the page before, with the same filters: the next page, also when what "
            "was listed has been moved, changed or deleted since."
        ),
        max_length=9_000,
        examples=["20261120100000D.100000123"],
    )
    folder_id: Filter = Field(
        default=None,
        description="Only orders in this folder, or in these (ids with commas).",
        examples=["21654"],
    )
    folder_name: Filter = Field(
        default=None,
        description="Only orders in the folder of exactly this name.",
        examples=["Prepared"],
    )
    status: Filter = Field(
        default=None,
        description="The folder's name: in Order Desk the folder is the status.",
        examples=["New"],
    )
    search: Filter = Field(
        default=None,
        description=(
            "What you have: an order id, the shop's number with or without #, an e-mail, a name, "
            "a company, a phone, a SKU, a tracking number. Each row says in matched_by how it "
            "matched, coverage what was searched."
        ),
        examples=["Okafor"],
    )
    source_id: Filter = Field(
        default=None, description="The shop's own order number.", examples=["1042"]
    )
    source_name: Filter = Field(
        default=None,
        description="The shop or marketplace it came from, such as Shopify.",
        examples=["Shopify"],
    )
    search_start_date: Day = Field(
        default=None,
        description="Added at or after this time: ISO 8601 or YYYY-MM-DD, UTC.",
        examples=["2026-11-01"],
    )
    search_end_date: Day = Field(
        default=None, description="Added at or before this time.", examples=["2026-11-30T23:59:59Z"]
    )
    modified_start_date: Day = Field(
        default=None, description="Changed at or after this time.", examples=["2026-11-01"]
    )
    modified_end_date: Day = Field(
        default=None, description="Changed at or before this time.", examples=["2026-11-30"]
    )
    email: Filter = Field(
        default=None, description="The customer's e-mail address.", examples=["ada@example.com"]
    )
    customer_id: Filter = Field(
        default=None, description="The customer's id in the shop.", examples=["77"]
    )
    customer_first_name: Filter = Field(
        default=None, description="First name of the customer.", examples=["Ada"]
    )
    customer_last_name: Filter = Field(
        default=None, description="Last name of the customer.", examples=["Okafor"]
    )
    customer_company: Filter = Field(
        default=None, description="Company of the customer.", examples=["Paper and Ink"]
    )
    customer_phone: Filter = Field(
        default=None, description="Phone of the customer.", examples=["555"]
    )
    shipping_first_name: Filter = Field(
        default=None, description="First name in the shipping address.", examples=["Ada"]
    )
    shipping_last_name: Filter = Field(
        default=None, description="Last name in the shipping address.", examples=["Okafor"]
    )
    shipping_company: Filter = Field(
        default=None, description="Company in the shipping address.", examples=["Paper and Ink"]
    )
    shipping_phone: Filter = Field(
        default=None, description="Phone in the shipping address.", examples=["555"]
    )
    order_by: str | None = Field(
        default=None,
        description="The field to sort by; date_added when left out.",
        max_length=60,
        pattern="^[a-z_]+$",
        examples=["date_updated"],
    )
    order: Annotated[
        Literal["ASC", "DESC"] | None,
        BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v),
    ] = Field(default=None, description="ASC, or DESC for newest first (the default).")
    fields: Fields = None
    view: Literal["summary", "full"] = Field(
        default="summary", description="summary: one short row an order; full: whole orders."
    )


class GetOrder(Arguments):
    order_id: TheOrder
    store_identifier: StoreIdentifier = None
    fields: Fields = None


class CreateOrder(Arguments):
    order_data: Annotated[AnyObject, WithJsonSchema(ORDER_DATA)] = Field(
        description=(
            "The order: at least one entry in order_items (name, price, quantity, code) and "
            "a name or company in shipping or customer. Also email, source_id, "
            "shipping_method, folder_id or folder_name, order_notes, order_metadata. Totals "
            "are computed."
        ),
        examples=[
            {
                "email": "ada@example.com",
                "shipping": {
                    "first_name": "Ada",
                    "last_name": "Okafor",
                    "city": "Lagos",
                    "country": "NG",
                },
                "order_items": [
                    {"name": "Notebook", "code": "NB-A5-DOT", "price": 12.5, "quantity": 2}
                ],
            }
        ],
    )
    store_identifier: StoreIdentifier = None


class UpdateOrder(Arguments):
    never_empty = frozenset({"expected_date_updated"})  # it would guard nothing

    order_id: TheOrder
    changes: Annotated[AnyObject, WithJsonSchema(ORDER_CHANGES)] = Field(
        description=(
            "Only what changes: maps merge by key, items with an id merge into that item, "
            "items without one are added, none is removed by leaving it out, "
            "order_notes are appended, discount_list is replaced as a whole, null clears a "
            "field, folder_name moves the order."
        ),
        examples=[
            {
                "shipping": {"city": "Lagos"},
                "order_notes": [{"content": "Address confirmed by phone"}],
            }
        ],
    )
    store_identifier: StoreIdentifier = None
    expected_date_updated: Day = Field(
        default=None,
        description=(
            "The date_updated that you saw: if the order changed since, nothing is written "
            "and you get both versions."
        ),
        examples=["2026-11-20T10:00:00Z"],
    )


class DeleteOrder(Arguments):
    order_id: TheOrder
    store_identifier: StoreIdentifier = None


@tool(title="List orders", scope=Scope.ORDERS_READ, reads=True, example=ListOrders(limit=5))
async def orders_list(call: ToolCall, arguments: ListOrders) -> OrderRows:
    """Find orders of a store, newest first: by folder, dates, customer, shop number, or with
    search. Rows are short; ask for fields or view=full for more. For the next page give
    next_cursor as cursor.
    """
    check_fields(arguments.fields)
    asked = arguments.model_dump(exclude={"store_identifier", "fields", "view"})
    found = await call.services[Orders].list(
        call.actor, call.store, OrderQuery(**asked), call.budget
    )
    check_fields(arguments.fields, found.orders)
    rows: list[JsonObject] = []
    untrusted: list[list[str]] = []
    for index, row in enumerate(found.orders):
        if arguments.view == "full" or arguments.fields:
            shown = selected(
                {**_VIEWS.view_of(row), "folder": folder_name(row, found.folders)}, arguments.fields
            )
            untrusted.append(untrusted_paths(shown, f"orders[{index}]"))
        else:
            shown = summary(row, found.folders)
            untrusted.append([])
        matched = found.matched_by.get(str(row.get("id", "")))
        rows.append({**shown, "matched_by": list(matched)} if matched else shown)
    count = fitting(rows, untrusted)
    result: OrderRows = {
        "notice": NOTICE_WORDS,
        "orders": rows[:count],
        "pagination": _pagination(found.first(count), arguments),
        "cached": found.cached,
    }
    if count < len(rows):
        by = "next_cursor or next_offset, or ask for fields"
        result["cut"] = cut_words(count, len(rows), by)
    if found.coverage:
        result["coverage"] = found.coverage
    if paths := [path for row_paths in untrusted[:count] for path in row_paths]:
        result["untrusted"] = paths
    return result


@tool(
    title="Get an order",
    scope=Scope.ORDERS_READ,
    reads=True,
    example=GetOrder(order_id="100000001"),
)
async def orders_get(call: ToolCall, arguments: GetOrder) -> OneOrder:
    """Read one order by Order Desk's id, whole or only the fields named.

    To find the id by the shop's number use orders_list with source_id.
    """
    check_fields(arguments.fields)
    found = await call.services[Orders].get(
        call.actor, call.store, OrderId(arguments.order_id), call.budget
    )
    check_fields(arguments.fields, (found.order,))
    shown: JsonObject = _VIEWS.view_of(found.order)
    folders = call.store.record.folders
    if "folder" in (arguments.fields or ()):  # asked for by name: worth a request if it is new
        folders = await call.services[Orders].folders(call.store, found.order, call.budget)
    folder = folder_name(found.order, folders)
    if arguments.fields:
        shown = selected({**shown, "folder": folder}, arguments.fields)
    result: OneOrder = {
        "notice": NOTICE_WORDS,
        "order": shown,
        "folder": folder,
        "cached": found.cached,
    }
    untrusted = untrusted_paths(shown, "order")
    if untrusted:
        result["untrusted"] = untrusted
    return result


async def _preview_create(call: ToolCall, arguments: CreateOrder) -> Preview:
    return await call.services[Orders].preview_create(
        call.actor, call.store, arguments.order_data, call.budget
    )


@tool(
    title="Create an order",
    scope=Scope.ORDERS_WRITE,
    reads=False,
    preview=_preview_create,
    idempotent=False,
    example=CreateOrder(
        order_data={
            "email": "ada@example.com",
            "shipping": {
                "first_name": "Ada",
                "last_name": "Okafor",
                "city": "Lagos",
                "country": "NG",
            },
            "order_items": [
                {"name": "Notebook", "code": "NB-A5-DOT", "price": 12.5, "quantity": 2}
            ],
        }
    ),
)
async def orders_create(call: ToolCall, arguments: CreateOrder) -> WrittenOrder:
    """Create an order.

    A duplicate (same source_id at the same source) is refused and the order that exists is named.
    """
    written = await call.services[Orders].create(
        call.actor, call.store, arguments.order_data, call.budget
    )
    return _written(written, arguments.order_data)


async def _preview_update(call: ToolCall, arguments: UpdateOrder) -> Preview:
    return await call.services[Orders].preview_update(
        call.actor,
        call.store,
        OrderId(arguments.order_id),
        arguments.changes,
        call.budget,
        expected_date_updated=arguments.expected_date_updated,
    )


@tool(
    title="Update an order",
    scope=Scope.ORDERS_WRITE,
    reads=False,
    preview=_preview_update,
    destructive=True,
    idempotent=False,  # items without an id are added again
    example=UpdateOrder(order_id="100000001", changes={"shipping": {"city": "Lagos"}}),
)
async def orders_update(call: ToolCall, arguments: UpdateOrder) -> WrittenOrder:
    """Change an order safely: send only what changes; it is merged into the newest version,
    written, and verified. Everything else stays as it is.
    """
    asked, expected = arguments.changes, arguments.expected_date_updated
    try:
        written = await call.services[Orders].update(
            call.actor,
            call.store,
            OrderId(arguments.order_id),
            asked,
            expected_date_updated=expected,
            budget=call.budget,
        )
    except VersionConflict as error:
        raise with_both_versions(error, asked, call.store.record.folders) from error
    return _written(written, asked)


async def _preview_delete(call: ToolCall, arguments: DeleteOrder) -> Preview:
    return await call.services[Orders].preview_delete(
        call.actor, call.store, OrderId(arguments.order_id), call.budget
    )


@tool(
    title="Delete an order",
    scope=Scope.ORDERS_DELETE,
    reads=False,
    preview=_preview_delete,
    deletes="order_id",
    example=DeleteOrder(order_id="100000002"),
)
async def orders_delete(call: ToolCall, arguments: DeleteOrder) -> DeletedOrder:
    """Delete an order at Order Desk for good.

    To cancel one and keep it, move it with orders_update and folder_name instead.
    """
    written = await call.services[Orders].delete(
        call.actor, call.store, OrderId(arguments.order_id), call.budget
    )
    return {"deleted": True, "order_id": arguments.order_id, "change_id": written.change_id}


def _pagination(page: OrderPage, arguments: ListOrders) -> OrderPagination:
    numbers = pagination(page.total, len(page.orders), page.limit, page.offset, page.has_more)
    if arguments.cursor:
        numbers["next_offset"] = None  # it would count from another row
    return {**numbers, "next_cursor": page.next_cursor}


def _written(written: Written, asked: Mapping[str, Json]) -> WrittenOrder:
    shown = plain_object(written.order)
    result: WrittenOrder = {
        "status": "done" if written.changed or written.differing else "unchanged",
        "summary": _in_words(written, asked),
        "notice": NOTICE_WORDS,
        "order": shown,
        "changed": list(written.changed),
        "change_id": written.change_id,
    }
    if written.differing:
        result["differing"] = list(written.differing)
    untrusted = untrusted_paths(shown, "order")
    if untrusted:
        result["untrusted"] = untrusted
    return result


def _in_words(written: Written, asked: Mapping[str, Json]) -> str:
    """What became of a write, in a sentence or two."""
    if not written.changed and not written.differing:
        words = "Nothing was written: the order has all of this already."
    else:
        words = f"Written: {len(written.changed)} change{'s' if len(written.changed) != 1 else ''}."
    if asked.get("order_notes") and "order_notes" not in (*written.changed, *written.differing):
        words += " A note with these words is there already, so none was added."
    return words
