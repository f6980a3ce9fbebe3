"""The schemas of orders and products: their main fields by name, and room for all others.

Models fill fields that have a name better, and some refuse an object that names none.
"""

from collections.abc import Iterable, Mapping

from orderdesk_app.orderdesk.order_fields import ADDRESS_FIELDS
from orderdesk_app.tools.schema import Schema

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}


def _argument(named: Mapping[str, Schema], words: str = "") -> Schema:
    """An object that a caller sends; `named` are fields that it may have among others.

    Others are allowed by a schema that has words, and not by `true`: Google's converter takes no
    boolean, converters to zod drop what nothing allows, and OpenAI's would close an empty schema.
    """
    described = {"description": words} if words else {}
    others = {"description": "Any other field that Order Desk has."}
    return {
        "type": "object",
        **described,
        "properties": dict(named),
        "additionalProperties": others,
    }


def _address(name: str) -> Schema:
    return _argument(dict.fromkeys(ADDRESS_FIELDS[name], _TEXT))


def _list_of(entry: Schema) -> Schema:
    return {"type": "array", "items": entry}


_ITEM = {
    "name": _TEXT,
    "code": {"type": "string", "description": "The SKU."},
    "price": _NUMBER,
    "quantity": {"type": "integer"},
}
_COMMON: dict[str, Schema] = {
    "email": _TEXT,
    "shipping": _address("shipping"),
    "customer": _address("customer"),
    "shipping_method": _TEXT,
    "folder_name": {"type": "string", "description": "The folder that it goes to."},
    "order_notes": _list_of(_argument({"content": _TEXT})),
}
ORDER_DATA: Schema = _argument(
    {**_COMMON, "source_id": _TEXT, "order_items": _list_of(_argument(_ITEM))}
)
ORDER_CHANGES: Schema = _argument(
    {**_COMMON, "order_items": _list_of(_argument({"id": _TEXT, **_ITEM}))}
)


def _result(names: Iterable[str], words: str) -> Schema:
    """An object as Order Desk has it. What we make ourselves has a type; the rest may have any, as
    a client that checks a result refuses all of it when one value of a shop has an odd type.

    Here `true` is right: fastmcp keeps the fields that are not named only then.
    """
    return {
        "type": "object",
        "description": words,
        "properties": {"id": _TEXT, **{name: {} for name in names}},
        "additionalProperties": True,
    }


ORDER = _result(
    (
        "source_id",
        "source_name",
        "email",
        "shipping",
        "customer",
        "order_items",
        "order_notes",
        "order_total",
        "payment_status",
        "shipping_method",
        "folder_id",
        "date_added",
        "date_updated",
    ),
    "An order as Order Desk has it, with these fields and more; dates are ISO 8601 UTC.",
)
PRODUCT = _result(
    ("name", "code", "price", "cost", "weight", "stock", "date_updated"),
    "An inventory item as Order Desk has it, with these fields and more; code is the SKU.",
)
