"""The orders of a store: read through the cache, listed and searched, changed safely."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypedDict

from orderdesk_app.context import Actor, Json, OrderId, Scope, now
from orderdesk_app.errors import (
    Faults,
    NotFound,
    PermissionDenied,
    ValidationFailed,
    in_message,
)
from orderdesk_app.orderdesk import json_text
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import as_map, is_blank
from orderdesk_app.orderdesk.dates import NO_DATE, is_same_moment, to_upstream
from orderdesk_app.orderdesk.field_values import date_of
from orderdesk_app.orderdesk.merge import check_update, find_folder, plan_create, wanted_folder
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.folders import FolderList, Folders
from orderdesk_app.services.journal import NO_ID_YET, Journal
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.order_create import OrderCreate
from orderdesk_app.services.order_cursor import Cursor, next_cursor, read_cursor, rows_after
from orderdesk_app.services.order_delete import OrderDelete
from orderdesk_app.services.order_kind import Deleted, OrderKind, Written, may_settle
from orderdesk_app.services.order_search import (
    FoundOrders,
    OrderQuery,
    names_unknown_folder,
    search_orders,
    together,
    upstream_parameters,
    with_other_number,
)
from orderdesk_app.services.order_update import OrderUpdate
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.writes import Preview, Write, Writes


@dataclass(frozen=True, slots=True)
class Fetched:
    """An order as Order Desk has it, and whether it is from the cache.

    The order is shared with other calls: do not change it.
    """

    order: Order
    cached: bool


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of whole orders, shared with other calls.

    `total` is None when it is not known; `matched_by` names for each order id the fields a search
    found it by. `next_cursor` is None on the last page, and where rows are not sorted by
    date_added.
    """

    orders: list[Order]
    total: int | None
    limit: int
    offset: int
    has_more: bool
    cached: bool
    matched_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folders: FolderList = ()
    next_cursor: str | None = None
    coverage: str = ""
    after: Cursor | None = None
    is_rising: bool = False
    is_by_date: bool = True

    def first(self, count: int) -> "OrderPage":
        """The page with no more than its first `count` orders, and the cursor after those."""
        if count >= len(self.orders):
            return self
        rows = self.orders[:count]
        cursor = next_cursor(rows, self.after, is_rising=self.is_rising)
        return replace(
            self,
            orders=rows,
            has_more=True,
            next_cursor=cursor if self.is_by_date else None,
        )


class _Rows(TypedDict):
    """A page as the cache keeps it."""

    orders: list[Order]
    total: int | None
    has_more: bool
    matched_by: dict[str, tuple[str, ...]]
    coverage: str


