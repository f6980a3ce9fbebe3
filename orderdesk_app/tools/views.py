"""Orders and products as tools show them: ISO dates, plain numbers, no nulls, the fields asked for,
and which words are a customer's.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import FREE_MAPS, ITEM_MAPS
from orderdesk_app.orderdesk.dates import to_iso
from orderdesk_app.orderdesk.merge import (
    ADDRESS_FIELDS,
    DISCOUNT_FIELDS,
    ITEM_SUMS,
    ITEM_TEXTS,
    NOTE_FIELDS,
    READ_ONLY,
    WRITABLE,
)
from orderdesk_app.services.folders import FolderList

_DATES = frozenset({"date_added", "date_updated"})
# maps whose keys and words are somebody's own
_FREE = frozenset({*FREE_MAPS, "metadata", "variation_list"})
_ORDER_FIELDS = frozenset({*WRITABLE, *READ_ONLY, "folder", "order_shipments", "refund_total"}) - {
    "folder_name",
    "cc_number",
}
# Of the entries of a list; not every order has an entry that could tell, so that only what was read
# refuses a name.
_ENTRY_FIELDS: dict[str, frozenset[str]] = {
    "order_items": frozenset({"id", *ITEM_TEXTS, *ITEM_SUMS, *ITEM_MAPS}),
    "order_notes": frozenset(NOTE_FIELDS),
    "discount_list": frozenset(DISCOUNT_FIELDS),
    "order_shipments": frozenset(
        {
            "id",
            "order_id",
            "store_id",
            "tracking_number",
            "carrier_code",
            "shipment_method",
            "weight",
            "weight_unit",
            "cost",
            "status",
            "tracking_url",
            "label_format",
            "label_image",
            "label_shipment_id",
            "cart_shipment_id",
            "print_status",
            "order_items",
            "source",
            "date_shipped",
            "date_added",
        }
    ),
}
_MOST_SHOWN = 1_000
# of ten: written out, a larger number may have a million digits, and few who read JSON know it
_LARGEST_POWER = 300


class Shown(dict[str, Any]):
    """A whole order or product as tools show it, made once for each value that the cache keeps;
    nobody changes it.
    """

    __slots__ = ("made", "untrusted")

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        # below the name that it is shown under: ".order_notes[0].content"
        self.untrusted = tuple(untrusted_paths(self, ""))
        self.made: dict[
            str, Any
        ] = {}  # what doors made of it (its lines of text), so that they make it once


class Showing:
    """Turns what a service read into what a tool shows, once for each value that the cache
    keeps.
    """

    def __init__(self) -> None:
        self._shown: OrderedDict[int, tuple[object, Shown]] = OrderedDict()

    def of(self, read: Mapping[str, Any]) -> Shown:
        """The whole order or product; what is returned is not to be changed."""
        known = self._shown.get(id(read))
        if known is not None and known[0] is read:
            return known[1]
        shown = Shown(plain(read))
        self._shown[id(read)] = (read, shown)
        if len(self._shown) > _MOST_SHOWN:
            self._shown.popitem(last=False)
        return shown


def plain(value: Any, *, key: str = "", is_free: bool = False) -> Any:
    """A value as our JSON has it: Decimals as numbers with the same digits, dates in ISO 8601,
    nulls left out, [] for an empty map as {}.
    """
    kind = type(value)
    if (kind is str and key not in _DATES) or (kind is int and key != "id"):
        return value  # most of an order, so it is asked first
    if kind is int:
        return value if is_free else str(value)  # ids are texts, however Order Desk writes them
    if isinstance(value, Decimal):
        if value.adjusted() > _LARGEST_POWER:
            return str(value)
        return int(value) if value == value.to_integral_value() else float(value)
    if kind is dict or isinstance(value, Mapping):
        return {
            name: plain(entry, key=name, is_free=is_free or name in _FREE)
            for name, entry in value.items()
            if entry is not None
        }
    if isinstance(value, list):
        if not value and key in _FREE:
            return {}
        return [plain(entry, is_free=is_free) for entry in value]
    if key in _DATES and not is_free and isinstance(value, str):
        return to_iso(value)
    return value


def summary(order: Mapping[str, Any], folders: FolderList) -> dict[str, Any]:
    """An order as one row of a list."""
    shipping, customer = _map(order.get("shipping")), _map(order.get("customer"))
    return {
        "id": str(order.get("id", "")),
        "source_id": str(order.get("source_id") or ""),
        "source_name": str(order.get("source_name") or ""),
        "date_added": to_iso(str(order.get("date_added") or "")),
        "date_updated": to_iso(str(order.get("date_updated") or "")),
        "folder": folder_name(order, folders),
        "email": str(order.get("email") or ""),
        "customer": _who(customer) or _who(shipping),
        "city": str(shipping.get("city") or ""),
        "country": str(shipping.get("country") or ""),
        "order_total": plain(order.get("order_total", 0)),
        "item_count": len(order.get("order_items") or []),
    }


def folder_name(order: Mapping[str, Any], folders: FolderList) -> str:
    """The name of the order's folder; its id where nobody knows the name."""
    wanted = str(order.get("folder_id") or "")
    return next((name for id_, name in folders if id_ == wanted), wanted)


