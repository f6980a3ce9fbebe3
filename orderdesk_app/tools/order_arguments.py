"""What the tools about orders take."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from orderdesk_app.context import JsonObject, now
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.merge import check_update, plan_create
from orderdesk_app.orderdesk.order_fields import FOLDER
from orderdesk_app.tools.arguments import AnyObject, Arguments, DigitsId, StoreIdentifier, TextId
from orderdesk_app.tools.object_schemas import ORDER_CHANGES, ORDER_DATA

_MAX_FIELDS = 100


def _fields(value: object) -> object:
    """A list of paths; models also send them as one text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and len(value) > _MAX_FIELDS:  # before each is looked at
        raise ValueError(f"must hold at most {_MAX_FIELDS} entries")
    return value


Fields = Annotated[
    list[Annotated[str, Field(max_length=120)]] | None,
    BeforeValidator(_fields),
    Field(
        description="Only these fields, as dotted paths; the id always comes along.",
        examples=[["source_id", "shipping.city", "order_items.code"]],
    ),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string"},
            "description": "Only these fields, as dotted paths; the id always comes along.",
            "examples": [["source_id", "shipping.city", "order_items.code"]],
        }
    ),
]


def _not_the_shops_number(value: object) -> object:
    """An id as it is; for anything with other signs the way to the id."""
    if isinstance(value, str) and not value.strip().isdigit():
        shown = json.dumps(value.strip()[:60], ensure_ascii=False)
        raise ValueError(
            "must be Order Desk's own id, digits only. Find it by the shop's number first: "
            f"orders_list with source_id {shown}"
        )
    return value


TheOrder = Annotated[
    DigitsId,
    BeforeValidator(_not_the_shops_number),
    Field(
        description=(
            "Order Desk's internal order id, not the shop's own number (that is source_id)."
        ),
        examples=["100000001"],
    ),
]
Filter = Annotated[TextId | None, Field(max_length=200)]
Day = Annotated[str | None, Field(max_length=40)]


class ListOrders(Arguments):
    store_identifier: StoreIdentifier = None
    limit: int = Field(default=25, description="How many rows, 1 to 100.", ge=1, le=100)
    offset: int = Field(
        default=0,
        description=(
            "How many rows to skip, counted now: after moving, changing or deleting listed orders "
            "it skips others. Use cursor instead."
        ),
        ge=0,
        le=10_000_000,
    )
    cursor: str | None = Field(
        default=None,
        description=(
            "next_cursor of the page before, with the same filters: the next page, also when what "
            "was listed has been moved, changed or deleted since."
        ),
        max_length=9_000,
        examples=["20261120100000D.100000123"],
    )
    folder_id: Filter = Field(
        default=None,
        description="Only orders in this folder, or in these (ids with commas).",
        examples=["21654"],
    )
    folder_name: Filter = Field(
        default=None,
        description="Only orders in the folder of exactly this name.",
        examples=["Prepared"],
    )
    status: Filter = Field(
        default=None,
        description="The folder's name: in Order Desk the folder is the status.",
        examples=["New"],
    )
    search: Filter = Field(
        default=None,
        description=(
            "What you have: an order id, the shop's number with or without #, an e-mail, a name, "
            "a company, a phone, a SKU, a tracking number. Each row says in matched_by how it "
            "matched, coverage what was searched."
        ),
        examples=["Okafor"],
    )
    source_id: Filter = Field(
        default=None, description="The shop's own order number.", examples=["1042"]
    )
    source_name: Filter = Field(
        default=None,
        description="The shop or marketplace it came from, such as Shopify.",
        examples=["Shopify"],
    )
    search_start_date: Day = Field(
        default=None,
        description="Added at or after this time: ISO 8601 or YYYY-MM-DD, UTC.",
        examples=["2026-11-01"],
    )
    search_end_date: Day = Field(
        default=None, description="Added at or before this time.", examples=["2026-11-30T23:59:59Z"]
    )
    modified_start_date: Day = Field(
        default=None, description="Changed at or after this time.", examples=["2026-11-01"]
    )
    modified_end_date: Day = Field(
        default=None, description="Changed at or before this time.", examples=["2026-11-30"]
    )
    email: Filter = Field(
        default=None, description="The customer's e-mail address.", examples=["ada@example.com"]
    )
    customer_id: Filter = Field(
        default=None, description="The customer's id in the shop.", examples=["77"]
    )
    customer_first_name: Filter = Field(
        default=None, description="First name of the customer.", examples=["Ada"]
    )
    customer_last_name: Filter = Field(
        default=None, description="Last name of the customer.", examples=["Okafor"]
    )
    customer_company: Filter = Field(
        default=None, description="Company of the customer.", examples=["Paper and Ink"]
    )
    customer_phone: Filter = Field(
        default=None, description="Phone of the customer.", examples=["555"]
    )
    shipping_first_name: Filter = Field(
        default=None, description="First name in the shipping address.", examples=["Ada"]
    )
    shipping_last_name: Filter = Field(
        default=None, description="Last name in the shipping address.", examples=["Okafor"]
    )
    shipping_company: Filter = Field(
        default=None, description="Company in the shipping address.", examples=["Paper and Ink"]
    )
    shipping_phone: Filter = Field(
        default=None, description="Phone in the shipping address.", examples=["555"]
    )
    order_by: str | None = Field(
        default=None,
        description="The field to sort by; date_added when left out.",
        max_length=60,
        pattern="^[a-z_]+$",
        examples=["date_updated"],
    )
    order: Annotated[
        Literal["ASC", "DESC"] | None,
        BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v),
    ] = Field(default=None, description="ASC, or DESC for newest first (the default).")
    fields: Fields = None
    view: Literal["summary", "full"] = Field(
        default="summary", description="summary: one short row an order; full: whole orders."
    )


