"""What becomes of an order that is written: create, replace, items, notes, history (sections 6 and
7). Pure: no clock, no storage.
"""

import json
from collections.abc import Iterator

from orderdesk_app.demo import dates
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.switches import Switches
from orderdesk_app.demo.totals import amount, money, number, recompute

# in display order, as theirs, not by number
FOLDERS = {
    "21654": "New",
    "21655": "Prepared",
    "21658": "Shipped",
    "21656": "Closed",
    "21657": "Canceled",
}

ADDRESS = (
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
SHIPPING_ADDRESS = (
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
)
RETURN_ADDRESS = (
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
)
NAMES = ("first_name", "last_name", "company")

TEXTS = (
    "source_name",
    "email",
    "shipping_method",
    "cc_exp",
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
MONEY = ("shipping_total", "handling_total", "tax_total")
MAP_LIMITS = {"checkout_data": 3500, "order_metadata": 2000}
NOTES_LIMIT = 2000
HISTORY_LIMIT = 1800


def text(value: object) -> str:
    """A scalar as Order Desk's text column keeps it; anything else is blank."""
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else ""


def key_values(value: object) -> object:
    """A map, or `[]` when it is empty: PHP knows no empty object."""
    return value if isinstance(value, (dict, list)) and value else []


def new_document(
    order_id: str,
    body: Body,
    folders: dict[str, str],
    now: str,
    switches: Switches,
    *,
    email_count: int,
) -> Body:
    """The stored document of a created order: `order`, its `history`, and the numbers given out to
    items and shipments. Raises Refusal.
    """
    lines = body.get("order_items")
    if not isinstance(lines, list) or not lines:
        raise Refusal(
            switches.validation_status, "Order Not Added: at least one order item is required"
        )
    shipping, customer = _both_addresses(body, switches)
    if not any(address[name].strip() for address in (shipping, customer) for name in NAMES):
        raise Refusal(
            switches.validation_status,
            "Order Not Added: a first and last name or a company is required",
        )
    order = _blank(order_id, now)
    document = {"order": order, "history": [], "items": 0, "shipments": 0}
    order.update({name: text(body.get(name)) for name in TEXTS})
    order["source_id"] = text(body.get("source_id")) or order_id
    order["source_name"] = order["source_name"] or "Order Desk"
    order["payment_status"] = order["payment_status"] or "Captured"
    order.update({name: money(amount(body.get(name))) for name in MONEY})
    order["cc_number_masked"] = _masked(body.get("cc_number"))
    order["email_count"] = str(email_count)
    folder = text(body.get("folder_id"))
    order["folder_id"] = int(folder) if folder in folders else int(next(iter(folders)))
    order["date_added"] = dates.read(text(body.get("date_added"))) or now
    order["shipping"], order["customer"] = shipping, customer
    order["return_address"] = address(body.get("return_address"), RETURN_ADDRESS)
    _set_maps(order, body, switches)
    order["order_notes"] = _notes(body.get("order_notes"), now, switches)
    order["order_items"] = [
        _with_defaults(line, _next_item(document), switches)
        for line in _objects(lines, "order_items", switches)
    ]
    recompute(order)
    order["processor_balance"] = (
        order["order_total"]
        if text(body.get("processor_balance")) == ""
        else money(amount(body["processor_balance"]))
    )
    return document


def replace(
    document: Body, body: Body, folders: dict[str, str], now: str, switches: Switches
) -> None:
    """Write the whole order again from `body` (section 7.2): what is left out becomes blank.

    Changes `document`; raises Refusal.
    """
    order = document["order"]
    order.update({name: text(body.get(name)) for name in TEXTS})
    if switches.source_id_writable:
        order["source_id"] = text(body.get("source_id"))
    order.update({name: money(amount(body.get(name))) for name in (*MONEY, "processor_balance")})
    order["cc_number_masked"] = _card(order["cc_number_masked"], body, switches)
    folder = text(body.get("folder_id"))
    if switches.put_moves_folder and folder in folders:
        order["folder_id"] = int(folder)
    for name, keys in (
        ("shipping", SHIPPING_ADDRESS),
        ("customer", ADDRESS),
        ("return_address", RETURN_ADDRESS),
    ):
        sent = body.get(name)
        if not switches.address_keys_blank and isinstance(sent, dict):
            sent = order[name] | sent
        order[name] = address(sent, keys)
    _set_maps(order, body, switches)
    notes = _notes(body.get("order_notes"), now, switches)
    order["order_notes"] = (
        notes
        if switches.notes_replaced
        else order["order_notes"] + [note for note in notes if note not in order["order_notes"]]
    )
    if "order_items" in body:
        order["order_items"] = _replaced_items(document, body["order_items"], switches)
    elif switches.put_without_items == "removed":
        order["order_items"] = []
    touch(document, now)


def touch(document: Body, now: str) -> None:
    """Recompute what is computed and say that the order changed."""
    recompute(document["order"])
    document["order"]["date_updated"] = now


def add_item(document: Body, body: Body, now: str, switches: Switches) -> Body:
    if not text(body.get("name")).strip():
        raise Refusal(switches.validation_status, "Order Item Not Added: name is required")
    item = _with_defaults(body, _next_item(document), switches)
    document["order"]["order_items"].append(item)
    touch(document, now)
    return item


def update_item(document: Body, item_id: str, body: Body, now: str, switches: Switches) -> None:
    items = document["order"]["order_items"]
    items[position(items, item_id, "Order Item", switches)] = _item(body, item_id)
    touch(document, now)


def remove_item(document: Body, item_id: str, now: str, switches: Switches) -> None:
    items = document["order"]["order_items"]
    del items[position(items, item_id, "Order Item", switches)]
    touch(document, now)


def position(rows: list[Body], row_id: str, noun: str, switches: Switches) -> int:
    """The index of the row with that id. Raises Refusal."""
    for index, row in enumerate(rows):
        if row["id"] == row_id:
            return index
    raise Refusal(switches.not_found_status, f"{noun} Not Found")


def add_history(document: Body, note: str, source_name: str, now: str) -> None:
    document["history"].append({"source_name": source_name, "note": note, "date_added": now})
    document["order"]["date_updated"] = now


def move(document: Body, folder_id: int, name: str, now: str) -> int:
    """Put an order into another folder; returns the id of the one it was in."""
    before: int = document["order"]["folder_id"]
    document["order"]["folder_id"] = folder_id
    add_history(document, f"Order Moved to {name} Folder", "API", now)
    return before


def address(sent: object, keys: tuple[str, ...]) -> dict[str, str]:
    found = sent if isinstance(sent, dict) else {}
    return {key: text(found.get(key)) for key in keys}


def _blank(order_id: str, now: str) -> Body:
    """An order with every key of section 6.1, in its order."""
    return (
        {"id": order_id, "email": "", "shipping_method": ""}
        | dict.fromkeys(
            (
                "quantity_total",
                "weight_total",
                "product_total",
                *MONEY,
                "discount_total",
                "order_total",
            ),
            0,
        )
        | dict.fromkeys(
            ("cc_number_masked", "cc_exp", "processor_response", "payment_type", "payment_status"),
            "",
        )
        | {"processor_balance": 0, "refund_total": 0, "customer_id": "", "email_count": "1"}
        | dict.fromkeys(
            (
                "ip_address",
                "tag_color",
                "tag_name",
                "source_name",
                "source_id",
                "fulfillment_name",
                "fulfillment_id",
            ),
            "",
        )
        | {"folder_id": 0, "date_added": now, "date_updated": now}
        | {
            "shipping": {},
            "customer": {},
            "return_address": {},
            "checkout_data": [],
            "order_metadata": [],
        }
        | {"discount_list": [], "order_notes": [], "order_items": [], "order_shipments": []}
    )


def _both_addresses(body: Body, switches: Switches) -> tuple[Body, Body]:
    shipping, customer = _map(body.get("shipping")), _map(body.get("customer"))
    if switches.flat_names_honoured:
        shipping = {
            key: body[f"shipping_{key}"] for key in SHIPPING_ADDRESS if f"shipping_{key}" in body
        } | shipping
        customer = {
            key: body[f"customer_{key}"] for key in ADDRESS if f"customer_{key}" in body
        } | customer
    return address(shipping or customer, SHIPPING_ADDRESS), address(customer or shipping, ADDRESS)


def _map(value: object) -> Body:
    return value if isinstance(value, dict) else {}


def _objects(rows: list[object], name: str, switches: Switches) -> Iterator[Body]:
    for row in rows:
        if not isinstance(row, dict):
            raise Refusal(switches.validation_status, f"{name} must be a list of objects")
        yield row


def _set_maps(order: Body, body: Body, switches: Switches) -> None:
    for name, most in MAP_LIMITS.items():
        order[name] = key_values(body.get(name))
        if (
            switches.over_limit != "off"
            and len(json.dumps(order[name], ensure_ascii=False, separators=(",", ":"))) > most
        ):
            raise Refusal(switches.validation_status, f"{name} is limited to {most} characters")
    lines = body.get("discount_list")
    order["discount_list"] = [
        {
            "name": text(line.get("name")),
            "code": text(line.get("code")),
            "amount": f"{abs(amount(line.get('amount'))):.2f}",
        }
        for line in _objects(lines if isinstance(lines, list) else [], "discount_list", switches)
    ]


def _notes(sent: object, now: str, switches: Switches) -> list[Body]:
    notes: list[Body] = []
    used = 0
    for note in _objects(sent if isinstance(sent, list) else [], "order_notes", switches):
        kept = {
            "date_added": dates.read(text(note.get("date_added"))) or now,
            "username": text(note.get("username")),
            "content": text(note.get("content")),
        }
        used += sum(map(len, kept.values()))
        if used > NOTES_LIMIT and switches.over_limit == "error":
            raise Refusal(
                switches.validation_status,
                f"order_notes are limited to {NOTES_LIMIT} characters together",
            )
        if used > NOTES_LIMIT and switches.over_limit == "cut":
            break
        notes.append(kept)
    return notes


def _masked(sent: object) -> str:
    digits = text(sent)[-4:]
    return f"xxxxxxxxxxxx{digits}" if digits else ""


def _card(before: str, body: Body, switches: Switches) -> str:
    if text(body.get("cc_number")):
        return _masked(body["cc_number"])
    if switches.card_digits == "kept":
        return before
    blanked = (
        switches.card_digits == "blanked_by_omission"
        or "cc_number_masked" in body
        or "cc_number" in body
    )
    return "" if blanked else before


def _next_item(document: Body) -> str:
    """Item ids grow out of the order's own, so that two orders never wait for one counter."""
    document["items"] += 1
    return f"{document['order']['id']}{document['items']:03d}"


def _item(body: Body, item_id: str) -> Body:
    return {
        "id": item_id,
        "name": text(body.get("name")),
        "price": number(amount(body.get("price"))),
        "quantity": int(amount(body.get("quantity"))),
        "weight": number(amount(body.get("weight"))),
        "code": text(body.get("code")),
        "delivery_type": text(body.get("delivery_type")),
        "category_code": text(body.get("category_code")),
        "fulfillment_method": text(body.get("fulfillment_method")),
        "variation_list": key_values(body.get("variation_list")),
        "metadata": key_values(body.get("metadata")),
    }


def _with_defaults(body: Body, item_id: str, switches: Switches) -> Body:
    item = _item(body, item_id)
    item["delivery_type"] = item["delivery_type"] or "ship"
    if text(body.get("quantity")) == "":
        item["quantity"] = 1
    return item


def _replaced_items(document: Body, sent: object, switches: Switches) -> list[Body]:
    known = {item["id"] for item in document["order"]["order_items"]}
    items: list[Body] = []
    for line in _objects(sent if isinstance(sent, list) else [], "order_items", switches):
        item_id = text(line.get("id"))
        if item_id in known:
            known.discard(item_id)  # the same id twice: the second is no item of this order
            items.append(_item(line, item_id))
        elif not item_id or switches.put_unknown_item == "added":
            items.append(_with_defaults(line, _next_item(document), switches))
        elif switches.put_unknown_item == "error":
            raise Refusal(switches.not_found_status, "Order Item Not Found")
    return items
