"""What an agent wants changed, checked and merged into the whole order that Order Desk's PUT
replaces (docs/decisions/0009-updates-merge-and-verify.md).

Pure: no clock, no socket. Every refusal is a ValidationFailed whose `field` is the dotted path of
what is wrong.
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from orderdesk_app.context import new_id
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import (
    FREE_MAPS,
    ITEM_MAPS,
    as_list,
    as_map,
    decimal_of,
    differences,
    is_same,
    note_key,
)
from orderdesk_app.orderdesk.dates import to_upstream
from orderdesk_app.orderdesk.order import Order

AUTHOR = "agent"  # of a note that names none; short, as it counts towards the limit of all notes
# of all notes of an order, dates and authors included (docs/orderdesk-api.md section 6.6)
NOTES_LIMIT = 2_000
MAP_LIMITS = {"checkout_data": 3_500, "order_metadata": 2_000}  # characters as JSON (6.1)
MOST_ITEMS = 500  # of one call: telling whether new items arrived compares each with each
SOURCE_ID_PREFIX = "agent-"
SUM_LIMIT = Decimal(10) ** 12

PAYMENT_STATUSES = (
    "Approved",
    "Authorized",
    "Captured",
    "Fully Refunded",
    "Partially Refunded",
    "Pending",
    "Rejected",
    "Voided",
)
DELIVERY_TYPES = ("ship", "noship", "download", "future")
_STREET = (
    "first_name",
    "last_name",
    "company",
    "address1",
    "address2",
    "city",
    "state",
    "postal_code",
    "country",
    "phone",
)
ADDRESS_FIELDS: dict[str, tuple[str, ...]] = {
    "shipping": (
        "first_name",
        "last_name",
        "company",
        "address1",
        "address2",
        "address3",
        "address4",
        "city",
        "state",
        "postal_code",
        "country",
        "phone",
    ),
    "customer": _STREET,
    "return_address": (
        "title",
        "name",
        "company",
        "address1",
        "address2",
        "city",
        "state",
        "postal_code",
        "country",
        "phone",
    ),
}
TEXTS = (
    "email",
    "shipping_method",
    "source_id",
    "source_name",
    "processor_response",
    "payment_type",
    "payment_status",
    "customer_id",
    "ip_address",
    "tag_color",
    "tag_name",
    "fulfillment_name",
    "fulfillment_id",
)
SUMS = ("shipping_total", "handling_total", "tax_total", "processor_balance")
ITEM_TEXTS = ("name", "code", "delivery_type", "category_code", "fulfillment_method")
ITEM_SUMS = ("price", "weight", "quantity")
NOTE_FIELDS = ("content", "username", "date_added")
DISCOUNT_FIELDS = ("name", "code", "amount")
FOLDER = ("folder_id", "folder_name")
WRITABLE = (
    *TEXTS,
    *SUMS,
    *ADDRESS_FIELDS,
    *FREE_MAPS,
    "order_items",
    "order_notes",
    "discount_list",
    *FOLDER,
)
# Names that look like numbers and are sent as numbers by many clients.
_NUMBERED = frozenset(
    {"customer_id", "source_id", "fulfillment_id", "code", "postal_code", "phone"}
)
_CHOICES = {"payment_status": PAYMENT_STATUSES, "delivery_type": DELIVERY_TYPES}

_COMPUTED = "Order Desk computes it from the items, discounts and other sums; change those instead"
READ_ONLY = {
    "id": "Order Desk gives it, and the order to change is named by order_id; leave it out",
    "quantity_total": _COMPUTED,
    "weight_total": _COMPUTED,
    "product_total": _COMPUTED,
    "discount_total": _COMPUTED,
    "order_total": _COMPUTED,
    "refund_total": "Order Desk sets it when a refund is made; leave it out",
    "email_count": "Order Desk counts the orders with this e-mail address; leave it out",
    "date_updated": (
        "Order Desk sets it on every change; to guard against changes by others pass "
        "expected_date_updated beside `changes`"
    ),
    "date_added": "it is set once, when the order is created; leave it out",
    "cc_number": "card data is never changed here; do it in Order Desk",
    "cc_exp": "card data is never changed here; do it in Order Desk",
    "cc_number_masked": "card data is never changed here; do it in Order Desk",
    "order_history": (
        "the history is append-only and written by Order Desk; to leave a remark add a note "
        "to order_notes"
    ),
}
_SHIPMENT_WORDS = (
    "shipments and tracking numbers cannot be changed here: add them in Order Desk, and "
    "change the other fields without them"
)
_SHIPMENT_NAMES = frozenset(
    {
        "order_shipments",
        "shipments",
        "shipment",
        "order_shipment",
        "tracking",
        "tracking_number",
        "tracking_numbers",
        "tracking_url",
        "tracking_code",
        "carrier",
        "carrier_code",
        "shipment_method",
        "shipment_id",
        "date_shipped",
        "shipment_date",
    }
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HINTS = {
    "status": "folder_name (in Order Desk the folder is the status)",
    "folder": "folder_name",
    "notes": "order_notes",
    "note": "order_notes",
    "comment": "order_notes",
    "comments": "order_notes",
    "items": "order_items",
    "line_items": "order_items",
    "products": "order_items",
    "metadata": "order_metadata",
    "discounts": "discount_list",
    "shipping_address": "shipping",
    "billing": "customer",
    "billing_address": "customer",
    "customer_email": "email",
    "total": "order_items (sums are computed)",
}
_NESTED_HINTS = {
    "zip": "postal_code",
    "zip_code": "postal_code",
    "zipcode": "postal_code",
    "postcode": "postal_code",
    "street": "address1",
    "address": "address1",
    "address_1": "address1",
    "address_2": "address2",
    "region": "state",
    "province": "state",
    "telephone": "phone",
    "phone_number": "phone",
    "qty": "quantity",
    "sku": "code",
    "product_code": "code",
    "title": "name",
    "variations": "variation_list",
    "note": "content",
    "text": "content",
    "body": "content",
    "author": "username",
    "user": "username",
    "date": "date_added",
}

Folders = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FolderMove:
    """Where the order goes after the PUT. The id is known; the name is for words."""

    folder_id: str
    folder_name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`body` is what is PUT or POSTed, `meant` the order as it shall be at the end (folder
    included), `changed` what differs from the order read.
    """

    body: dict[str, Any]
    meant: dict[str, Any]
    changed: tuple[str, ...]
    folder: FolderMove | None

    @property
    def needs_put(self) -> bool:
        return any(path != "folder_id" for path in self.changed)


