"""The cursor of a list of orders: where a page ended, so that the next begins there.

An offset counts rows. When the rows that were listed are moved to another folder, the rest moves
up, and the next offset skips as many orders. A cursor names the last row instead. Order Desk has
no cursors (docs/orderdesk-api.md section 3), so it becomes a bound on `date_added`, which never
changes, and the ids of the orders of that second that were shown already.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.dates import to_upstream
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.services.order_search import MOST_ROWS, FoundOrders

MAX_SHOWN = 400  # orders of one second that a cursor names; a page of Order Desk's has 500 rows
_FORM = re.compile(r"(\d{14})([AD])((?:\.\d{1,20}){1,400})", re.ASCII)

ListRows = Callable[[Mapping[str, str], int, int], Awaitable[FoundOrders]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The date_added of a page's last row, in Order Desk's form, and the ids of the rows of that
    second that were shown.
    """

    last: str
    is_rising: bool
    shown: tuple[str, ...]

    def __str__(self) -> str:
        digits = re.sub(r"\D", "", self.last)
        return ".".join([digits + ("A" if self.is_rising else "D"), *self.shown])

    @property
    def bound(self) -> tuple[str, str]:
        """The parameter that leaves out most of what was shown, and its value.

        It is one second wide of the mark, as Order Desk does not say whether its bounds are
        inclusive.
        """
        second = timedelta(seconds=-1 if self.is_rising else 1)
        moment = datetime.fromisoformat(self.last) + second
        name = "search_start_date" if self.is_rising else "search_end_date"
        return name, moment.isoformat(" ", "seconds")

    def is_next(self, order: Order) -> bool:
        """True for an order that comes after those that were shown."""
        moment = str(order.get("date_added") or "")
        if moment == self.last:
            return str(order.get("id")) not in self.shown
        return moment > self.last if self.is_rising else moment < self.last


def read_cursor(text: str, *, is_rising: bool) -> Cursor:
    """The cursor that a page gave.

    Raises ValidationFailed for any other text, and for the cursor of a list that is sorted the
    other way.
    """
    match = _FORM.fullmatch(text.strip())
    last = _date_of(match[1]) if match else None
    if match is None or last is None:
        raise ValidationFailed(
            "cursor: must be the next_cursor of the page before, with the same filters.",
            field="cursor",
        )
    if (match[2] == "A") != is_rising:
        raise ValidationFailed(
            "cursor: belongs to a list that is sorted the other way. Keep order as it was, or "
            "begin without cursor.",
            field="cursor",
        )
    return Cursor(last, is_rising, tuple(match[3].removeprefix(".").split(".")))


def _date_of(digits: str) -> str | None:
    """YYYYMMDDHHMMSS in Order Desk's form; None for no date, and at the edges of the calendar."""
    day, time = digits[:8], digits[8:]
    text = f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}"
    try:
        return to_upstream(text, "cursor") if "0001" < text[:4] < "9999" else None
    except ValidationFailed:
        return None


def next_cursor(rows: Sequence[Order], before: Cursor | None, *, is_rising: bool) -> str | None:
    """The cursor after these rows, sorted by date_added; None where none can be given: a row
    without a date, or too many orders of one second.
    """
    try:
        last = to_upstream(str(rows[-1].get("date_added") or ""), "date_added") if rows else ""
    except ValidationFailed:
        return None
    if not last or last != str(rows[-1].get("date_added")):
        return None
    shown = [str(row.get("id", "")) for row in rows if row.get("date_added") == last]
    if before is not None and before.last == last:
        shown = [*before.shown, *shown]
    if len(shown) > MAX_SHOWN or not all(order_id.isdigit() for order_id in shown):
        return None
    return str(Cursor(last, is_rising, tuple(shown)))


async def rows_after(
    cursor: Cursor, parameters: Mapping[str, str], limit: int, list_rows: ListRows
) -> FoundOrders:
    """The page after the cursor. `list_rows` takes parameters, limit and offset."""
    name, bound = cursor.bound
    given = parameters.get(name)
    if given is not None:
        bound = max(given, bound) if cursor.is_rising else min(given, bound)
    size = min(MOST_ROWS, limit + len(cursor.shown) + 1)
    found: dict[str, Order] = {}
    matched: dict[str, tuple[str, ...]] = {}
    offset, has_more = 0, True
    while has_more and len(found) <= limit:
        page = await list_rows({**parameters, name: bound}, size, offset)
        found |= {str(row.get("id")): row for row in page.orders if cursor.is_next(row)}
        matched |= page.matched_by
        offset += len(page.orders)
        has_more = page.has_more
    rows = list(found.values())
    return FoundOrders(rows[:limit], None, has_more or len(rows) > limit, matched, page.coverage)
