"""Merges a given value into a field of its kind: text, number, address, map, discounts.

Each function writes into its target, or raises ValidationFailed.
"""

import json
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from typing import TypeGuard

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import as_list, as_map, decimal_of, is_same, likeness
from orderdesk_app.orderdesk.field_values import (
    check_text,
    is_plain,
    json_number,
    list_of,
    number_of,
    object_of,
    scalar_of,
    text_of,
)
from orderdesk_app.orderdesk.json_numbers import is_rounded
from orderdesk_app.orderdesk.merge_target import MergeTarget, is_as_shown
from orderdesk_app.orderdesk.order_fields import (
    ADDRESS_FIELDS,
    CHOICES,
    DISCOUNT_FIELDS,
    MAP_LIMITS,
)

Merge = Callable[[MergeTarget, object], None]


def merge_text(target: MergeTarget, value: object) -> None:
    """Writes a text, or one of the field's choices (given in any case); null clears the field."""
    if target.is_already(value):
        return
    new = "" if value is None else text_of(value, target.path)
    choices = CHOICES.get(target.key)
    if choices and new and new != target.current and new not in choices:
        folded = new.strip().casefold()
        choice = next((choice for choice in choices if choice.casefold() == folded), None)
        if choice is None and not target.is_read:
            return
        if choice is None:
            raise ValidationFailed(
                f"{target.path}: must be one of {', '.join(choices)}.", field=target.path
            )
        new = choice
    target.put(new)


def merge_number(target: MergeTarget, value: object) -> None:
    """Writes a sum, a weight or a quantity as int or Decimal; null writes 0."""
    if target.is_already(value):
        return
    if value is None:
        target.put(0)
        return
    number = number_of(value)
    if number is None and decimal_of(value) is not None and not target.is_read:
        return
    if number is None:
        rule = (
            "must be a number such as 12.50, below a million millions, with at most eight "
            "decimals, without currency signs or separators"
        )
        raise ValidationFailed(f"{target.path}: {rule}.", field=target.path)
    if target.key == "quantity" and (number != number.to_integral_value() or number < 0):
        raise ValidationFailed(
            f"{target.path}: must be a whole number, 0 or more.", field=target.path
        )
    target.put(json_number(number))


def merge_address(target: MergeTarget, value: object) -> None:
    """Writes the given parts of an address; null clears all of them (docs/orderdesk-api.md sections
    6.3 and 6.4).
    """
    address: JsonObject = as_map(target.current)
    allowed = ADDRESS_FIELDS[target.key]
    if value is None:
        address = dict.fromkeys([*address, *(name for name in allowed if name not in address)], "")
    else:
        for name, part in object_of(value, target.path).items():
            nested = target.nested(address, name, target.path)
            with target.faults.caught():
                if nested.takes(allowed, part):
                    merge_text(nested, part)
    target.put(address)


def merge_free_map(target: MergeTarget, value: object) -> None:
    """Writes entries of a map whose keys the merchant chooses: any name, a plain value each; null
    removes an entry (limits: docs/orderdesk-api.md section 6.1).
    """
    after: JsonObject = as_map(target.current)
    before = dict(after)
    if value is None:
        after = {}
    else:
        for name, part in object_of(value, target.path).items():
            if is_plain(name) and _is_plain_entry(part, after.get(name)):
                after[name] = part  # most entries of a map; a call may have 20,000
                continue
            with target.faults.caught():
                check_text(name, f"{target.path}.{name}")
                _merge_entry(target.nested(after, name, target.path), part)
    if is_same(before, after):
        return  # an empty map that was read as [] is sent as [] again
    limit = MAP_LIMITS.get(target.key)
    length = _json_length(after)
    # a map that is too long already may be shortened step by step
    if limit and length > limit and length > _json_length(before):
        words = (
            f"Order Desk keeps about {limit:,} characters there (as JSON), and this makes "
            f"{length:,}. Shorten or remove entries"
        )
        raise ValidationFailed(f"{target.path}: {words}.", field=target.path)
    target.container[target.key] = after


def _is_plain_entry(part: object, there: Json) -> TypeGuard[str | int]:
    """True where nothing has to be asked before this part replaces what is there."""
    if type(part) is int:
        return there is None and not is_rounded(part)
    return is_plain(part) and (there is None or isinstance(there, str))


def _merge_entry(target: MergeTarget, part: object) -> None:
    if part is None:
        target.container.pop(target.key, None)
    elif isinstance(part, str | bool | int | float | Decimal):
        is_number = not isinstance(part, str | bool)
        if not target.is_already(part) and (target.is_read or not is_number):
            target.container[target.key] = scalar_of(part, target.path)
    elif not is_same(target.current, part):
        # a value that is there already may be given again in any form
        raise ValidationFailed(
            f"{target.path}: must be text, a number, true, false or null (which removes it).",
            field=target.path,
        )


def merge_discounts(target: MergeTarget, value: object) -> None:
    """Writes the whole list of discounts; null removes all (docs/orderdesk-api.md section 6.5)."""
    entries = [] if value is None else list_of(value, target.path)
    discounts: list[Json] = []
    there = {likeness(one): one for one in as_list(target.current) if isinstance(one, dict)}
    for index, entry in enumerate(entries):
        with target.faults.caught():
            discounts.append(_discount(target, entry, f"{target.path}[{index}]", there))
    target.put(discounts)


def _discount(
    target: MergeTarget, entry: object, path: str, known: Mapping[Hashable, JsonObject]
) -> JsonObject:
    given = object_of(entry, path)
    there = known.get(likeness(given)) if given else None
    if there is not None and is_as_shown(there, given):
        return there  # also one that we would not write, such as a negative amount
    discount: JsonObject = {}
    faults_before = len(target.faults)
    for name, part in given.items():
        nested = target.nested(discount, name, path)
        with target.faults.caught():
            if nested.takes(DISCOUNT_FIELDS, part) and name != "amount":
                merge_text(nested, part)
    # else a misspelt one may explain a missing one
    has_good_names = len(target.faults) == faults_before
    amount = number_of(given.get("amount"))
    is_amount = amount is not None and (amount >= 0 or not target.is_read)
    with target.faults.caught():
        if not is_amount and (has_good_names or "amount" in given):
            raise ValidationFailed(
                f"{path}.amount: must be a positive number such as 1.70.", field=f"{path}.amount"
            )
    if has_good_names and not str(discount.get("name") or "").strip():
        raise ValidationFailed(f"{path}.name: a discount needs a name.", field=f"{path}.name")
    if amount is None:
        return discount  # a fault, which was kept
    # Order Desk writes it as text with two decimals (docs/orderdesk-api.md section 6.5)
    discount["amount"] = f"{amount:.2f}" if amount == round(amount, 2) else f"{amount:f}"
    return discount


def _json_length(value: JsonObject) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
