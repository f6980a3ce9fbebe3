"""JSON that a model put into quotes: a text where an object or a list belongs.

Models send `changes: "{\\"shipping\\": …}"`. The text is read as what it is; it is never kept as
the merchant's words.
"""

import re
from json import JSONDecodeError

from orderdesk_app.context import Json
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk import json_text

# `{"`, `[{`, `["`, what Python prints of the same, and an empty `{}` or `[]` alone: `[] call first`
# is a person's box to tick
_LOOKS_LIKE_JSON = re.compile(r"\s*+(\{\s*+[\"']|\[\s*+[\[{\"']|\{\s*+\}\s*+\Z|\[\s*+\]\s*+\Z)")


def looks_like_json(text: str) -> bool:
    """True for a text that begins as an object or a list of objects, lists or texts does, also
    where that is in quotes once more.
    """
    if _LOOKS_LIKE_JSON.match(text) is not None:
        return True
    inner = _text_in(text)
    return inner is not None and looks_like_json(inner)


def _text_in(text: str) -> str | None:
    """The text that is in quotes in this one, as JSON; None for any other text."""
    plain = text.strip()
    if not (len(plain) > 1 and plain[0] == plain[-1] == '"'):
        return None
    try:
        inner = json_text.loads(plain)
    except ValueError:
        return None
    return inner if isinstance(inner, str) else None


def unquoted(value: object, path: str) -> object:
    """The object or list that a text holds as JSON; any other value as it is.

    Raises ValidationFailed for a text that begins as JSON does and is none.
    """
    if isinstance(value, str) and (inner := _text_in(value)) is not None:
        read_inner = unquoted(inner, path)
        return value if isinstance(read_inner, str) else read_inner
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    if json_text.has_too_many_values(value):
        raise ValidationFailed(
            f"{path}: holds more than {json_text.MAX_VALUES:,} values. Send less at a time.",
            field=path,
        )
    try:
        read: Json = json_text.loads(value)
    except ValueError as error:
        if not looks_like_json(value):
            return value
        raise ValidationFailed(
            f"{path}: is a text that begins like JSON but cannot be read as JSON "
            f"({why_no_json(error)}). Send the object or list itself, without quotes around it.",
            field=path,
        ) from error
    return read


def refuse_json(text: str, path: str) -> None:
    """Refuse JSON where a person's words belong.

    Raises ValidationFailed.
    """
    if looks_like_json(text):
        raise ValidationFailed(
            f"{path}: is JSON inside a text. Send the words alone; an object or a list is sent "
            "without quotes around it.",
            field=path,
        )


def why_no_json(error: ValueError) -> str:
    """Where and why a text is no JSON, in a few words."""
    if isinstance(error, JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return str(error)
