"""Which orders a list shows: our filters as Order Desk's parameters, `status` as the folder of that
name, and `search`, which is ours alone.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orderdesk_app.context import OrderId
from orderdesk_app.errors import Faults, NotFound, ValidationFailed, in_message, nearest
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.orderdesk.comparison import as_map, decimal_of
from orderdesk_app.orderdesk.dates import to_upstream
from orderdesk_app.orderdesk.merge import NO_NEW_FOLDERS, FolderNames, find_folder
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.order_fields import ADDRESS_FIELDS, SUMS, TEXTS
from orderdesk_app.services.search_terms import Question, questions, shown_by

_MOST_NAMED = 50  # folders in a message
MOST_ROWS = 500  # of one page of Order Desk's
ORDERED_BY = (
    *TEXTS,
    *SUMS,
    "id",
    "quantity_total",
    "weight_total",
    "product_total",
    "discount_total",
    "order_total",
    "refund_total",
    "email_count",
    "folder_id",
    "date_added",
    "date_updated",
    *(f"{part}_{name}" for part in ("shipping", "customer") for name in ADDRESS_FIELDS[part]),
)
_EQUAL = ("source_id", "source_name", "email", "customer_id")
_WITHIN = tuple(
    f"{part}_{name}"
    for part in ("customer", "shipping")
    for name in ("first_name", "last_name", "company", "phone")
)
_DATES = {
    "search_start_date": ("date_added", False),
    "search_end_date": ("date_added", True),
    "modified_start_date": ("date_updated", False),
    "modified_end_date": ("date_updated", True),
}


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """The filters of orders_list; None is no filter. Dates are ISO 8601 or in Order Desk's form."""

    limit: int = 50
    offset: int = 0
    folder_id: str | None = None
    folder_name: str | None = None
    status: str | None = None
    search: str | None = None
    source_id: str | None = None
    source_name: str | None = None
    search_start_date: str | None = None
    search_end_date: str | None = None
    modified_start_date: str | None = None
    modified_end_date: str | None = None
    email: str | None = None
    customer_id: str | None = None
    customer_first_name: str | None = None
    customer_last_name: str | None = None
    customer_company: str | None = None
    customer_phone: str | None = None
    shipping_first_name: str | None = None
    shipping_last_name: str | None = None
    shipping_company: str | None = None
    shipping_phone: str | None = None
    order_by: str | None = None
    order: str | None = None
    cursor: str | None = None

    @property
    def is_by_date(self) -> bool:
        """Sorted by date_added, as Order Desk does when it is not told otherwise."""
        return self.order_by in (None, "", "date_added")


@dataclass(frozen=True, slots=True)
class FoundOrders:
    """A page of whole orders.

    `total` is None when it is not known; `matched_by` says for each order id what a search found it
    by, `coverage` what was searched.
    """

    orders: list[Order]
    total: int | None
    has_more: bool
    matched_by: dict[str, tuple[str, ...]]
    coverage: str = ""


def upstream_parameters(query: OrderQuery, folders: FolderNames) -> dict[str, str]:
    """The filters and the sorting as Order Desk's own parameters, without the page.

    Raises ValidationFailed.
    """
    parameters = {
        name: text for name in (*_EQUAL, *_WITHIN) if (text := _text(getattr(query, name)))
    }
    faults = Faults()
    with faults.caught():
        if folder := _folder(query, folders):
            parameters["folder_id"] = folder
    for name, (_, is_end) in _DATES.items():
        with faults.caught():
            if value := _text(getattr(query, name)):
                parameters[name] = to_upstream(value, name, end_of_day=is_end)
    with faults.caught():
        parameters |= _sorting(query)
    if query.cursor and (query.offset or not query.is_by_date):
        faults.add(
            ValidationFailed(
                "cursor: goes with the sorting by date_added, and without offset. Leave out offset "
                "and order_by.",
                field="cursor",
            )
        )
    faults.raise_any()
    return parameters


def _sorting(query: OrderQuery) -> dict[str, str]:
    parameters: dict[str, str] = {}
    if query.order_by:
        if query.order_by not in ORDERED_BY:
            raise ValidationFailed(
                f"order_by: orders cannot be sorted by that. Use one of {', '.join(ORDERED_BY)}.",
                field="order_by",
            )
        parameters["order_by"] = query.order_by
    if query.order:
        if query.order.strip().upper() not in ("ASC", "DESC"):
            raise ValidationFailed("order: must be ASC or DESC.", field="order")
        parameters["order"] = query.order.strip().upper()
    return parameters