def plan_update(
    order: Order,
    changes: Any,
    *,
    at: datetime,
    folders: Folders = (),
    author: str = AUTHOR,
) -> Plan:
    """Merge `changes` into the order as read.

    `at` dates new notes; `folders` are the store's, id and name. Raises ValidationFailed.
    """
    wanted = _wanted(changes, "changes")
    for name in wanted:
        _check_name(name, name, WRITABLE, READ_ONLY, _HINTS)
    body = {
        key: copy.deepcopy(value)
        for key, value in order.items()
        if key not in ("cc_number_masked", "order_history")
    }
    for name, value in wanted.items():
        _MERGES[name](_Spot(body, name, name, at, author), value)
    card = _last_four(order.get("cc_number_masked"))
    if card and not body.get("cc_number"):
        body["cc_number"] = (
            card  # it is read masked and written by this name; leaving it out would blank it
        )
    folder = _folder_move(order, wanted, folders)
    meant = {**body, "folder_id": _as_number(Decimal(folder.folder_id))} if folder else body
    return Plan(
        body, meant, tuple(difference.path for difference in differences(order, meant)), folder
    )


def check_update(changes: Any, *, at: datetime, folders: Folders = ()) -> None:
    """All of plan_update that can be judged before the order is read. Raises ValidationFailed."""
    entries = changes.get("order_items") if isinstance(changes, Mapping) else None
    listed = entries if isinstance(entries, list | tuple) else ()
    named = [
        _item_id(entry, f"order_items[{index}]")
        for index, entry in enumerate(listed)
        if isinstance(entry, Mapping)
    ]
    plan_update(
        {"order_items": [{"id": item_id} for item_id in named if item_id]},
        changes,
        at=at,
        folders=folders,
    )


