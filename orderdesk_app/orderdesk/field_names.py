"""Whether a field may be written, by its name; if not, which field was probably meant."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.order_fields import ADDRESS_FIELDS

_SHIPMENT_REASON = (
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
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
HINTS = {
    "status": "folder_name (in Order Desk the folder is the status)",
    "folder": "folder_name",
    **dict.fromkeys(
        (
            "notes",
            "note",
            "customer_notes",
            "customer_note",
            "internal_notes",
            "internal_note",
            "shipping_notes",
            "gift_message",
            "order_note",
            "message",
        ),
        "order_notes",
    ),
    "comment": "order_notes",
    "comments": "order_notes",
    "items": "order_items",
    "order_lines": "order_items",
    "item": "order_items",
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
NESTED_HINTS = {
    "name": "first_name (and last_name)",
    "full_name": "first_name (and last_name)",
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


def check_name(
    name: object,
    path: str,
    allowed: Collection[str],
    read_only: Mapping[str, str],
    hints: Mapping[str, str],
    *,
    is_counted_only: bool = False,
) -> None:
    """Raises ValidationFailed unless `name` is one of the `allowed`.

    The message gives the reason for a field of `read_only` (name to reason), else the field that
    was probably meant (`hints`: wrong name to right name). `path` is the dotted path for errors.
    With `is_counted_only` nobody reads the message: to look for what was meant takes long.
    """
    if name in allowed:
        return
    if is_counted_only:
        raise ValidationFailed("")
    shown = path[:80]
    path = path[:200]
    known = _snake_case(str(name)[:80])  # cut: comparing long names takes long
    if known in read_only:
        raise ValidationFailed(f"{shown}: cannot be set: {read_only[known]}.", field=path)
    if known in _SHIPMENT_NAMES:
        raise ValidationFailed(f"{shown}: {_SHIPMENT_REASON}.", field=path)
    exact = known if known in allowed else None
    meant = (
        exact
        or hints.get(known)
        or _nested_name(known)
        or next(iter(get_close_matches(known, list(allowed), n=1, cutoff=0.6)), None)
    )
    hint = (
        f"Did you mean {meant}?"
        if meant and meant.split(" ")[0].split(".")[0] in allowed
        else f"Known fields: {', '.join(allowed)}."
    )
    error = ValidationFailed(f"{shown}: there is no such field. {hint}", field=path)
    error.advice = hint
    raise error


def _snake_case(name: str) -> str:
    """`shippingMethod`, `Shipping-Method` and `shipping method` as Order Desk writes them:
    `shipping_method`.
    """
    return _CAMEL_CASE.sub("_", name).replace("-", "_").replace(" ", "_").lower()


def _nested_name(name: str) -> str | None:
    """`shipping_city` for `shipping.city`: the flat names of the search parameters."""
    for part, names in ADDRESS_FIELDS.items():
        if name.startswith(f"{part}_") and name.removeprefix(f"{part}_") in names:
            return f"{part}.{name.removeprefix(f'{part}_')}"
    return None