def selected(shown: dict[str, Any], fields: Sequence[str] | None) -> dict[str, Any]:
    """The fields asked for, nested as they were, and always the id."""
    if not fields:
        return shown
    tree: dict[str, Any] = {"id": {}}
    for path in fields:
        branch = tree
        for part in path.split("."):
            branch = branch.setdefault(part, {})
    picked = _pick(shown, tree)
    return picked if isinstance(picked, dict) else {}


def check_fields(
    fields: Iterable[str] | None, read: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Raises ValidationFailed naming the first field that an order does not have.

    Order Desk may tell more than its documents name: what is like no known field is refused only
    once the orders are `read` and none has it."""
    for path in fields or ():
        first, _, rest = path.partition(".")
        if (
            first == "order_history"
        ):  # Order Desk tells it only to who asks for it, which makes its answers slow
            raise ValidationFailed(
                (
                    "fields: the history of an order is not read here. Its notes are "
                    "order_notes; look the history up in Order Desk."
                ),
                field="fields",
            )
        if first not in FREE_MAPS and (
            counted := next((part for part in rest.split(".") if part.isdigit()), None)
        ):
            raise ValidationFailed(
                (
                    f"fields: entries of lists are not counted. Leave {counted!r} out of "
                    f"{path!r}: it then means every entry."
                ),
                field="fields",
            )
        second = rest.partition(".")[0]
        known = ADDRESS_FIELDS.get(first)
        if first not in _ORDER_FIELDS:
            place, name, names, is_there = (
                "an order",
                first,
                _ORDER_FIELDS,
                any(first in order for order in read or ()),
            )
        elif rest and known and second not in known:
            place, name, names, is_there = (
                first,
                second,
                frozenset(known),
                any(second in _map(order.get(first)) for order in read or ()),
            )
        elif rest and first in _ENTRY_FIELDS and second not in _ENTRY_FIELDS[first]:
            entries = [
                entry
                for order in read or ()
                for entry in order.get(first) or ()
                if isinstance(entry, Mapping)
            ]
            place, name, names, is_there = (
                first,
                second,
                _ENTRY_FIELDS[first],
                not entries or any(second in entry for entry in entries),
            )
        else:
            continue
        near = get_close_matches(name, names, 1)
        if not is_there and (near or read is not None):
            hint = f"Did you mean {near[0]!r}?" if near else "Leave fields out to see them all."
            raise ValidationFailed(f"fields: {place} has no {name!r}. {hint}", field="fields")


def untrusted_paths(shown: Mapping[str, Any], root: str) -> list[str]:
    """Paths of the text that customers and shop systems wrote: notes, gift messages, free key/value
    maps.
    """
    if isinstance(shown, Shown) and root:
        return [root + path for path in shown.untrusted]
    paths: list[str] = []
    for index, note in enumerate(shown.get("order_notes") or ()):
        if isinstance(note, Mapping) and note.get("content"):
            paths.append(f"{root}.order_notes[{index}].content")
    for name in FREE_MAPS:
        paths.extend(_text_paths(shown.get(name), f"{root}.{name}"))
    for index, item in enumerate(shown.get("order_items") or ()):
        if isinstance(item, Mapping):
            for name in ("variation_list", "metadata"):
                paths.extend(_text_paths(item.get(name), f"{root}.order_items[{index}].{name}"))
    return paths


def _text_paths(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _text_paths(entry, f"{path}.{name}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _text_paths(entry, f"{path}[{index}]")
    elif isinstance(value, str) and value:
        yield path


def _pick(value: Any, tree: Mapping[str, Any]) -> Any:
    if not tree:
        return value
    if isinstance(value, Mapping):
        return {name: _pick(value[name], branch) for name, branch in tree.items() if name in value}
    if isinstance(value, list):
        return [
            _pick(
                entry, {**tree, "id": {}} if isinstance(entry, Mapping) and "id" in entry else tree
            )
            for entry in value
        ]
    return value


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _who(address: Mapping[str, Any]) -> str:
    name = " ".join(str(address.get(part) or "") for part in ("first_name", "last_name")).strip()
    return name or str(address.get("company") or "")
