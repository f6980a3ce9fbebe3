"""Tools about orders: find, read, create, change, delete."""

from collections.abc import Mapping

from orderdesk_app.context import Json, JsonObject, OrderId, Scope
from orderdesk_app.errors import Faults, VersionConflict
from orderdesk_app.services.order_kind import Written
from orderdesk_app.services.order_search import OrderQuery
from orderdesk_app.services.orders import OrderPage, Orders
from orderdesk_app.services.writes import Preview
from orderdesk_app.tools.catalogue import ToolCall, tool
from orderdesk_app.tools.conflicts import with_both_versions
from orderdesk_app.tools.order_arguments import (
    CreateOrder,
    DeleteOrder,
    GetOrder,
    ListOrders,
    UpdateOrder,
)
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


@tool(
    title="List orders",
    scope=Scope.ORDERS_READ,
    reads=True,
    example=ListOrders(limit=5),
    also_called=("get_orders", "get_all_orders"),
)
async def orders_list(call: ToolCall, arguments: ListOrders) -> OrderRows:
    """Find orders of a store, newest first: by folder, dates, customer, shop number, or with
    search. Rows are short; ask for fields or view=full for more. For the next page give
    next_cursor as cursor.
    """
    query = OrderQuery(**arguments.model_dump(exclude={"store_identifier", "fields", "view"}))
    faults = Faults()
    with faults.caught():
        check_fields(arguments.fields)
    if faults:
        with faults.caught():
            await call.services[Orders].check_query(call.store, query, call.budget)
    faults.raise_any()
    found = await call.services[Orders].list(call.actor, call.store, query, call.budget)
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
    also_called=(
        "move_order",
        "cancel_order",
        "update_order_folder",
        "update_order_note",
        "create_order_note",
        "create_note",
        "append_order_note",
        "update_order_status",
    ),
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