def plan_create(
    order_data: Any,
    *,
    at: datetime,
    folders: Folders = (),
    author: str = AUTHOR,
    source_id: str | None = None,
) -> Plan:
    """Check a new order.

    It gets a `source_id` (`agent-<ulid>`) if it names none, so that a lost answer can be found.
    Raises ValidationFailed.
    """
    wanted = {
        name: value
        for name, value in _wanted(order_data, "order_data").items()
        if value is not None
    }
    read_only = {name: why for name, why in READ_ONLY.items() if name != "date_added"} | {
        "id": "Order Desk gives it; leave it out"
    }
    for name in wanted:
        _check_name(name, name, (*WRITABLE, "date_added"), read_only, _HINTS)
    body: dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "date_added":
            body[name] = _moment(value, name)
        else:
            _MERGES[name](_Spot(body, name, name, at, author), value)
    if not as_list(body.get("order_items")):
        raise ValidationFailed(
            (
                'order_items: an order needs at least one item, such as {"name": "Mug", '
                '"code": "MUG-1", "price": 12.5}.'
            ),
            field="order_items",
        )
    people = [as_map(body.get(key)) for key in ("shipping", "customer")]
    if not any(
        str(person.get(key) or "").strip()
        for person in people
        for key in ("first_name", "last_name", "company")
    ):
        raise ValidationFailed(
            (
                "shipping: an order needs somebody: give shipping.first_name and "
                "shipping.last_name, or shipping.company."
            ),
            field="shipping",
        )
    for name in (
        "source_id",
        "source_name",
    ):  # Order Desk trims them, and the order must be found by them
        if name in body:
            body[name] = body[name].strip()
    if not body.get("source_id"):
        body["source_id"] = source_id or SOURCE_ID_PREFIX + new_id().lower()
    folder = _folder_move({}, wanted, folders)
    if folder:
        body["folder_id"] = _as_number(Decimal(folder.folder_id))
    return Plan(body, body, tuple(difference.path for difference in differences({}, body)), None)


def wanted_folder(changes: Any) -> tuple[str, str] | None:
    """The folder that `changes` ask for, as (`folder_id` or `folder_name`, value), or None.

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
        return name, _text(value, name)
    number = _ordinary(value)
    if number is None or number != number.to_integral_value() or number < 0:
        raise ValidationFailed(
            (
                "folder_id: must be the number of a folder, such as 21654. To name it by its "
                "words use folder_name."
            ),
            field=name,
        )
    return name, str(int(number))


def find_folder(wanted: tuple[str, str], folders: Folders) -> FolderMove | None:
    """The folder of the store that is meant, its name compared after trimming and case folding; an
    exact name wins.
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


def notes_length(notes: Iterable[Any]) -> int:
    """Characters that Order Desk counts: content, author and date of every note."""
    return sum(
        len(str(note.get(key) or ""))
        for note in notes
        if isinstance(note, Mapping)
        for key in NOTE_FIELDS
    )


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a value goes: its container, its key there, its dotted path for words, and what new
    notes need.
    """

    into: dict[str, Any]
    key: str
    path: str
    at: datetime
    author: str

    def inside(self, into: dict[str, Any], key: str) -> "_Spot":
        return _Spot(into, key, f"{self.path}.{key}", self.at, self.author)


def _merge_text(spot: _Spot, value: Any) -> None:
    new = "" if value is None else _text(value, spot.path)
    choices = _CHOICES.get(spot.key)
    if choices and new and new != spot.into.get(spot.key) and new not in choices:
        near = next(
            (choice for choice in choices if choice.casefold() == new.strip().casefold()), None
        )
        if near is None:
            raise ValidationFailed(
                f"{spot.path}: must be one of {', '.join(choices)}.", field=spot.path
            )
        new = near
    _put(spot, new)


def _merge_sum(spot: _Spot, value: Any) -> None:
    if value is None:
        _put(spot, 0)
        return
    number = _ordinary(value)
    if number is None:
        rule = (
            "must be a number such as 12.50, below a million millions, with at most eight "
            "decimals, without currency signs or separators"
        )
        raise ValidationFailed(f"{spot.path}: {rule}.", field=spot.path)
    if spot.key == "quantity" and (number != number.to_integral_value() or number < 0):
        raise ValidationFailed(f"{spot.path}: must be a whole number, 0 or more.", field=spot.path)
    _put(spot, _as_number(number))


def _merge_address(spot: _Spot, value: Any) -> None:
    address = as_map(spot.into.get(spot.key))
    allowed = ADDRESS_FIELDS[spot.key]
    if value is None:
        address = dict.fromkeys([*address, *(name for name in allowed if name not in address)], "")
    else:
        for name, part in _object(value, spot.path).items():
            _check_name(name, f"{spot.path}.{name}", allowed, {}, _NESTED_HINTS)
            _merge_text(spot.inside(address, name), part)
    _put(spot, address)


def _merge_free_map(spot: _Spot, value: Any) -> None:
    """Keys of the merchant's own: any name, a plain value each; null takes a key away."""
    there = as_map(spot.into.get(spot.key))
    before = dict(there)
    if value is None:
        there = {}
    else:
        for name, part in _object(value, spot.path).items():
            path = f"{spot.path}.{name}"
            _check_text(name, path)
            if part is None:
                there.pop(name, None)
            elif isinstance(part, str | bool | int | float | Decimal):
                there[name] = _scalar(part, path)
            elif not is_same(
                there.get(name), part
            ):  # what is there already may come back in any form
                raise ValidationFailed(
                    f"{path}: must be text, a number, true, false or null (which removes it).",
                    field=path,
                )
    if is_same(before, there):
        return  # an empty map read as [] goes back as []
    limit, length = MAP_LIMITS.get(spot.key), _json_length(there)
    if (
        limit and length > limit and length > _json_length(before)
    ):  # what is too long already may be made shorter bit by bit
        words = (
            f"Order Desk keeps about {limit:,} characters there (as JSON), and this makes "
            f"{length:,}. Shorten or remove entries"
        )
        raise ValidationFailed(f"{spot.path}: {words}.", field=spot.path)
    spot.into[spot.key] = there


