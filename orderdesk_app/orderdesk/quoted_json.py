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

# spaces that str.strip() knows, and signs that nobody sees: byte order mark, zero-width ones
_UNSEEN = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\ufeff\u200b\u200c\u200d\u2060"
_FENCES = ("```", "~~~")  # of a block of code in Markdown, as models write JSON
_LANGUAGE = re.compile(r"\w{0,12}[ \t]*+(?:\r?\n|(?=[\[{]))")
_QUOTES = {"`": "`", "'": "'", '"': '"', "“": "”", "‘": "’"}


def looks_like_json(text: str) -> bool:
    """True for a text that begins as an object or a list of objects, lists or texts does, also
    where that is in quotes once more, or in a block of code.
    """
    if _LOOKS_LIKE_JSON.match(_bare(text)) is not None:
        return True
    inner = _text_in(text)
    return inner is not None and looks_like_json(inner)


def _bare(text: str) -> str:
    """The text without what models put around JSON: signs that nobody sees, the fence of a block of
    code, and one pair of quotes.
    """
    plain = text.strip(_UNSEEN)
    for fence in _FENCES:
        if plain.startswith(fence) and plain.endswith(fence) and len(plain) >= 2 * len(fence):
            inside = plain[len(fence) : -len(fence)]
            language = _LANGUAGE.match(inside)
            return inside[language.end() if language else 0 :].strip(_UNSEEN)
    if len(plain) > 1 and _QUOTES.get(plain[0]) == plain[-1]:
        return plain[1:-1].strip(_UNSEEN)
    return plain


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
    if not isinstance(value, str):
        return value
    bare = _bare(value)
    if bare[:1] not in ("{", "["):
        return value
    if json_text.has_too_many_values(bare):
        raise ValidationFailed(
            f"{path}: holds more than {json_text.MAX_VALUES:,} values. Send less at a time.",
            field=path,
        )
    try:
        read: Json = json_text.loads(bare)
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
