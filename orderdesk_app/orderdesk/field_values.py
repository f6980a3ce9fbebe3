"""Whether a value may be written into a field, and in which form it goes to Order Desk.

The functions with a `path`, the dotted path that an error names, raise ValidationFailed for a value
that does not fit.
"""

from collections.abc import Mapping, Sized
from decimal import Decimal
from typing import TypeGuard

from orderdesk_app.context import Json
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import decimal_of
from orderdesk_app.orderdesk.dates import to_upstream
from orderdesk_app.orderdesk.json_numbers import ROUNDED, is_rounded
from orderdesk_app.orderdesk.order_fields import MOST_ENTRIES, NUMERIC_TEXTS, SHAPES, SUM_LIMIT
from orderdesk_app.orderdesk.quoted_json import unquoted

LONGEST_TEXT = 65_535  # megabytes would be copied many times while others wait
_LONGEST_PATH = 200


def object_of(value: object, path: str) -> Mapping[str, object]:
    """An object, also one in quotes; Order Desk's own empty map, `[]`, is one."""
    value = unquoted(value, path)
    if isinstance(value, Mapping):
        _check_length(value, path)
        return value
    if isinstance(value, list | tuple) and not value:
        return {}
    raise ValidationFailed(f"{path}: must be an object{_such_as(path)}.", field=path)


def list_of(value: object, path: str) -> list[object]:
    """A list, also one in quotes."""
    value = unquoted(value, path)
    if isinstance(value, list | tuple):
        _check_length(value, path)
        return list(value)
    raise ValidationFailed(f"{path}: must be a list{_such_as(path)}.", field=path)


def _such_as(path: str) -> str:
    """An example of the field at the end of a path, "" where it has none."""
    name = path.rpartition(".")[2].partition("[")[0]
    example = SHAPES.get(name, "")
    if path.endswith("]"):  # an entry of the list
        example = example.removeprefix("[").removesuffix("]")
    return f", such as {example}" if example else ""


def _check_length(value: Sized, path: str) -> None:
    if len(value) > MOST_ENTRIES:
        raise ValidationFailed(
            f"{path}: one call takes at most {MOST_ENTRIES} entries. Send the rest with another "
            "orders_update.",
            field=path,
        )


def text_of(value: object, path: str) -> str:
    """The value as text; a whole number is taken for the fields of NUMERIC_TEXTS."""
    value = whole_number(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and path.rpartition(".")[2] in NUMERIC_TEXTS:
        return str(value)
    if not isinstance(value, str):
        raise ValidationFailed(f"{path}: must be text.", field=path)
    check_text(value, path)
    return value


def whole_number(value: object) -> object:
    """5 for 5.0, as some clients have floats alone; any other value unchanged."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def is_plain(value: object) -> TypeGuard[str]:
    """True for most texts, of which nothing has to be checked: a surrogate and U+0000 are not
    printable.
    """
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()


def check_text(text: object, path: str) -> None:
    """Raises ValidationFailed for text that UTF-8 cannot carry or a database cannot store, and for
    one that is longer than any field of an order.
    """
    if is_plain(text):
        return
    if isinstance(text, str) and len(text) > LONGEST_TEXT:
        short = path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"
        raise ValidationFailed(
            f"{short}: a text has at most {LONGEST_TEXT:,} characters; this one has "
            f"{len(text):,}. Shorten it.",
            field=short,
        )
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


def check_digits(value: object, path: str) -> None:
    """Refuse a whole number that a program may have rounded before it came here."""
    if isinstance(value, int) and is_rounded(value):
        raise ValidationFailed(f"{path}: {str(value)[:40]} {ROUNDED}.", field=path)


def number_of(value: object) -> Decimal | None:
    """The number, below a million millions and with at most eight decimals; None for anything
    else.

    A number with a large exponent would be megabytes of digits.
    """
    number = decimal_of(value)
    if number is None or number.copy_abs() >= SUM_LIMIT or int(number.as_tuple().exponent) < -8:
        return None
    return number


def json_number(number: Decimal) -> int | Decimal:
    """The number as it goes into JSON: a whole one as int, any other with its own digits."""
    return int(number) if number == number.to_integral_value() else number


def scalar_of(value: object, path: str) -> Json:
    """A text, a boolean or a number, for the maps whose keys the merchant chooses."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text_of(value, path)
    if isinstance(value, int):
        return value
    number = number_of(value)
    if number is None:
        raise ValidationFailed(
            f"{path}: must be an ordinary number; send it as text to keep it as it is.", field=path
        )
    return json_number(number)


def date_of(value: object, path: str) -> str:
    """The date in Order Desk's form, UTC (dates.to_upstream)."""
    if not isinstance(value, str):
        raise ValidationFailed(
            f"{path} must be a date such as 2026-11-22 or 2026-11-22T14:05:00Z.", field=path
        )
    return to_upstream(value, path)
