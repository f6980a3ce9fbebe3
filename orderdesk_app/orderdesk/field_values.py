"""Whether a given value may be written into a field, and in which form it goes to Order Desk.

Every function takes what a caller gave and the dotted path that an error names, and raises
ValidationFailed for what does not fit.
"""

from collections.abc import Mapping
from decimal import Decimal

from orderdesk_app.context import Json
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import decimal_of
from orderdesk_app.orderdesk.dates import to_upstream
from orderdesk_app.orderdesk.order_fields import NUMERIC_TEXTS, SUM_LIMIT


def object_of(value: object, path: str) -> Mapping[str, object]:
    """An object; Order Desk's own empty map, `[]`, is one."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple) and not value:
        return {}
    raise ValidationFailed(f"{path}: must be an object.", field=path)


def list_of(value: object, path: str) -> list[object]:
    """A list."""
    if isinstance(value, list | tuple):
        return list(value)
    raise ValidationFailed(f"{path}: must be a list.", field=path)


def text_of(value: object, path: str) -> str:
    """A text; a whole number is one too where the field is known to look like a number."""
    value = whole_number(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and path.rpartition(".")[2] in NUMERIC_TEXTS:
        return str(value)
    if not isinstance(value, str):
        raise ValidationFailed(f"{path}: must be text.", field=path)
    check_text(value, path)
    return value


def whole_number(value: object) -> object:
    """5.0 as 5, as some clients know no whole numbers; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def check_text(text: object, path: str) -> None:
    """Refuse what cannot be sent as UTF-8 text, or cannot be stored."""
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


def number_of(value: object) -> Decimal | None:
    """A number that a person would write: below a million millions, at most eight decimals; None
    for anything else.

    Exponents beyond that would cost us megabytes.
    """
    number = decimal_of(value)
    if number is None or abs(number) >= SUM_LIMIT or int(number.as_tuple().exponent) < -8:
        return None
    return number


def json_number(number: Decimal) -> int | Decimal:
    """The number as JSON writes it, with its own digits; whole ones without a point."""
    return int(number) if number == number.to_integral_value() else number


def scalar_of(value: object, path: str) -> Json:
    """A text, a truth value or a number, for the maps whose keys are the merchant's own."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text_of(value, path)
    if isinstance(value, int) and abs(value) < 10**18:
        return value  # the shop's own ids are long
    number = number_of(value)
    if number is None:
        raise ValidationFailed(
            f"{path}: must be an ordinary number; send it as text to keep it as it is.", field=path
        )
    return json_number(number)


def date_of(value: object, path: str) -> str:
    """A date in Order Desk's form."""
    if not isinstance(value, str):
        raise ValidationFailed(
            f"{path} must be a date such as 2026-11-22 or 2026-11-22T14:05:00Z.", field=path
        )
    return to_upstream(value, path)