def _merge_items(spot: _Spot, value: Any) -> None:
    if value is None:
        raise ValidationFailed(
            (
                "order_items: an order keeps its items; items cannot be removed here. Remove "
                "them in Order Desk."
            ),
            field=spot.path,
        )
    items = as_list(spot.into.get(spot.key))
    places = {
        str(item.get("id")): index for index, item in enumerate(items) if isinstance(item, Mapping)
    }
    seen: set[str] = set()
    entries = _list(value, spot.path)
    if len(entries) > MOST_ITEMS:
        raise ValidationFailed(
            (
                f"order_items: one call takes at most {MOST_ITEMS} entries. Send the rest "
                "with another orders_update."
            ),
            field=spot.path,
        )
    for index, entry in enumerate(entries):
        path = f"{spot.path}[{index}]"
        given = _object(entry, path)
        item_id = _item_id(given, path)
        if item_id is None:
            items.append(_new_item(spot, given, path))
            continue
        if item_id not in places:
            known = (
                f" Its items are {', '.join(list(places)[:20])}."
                if places
                else " It has no items yet."
            )
            raise ValidationFailed(
                (
                    f"{path}.id: this order has no item {item_id[:40]}.{known} Leave id out "
                    "to add a new item."
                ),
                field=f"{path}.id",
            )
        if item_id in seen:
            raise ValidationFailed(
                f"{path}.id: item {item_id} stands here twice; put all its changes into one entry.",
                field=f"{path}.id",
            )
        seen.add(item_id)
        item = dict(items[places[item_id]])
        _merge_item(
            spot,
            item,
            {name: part for name, part in given.items() if name != "id"},
            f"{spot.path}[id={item_id}]",
        )
        items[places[item_id]] = item
    _put(spot, items)


def _new_item(spot: _Spot, given: Mapping[str, Any], path: str) -> dict[str, Any]:
    item: dict[str, Any] = {}
    _merge_item(
        spot,
        item,
        {name: part for name, part in given.items() if name != "id" and part is not None},
        path,
    )
    if not str(item.get("name") or "").strip() and not str(item.get("code") or "").strip():
        raise ValidationFailed(
            (
                f"{path}.name: a new item needs a name or a code. To change an item that is "
                "there, give its id."
            ),
            field=f"{path}.name",
        )
    return item


def _merge_item(spot: _Spot, item: dict[str, Any], given: Mapping[str, Any], path: str) -> None:
    for name, part in given.items():
        where = _Spot(item, name, f"{path}.{name}", spot.at, spot.author)
        _check_name(name, where.path, (*ITEM_TEXTS, *ITEM_SUMS, *ITEM_MAPS), {}, _NESTED_HINTS)
        merge = (
            _merge_free_map
            if name in ITEM_MAPS
            else _merge_sum
            if name in ITEM_SUMS
            else _merge_text
        )
        merge(where, part)


def _item_id(given: Mapping[str, Any], path: str) -> str | None:
    value = given.get("id")
    if value is None:
        return None
    value = _whole(value)
    text = (
        str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    )
    if not (text.isascii() and text.isdigit()):
        raise ValidationFailed(
            (
                f"{path}.id: must be the id of an item of this order, digits only. Leave it "
                "out to add a new item."
            ),
            field=f"{path}.id",
        )
    return text


