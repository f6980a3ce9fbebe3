"""A form from a tool's schema, and a tool's arguments from a sent form: the same for the console's
page and its plain POST.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.orderdesk.json_text import MAX_VALUES, has_too_many_values
from orderdesk_app.tools.catalogue import Tool
from orderdesk_app.tools.schema import Schema

Kind = Literal["text", "integer", "number", "boolean", "choice", "json"]
_KINDS: dict[str, Kind] = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "json",
    "array": "json",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One argument as a form field. `value` is its first content, `hint` an example of it;
    `in_example` when the tool's own example names it.
    """

    name: str
    kind: Kind
    words: str
    required: bool
    is_secret: bool
    value: str
    hint: str
    options: tuple[str, ...] = ()
    shape: str = ""  # "an object" or "a list", for json
    in_example: bool = False


def example_of(tool: Tool) -> JsonObject:
    """The arguments of the tool's example, secrets left out."""
    example: JsonObject = tool.example.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in example.items() if name not in tool.secrets}


def fields_of(tool: Tool, values: Mapping[str, Json] | None = None) -> list[Field]:
    """The tool's arguments as fields, required ones first; filled with `values`, if there are any.
    The tool's example is the hint of each. A secret is never filled.
    """
    filled = dict(values or {})
    example = example_of(tool)
    required = set(tool.input_schema.get("required", []))
    fields = [
        _field(name, schema, name in required, tool, filled.get(name), example.get(name))
        for name, schema in tool.input_schema.get("properties", {}).items()
    ]
    return sorted(fields, key=lambda field: not field.required)


def _field(
    name: str, schema: Schema, required: bool, tool: Tool, value: Json, of_example: Json
) -> Field:
    is_secret = name in tool.secrets
    options = tuple(str(option) for option in schema.get("enum", ()))
    kind: Kind = (
        "choice"
        if options
        else _KINDS.get(str(schema.get("type", "")), "text" if "type" in schema else "json")
    )
    example = next(iter(schema.get("examples", ())), None)
    default = schema.get("default")
    hint = next((hint for hint in (of_example, example, default) if hint is not None), None)
    shape = {"object": "an object", "array": "a list"}.get(str(schema.get("type", "")), "a value")
    return Field(
        name=name,
        kind=kind,
        words=str(schema.get("description", "")).replace("`", ""),
        required=required,
        is_secret=is_secret,
        value="" if is_secret or value is None or value == "***" else _text(kind, value),
        hint="" if hint is None or is_secret else _text(kind, hint),
        options=options,
        shape=shape,
        in_example=of_example is not None,
    )


def _text(kind: Kind, value: Json) -> str:
    if kind == "json":
        # half a surrogate pair stays an escape
        return (
            json.dumps(value, indent=2, ensure_ascii=False)
            .encode(errors="backslashreplace")
            .decode()
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def arguments_from(tool: Tool, form: Mapping[str, object]) -> tuple[JsonObject, dict[str, str]]:
    """The arguments of a sent form, and the errors by field.

    Empty fields are left out. Each value has its field's type; the runner checks the rest.
    """
    arguments: JsonObject = {}
    errors: dict[str, str] = {}
    for field in fields_of(tool, {}):
        text = form.get(field.name)
        if not isinstance(text, str) or not text.strip():
            if field.required:
                errors[field.name] = "This is required."
            continue
        try:
            arguments[field.name] = _value(field, text.strip())
        except json.JSONDecodeError as error:
            errors[field.name] = f"This must be {field.shape} in JSON. {_place(text, error)}"
        except _Unreadable as error:
            errors[field.name] = str(error)
        except ValueError:
            rules = {
                "integer": "a whole number",
                "number": "a number",
                "boolean": "true or false",
                "choice": f"one of {', '.join(field.options)}",
                "json": f"{field.shape} in JSON",
            }
            errors[field.name] = f"This must be {rules.get(field.kind, 'text')}."
    return arguments, errors


def argument_at(tool: Tool, path: str) -> str:
    """The argument to which an error's path such as `shipping.city` or `order_items[0].name`
    belongs: the one of that name, else the only JSON object, else "".
    """
    fields = fields_of(tool, {})
    first = re.split(r"[.\[]", path, maxsplit=1)[0]
    if first in {field.name for field in fields}:
        return first
    objects = [
        field.name for field in fields if field.kind == "json" and field.shape == "an object"
    ]
    return objects[0] if path and len(objects) == 1 else ""


class _Unreadable(ValueError):
    """JSON that is not read, and why, in words for who typed it."""


def _value(field: Field, text: str) -> Json:
    if field.kind == "integer":
        return int(text)
    if field.kind == "number":
        return float(text)
    if field.kind == "boolean":
        return text == "true" if text in ("true", "false") else _refuse()
    if field.kind == "choice":
        return text if text in field.options else _refuse()
    if field.kind == "json":
        value = _json(text)
        fits = {"an object": dict, "a list": list}.get(field.shape, object)
        return value if isinstance(value, fits) else _refuse()
    return text


_TRAILING_COMMA = "a comma stands before the closing bracket"
# What Python's reader of JSON says, in words for somebody who types it.
_JSON_FAULTS = {
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing after the name",
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing",
    "Expecting value": "a value is missing",
    "Extra data": "the JSON has ended, and more follows",
    "Unterminated string starting at": "this text has no closing quote",
    "Invalid control character at": "a text must not have a line break or a tab in it; write \\n",
    "Invalid \\escape": "a backslash stands alone; write it twice",
    "Illegal trailing comma before end of object": _TRAILING_COMMA,
    "Illegal trailing comma before end of array": _TRAILING_COMMA,
}
_NO_NUMBER = "this is no number in JSON"
# A text as a whole, so that what stands in one is passed over, or a word that Python takes for a
# number.
_TEXT_OR_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')


def _place(text: str, error: json.JSONDecodeError) -> str:
    """Where the JSON is wrong and why, by line and column of the text as typed."""
    before = error.doc[: error.pos].rstrip()
    # a newer Python says it by itself
    is_comma = before.endswith(",") and error.doc[error.pos : error.pos + 1] in ("}", "]")
    at = len(before) - 1 if is_comma else error.pos
    place = at + len(text) - len(text.lstrip())
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    said = _JSON_FAULTS.get(error.msg, error.msg[:1].lower() + error.msg[1:])
    why = _TRAILING_COMMA if is_comma else said
    return f"Line {line}, column {column}: {why}."


def _json(text: str) -> Json:
    if has_too_many_values(text):
        raise _Unreadable(f"This has more than {MAX_VALUES:,} values or commas. Send less at once.")
    try:
        value: Json = json.loads(text, parse_constant=lambda _: _refuse_number(text))
        return value
    except RecursionError as error:
        raise _Unreadable("This is nested too deeply. Take some brackets away.") from error


def _refuse_number(text: str) -> NoReturn:
    """Raises JSONDecodeError at the first word that is no number in JSON."""
    words = (found.start(1) for found in _TEXT_OR_NO_NUMBER.finditer(text) if found[1])
    raise json.JSONDecodeError(_NO_NUMBER, text, next(words))


def _refuse() -> NoReturn:
    raise ValueError
