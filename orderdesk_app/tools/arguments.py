"""What tools take: the base of every argument model, the types of ids and secrets, and one sentence
for each kind of mistake.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from orderdesk_app.context import Secret
from orderdesk_app.errors import Faults, ValidationFailed
from orderdesk_app.orderdesk.json_numbers import ROUNDED, is_rounded
from orderdesk_app.orderdesk.quoted_json import unquoted
from orderdesk_app.tools.schema import schema_of

# Characters of a name that a message quotes and that is compared with ours: comparing takes long.
_MAX_NAME = 80
# What programs add to the arguments of every call (n8n's agent); it is for themselves.
_OF_PROGRAMS = frozenset({"tool", "toolCallId", "sessionId", "action", "chatInput"})
# What the older system took, and what is given instead.
_OTHER_NAMES = {
    "store_id": "Name the store by store_identifier: its id, name or label.",
    "store_name": "Name the store by store_identifier: its id, name or label.",
    "store": "Name the store by store_identifier: its id, name or label.",
    "api_key": (
        "A store's key is given once, to stores_register; after that name the store by "
        "store_identifier."
    ),
}


# pydantic checks its outer form alone. It cannot be JsonObject, whose values pydantic would check
# and convert one by one.
AnyObject: TypeAlias = dict[str, Any]


class Arguments(BaseModel):
    """The base: unknown names are refused, text is trimmed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )

    # Optional arguments in which an empty text is a mistake, and not one that was left out.
    never_empty: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        """The arguments with a SecretText in their type, however deep: never logged, never kept,
        posted by plain forms.
        """
        properties = schema_of(cls).get("properties", {})
        return frozenset(name for name, schema in properties.items() if _has_secret(schema))

    @classmethod
    def faults_within(cls, values: Mapping[str, object]) -> Sequence[ValidationFailed]:
        """The faults inside the objects given, which are told beside those of the arguments. The
        values are not checked yet.
        """
        return ()


def _has_secret(schema: object) -> bool:
    if isinstance(schema, dict):
        return schema.get("x-secret") is True or any(map(_has_secret, schema.values()))
    return isinstance(schema, list) and any(map(_has_secret, schema))


def _whole(value: object) -> object:
    """5.0 as 5, for clients that have no whole numbers.

    Beyond 2**53 a float has lost digits and stays what it is.
    """
    return (
        int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
        else value
    )


def _digits(value: object) -> str:
    if isinstance(value, bool) or value is None:
        raise ValueError("must be an id of digits")
    value = _whole(value)
    _check_digits(value)
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ValueError("must be an id of digits")
    return text


def _text(value: object) -> object:
    """Ids of other systems are text; models often send them as numbers."""
    value = _whole(value)
    _check_digits(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_digits(value: object) -> None:
    if isinstance(value, int | float) and is_rounded(value):
        raise ValueError(ROUNDED)


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)
_DIGITS_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,20}$"})

DigitsId = Annotated[str, BeforeValidator(_digits), _DIGITS_SCHEMA]
TextId = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string"})]


