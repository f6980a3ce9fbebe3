"""Whether a write was done: compares the order before it, the order that it meant to make, and the
order found afterwards.

Order Desk rewrites what it is given (numbers as text, `[]` for `{}`, trimmed and recapitalised
words, recomputed totals; docs/orderdesk-api.md sections 5 to 7), so what is found is compared with
a tolerance. Where the old and the new value are equal within the tolerance, the exact value
decides.
"""

import re
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Literal

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.errors import (
    Fault,
    OrderDeskAgentsError,
    UpstreamFailed,
    UpstreamUnreachable,
)
from orderdesk_app.orderdesk.order import Order

Status = Literal["done", "not_done", "partly", "changed_by_other"]
State = Literal["arrived", "absent", "other"]

ADDRESSES = ("shipping", "customer", "return_address")
FREE_MAPS = ("checkout_data", "order_metadata")
ITEM_MAPS = ("variation_list", "metadata")
_LONGEST_NUMBER = 1_000  # signs of a text; reading megabytes of digits takes long
# Order Desk computes these itself, or takes them at other endpoints: they do not show whether a
# write was done.
COMPUTED = frozenset(
    {
        "id",
        "quantity_total",
        "weight_total",
        "product_total",
        "discount_total",
        "order_total",
        "refund_total",
        "email_count",
        "date_added",
        "date_updated",
        "cc_number",
        "cc_number_masked",
        "cc_exp",
        "order_shipments",
        "order_history",
    }
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a write means to change: its dotted path, the keys that lead to it, and its
    value before and after.
    """

    path: str
    steps: tuple[str, ...]
    before: Json
    meant: Json
    kind: Literal["value", "new_item", "notes"] = "value"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of a write. `status` is one of

    `done`: every path has the value meant; `not_done`: every path has its value from before;
    `partly`: some paths have the value meant; `changed_by_other`: no path has the value meant, and
    some have a third value.
    """

    status: Status
    arrived: tuple[str, ...]  # paths with the value meant
    absent: tuple[str, ...]  # paths with the value from before
    other: tuple[str, ...]  # paths with a third value

    @property
    def differing(self) -> tuple[str, ...]:
        """The paths without the value meant."""
        return self.absent + self.other


def compare(before: Order, meant: Order, found: Order) -> Comparison:
    """Compares the order found with the order before the write and the order meant.

    Of the order meant only what differs from the order before counts; a write without such a
    difference is done.
    """
    states: dict[State, list[str]] = {"arrived": [], "absent": [], "other": []}
    expected = differences(before, meant)
    new_items = _new_items_states(
        [difference for difference in expected if difference.kind == "new_item"], before, found
    )
    items = {
        str(item.get("id")): item
        for item in reversed(as_list(found.get("order_items")))
        if isinstance(item, dict)
    }
    for difference in expected:
        state = new_items.get(difference.path) or _state(difference, found, items)
        states[state].append(difference.path)
    arrived, absent, other = (tuple(states[name]) for name in ("arrived", "absent", "other"))
    status: Status = "done"
    if arrived and (absent or other):
        status = "partly"
    elif other:
        status = "changed_by_other"
    elif absent:
        status = "not_done"
    return Comparison(status, arrived, absent, other)


def is_refusal(error: OrderDeskAgentsError) -> bool:
    """True if Order Desk answered readably that it refuses: repeating the same request cannot
    succeed.
    """
    return isinstance(error, UpstreamFailed) and not isinstance(error, UpstreamUnreachable)


def may_still_happen(error: OrderDeskAgentsError) -> bool:
    """True if Order Desk may still be at work on the request: an order that reads as before does
    not prove yet that the write failed.
    """
    return error.fault is Fault.TIMED_OUT or error.status in (408, 504)


def differences(before: Order, meant: Order) -> list[Difference]:
    """What the step from one order to the other changes, as dotted paths: `shipping.city`,
    `order_items[id=123].quantity`, `order_items[+1]`, `order_notes`.
    """
    found: list[Difference] = []
    for key in meant:
        if key in COMPUTED:
            continue
        old, new = before.get(key), meant[key]
        if key in ADDRESSES or key in FREE_MAPS:
            found += _map_differences(key, (key,), old, new)
        elif key == "order_items":
            found += _item_differences(as_list(old), as_list(new))
        elif key == "order_notes":
            if note_keys(old) != note_keys(new):
                found.append(Difference(key, (key,), as_list(old), as_list(new), "notes"))
        elif not is_same(old, new):
            found.append(Difference(key, (key,), old, new))
    return found


def as_map(value: object) -> JsonObject:
    """A new dict of the map's entries: Order Desk writes an empty map as `[]` or `""`, and a map
    with the keys 0, 1, 2 … as a list (docs/orderdesk-api.md section 5).
    """
    if isinstance(value, list | tuple):
        return {str(position): entry for position, entry in enumerate(value)}
    return dict(value) if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[Json]:
    """A new list of the entries: an empty list may be written as `""` or left out, and PHP writes a
    list with gaps as a map of its indexes (docs/orderdesk-api.md section 5).
    """
    if isinstance(value, Mapping) and value and all(str(key).isdigit() for key in value):
        return list(value.values())
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else []


def note_key(note: object) -> str:
    """The content after trimming and case folding: two notes with the same key are the same."""
    content = note.get("content") if isinstance(note, Mapping) else note
    return content.strip().casefold() if isinstance(content, str) else ""


def note_keys(notes: object) -> set[str]:
    """The note_key of every note of an order."""
    return {note_key(note) for note in as_list(notes)}


def decimal_of(value: object) -> Decimal | None:
    """The finite number that a JSON number or a plain numeric text means, else None.

    A text with a leading zero is no number (postal code 02134).
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and (
        len(value) > _LONGEST_NUMBER
        or not re.fullmatch(r"\s*[+-]?(0|[1-9]\d*)(\.\d+)?\s*", value, re.ASCII)
    ):
        return None
    try:
        number = (
            Decimal(repr(value) if isinstance(value, float) else value)
            if isinstance(value, str | int | float | Decimal)
            else None
        )
    except (InvalidOperation, ValueError):
        return None
    return number if number is not None and number.is_finite() else None


def is_blank(value: object) -> bool:
    """True for null and for an empty text, list or map."""
    return value is None or (isinstance(value, str | list | tuple | dict) and len(value) == 0)


def is_same(one: object, other: object) -> bool:
    """True for the same value in another JSON form: 5 and "5.0", [] and {}, null and "".

    Two texts must be equal to the letter.
    """
    kind = type(one)
    if kind is type(other) and (kind is str or kind is int):
        return one == other  # most values of an order, so they come first
    if is_blank(one) or is_blank(other):
        return is_blank(one) and is_blank(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) or isinstance(other, int | float | Decimal):
        number = decimal_of(one)
        return number is not None and number == decimal_of(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(is_same(one.get(key), other.get(key)) for key in {*one, *other})
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            is_same(a, b) for a, b in zip(one, other, strict=True)
        )
    return bool(one == other)


def is_alike(one: object, other: object, name: str = "") -> bool:
    """True if one value may be the other after Order Desk rewrote it: trimmed, recapitalised, a
    phone number reformatted, a yes written as 1. `name` is the field that holds it.
    """
    if is_same(one, other):
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(is_alike(one.get(key), other.get(key), str(key)) for key in {*one, *other})
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            is_alike(a, b, name) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return _truth(one) is not None and _truth(one) == _truth(other)
    if name == "amount":  # discounts are sums written as text
        return decimal_of(one) is not None and decimal_of(one) == decimal_of(other)
    if isinstance(one, str) and isinstance(other, str):
        if name == "phone" and _digits(one) and _digits(one) == _digits(other):
            return True
        return _squash(one) == _squash(other)
    if is_blank(one) or is_blank(other):  # a blank number is 0
        return all(is_blank(value) or decimal_of(value) == 0 for value in (one, other))
    return False


def likeness(value: object, name: str = "") -> Hashable:
    """Something that is the same for all values that is_alike finds alike; others may share it."""
    if isinstance(value, Mapping):
        parts = ((str(key), likeness(entry, str(key))) for key, entry in value.items())
        return frozenset(part for part in parts if part[1] != "0") or "0"
    if isinstance(value, list | tuple):
        return tuple(likeness(entry, name) for entry in value) or "0"
    if name == "phone" and isinstance(value, str) and _digits(value):
        return _digits(value)
    word = _squash(value) if isinstance(value, str) else str("" if value is None else value).lower()
    truth = _TRUTHS.get(word)
    if truth is not None:
        return "1" if truth else "0"
    if isinstance(value, str) and word[0] not in _NUMERIC:
        return word
    number = decimal_of(value)
    if number is None:
        return word
    return str(number.normalize()) if number else "0"


def _map_differences(path: str, steps: tuple[str, ...], old: Json, new: Json) -> list[Difference]:
    before, meant = as_map(old), as_map(new)
    keys = [*meant, *(key for key in before if key not in meant)]
    return [
        Difference(f"{path}.{key}", (*steps, key), before.get(key), meant.get(key))
        for key in keys
        if not is_same(before.get(key), meant.get(key))
    ]


def _item_differences(before: list[Json], meant: list[Json]) -> list[Difference]:
    known = {
        str(item["id"]): item
        for item in before
        if isinstance(item, dict) and not is_blank(item.get("id"))
    }
    found: list[Difference] = []
    added = 0
    for item in meant:
        if not isinstance(item, dict):
            continue
        item_id = str(item.get("id") or "")
        if item_id not in known:
            added += 1
            found.append(
                Difference(f"order_items[+{added}]", ("order_items",), None, dict(item), "new_item")
            )
            continue
        old = known[item_id]
        for key in item:
            path, steps = f"order_items[id={item_id}].{key}", ("order_items", item_id, key)
            if key == "id":
                continue
            if key in ITEM_MAPS:
                found += _map_differences(path, steps, old.get(key), item[key])
            elif not is_same(old.get(key), item[key]):
                found.append(Difference(path, steps, old.get(key), item[key]))
    return found


def _state(difference: Difference, found: Order, items: Mapping[str, JsonObject]) -> State:
    if difference.kind == "notes":
        return _notes_state(difference, found)
    value = _look_up(found, items, difference.steps)
    name = difference.steps[-1]
    # Exact values first: a change of capitals alone would otherwise look done before it is.
    if is_same(value, difference.meant):
        return "arrived"
    if is_same(value, difference.before):
        return "absent"
    return "arrived" if is_alike(value, difference.meant, name) else "other"


def _new_items_states(expected: list[Difference], before: Order, found: Order) -> dict[str, State]:
    """Matches each new item with a row that was not there before: with one that is alike
    (`arrived`), else with any row that is left (`other`). Two equal items need two rows.
    """
    known = {
        str(item.get("id")) for item in as_list(before.get("order_items")) if isinstance(item, dict)
    }
    fresh = [
        item
        for item in as_list(found.get("order_items"))
        if isinstance(item, dict) and str(item.get("id")) not in known
    ]
    rows = _Rows(fresh)
    states: dict[str, State] = {}
    for difference in expected:
        if rows.take_like(as_map(difference.meant)):
            states[difference.path] = "arrived"
    left = len(fresh) - len(states)
    for difference in expected:
        if difference.path not in states:
            # Either this item as Order Desk rewrote it, or another caller's: in both cases it must
            # not be added again without being asked for.
            states[difference.path] = "other" if left > 0 else "absent"
            left -= 1
    return states


class _Rows:
    """Rows of items, in which one that is alike is found without a look at each: to compare 500
    items with 500 rows takes seconds.
    """

    _MOST_INDEXES = 20  # one for each set of fields that the items to find have
    _MOST_CANDIDATES = 5  # rows of the same likeness that are not alike after all

    def __init__(self, rows: Sequence[JsonObject]) -> None:
        self._rows = rows
        self._taken: set[int] = set()
        self._next = 0
        self._indexes: dict[tuple[str, ...], dict[Hashable, list[int]]] = {}
        self._likeness: dict[str, list[Hashable]] = {}  # by field, of each row

    def take_like(self, meant: JsonObject) -> bool:
        """True if there is a row that may be this item; it is not found again."""
        if self._is_next(meant):
            return True
        fields = tuple(sorted(key for key in meant if key != "id"))
        if fields not in self._indexes and len(self._indexes) >= self._MOST_INDEXES:
            return False
        index = self._indexes.get(fields)
        if index is None:
            index = self._indexes[fields] = self._index(fields)
        wanted = tuple(likeness(meant[field], field) for field in fields)
        candidates = (number for number in index.get(wanted, ()) if number not in self._taken)
        for number in islice(candidates, self._MOST_CANDIDATES):
            if _is_row_of(meant, self._rows[number]):
                self._taken.add(number)
                return True
        return False

    def _is_next(self, meant: JsonObject) -> bool:
        """Whether it is the first row that was not taken, as it is where none was rewritten."""
        while self._next in self._taken:
            self._next += 1
        if self._next == len(self._rows) or not _is_row_of(meant, self._rows[self._next]):
            return False
        self._taken.add(self._next)
        return True

    def _index(self, fields: tuple[str, ...]) -> dict[Hashable, list[int]]:
        columns = [self._column(field) for field in fields]
        index: dict[Hashable, list[int]] = {}
        for number in range(len(self._rows)):
            index.setdefault(tuple(column[number] for column in columns), []).append(number)
        return index

    def _column(self, field: str) -> list[Hashable]:
        if field not in self._likeness:
            self._likeness[field] = [likeness(row.get(field), field) for row in self._rows]
        return self._likeness[field]


def _is_row_of(meant: JsonObject, row: JsonObject) -> bool:
    return all(is_alike(value, row.get(key), key) for key, value in meant.items() if key != "id")


def _notes_state(difference: Difference, found: Order) -> State:
    before, meant, there = (
        note_keys(difference.before),
        note_keys(difference.meant),
        note_keys(found.get("order_notes")),
    )
    loose_before, loose_there = {_squash(key) for key in before}, {_squash(key) for key in there}

    def is_there(key: str) -> bool:
        return key in there or (_squash(key) in loose_there and _squash(key) not in loose_before)

    added, removed = meant - before, before - meant
    if all(is_there(key) for key in added) and not any(is_there(key) for key in removed):
        return "arrived"
    # An unknown note may be ours as Order Desk rewrote it (signs replaced, cut short): it must not
    # be added again without being asked for.
    strange = bool(added) and bool(loose_there - loose_before - {_squash(key) for key in meant})
    if (
        not any(is_there(key) for key in added)
        and all(is_there(key) for key in removed)
        and not strange
    ):
        return "absent"
    return "other"


def _look_up(order: Order, items: Mapping[str, JsonObject], steps: tuple[str, ...]) -> Json:
    """The value at the end of the steps; `items` are those of the order by their ids."""
    value: Json = order
    if steps[0] == "order_items" and len(steps) > 1:
        value = items.get(steps[1])
        steps = steps[2:]
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else as_map(value).get(step)
    return value


def _truth(value: object) -> bool | None:
    return _TRUTHS.get(str(value).strip().lower() if value is not None else "")


_TRUTHS = {
    "1": True,
    "true": True,
    "yes": True,
    "0": False,
    "false": False,
    "no": False,
    "": False,
}
_NUMERIC = frozenset("+-0123456789")


def _squash(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split()).casefold()


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())
