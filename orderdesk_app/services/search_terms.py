"""What a search text can mean: which questions to Order Desk find it, and how an order that was
read shows it.

People search by what they have: a shop's number with or without `#`, a full name, a first name, a
phone, a company, a SKU, a tracking number. Order Desk filters by some of these alone
(docs/orderdesk-api.md section 3).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orderdesk_app.orderdesk.comparison import as_list, as_map
from orderdesk_app.orderdesk.order import Order

LONGEST_ID = 20  # digits
_ORDER_NUMBER = re.compile(
    r"(?:sales )?(?:order|invoice)(?: ?(?:no\.?|nr\.?|number|id))? ?[:#]? ?([#\w-]*\d[\w/-]*)", re.I
)
_LEAST_PHONE = 7  # digits; fewer are too many people's


@dataclass(frozen=True, slots=True)
class Question:
    """What found orders are matched by, and the filters of Order Desk that find them."""

    matched_by: str
    filters: Mapping[str, str]


def questions(search: str) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """The likely meanings of the text (at most three questions), and the others (at most four)."""
    text = plain_search(search)
    number = text.lstrip("#").strip()
    if text.isascii() and text.isdigit():
        by_id = (_one("id", text),) if len(text) <= LONGEST_ID else ()
        phones = _phones(text) if len(text) >= _LEAST_PHONE else ()
        return (*by_id, _one("source_id", text)), (_one("source_id", f"#{text}"), *phones)
    if "@" in text:
        return (_one("email", text), _one("source_id", text)), ()
    if text.startswith("#") and number:
        is_id = number.isascii() and number.isdigit() and len(number) <= LONGEST_ID
        by_id = (_one("id", number),) if is_id else ()
        return (_one("source_id", text), _one("source_id", number), *by_id), ()
    if is_phone(text):
        return _phones(text), (_one("source_id", text),)
    words = text.split()
    if len(words) > 1:
        likely = (*_people(words), _one("source_id", text))
        return likely, (*_companies(text), *_last_names(text))
    if any(sign.isdigit() for sign in text):
        numbers = (_one("source_id", text), _one("source_id", f"#{text}"))
        return numbers, (*_last_names(text), *_companies(text))
    return (
        (_one("source_id", text), *_last_names(text)),
        (*_first_names(text), *_companies(text)),
    )


def plain_search(text: str) -> str:
    """What people write around a number or a name is left out: `Order no. W-1042`, and
    `Okafor, Ada` is Ada Okafor.
    """
    text = " ".join(text.split())
    if match := _ORDER_NUMBER.fullmatch(text):
        return match[1]
    last, comma, first = text.partition(", ")
    return f"{first} {last}" if comma and first and last and "," not in first else text


def is_phone(text: str) -> bool:
    """True for digits with what people write between them."""
    return len(digits_of(text)) >= _LEAST_PHONE and not text.strip("0123456789 +-().\u00a0/")


def digits_of(text: str) -> str:
    """The digits of a text alone."""
    return "".join(sign for sign in text if sign.isascii() and sign.isdigit())


def shown_by(order: Order, search: str) -> tuple[str, ...]:
    """Where an order that was read has the text, in places for which Order Desk has no filter."""
    wanted = plain_search(search).casefold()
    return tuple(dict.fromkeys(name for name, text in _places(order) if wanted in text)) + (
        ("phone",) if is_phone(search) and _has_phone(order, digits_of(search)) else ()
    )


def _places(order: Order) -> Iterator[tuple[str, str]]:
    yield "source_id", _folded(order.get("source_id"))
    yield "email", _folded(order.get("email"))
    for item in as_list(order.get("order_items")):
        for name in ("code", "name"):
            yield f"order_items.{name}", _folded(as_map(item).get(name))
    for shipment in as_list(order.get("order_shipments")):
        yield "order_shipments.tracking_number", _folded(as_map(shipment).get("tracking_number"))
    for part in ("customer", "shipping"):
        address = as_map(order.get(part))
        names = (_folded(address.get("first_name")), _folded(address.get("last_name")))
        yield f"{part}_name", " ".join(names)
        yield f"{part}_name", " ".join(reversed(names))
        yield f"{part}_company", _folded(address.get("company"))


def _has_phone(order: Order, digits: str) -> bool:
    """True for the same number, with or without the country's code."""
    known = (
        digits_of(str(as_map(order.get(part)).get("phone") or ""))
        for part in ("customer", "shipping")
    )
    return any(
        len(phone) >= _LEAST_PHONE and (phone.endswith(digits) or digits.endswith(phone))
        for phone in known
    )


def _folded(value: object) -> str:
    return " ".join(str(value or "").split()).casefold()


def _one(name: str, text: str) -> Question:
    return Question(name, {name: text})


def _phones(text: str) -> tuple[Question, ...]:
    return _one("customer_phone", text), _one("shipping_phone", text)


def _people(words: list[str]) -> tuple[Question, ...]:
    first, last = words[0], " ".join(words[1:])
    return tuple(
        Question(f"{part}_name", {f"{part}_first_name": first, f"{part}_last_name": last})
        for part in ("customer", "shipping")
    )


def _first_names(text: str) -> tuple[Question, ...]:
    return _one("customer_first_name", text), _one("shipping_first_name", text)


def _last_names(text: str) -> tuple[Question, ...]:
    return _one("customer_last_name", text), _one("shipping_last_name", text)


def _companies(text: str) -> tuple[Question, ...]:
    return _one("customer_company", text), _one("shipping_company", text)
