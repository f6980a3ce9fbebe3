"""The inventory of a store, read through the cache."""

from dataclasses import dataclass
from typing import TypedDict

from orderdesk_app.context import Actor, JsonObject, Scope
from orderdesk_app.errors import NotFound, PermissionDenied, in_message
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.reads import Reads

MOST_SEARCHED = 2_000
_PAGE = 500
# a page with fewer rows than this, and fewer than were asked for, is the last: Order Desk has no
# smaller maximum that we know of
_SMALLEST_PAGE = 50


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Rows as Order Desk has them.

    `total` is None when it is not known; `covered` counts the rows a search looked through, None
    without one.
    """

    products: list[JsonObject]
    total: int | None
    has_more: bool
    cached: bool
    covered: int | None = None
    is_complete: bool = True


class _Rows(TypedDict):
    """A page as the cache keeps it."""

    items: list[JsonObject]
    total: int | None


class Products:
    """The inventory items of a store."""

    def __init__(self, client: OrderDeskClient, reads: Reads, *, cache_seconds: float) -> None:
        self._client = client
        self._reads = reads
        self._seconds = cache_seconds

    async def get(
        self, actor: Actor, store: OpenStore, product_id: str, budget: WaitBudget
    ) -> tuple[JsonObject, bool]:
        """One inventory item, and whether it is from the cache. Raises NotFound."""
        _may_read(actor)

        async def fetch() -> JsonObject:
            return await self._client.inventory.get_inventory_item(store.access, product_id, budget)

        try:
            return await self._reads.get(store.record, "product", product_id, self._seconds, fetch)
        except NotFound as error:
            raise NotFound(
                (
                    f"Store {in_message(store.record.name)} has no product {product_id}. Find ids "
                    "with products_list."
                ),
                field="product_id",
            ) from error

    async def page(
        self,
        actor: Actor,
        store: OpenStore,
        *,
        search: str | None,
        code: str | None,
        limit: int,
        offset: int,
        budget: WaitBudget,
    ) -> ProductPage:
        """A page of the inventory.

        `code` is exact (Order Desk's own filter); `search` looks in names and codes of at most
        2,000 rows.
        """
        _may_read(actor)
        if search:
            return await self._search(store, search, code, limit, offset, budget)
        page, cached = await self._page(store, code, limit, offset, budget)
        rows = page["items"]
        ignored_paging = (
            offset > 0
            and bool(rows)
            and await self._is_first_page_again(store, code, limit, rows, budget)
        )
        if ignored_paging:
            rows = []
        total = page["total"]
        if (
            len(rows) > limit
            # that this endpoint takes limit and offset is our guess: if it ignores them, the page
            # is cut here
        ):
            total, rows = max(total or 0, len(rows)), rows[offset : offset + limit]
        if total == 0 and offset:
            # a captured answer has "0" beside rows, so a 0 without rows is not trusted either
            total = None
        # Without a total a short page may be the largest that Order Desk sends: the next page
        # shows.
        has_more = (
            offset + len(rows) < total
            if total is not None and total >= offset + len(rows)
            else len(rows) >= min(limit, _SMALLEST_PAGE)
        )
        return ProductPage(rows, total, bool(rows) and has_more, cached)

    async def _is_first_page_again(
        self,
        store: OpenStore,
        code: str | None,
        limit: int,
        rows: list[JsonObject],
        budget: WaitBudget,
    ) -> bool:
        """Whether Order Desk ignored `offset`: then a later page shows the first one's ids.

        It sends no request if that page is cached.
        """
        if len(rows) > limit:
            return False
        first, _ = await self._page(store, code, limit, 0, budget)
        return [row.get("id") for row in first["items"]] == [row.get("id") for row in rows]

    async def _search(
        self,
        store: OpenStore,
        search: str,
        code: str | None,
        limit: int,
        offset: int,
        budget: WaitBudget,
    ) -> ProductPage:
        seen: dict[str, JsonObject] = {}
        cached, complete = True, False
        while len(seen) < MOST_SEARCHED:
            page, from_cache = await self._page(store, code, _PAGE, len(seen), budget)
            cached = cached and from_cache
            fresh = {
                str(row.get("id")): row for row in page["items"] if str(row.get("id")) not in seen
            }
            seen.update(fresh)
            total = page["total"]
            # Without a total: a page longer than was asked for is everything, an empty one comes
            # after the last, and one without new ids proves nothing, unless it is shorter than any
            # maximum.
            rows = len(page["items"])
            complete = (
                len(seen) >= total if total is not None else rows > _PAGE or rows < _SMALLEST_PAGE
            )
            if complete or not fresh:
                break
        complete = complete and len(seen) <= MOST_SEARCHED
        looked = list(seen.values())[:MOST_SEARCHED]
        words = search.casefold().split()
        matches = [
            row
            for row in looked
            if all(
                word
                in (
                    f"{row.get('name', '')} {row.get('code', '')} "
                    f"{row.get('manufacturer_sku') or ''}"
                ).casefold()
                for word in words
            )
        ]
        shown = matches[offset : offset + limit]
        return ProductPage(
            shown,
            len(matches) if complete else None,
            offset + len(shown) < len(matches),
            cached,
            covered=len(looked),
            is_complete=complete,
        )

    async def _page(
        self, store: OpenStore, code: str | None, limit: int, offset: int, budget: WaitBudget
    ) -> tuple[_Rows, bool]:
        parameters = {
            "limit": str(limit),
            "offset": str(offset),
            **({"code": code} if code else {}),
        }

        async def fetch() -> _Rows:
            answer = await self._client.inventory.list_inventory(store.access, parameters, budget)
            return {"items": answer.rows, "total": answer.total}

        return await self._reads.get(
            store.record, "products", repr(sorted(parameters.items())), self._seconds, fetch
        )


def _may_read(actor: Actor) -> None:
    if Scope.PRODUCTS_READ not in actor.scopes:
        raise PermissionDenied(
            "This key may not read products. Make a key with the permission "
            "products:read under Settings."
        )
