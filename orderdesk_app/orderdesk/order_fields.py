"""The fields of an order that a caller may write, by kind, their limits, and why others may not be
written (docs/orderdesk-api.md section 6).
"""

from decimal import Decimal

from orderdesk_app.orderdesk.comparison import FREE_MAPS

# of all notes of an order, dates and authors included (docs/orderdesk-api.md section 6.6)
NOTES_LIMIT = 2_000
MAP_LIMITS = {"checkout_data": 3_500, "order_metadata": 2_000}  # characters as JSON (6.1)
# of any list or map of one call: each new item is compared with each row to see if it arrived
MOST_ENTRIES = 500
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
_PERSON_ADDRESS = (
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
    "customer": _PERSON_ADDRESS,
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
CHOICES = {"payment_status": PAYMENT_STATUSES, "delivery_type": DELIVERY_TYPES}
# Texts that look like numbers: many clients send them as numbers.
NUMERIC_TEXTS = frozenset(
    {"customer_id", "source_id", "fulfillment_id", "code", "postal_code", "phone"}
)

# of the fields that are objects or lists, as errors show them
SHAPES = {
    **dict.fromkeys(ADDRESS_FIELDS, '{"city": "Lagos"}'),
    **dict.fromkeys((*FREE_MAPS, "metadata", "variation_list"), '{"Size": "L"}'),
    "order_items": '[{"name": "Mug", "code": "MUG-1", "price": 12.5, "quantity": 2}]',
    "order_notes": '[{"content": "Rang the customer"}]',
    "discount_list": '[{"name": "Autumn", "amount": "1.70"}]',
}

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
        "Order Desk sets it on every change; to guard against changes by others pass the one that "
        "you saw, here or as expected_date_updated beside `changes`"
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