def _merge_notes(spot: _Spot, value: Any) -> None:
    if value is None:
        _put(spot, [])
        return
    notes = as_list(spot.into.get(spot.key))
    known = {note_key(note) for note in notes}
    entries = [value] if isinstance(value, str | Mapping) else _list(value, spot.path)
    fresh: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        note = _note(spot, entry, f"{spot.path}[{index}]")
        if note_key(note) not in known:
            known.add(note_key(note))
            fresh.append(note)
    length = notes_length([*notes, *fresh])
    if fresh and length > NOTES_LIMIT:
        words = (
            f"all notes of an order share {NOTES_LIMIT:,} characters, dates and authors "
            f"included; this would make {length:,}"
        )
        raise ValidationFailed(
            f"order_notes: {words}. Shorten the note, or clear the old ones with null first.",
            field=spot.path,
        )
    if fresh:
        _put(spot, [*notes, *fresh])


def _note(spot: _Spot, entry: Any, path: str) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"content": entry}
    if not isinstance(entry, Mapping):
        raise ValidationFailed(
            (
                f'{path}: a note is plain text or an object such as {{"content": "Gift wrap, '
                'please"}.'
            ),
            field=path,
        )
    for name in entry:
        _check_name(name, f"{path}.{name}", NOTE_FIELDS, {}, _NESTED_HINTS)
    content = _text(entry.get("content", ""), f"{path}.content")
    if not content.strip():
        raise ValidationFailed(f"{path}.content: a note needs text.", field=f"{path}.content")
    author, date = entry.get("username"), entry.get("date_added")
    return {
        "date_added": spot.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        if is_same(date, None)
        else _moment(date, f"{path}.date_added"),
        "username": spot.author if is_same(author, None) else _text(author, f"{path}.username"),
        "content": content,
    }


def _merge_discounts(spot: _Spot, value: Any) -> None:
    discounts: list[dict[str, Any]] = []
    for index, entry in enumerate([] if value is None else _list(value, spot.path)):
        path = f"{spot.path}[{index}]"
        discount: dict[str, Any] = {}
        for name, part in _object(entry, path).items():
            _check_name(name, f"{path}.{name}", DISCOUNT_FIELDS, {}, _NESTED_HINTS)
            if name != "amount":
                _merge_text(_Spot(discount, name, f"{path}.{name}", spot.at, spot.author), part)
        amount = _ordinary(entry.get("amount"))
        if amount is None or amount < 0:
            raise ValidationFailed(
                f"{path}.amount: must be a positive number such as 1.70.", field=f"{path}.amount"
            )
        if not str(discount.get("name") or "").strip():
            raise ValidationFailed(f"{path}.name: a discount needs a name.", field=f"{path}.name")
        discounts.append(
            {**discount, "amount": f"{amount:.2f}" if amount == round(amount, 2) else f"{amount:f}"}
        )
    _put(spot, discounts)


def _leave_folder(_spot: _Spot, _value: Any) -> None:
    """The folder is moved by move-orders after the PUT; in the body it stays as read."""


_MERGES: dict[str, Callable[[_Spot, Any], None]] = {
    **dict.fromkeys(TEXTS, _merge_text),
    **dict.fromkeys(SUMS, _merge_sum),
    **dict.fromkeys(ADDRESS_FIELDS, _merge_address),
    **dict.fromkeys(FREE_MAPS, _merge_free_map),
    **dict.fromkeys(FOLDER, _leave_folder),
    "order_items": _merge_items,
    "order_notes": _merge_notes,
    "discount_list": _merge_discounts,
}


def _folder_move(order: Order, wanted: Mapping[str, Any], folders: Folders) -> FolderMove | None:
    named = wanted_folder(wanted)
    if named is None:
        return None
    move = find_folder(named, folders)
    if move is None:
        known = ", ".join(f"{name} ({id_})" for id_, name in folders[:30])
        raise ValidationFailed(
            f"{named[0]}: this store has no such folder. Its folders: {known or 'none known'}.",
            field=named[0],
        )
    return None if is_same(order.get("folder_id"), move.folder_id) else move