class Orders:
    """What a person or an agent may do with orders.

    Raises the errors of `errors.py`; the `outcome` of an error says what became of a write.
    """

    def __init__(
        self,
        client: OrderDeskClient,
        reads: Reads,
        journal: Journal,
        writes: Writes,
        folders: Folders,
        *,
        cache_seconds: float,
    ) -> None:
        self._client = client
        self._reads = reads
        self._journal = journal
        self._writes = writes
        self._folders = folders
        self._seconds = cache_seconds
        self._kind = OrderKind(client)

    async def get(
        self, actor: Actor, store: OpenStore, order_id: OrderId, budget: WaitBudget
    ) -> Fetched:
        """One whole order.

        Raises NotFound. A fresh read settles writes of this order whose outcome was not known.
        """
        _need(actor, Scope.ORDERS_READ)

        async def fetch() -> Order:
            order, left = await together(
                [
                    self._client.orders.get_order(store.access, order_id, budget),
                    self._journal.left_open(actor, store.record, self._kind, order_id),
                ]
            )
            return (
                (await self._writes.settle(actor, store, self._kind, order_id) or order)
                if may_settle(left, order)
                else order
            )

        try:
            order, cached = await self._reads.get(
                store.record, "order", order_id, self._seconds, fetch
            )
        except NotFound as error:
            if await self._journal.left_open(actor, store.record, self._kind, order_id):
                await self._writes.settle(actor, store, self._kind, order_id)
            words = (
                "Order ids are Order Desk's own; find one by the shop's number with "
                "orders_list and source_id"
            )
            raise NotFound(
                f"Store {in_message(store.record.name)} has no order {order_id}. {words}.",
                field="order_id",
            ) from error
        return Fetched(order, cached)

    async def folders(
        self, store: OpenStore, order: Mapping[str, Json], budget: WaitBudget
    ) -> FolderList:
        """The store's folders, with the one of this order if Order Desk names it."""
        return await self._folders.naming(store, (order.get("folder_id"),), budget)

    async def list(
        self, actor: Actor, store: OpenStore, query: OrderQuery, budget: WaitBudget
    ) -> OrderPage:
        """A page of orders.

        Raises ValidationFailed for a folder that the store does not have, a text that is no date,
        and an unknown sort field.
        """
        _need(actor, Scope.ORDERS_READ)
        parameters, cursor = await self._checked(store, query, budget)
        search = (query.search or "").strip()
        name = json_text.dumps(
            {**parameters, "limit": query.limit, "offset": query.offset, "search": search}
            | ({"cursor": query.cursor} if query.cursor else {})
        ).decode()
        is_rising = parameters.get("order") == "ASC"

        async def fetch() -> _Rows:
            return await self._rows(store, parameters, cursor, query, budget)

        page, cached = await self._reads.get(store.record, "orders", name, self._seconds, fetch)
        matched = {order_id: tuple(fields) for order_id, fields in page["matched_by"].items()}
        named = await self._folders.naming(
            store, (row.get("folder_id") for row in page["orders"]), budget
        )
        return OrderPage(
            page["orders"],
            page["total"],
            query.limit,
            query.offset,
            page["has_more"],
            cached,
            matched,
            named,
            next_cursor(page["orders"], cursor, is_rising=is_rising)
            if page["has_more"] and query.is_by_date
            else None,
            page["coverage"],
            after=cursor,
            is_rising=is_rising,
            is_by_date=query.is_by_date,
        )

    async def check_query(self, store: OpenStore, query: OrderQuery, budget: WaitBudget) -> None:
        """Raises the ValidationFailed that `list` would raise, without listing."""
        await self._checked(store, query, budget)

    async def _checked(
        self, store: OpenStore, query: OrderQuery, budget: WaitBudget
    ) -> tuple[dict[str, str], Cursor | None]:
        """The filters as Order Desk's parameters, and the cursor. Raises ValidationFailed."""
        folders = store.record.folders
        if names_unknown_folder(query, folders):
            folders = await self._folders.refresh(
                store, budget, suffices=lambda known: not names_unknown_folder(query, known)
            )
        faults = Faults()
        parameters: dict[str, str] = {}
        cursor = None
        with faults.caught():
            parameters = upstream_parameters(query, folders)
        with faults.caught():
            is_rising = (query.order or "").strip().upper() == "ASC"
            cursor = read_cursor(query.cursor, is_rising=is_rising) if query.cursor else None
        faults.raise_any()
        return parameters, cursor

    async def _rows(
        self,
        store: OpenStore,
        parameters: Mapping[str, str],
        cursor: Cursor | None,
        query: OrderQuery,
        budget: WaitBudget,
    ) -> _Rows:
        search = (query.search or "").strip()

        async def list_rows(asked: Mapping[str, str], limit: int, offset: int) -> FoundOrders:
            if search:
                return await self._search(store, search, asked, limit, offset, budget)
            rows = await self._page(store, asked, limit, offset, budget)
            other = None if rows.orders or offset else with_other_number(asked)
            return await self._page(store, other, limit, offset, budget) if other else rows

        rows = await (
            list_rows(parameters, query.limit, query.offset)
            if cursor is None
            else rows_after(cursor, parameters, query.limit, list_rows)
        )
        return {
            "orders": rows.orders,
            "total": rows.total,
            "has_more": rows.has_more,
            "matched_by": rows.matched_by,
            "coverage": rows.coverage,
        }

    async def create(
        self, actor: Actor, store: OpenStore, order_data: Json, budget: WaitBudget
    ) -> Written:
        """A new order.

        Raises ValidationFailed, Conflict naming the order that exists, OutcomeUnknown naming the
        source id to look for.
        """
        return await self._writes.run(*await self._creation(actor, store, order_data, budget))

    async def preview_create(
        self, actor: Actor, store: OpenStore, order_data: Json, budget: WaitBudget
    ) -> Preview:
        """What `create` would do now, without doing it. Raises ValidationFailed and Conflict."""
        return await self._writes.preview(*await self._creation(actor, store, order_data, budget))

    async def update(
        self,
        actor: Actor,
        store: OpenStore,
        order_id: OrderId,
        changes: Json,
        budget: WaitBudget,
        *,
        expected_date_updated: str | None = None,
    ) -> Written:
        """The order with `changes` merged in; two requests to Order Desk.

        Raises NotFound, ValidationFailed, Conflict with both versions, OutcomeUnknown.
        """
        return await self._writes.run(
            *await self._change(actor, store, order_id, changes, budget, expected_date_updated)
        )

    async def preview_update(
        self,
        actor: Actor,
        store: OpenStore,
        order_id: OrderId,
        changes: Json,
        budget: WaitBudget,
        *,
        expected_date_updated: str | None = None,
    ) -> Preview:
        """What `update` would do now, without doing it.

        Raises NotFound, ValidationFailed, Conflict with both versions.
        """
        return await self._writes.preview(
            *await self._change(actor, store, order_id, changes, budget, expected_date_updated)
        )

    async def delete(
        self, actor: Actor, store: OpenStore, order_id: OrderId, budget: WaitBudget
    ) -> Deleted:
        """Deletes the order for good; the journal keeps its last image.

        Raises NotFound, OutcomeUnknown.
        """
        return await self._writes.run(*self._deletion(actor, store, order_id, budget))

    async def preview_delete(
        self, actor: Actor, store: OpenStore, order_id: OrderId, budget: WaitBudget
    ) -> Preview:
        """The order that `delete` would delete now. Raises NotFound."""
        return await self._writes.preview(*self._deletion(actor, store, order_id, budget))

    async def _creation(
        self, actor: Actor, store: OpenStore, order_data: Json, budget: WaitBudget
    ) -> tuple[Write, OrderCreate]:
        _need(actor, Scope.ORDERS_WRITE)
        folders = await self._folders_for(store, order_data, budget)
        plan = plan_create(order_data, at=now(), folders=folders)
        write = Write(actor, store, self._kind, NO_ID_YET, "create", budget)
        given = as_map(order_data).get("source_id")
        create = OrderCreate(
            self._writes, self._client, write, plan, is_ours=not str(given or "").strip()
        )
        return write, create

    async def _change(
        self,
        actor: Actor,
        store: OpenStore,
        order_id: OrderId,
        changes: Json,
        budget: WaitBudget,
        expected_date_updated: str | None,
    ) -> tuple[Write, OrderUpdate]:
        _need(actor, Scope.ORDERS_WRITE)
        faults = Faults()
        expected = expected_date_updated
        with faults.caught():
            expected = _expected_version(expected_date_updated, changes)
        folders = await self._folders_for(store, changes, budget)
        with faults.caught():
            check_update(changes, at=now(), folders=folders)
        faults.raise_any()
        write = Write(actor, store, self._kind, order_id, "update", budget)
        update = OrderUpdate(
            self._writes,
            self._client,
            write,
            as_map(changes),
            expected=expected,
            folders=folders,
        )
        return write, update

    def _deletion(
        self, actor: Actor, store: OpenStore, order_id: OrderId, budget: WaitBudget
    ) -> tuple[Write, OrderDelete]:
        _need(actor, Scope.ORDERS_DELETE)
        write = Write(actor, store, self._kind, order_id, "delete", budget)
        return write, OrderDelete(self._writes, self._client, write)

    async def _folders_for(self, store: OpenStore, changes: Json, budget: WaitBudget) -> FolderList:
        """The store's folders; read again when the changes name one that we do not know."""
        wanted = None
        with suppress(ValidationFailed):  # the plan says it, with all other faults
            wanted = wanted_folder(changes)
        if wanted is None or find_folder(wanted, store.record.folders) is not None:
            return store.record.folders
        return await self._folders.refresh(
            store, budget, suffices=lambda known: find_folder(wanted, known) is not None
        )

    async def _page(
        self,
        store: OpenStore,
        parameters: Mapping[str, str],
        limit: int,
        offset: int,
        budget: WaitBudget,
    ) -> FoundOrders:
        page = await self._client.orders.list_orders(
            store.access,
            {**parameters, "limit": str(limit), "offset": str(offset)},
            budget,
        )
        shown = page.rows[:limit]
        has_more = (
            offset + len(shown) < page.total if page.total is not None else len(page.rows) >= limit
        )
        return FoundOrders(shown, page.total, bool(shown) and has_more, {})

    async def _search(
        self,
        store: OpenStore,
        search: str,
        parameters: Mapping[str, str],
        limit: int,
        offset: int,
        budget: WaitBudget,
    ) -> FoundOrders:
        async def get(order_id: OrderId) -> Order:
            return await self._client.orders.get_order(store.access, order_id, budget)

        async def listing(asked: Mapping[str, str]) -> Page:
            return await self._client.orders.list_orders(store.access, asked, budget)

        return await search_orders(
            search, parameters, limit=limit, offset=offset, get=get, listing=listing
        )


def _expected_version(expected: str | None, changes: Json) -> str | None:
    """The date_updated that the caller saw: given beside the changes, or in a whole order that is
    sent back. Raises ValidationFailed for a text that is no date, before a request is sent.
    """
    if expected is not None:
        to_upstream(expected, "expected_date_updated")
    in_order = as_map(changes).get("date_updated")
    if is_blank(in_order) or in_order == NO_DATE:
        return expected  # no version; the plan compares it with what is there
    seen = date_of(in_order, "date_updated")
    if expected is not None and not is_same_moment(seen, expected):
        raise ValidationFailed(
            "date_updated: names another version of the order than expected_date_updated. Give one "
            "of them.",
            field="date_updated",
        )
    return seen


def _need(actor: Actor, scope: Scope) -> None:
    if scope not in actor.scopes:
        raise PermissionDenied(
            "This key may not do that with orders. Make a key with the permission "
            f"{scope} under Settings."
        )