def with_other_number(parameters: Mapping[str, str]) -> dict[str, str] | None:
    """The parameters with the shop's number without its `#`, or with one; None without a number."""
    number = parameters.get("source_id")
    if not number:
        return None
    return {**parameters, "source_id": number[1:] if number.startswith("#") else f"#{number}"}


def names_unknown_folder(query: OrderQuery, folders: FolderNames) -> bool:
    """True if the store's folders should be read again before the query is refused."""
    name = _text(query.status) or _text(query.folder_name)
    return bool(name) and _find(name, folders) is None


async def search_orders(
    search: str,
    parameters: Mapping[str, str],
    *,
    limit: int,
    offset: int,
    get: Callable[[OrderId], Awaitable[Order]],
    listing: Callable[[Mapping[str, str]], Awaitable[Page]],
) -> FoundOrders:
    """Orders that the text finds by any of its meanings, united, under all other filters.

    The likely meanings are asked first. Where they find none, the newest 500 orders are looked
    through; where those are not all, the other meanings are asked. Raises ValidationFailed beyond
    the 500th row.
    """
    wanted = offset + limit
    if wanted > MOST_ROWS:
        raise ValidationFailed(
            f"offset: a search reaches its first {MOST_ROWS} rows; narrow it with another filter.",
            field="offset",
        )
    likely, others = questions(search)
    coverage: list[str] = []

    async def ask(stage: Sequence[Question]) -> list[_Answer]:
        coverage.extend(question.matched_by for question in stage)
        return await together(
            [_ask(question, parameters, wanted, get, listing) for question in stage]
        )

    answers = await ask(likely)
    if not any(answer.rows for answer in answers):
        seen = await _look_through(search, parameters, listing)
        coverage.append(seen.coverage)
        answers = [seen]
        if not seen.rows and not seen.is_whole and others:
            answers = [*await ask(others), seen]
    return _page_of(
        answers, parameters, limit, offset, f"Searched {', '.join(dict.fromkeys(coverage))}."
    )


def _page_of(
    answers: Sequence["_Answer"],
    parameters: Mapping[str, str],
    limit: int,
    offset: int,
    coverage: str,
) -> FoundOrders:
    matched: dict[str, list[str]] = {}
    for answer in answers:
        for order in answer.rows:
            names = matched.setdefault(str(order.get("id")), [])
            names += [name for name in answer.matched_by(order) if name not in names]
    is_complete = all(answer.is_whole for answer in answers)
    ordered = united(
        [answer.rows for answer in answers],
        parameters.get("order_by", "date_added"),
        is_rising=parameters.get("order") == "ASC",
    )
    shown = ordered[offset : offset + limit]
    # Also at the 500th row: a caller who asks for more gets an error that asks for a narrower
    # search, and does not take 500 rows for all there are.
    has_more = len(ordered) > offset + limit or (not is_complete and len(shown) == limit)
    return FoundOrders(
        shown,
        len(ordered) if is_complete else None,
        has_more,
        {str(order.get("id")): tuple(matched[str(order.get("id"))]) for order in shown},
        coverage,
    )


def united(lists: Sequence[Sequence[Order]], order_by: str, *, is_rising: bool) -> list[Order]:
    """Every order of the lists once.

    Each list keeps Order Desk's own order: how it sorts words, and orders of one second, is not
    known. The pages of a search fit together only if the longer lists of a later page begin like
    the shorter ones."""
    found: dict[str, Order] = {}
    for order in heapq.merge(
        *lists, key=lambda order: _sort_key(order, order_by), reverse=not is_rising
    ):
        found.setdefault(str(order.get("id")), order)
    return list(found.values())


