"""Checks an agent's changes and merges them into the whole order, which Order Desk's PUT replaces
(docs/orderdesk-api.md section 7.2, docs/decisions/0009-updates-merge-and-verify.md).

Pure: no clock, no socket. Every refusal is a ValidationFailed whose `field` is the dotted path of
the value that is wrong.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orderdesk_app.context import Json, JsonObject, new_id
from orderdesk_app.errors import Faults, ValidationFailed, in_message, nearest
from orderdesk_app.orderdesk.comparison import (
    FREE_MAPS,
    as_list,
    as_map,
    differences,
    is_blank,
    is_same,
)
from orderdesk_app.orderdesk.field_names import HINTS, check_name
from orderdesk_app.orderdesk.field_values import date_of, json_number, number_of, object_of, text_of
from orderdesk_app.orderdesk.merge_fields import (
    Merge,
    merge_address,
    merge_discounts,
    merge_free_map,
    merge_number,
    merge_text,
)
from orderdesk_app.orderdesk.merge_items import given_item_id, merge_items
from orderdesk_app.orderdesk.merge_notes import merge_notes
from orderdesk_app.orderdesk.merge_target import MergeTarget, is_as_shown
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.order_fields import (
    ADDRESS_FIELDS,
    FOLDER,
    READ_ONLY,
    SUMS,
    TEXTS,
    WRITABLE,
)
from orderdesk_app.orderdesk.quoted_json import unquoted

AUTHOR = "agent"  # of a note that names none; short, as it counts towards the limit of all notes
SOURCE_ID_PREFIX = "agent-"

# docs/orderdesk-api.md section 2: there is no endpoint for it
NO_NEW_FOLDERS = (
    "A folder cannot be made, renamed or removed here: a person does that in Order Desk, and a new "
    "one is found at once."
)

FolderNames = Sequence[tuple[str, str]]  # id and name of each folder of the store


@dataclass(frozen=True, slots=True)
class FolderMove:
    """The folder that the order moves to after the PUT. The name is for messages."""

    folder_id: str
    folder_name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked write. `body` is sent with PUT or POST, `meant` is the order as it shall be at the
    end (folder included), `changed` are the dotted paths that differ from the order read.
    """

    body: Order
    meant: Order
    changed: tuple[str, ...]
    folder: FolderMove | None

    @property
    def needs_put(self) -> bool:
        """Whether anything but the folder changes; move-orders moves the folder."""
        return any(path != "folder_id" for path in self.changed)


def plan_update(
    order: Order,
    changes: object,
    *,
    at: datetime,
    folders: FolderNames = (),
    author: str = AUTHOR,
    is_read: bool = True,
) -> Plan:
    """Merges `changes` into the order as read, which is not changed itself.

    `at` dates new notes; `folders` are the store's. `is_read` is False where the order is not known
    yet: then what may be there already is not refused. Raises ValidationFailed.
    """
    given = _given(changes, "changes")
    faults = Faults()
    body: JsonObject = {
        key: copy.deepcopy(value)
        for key, value in order.items()
        if key not in ("cc_number_masked", "order_history")
    }
    for name, value in given.items():
        with faults.caught():
            if name in WRITABLE:
                _MERGES[name](MergeTarget(body, name, name, at, author, is_read, faults), value)
            elif not _is_there(order, name, value, folders):
                _refuse_name(name, WRITABLE, READ_ONLY, faults)
    card = _last_four(order.get("cc_number_masked"))
    if card and not body.get("cc_number"):
        # it is read masked and written by this name; leaving it out would blank it
        body["cc_number"] = card
    folder = None
    with faults.caught():
        folder = _folder_move(order, given, folders)
    faults.raise_any()
    meant = {**body, "folder_id": json_number(Decimal(folder.folder_id))} if folder else body
    changed = tuple(difference.path for difference in differences(order, meant))
    return Plan(body, meant, changed, folder)


