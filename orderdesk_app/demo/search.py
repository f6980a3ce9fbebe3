"""GET /orders: which orders a query means, in which order, and which page of them (section 3).

Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC

from orderdesk_app.demo import dates
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.orders import ADDRESS, SHIPPING_ADDRESS
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.switches import Switches

EXACT = ("source_id", "source_name", "email", "customer_id")
SEARCHED = ("first_name", "last_name", "company", "address1", "phone")
DATES = {
    "search_start_date": ("date_added", "start", False),
    "search_end_date": ("date_added", "end", False),
    "search_start_date_local": ("date_added", "start", True),
    "search_end_date_local": ("date_added", "end", True),
    "modified_start_date": ("date_updated", "start", False),
    "modified_end_date": ("date_updated", "end", False),
}
DEFAULT_LIMIT, MAXIMUM = 50, 500

Test = Callable[[Body], bool]


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Body]  # stored documents
    total: int
    limit: int
    offset: int


def search(
    documents: Iterable[Body],
    query: Mapping[str, str],
    folders: Mapping[str, str],
    switches: Switches,
) -> Page:
    """The page of documents that the query means; unknown and empty parameters are ignored.

    Raises Refusal.
    """
    limit, offset = page_of(query, switches)
    tests = [*_tests(query, folders, switches)]
    found = [document for document in documents if all(test(document["order"]) for test in tests)]
    name = query.get("order_by", "")
    # Id last, so that rows of one second keep their places from page to page.
    found.sort(
        key=lambda document: (_sort_key(document["order"], name), int(document["order"]["id"])),
        reverse=query.get("order", "").upper() != "ASC",
    )
    return Page(found[offset : offset + limit], len(found), limit, offset)


def page_of(query: Mapping[str, str], switches: Switches) -> tuple[int, int]:
    """Limit and offset; what is no such number counts as left out."""
    limit, offset = _whole(query.get("limit", "")) or DEFAULT_LIMIT, _whole(query.get("offset", ""))
    if limit > MAXIMUM and switches.limit_above_maximum == "error":
        raise Refusal(switches.validation_status, f"limit may be {MAXIMUM} at most")
    return min(limit, MAXIMUM), offset


def _whole(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0


def _tests(
    query: Mapping[str, str], folders: Mapping[str, str], switches: Switches
) -> Iterable[Test]:
    for name in EXACT:
        if wanted := query.get(name, "").strip().lower():
            yield lambda order, name=name, wanted=wanted: order[name].lower() == wanted  # type: ignore[misc]
    for part in ("customer", "shipping"):
        for field in SEARCHED:
            if wanted := query.get(f"{part}_{field}", "").strip().lower():
                yield lambda order, part=part, field=field, wanted=wanted: _matches(
                    order[part][field].lower(), wanted, switches
                )  # type: ignore[misc]
    if query.get("folder_id"):
        ids = {part.strip() for part in query["folder_id"].split(",")}
        yield lambda order: str(order["folder_id"]) in ids
    if query.get("folder_name"):
        named = {folder_id for folder_id, name in folders.items() if name == query["folder_name"]}
        yield lambda order: str(order["folder_id"]) in named
    yield from _date_tests(query, switches)


def _date_tests(query: Mapping[str, str], switches: Switches) -> Iterable[Test]:
    for name, (field, side, local) in DATES.items():
        if not query.get(name):
            continue
        bound = dates.read(query[name], dates.zone_named(switches.timezone) if local else UTC)
        if bound is None and switches.bad_date == "error":
            raise Refusal(switches.validation_status, f"{name} is not a date")
        if bound is None:
            continue
        # The fixed form sorts as text.
        if side == "start":
            yield _since(field, bound, is_inclusive=switches.start_inclusive)
        else:
            yield _until(field, bound, is_inclusive=switches.end_inclusive)


def _since(field: str, bound: str, *, is_inclusive: bool) -> Test:
    return lambda order: order[field] > bound or (is_inclusive and order[field] == bound)


def _until(field: str, bound: str, *, is_inclusive: bool) -> Test:
    return lambda order: order[field] < bound or (is_inclusive and order[field] == bound)


def _matches(value: str, wanted: str, switches: Switches) -> bool:
    if switches.text_match == "exact":
        return value == wanted
    return value.startswith(wanted) if switches.text_match == "prefix" else wanted in value


def _sort_key(order: Body, name: str) -> tuple[int, float | str]:
    part, _, field = name.partition("_")
    value = order.get(name)
    if name == "id":
        value = int(order["id"])
    elif part == "shipping" and field in SHIPPING_ADDRESS:
        value = order["shipping"][field]
    elif part == "customer" and field in ADDRESS:
        value = order["customer"][field]
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value.lower()) if isinstance(value, str) else (1, order["date_added"])