class GetOrder(Arguments):
    order_id: TheOrder
    store_identifier: StoreIdentifier = None
    fields: Fields = None


class CreateOrder(Arguments):
    order_data: Annotated[AnyObject, WithJsonSchema(ORDER_DATA)] = Field(
        description=(
            "The order: at least one entry in order_items (name, price, quantity, code) and "
            "a name or company in shipping or customer. Also email, source_id, "
            "shipping_method, folder_id or folder_name, order_notes, order_metadata. Totals "
            "are computed."
        ),
        examples=[
            {
                "email": "ada@example.com",
                "shipping": {
                    "first_name": "Ada",
                    "last_name": "Okafor",
                    "city": "Lagos",
                    "country": "NG",
                },
                "order_items": [
                    {"name": "Notebook", "code": "NB-A5-DOT", "price": 12.5, "quantity": 2}
                ],
            }
        ],
    )
    store_identifier: StoreIdentifier = None

    @classmethod
    def faults_within(cls, values: Mapping[str, object]) -> Sequence[ValidationFailed]:
        data = _without_folder(values.get("order_data"))
        return _faults_of(plan_create, data) if data is not None else ()


class UpdateOrder(Arguments):
    never_empty = frozenset({"expected_date_updated"})  # it would guard nothing

    order_id: TheOrder
    changes: Annotated[AnyObject, WithJsonSchema(ORDER_CHANGES)] = Field(
        description=(
            "Only what changes: maps merge by key, items with an id merge into that item, "
            "items without one are added, none is removed by leaving it out, "
            "order_notes are appended, discount_list is replaced as a whole, null or an empty "
            "text clears a field, folder_name moves the order."
        ),
        examples=[
            {
                "shipping": {"city": "Lagos"},
                "order_notes": [{"content": "Address confirmed by phone"}],
            }
        ],
    )
    store_identifier: StoreIdentifier = None
    expected_date_updated: Day = Field(
        default=None,
        description=(
            "The date_updated that you saw: if the order changed since, nothing is written "
            "and you get both versions."
        ),
        examples=["2026-11-20T10:00:00Z"],
    )

    @classmethod
    def faults_within(cls, values: Mapping[str, object]) -> Sequence[ValidationFailed]:
        changes = _without_folder(values.get("changes"))
        return _faults_of(check_update, changes) if changes is not None else ()


def _without_folder(value: object) -> JsonObject | None:
    """The fields of an order, without the folder: the store's folders are not known yet."""
    if not isinstance(value, dict):
        return None
    return {name: part for name, part in value.items() if name not in FOLDER}


def _faults_of(check: Callable[..., object], order: JsonObject) -> Sequence[ValidationFailed]:
    try:
        check(order, at=now())
    except ValidationFailed as error:
        return error.faults or (error,)
    return ()


class DeleteOrder(Arguments):
    order_id: TheOrder
    store_identifier: StoreIdentifier = None