def check_update(changes: object, *, at: datetime, folders: FolderNames = ()) -> None:
    """Checks what plan_update can check before the order is read. Raises ValidationFailed.

    Where a whole order may be sent back it checks nothing: what is in the order already is no
    fault, and all faults are told at once.
    """
    if isinstance(changes, Mapping) and any(name in READ_ONLY for name in changes):
        return
    entries = changes.get("order_items") if isinstance(changes, Mapping) else None
    listed = entries if isinstance(entries, list | tuple) else ()
    ids: list[Json] = []
    for index, entry in enumerate(listed):
        with suppress(ValidationFailed):  # plan_update says it, with all other faults
            if isinstance(entry, Mapping):
                ids.append(given_item_id(entry, f"order_items[{index}]"))
    order: Order = {"order_items": [{"id": item_id} for item_id in ids if item_id]}
    plan_update(order, changes, at=at, folders=folders, is_read=False)


def plan_create(
    order_data: object,
    *,
    at: datetime,
    folders: FolderNames = (),
    author: str = AUTHOR,
    source_id: str | None = None,
) -> Plan:
    """Checks a new order (docs/orderdesk-api.md section 7.1).

    An order without a `source_id` gets one (`source_id`, else `agent-<ulid>`): by it the order is
    found when the answer was lost. Raises ValidationFailed.
    """
    given = {
        name: value for name, value in _given(order_data, "order_data").items() if value is not None
    }
    read_only = {name: why for name, why in READ_ONLY.items() if name != "date_added"} | {
        "id": "Order Desk gives it; leave it out"
    }
    faults = Faults()
    body: JsonObject = {}
    for name, value in given.items():
        with faults.caught():
            if name not in _MERGES:
                _refuse_name(name, _MERGES, read_only, faults)
            _MERGES[name](MergeTarget(body, name, name, at, author, True, faults), value)
    _check_complete(body, faults)
    folder = None
    with faults.caught():
        folder = _folder_move({}, given, folders)
    faults.raise_any()
    for name in ("source_id", "source_name"):
        # Order Desk trims them, and the order must be found by them
        value = body.get(name)
        if isinstance(value, str):
            body[name] = value.strip()
    if not body.get("source_id"):
        body["source_id"] = source_id or SOURCE_ID_PREFIX + new_id().lower()
    if folder:
        body["folder_id"] = json_number(Decimal(folder.folder_id))
    changed = tuple(difference.path for difference in differences({}, body))
    return Plan(body, body, changed, None)


def wanted_folder(changes: object) -> tuple[str, str] | None:
    """The folder that `changes` ask for: (`folder_id` or `folder_name`, value), or None.

    Raises ValidationFailed for both at once or a wrong type.
    """
    given = (
        {name: changes[name] for name in FOLDER if name in changes}
        if isinstance(changes, Mapping)
        else {}
    )
    if not given:
        return None
    if len(given) > 1:
        raise ValidationFailed(
            "folder_name: give folder_id or folder_name, not both.", field="folder_name"
        )
    name, value = next(iter(given.items()))
    if is_same(value, None):
        raise ValidationFailed(
            f"{name}: an order is always in a folder; name the folder that it shall move to.",
            field=name,
        )
    if name == "folder_name":
        return name, text_of(value, name)
    number = number_of(value)
    if number is None or number != number.to_integral_value() or number < 0:
        raise ValidationFailed(
            (
                "folder_id: must be the number of a folder, such as 21654. To name it by its "
                "words use folder_name."
            ),
            field=name,
        )
    return name, str(int(number))


def find_folder(wanted: tuple[str, str], folders: FolderNames) -> FolderMove | None:
    """The folder of the store with that id or name (as from wanted_folder), else None. Names are
    compared after trimming and case folding; an exact name wins.
    """
    kind, value = wanted
    if kind == "folder_id":
        return next((FolderMove(id_, name) for id_, name in folders if id_ == value), None)
    exact = next((FolderMove(id_, name) for id_, name in folders if name == value), None)
    return exact or next(
        (
            FolderMove(id_, name)
            for id_, name in folders
            if name.strip().casefold() == value.strip().casefold()
        ),
        None,
    )


