"""Inventory items: written whole, read by code (sections 6.8 and 9). Pure."""

from collections.abc import Iterable

from orderdesk_app.demo.body import Body
from orderdesk_app.demo.orders import key_values, text
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.switches import Switches
from orderdesk_app.demo.totals import amount, number

ORDERED = (
    "id",
    "name",
    "code",
    "price",
    "cost",
    "weight",
    "stock",
    "update_source",
    "location",
    "manufacturer_sku",
    "metadata",
    "variation_list",
    "date_added",
    "date_updated",
)
TEXTS = ("name", "code", "update_source", "location")
NUMBERS = ("price", "cost", "weight", "stock")


def new_item(item_id: int, body: Body, now: str, switches: Switches) -> Body:
    _require(body, "Inventory Item Not Added", switches)
    return _item(item_id, body, now, now)


def replaced(before: Body, body: Body, now: str, switches: Switches, *, blank: bool = True) -> Body:
    """The item as sent; what is left out is blank, or with `blank=False` as before.

    Raises Refusal.
    """
    _require(body, "Inventory Item Not Updated", switches)
    return _item(before["id"], body if blank else before | body, before["date_added"], now)


def chosen(items: Iterable[Body], code: str) -> list[Body]:
    """The items of these codes (a comma list), or all, by id."""
    codes = {part.strip().lower() for part in code.split(",") if part.strip()}
    return sorted(
        (item for item in items if not codes or item["code"].lower() in codes),
        key=lambda item: int(item["id"]),
    )


def _require(body: Body, words: str, switches: Switches) -> None:
    for name in ("name", "code"):
        if not text(body.get(name)).strip():
            raise Refusal(switches.validation_status, f"{words}: {name} is required")


def _item(item_id: int, body: Body, added: str, now: str) -> Body:
    item: Body = {"id": item_id}
    item.update({name: text(body.get(name)) for name in TEXTS})
    item.update({name: number(amount(body.get(name))) for name in NUMBERS})
    item["manufacturer_sku"] = text(body.get("manufacturer_sku")) or None
    item["metadata"], item["variation_list"] = (
        key_values(body.get("metadata")),
        key_values(body.get("variation_list")),
    )
    item["date_added"], item["date_updated"] = added, now
    return {key: item[key] for key in ORDERED}
