"""The figures that Order Desk computes itself, in Decimal; and how loosely typed input becomes a
number.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from orderdesk_app.demo.body import Body

CENT = Decimal("0.01")
_FINEST = Decimal("0.00000001")
_MOST = Decimal(10) ** 12  # beyond any column of theirs


def amount(value: object) -> Decimal:
    """The number that a value means; a value that is no number counts as 0, as in PHP."""
    if isinstance(value, bool) or value is None:
        return Decimal(int(bool(value)))
    if not isinstance(value, (int, float, str, Decimal)):
        return Decimal(0)
    try:
        found = Decimal(value if isinstance(value, (Decimal, int)) else str(value).strip())
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() and abs(found) < _MOST else Decimal(0)


def number(value: Decimal) -> int | float:
    """The number as JSON writes it: 10 and 21.17, never 10.0; eight places are kept."""
    kept = value.quantize(_FINEST, rounding=ROUND_HALF_UP)
    return int(kept) if kept == kept.to_integral_value() else float(kept)


def money(value: Decimal) -> int | float:
    return number(value.quantize(CENT, rounding=ROUND_HALF_UP))


def recompute(order: Body) -> None:
    """Set the read-only totals of an order from its items, discounts and the three totals that are
    its own (section 6.1).
    """
    items = order["order_items"]
    product = sum((amount(item["price"]) * amount(item["quantity"]) for item in items), Decimal(0))
    discount = sum((abs(amount(line["amount"])) for line in order["discount_list"]), Decimal(0))
    extra = sum(
        (amount(order[name]) for name in ("shipping_total", "handling_total", "tax_total")),
        Decimal(0),
    )
    order["quantity_total"] = number(sum((amount(item["quantity"]) for item in items), Decimal(0)))
    order["weight_total"] = number(
        sum((amount(item["weight"]) * amount(item["quantity"]) for item in items), Decimal(0))
    )
    order["product_total"] = money(product)
    order["discount_total"] = money(discount)
    order["order_total"] = money(product + extra - discount)