def _leave_folder(_target: MergeTarget, _value: object) -> None:
    """move-orders moves the order after the PUT; in the body the folder stays as read."""


def _merge_date_added(target: MergeTarget, value: object) -> None:
    target.put(date_of(value, target.path))


_MERGES: dict[str, Merge] = {
    **dict.fromkeys(TEXTS, merge_text),
    **dict.fromkeys(SUMS, merge_number),
    **dict.fromkeys(ADDRESS_FIELDS, merge_address),
    **dict.fromkeys(FREE_MAPS, merge_free_map),
    **dict.fromkeys(FOLDER, _leave_folder),
    "date_added": _merge_date_added,
    "order_items": merge_items,
    "order_notes": merge_notes,
    "discount_list": merge_discounts,
}


def _given(value: object, name: str) -> dict[str, object]:
    value = unquoted(value, name)
    if not isinstance(value, Mapping):
        raise ValidationFailed(
            f'{name}: must be an object, such as {{"shipping": {{"city": "Portland"}}}}.',
            field=name,
        )
    return dict(object_of(value, name))


def _refuse_name(
    name: str, allowed: Collection[str], read_only: Mapping[str, str], faults: Faults
) -> None:
    check_name(name, name, allowed, read_only, HINTS, is_counted_only=faults.are_many)


def _is_there(order: Order, name: str, value: object, folders: FolderNames) -> bool:
    """True for a value that is in the order already, as it is when a caller sends back what was
    read: there is nothing to change.
    """
    if name == "matched_by":  # results add this and the next to an order
        return isinstance(value, list)
    if name == "folder":
        folder_id = str(order.get("folder_id") or "")
        return value == next((known for id_, known in folders if id_ == folder_id), folder_id)
    if name == "cc_number":
        masked = order.get("cc_number_masked")
        return value in (masked, _last_four(masked)) and not is_blank(value)
    return name in order and is_as_shown(order[name], value, name)


def _check_complete(body: JsonObject, faults: Faults) -> None:
    """Refuses an order that Order Desk would not take (docs/orderdesk-api.md section 7.1)."""
    if not as_list(body.get("order_items")) and not faults.are_about("order_items"):
        faults.add(
            ValidationFailed(
                'order_items: an order needs at least one item, such as {"name": "Mug", '
                '"code": "MUG-1", "price": 12.5}.',
                field="order_items",
            )
        )
    addresses = [as_map(body.get(key)) for key in ("shipping", "customer")]
    has_name = any(
        str(address.get(key) or "").strip()
        for address in addresses
        for key in ("first_name", "last_name", "company")
    )
    if not has_name and not faults.are_about("shipping", "customer"):
        faults.add(
            ValidationFailed(
                "shipping: Order Desk needs a name for an order, an e-mail is not enough: give "
                "shipping.first_name and shipping.last_name, or shipping.company.",
                field="shipping",
            )
        )


def _folder_move(
    order: Order, given: Mapping[str, object], folders: FolderNames
) -> FolderMove | None:
    named = wanted_folder(given)
    if named is None or (named[0] == "folder_id" and is_same(order.get("folder_id"), named[1])):
        return None  # also a folder that is there and that we do not know
    move = find_folder(named, folders)
    if move is None:
        known = ", ".join(f"{in_message(name)} ({id_})" for id_, name in folders[:30])
        raise ValidationFailed(
            f"{named[0]}: this store has no such folder. Its folders: {known or 'none known'}."
            + f"{nearest(named[1], (name for _, name in folders))} {NO_NEW_FOLDERS}",
            field=named[0],
        )
    return None if is_same(order.get("folder_id"), move.folder_id) else move


def _last_four(masked: object) -> str:
    digits = masked[-4:] if isinstance(masked, str) else ""
    return digits if len(digits) == 4 and digits.isascii() and digits.isdigit() else ""