class _ReadAsSecret:
    """How pydantic reads a Secret: from a text of 1 to 512 characters. Written, it is `***`."""

    def __get_pydantic_core_schema__(
        self, source: type[Secret], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.str_schema(min_length=1, max_length=512, strip_whitespace=True)
        return core_schema.no_info_before_validator_function(
            lambda given: given.reveal() if isinstance(given, Secret) else given,
            core_schema.no_info_after_validator_function(Secret, text),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "x-secret": True}


SecretText = Annotated[Secret, _ReadAsSecret()]
StoreIdentifier = Annotated[
    str | None,
    BeforeValidator(_text),
    Field(
        description=(
            "Which store: its id, name or label. Leave it out when one store is active or "
            "only one is connected."
        ),
        max_length=200,
        examples=["10001"],
    ),
]


def parse(model: type[ArgumentsT], given: object) -> ArgumentsT:
    """The arguments as their model; None and an argument that is null mean: left out. So does an
    empty text where one may leave it out: OpenAI's strict mode has models send every argument.

    Raises ValidationFailed that names every argument at fault, the rule and the next step.
    """
    if given is None:
        given = {}
    given = unquoted(given, "arguments")
    if not isinstance(given, Mapping):
        raise ValidationFailed("Arguments must be an object of names and values.")
    faults = Faults()
    values: dict[str, object] = {}
    for name, value in given.items():
        is_left_out = value is None or (_is_empty(value) and name in _optional(model))
        if is_left_out or (name in _OF_PROGRAMS and name not in model.model_fields):
            continue
        with faults.caught():
            if name not in model.model_fields:
                raise _unknown_argument(model, str(name)[:_MAX_NAME], is_counted=faults.are_many)
            values[name] = _read(model, name, value)
    try:
        arguments = model.model_validate(values)
    except ValidationError as error:
        for line in error.errors(include_url=False, include_context=True, include_input=True):
            is_missing = line["type"] == "missing"
            # a misspelt name or a value that was refused explains a missing one
            if not (is_missing and faults.are_about(str(line["loc"][0]))):
                faults.add(_validation_failed(model, line))
    if faults:
        for fault in model.faults_within(values):
            faults.add(fault)
    faults.raise_any()
    return arguments


def _read(model: type[Arguments], name: str, value: object) -> object:
    """The value of an argument: an object or a list also in quotes.

    Raises ValidationFailed for what only Python reads as a whole number.
    """
    if model.model_fields[name].annotation is int and _is_no_number(value):
        raise ValidationFailed(f"{name} must be a whole number.", field=name)
    return unquoted(value, name) if name in structured_arguments(model) else value


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


@cache
def _optional(model: type[Arguments]) -> frozenset[str]:
    """The arguments that an empty text leaves out."""
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    return frozenset(model.model_fields.keys() - required - model.never_empty)


@cache
def structured_arguments(model: type[Arguments]) -> frozenset[str]:
    """The arguments that are an object or a list."""
    properties = schema_of(model).get("properties", {})
    return frozenset(
        name for name, schema in properties.items() if schema.get("type") in ("object", "array")
    )


def _such_as(model: type[Arguments], field: str | None) -> str:
    """The example of an argument in words, "" where it has none."""
    examples = model.model_fields[field].examples if field in model.model_fields else None
    return f", such as {json.dumps(examples[0])}" if examples else ""


def _is_no_number(value: object) -> bool:
    """True for what only Python reads as a whole number: true as 1, "1_0" as 10."""
    return isinstance(value, bool) or (isinstance(value, str) and "_" in value)


def _unknown_argument(
    model: type[Arguments], name: str, *, is_counted: bool = False
) -> ValidationFailed:
    """`is_counted`: nobody reads its words, and to look for what was meant takes long."""
    if is_counted:
        return ValidationFailed("")
    known = list(model.model_fields)
    hint = _OTHER_NAMES.get(name, "")
    if not hint or "store_identifier" not in known:
        near = get_close_matches(name, known, 1)
        hint = (
            f"Did you mean {near[0]}?"
            if near
            else f"It takes: {', '.join(known) or 'no arguments'}."
        )
    error = ValidationFailed(f"{name} is not an argument of this tool. {hint}", field=name)
    error.advice = hint
    return error


def _validation_failed(model: type[Arguments], line: ErrorDetails) -> ValidationFailed:
    field = ".".join(str(part) for part in line["loc"]) or None
    kind, context = line["type"], line.get("ctx", {})
    if kind == "missing":
        described = model.model_fields[str(line["loc"][0])].description or ""
        return ValidationFailed(f"{field} is required: {described}", field=field)
    if kind == "too_long" and isinstance(line["input"], str):
        # where a text may also be left out, the length is judged as that of any value
        kind = "string_too_long"
    rules = {
        "greater_than_equal": "must be {ge} or more",
        "less_than_equal": "must be {le} or less",
        "string_too_long": "must be at most {max_length} characters",
        "string_too_short": "must not be empty",
        "too_long": "must hold at most {max_length} entries",
        "too_short": "must not be empty",
        "literal_error": "must be one of {expected}",
        "enum": "must be one of {expected}",
        "string_type": "must be text",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "dict_type": "must be an object{such_as}",
        "list_type": "must be a list{such_as}",
        "value_error": "{error}",
        "string_pattern_mismatch": "has characters that it may not have",
    }
    rule = rules.get(kind, "has a value of the wrong kind").format_map(
        {**context, "such_as": _such_as(model, field)}
    )
    return ValidationFailed(f"{field} {rule}.", field=field)
