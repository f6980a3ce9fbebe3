"""Merges order items: an entry with an id changes that item, an entry without one adds an item.

An item that is left out stays.
"""

from collections.abc import Mapping

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import ITEM_MAPS, as_list
from orderdesk_app.orderdesk.field_values import (
    check_digits,
    list_of,
    object_of,
    whole_number,
)
from orderdesk_app.orderdesk.merge_fields import Merge, merge_free_map, merge_number, merge_text
from orderdesk_app.orderdesk.merge_target import MergeTarget
from orderdesk_app.orderdesk.order_fields import ITEM_SUMS, ITEM_TEXTS

_MERGES: dict[str, Merge] = {
    **dict.fromkeys(ITEM_TEXTS, merge_text),
    **dict.fromkeys(ITEM_SUMS, merge_number),
    **dict.fromkeys(ITEM_MAPS, merge_free_map),
}


def merge_items(target: MergeTarget, value: object) -> None:
    """Writes the items of an order (docs/orderdesk-api.md section 6.2). Raises ValidationFailed."""
    entries = _entries(target, value)
    items: list[Json] = as_list(target.current)
    positions = {
        str(item.get("id")): index for index, item in enumerate(items) if isinstance(item, dict)
    }
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        path = f"{target.path}[{index}]"
        with target.faults.caught():
            given = object_of(entry, path)
            item_id = given_item_id(given, path)
            if item_id is None:
                items.append(_new_item(target, given, path))
                continue
            _check_item_id(item_id, positions, seen, path)
            seen.add(item_id)
            item: JsonObject = dict(_object(items[positions[item_id]]))
            changes = {name: part for name, part in given.items() if name != "id"}
            _merge_item(target, item, changes, f"{target.path}[id={item_id}]")
            items[positions[item_id]] = item
    target.put(items)


def given_item_id(given: Mapping[str, object], path: str) -> str | None:
    """The id in an entry, None for a new item. Raises ValidationFailed unless it is digits."""
    value = given.get("id")
    if value is None:
        return None
    value = whole_number(value)
    check_digits(value, f"{path}.id")
    is_text_or_number = isinstance(value, str | int) and not isinstance(value, bool)
    text = str(value).strip() if is_text_or_number else ""
    if not (text.isascii() and text.isdigit()):
        raise ValidationFailed(
            f"{path}.id: must be the id of an item of this order, digits only. Leave it out to add "
            "a new item.",
            field=f"{path}.id",
        )
    return text


def _entries(target: MergeTarget, value: object) -> list[object]:
    if value is None:
        raise ValidationFailed(
            "order_items: an order keeps its items; items cannot be removed here. Remove them in "
            "Order Desk.",
            field=target.path,
        )
    return list_of(value, target.path)


def _check_item_id(item_id: str, positions: Mapping[str, int], seen: set[str], path: str) -> None:
    if item_id not in positions:
        known = (
            f" Its items are {', '.join(list(positions)[:20])}."
            if positions
            else " It has no items yet."
        )
        raise ValidationFailed(
            f"{path}.id: this order has no item {item_id[:40]}.{known} Leave id out to add a new "
            "item.",
            field=f"{path}.id",
        )
    if item_id in seen:
        raise ValidationFailed(
            f"{path}.id: item {item_id} stands here twice; put all its changes into one entry.",
            field=f"{path}.id",
        )


def _new_item(target: MergeTarget, given: Mapping[str, object], path: str) -> JsonObject:
    item: JsonObject = {}
    fields = {name: part for name, part in given.items() if name != "id" and part is not None}
    known = len(target.faults)
    _merge_item(target, item, fields, path)
    has_good_names = len(target.faults) == known  # else a misspelt one may explain a missing one
    is_named = any(str(item.get(key) or "").strip() for key in ("name", "code"))
    if has_good_names and not is_named:
        raise ValidationFailed(
            f"{path}.name: a new item needs a name or a code. To change an item that is there, "
            "give its id.",
            field=f"{path}.name",
        )
    return item


def _merge_item(
    target: MergeTarget, item: JsonObject, given: Mapping[str, object], path: str
) -> None:
    for name, part in given.items():
        nested = target.nested(item, name, path)
        with target.faults.caught():
            if nested.takes(_MERGES, part):
                _MERGES[name](nested, part)


def _object(item: Json) -> JsonObject:
    return item if isinstance(item, dict) else {}