def _check_name(
    name: Any,
    path: str,
    allowed: Iterable[str],
    read_only: Mapping[str, str],
    hints: Mapping[str, str],
) -> None:
    if name in allowed:
        return
    shown = path[:80]
    path = path[:200]
    known = _as_ours(str(name)[:80])  # cut: likeness takes long to tell of long names
    if known in read_only:
        raise ValidationFailed(f"{shown}: cannot be set: {read_only[known]}.", field=path)
    if known in _SHIPMENT_NAMES:
        raise ValidationFailed(f"{shown}: {_SHIPMENT_WORDS}.", field=path)
    exact = known if known in allowed else None
    guess = (
        exact
        or hints.get(known)
        or _nested_guess(known)
        or next(iter(get_close_matches(known, list(allowed), n=1, cutoff=0.6)), None)
    )
    hint = (
        f"Did you mean {guess}?"
        if guess and guess.split(" ")[0].split(".")[0] in allowed
        else f"Known fields: {', '.join(allowed)}."
    )
    raise ValidationFailed(f"{shown}: there is no such field. {hint}", field=path)


def _as_ours(name: str) -> str:
    """`shippingMethod`, `Shipping-Method` and `shipping method` as Order Desk writes them:
    `shipping_method`.
    """
    return _HUMP.sub("_", name).replace("-", "_").replace(" ", "_").lower()


def _nested_guess(name: Any) -> str | None:
    """`shipping_city` for `shipping.city`: the flat names of the search parameters."""
    for part, names in ADDRESS_FIELDS.items():
        if (
            isinstance(name, str)
            and name.startswith(f"{part}_")
            and name.removeprefix(f"{part}_") in names
        ):
            return f"{part}.{name.removeprefix(f'{part}_')}"
    return None


def _put(spot: _Spot, new: Any) -> None:
    """Write a value, but leave what stands there in another form of the same: it goes back byte for
    byte.
    """
    if spot.key not in spot.into or not _is_unchanged(spot.into[spot.key], new):
        spot.into[spot.key] = new


def _is_unchanged(old: Any, new: Any) -> bool:
    return old is new or (not isinstance(new, list | dict) and is_same(old, new))


def _wanted(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValidationFailed(
            f'{name}: must be an object, such as {{"shipping": {{"city": "Portland"}}}}.',
            field=name,
        )
    return dict(value)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple) and not value:
        return {}  # Order Desk's own empty map
    raise ValidationFailed(f"{path}: must be an object.", field=path)


def _list(value: Any, path: str) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    raise ValidationFailed(f"{path}: must be a list.", field=path)


def _text(value: Any, path: str) -> str:
    value = _whole(value)
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and path.rpartition(".")[2] in _NUMBERED
    ):
        return str(value)
    if not isinstance(value, str):
        raise ValidationFailed(f"{path}: must be text.", field=path)
    _check_text(value, path)
    return value


def _whole(value: Any) -> Any:
    """5.0 as 5: some clients know no whole numbers."""
    return (
        int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
        else value
    )


def _check_text(text: Any, path: str) -> None:
    try:
        if not isinstance(text, str) or "\x00" in text:
            clean = path.replace("\x00", "�")
            raise ValidationFailed(
                f"{clean}: must be text without the sign U+0000; leave it out.", field=clean
            )
        text.encode()
    except UnicodeEncodeError as error:
        clean = path.encode(errors="replace").decode()
        raise ValidationFailed(
            f"{clean}: holds half a character (a lone surrogate); send whole Unicode text.",
            field=clean,
        ) from error


def _ordinary(value: Any) -> Decimal | None:
    """A number that a person would write: below a million millions, at most eight decimals.

    Exponents beyond that would cost us megabytes.
    """
    number = decimal_of(value)
    if number is None or abs(number) >= SUM_LIMIT or int(number.as_tuple().exponent) < -8:
        return None
    return number


def _scalar(value: Any, path: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int) and abs(value) < 10**18:
        return value  # the shop's own ids are long
    number = _ordinary(value)
    if number is None:
        raise ValidationFailed(
            f"{path}: must be an ordinary number; send it as text to keep it as it is.", field=path
        )
    return _as_number(number)


def _as_number(number: Decimal) -> int | Decimal:
    """The number as JSON writes it, with its own digits; whole ones without a point."""
    return int(number) if number == number.to_integral_value() else number


def _moment(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ValidationFailed(
            f"{path} must be a date such as 2026-11-22 or 2026-11-22T14:05:00Z.", field=path
        )
    return to_upstream(value, path)


def _json_length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


def _last_four(masked: Any) -> str:
    digits = masked[-4:] if isinstance(masked, str) else ""
    return digits if len(digits) == 4 and digits.isascii() and digits.isdigit() else ""