async def together(questions: Sequence[Awaitable[Any]]) -> list[Any]:
    """All results. On the first error the other calls are cancelled, and the error is raised."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def fits(order: Order, parameters: Mapping[str, str]) -> bool:
    """Whether an order passes the filters that Order Desk was not asked to apply."""
    for name in _EQUAL:
        if (
            name in parameters
            and str(order.get(name) or "").strip().casefold() != parameters[name].casefold()
        ):
            return False
    for name in _WITHIN:
        part, _, field = name.partition("_")
        if (
            name in parameters
            and parameters[name].casefold()
            not in str(as_map(order.get(part)).get(field) or "").casefold()
        ):
            return False
    if "folder_id" in parameters and str(order.get("folder_id")) not in parameters[
        "folder_id"
    ].split(","):
        return False
    for name, (field, is_end) in _DATES.items():
        bound, moment = parameters.get(name), str(order.get(field) or "")
        if bound and (
            moment > bound if is_end else moment < bound
        ):  # Order Desk's form sorts as text
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Answer:
    """The orders that one question found, whether these are all of them, what each is matched by,
    and in words what was looked through.
    """

    rows: list[Order]
    is_whole: bool
    matched_by: Callable[[Order], tuple[str, ...]]
    coverage: str = ""


async def _ask(
    question: Question,
    parameters: Mapping[str, str],
    wanted: int,
    get: Callable[[OrderId], Awaitable[Order]],
    listing: Callable[[Mapping[str, str]], Awaitable[Page]],
) -> _Answer:
    def matched_by(_: Order) -> tuple[str, ...]:
        return (question.matched_by,)

    if question.matched_by == "id":
        try:
            order = await get(OrderId(question.filters["id"]))
        except NotFound:
            return _Answer([], True, matched_by)
        return _Answer([order] if fits(order, parameters) else [], True, matched_by)
    page = await listing({**parameters, **question.filters, "limit": str(wanted), "offset": "0"})
    is_whole = len(page.rows) >= page.total if page.total is not None else len(page.rows) < wanted
    # The search text above replaced a filter on the searched field; that filter still applies.
    own = {name: value for name, value in parameters.items() if name in question.filters}
    return _Answer([order for order in page.rows if fits(order, own)], is_whole, matched_by)


async def _look_through(
    search: str,
    parameters: Mapping[str, str],
    listing: Callable[[Mapping[str, str]], Awaitable[Page]],
) -> _Answer:
    """The orders among the first 500 that show the text, also where Order Desk has no filter."""
    page = await listing({**parameters, "limit": str(MOST_ROWS), "offset": "0"})

    def matched_by(order: Order) -> tuple[str, ...]:
        return shown_by(order, search)

    is_whole = page.total is not None and len(page.rows) >= page.total
    return _Answer(
        [order for order in page.rows if matched_by(order)],
        is_whole,
        matched_by,
        f"shop numbers, e-mails, names, companies, phones, items and tracking numbers of "
        f"{'all' if is_whole else 'the first'} {len(page.rows)} orders"
        f"{'' if is_whole else ' (a date or folder filter reaches others)'}",
    )


def _folder(query: OrderQuery, folders: FolderNames) -> str | None:
    """The folder ids that the three ways of naming a folder agree on.

    `status` is a folder name: Order Desk has no other status.
    """
    ids = _text(query.folder_id)
    if ids and not all(
        part.strip().isascii() and part.strip().isdigit() for part in ids.split(",")
    ):
        raise ValidationFailed(
            "folder_id: must be the number of a folder, or several with commas between.",
            field="folder_id",
        )
    wanted = {part.strip() for part in ids.split(",")} if ids else None
    for name in ("folder_name", "status"):
        text = _text(getattr(query, name))
        if not text:
            continue
        folder = _find(text, folders)
        if folder is None:
            known = (
                ", ".join(in_message(known) for _, known in folders[:_MOST_NAMED]) or "none known"
            )
            words = (
                "this store has no such folder"
                if name == "folder_name"
                else "the status of an order is its folder, and this store has none of that name"
            )
            raise ValidationFailed(
                f"{name}: {words}. Its folders: {known}."
                + f"{nearest(text, (known for _, known in folders))} {NO_NEW_FOLDERS}",
                field=name,
            )
        if wanted is not None and folder not in wanted:
            raise ValidationFailed(
                (
                    f"{name}: names another folder than the other filters do; an order is in "
                    "one folder. Give only one."
                ),
                field=name,
            )
        wanted = {folder}
    return ",".join(sorted(wanted)) if wanted else None


def _find(name: str, folders: FolderNames) -> str | None:
    """The id of the folder of that name."""
    folder = find_folder(("folder_name", name), folders)
    return folder.folder_id if folder is not None else None


def _text(value: str | None) -> str:
    return value.strip() if value else ""


def _sort_key(order: Order, name: str) -> tuple[int, Decimal, str]:
    part, _, field = name.partition("_")
    value = order.get(
        name, as_map(order.get(part)).get(field) if part in ("shipping", "customer") else None
    )
    number = decimal_of(value)
    return (0, number, "") if number is not None else (1, Decimal(0), str(value or "").casefold())
