"""JSON Schemas that every model accepts: flat, without `$ref`, unions with null, generated titles,
or objects that say that they are closed.
"""

from typing import TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

Schema: TypeAlias = JsonSchemaValue


def schema_of(shape: type, *, keeps_null: bool = False) -> Schema:
    """The JSON Schema of a pydantic model or TypedDict, with its references put in place.

    An argument may always be left out, so its null is dropped. A result keeps null where it may be
    null (`keeps_null`).
    """
    raw = TypeAdapter(shape).json_schema()
    definitions = raw.pop("$defs", {})
    tidy = _tidy_schema(raw, definitions, keeps_null)
    tidy.setdefault("type", "object")
    return tidy


def _tidy(node: object, definitions: Schema, keeps_null: bool) -> object:
    if isinstance(node, list):
        return [_tidy(entry, definitions, keeps_null) for entry in node]
    return _tidy_schema(node, definitions, keeps_null) if isinstance(node, dict) else node


def _tidy_schema(node: Schema, definitions: Schema, keeps_null: bool) -> Schema:
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        named = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _tidy_schema({**named, **beside}, definitions, keeps_null)
    out: Schema = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        if key == "additionalProperties" and value is False:
            continue  # unknown names are refused by us; Google's converter dies of a boolean here
        if key == "properties":
            out[key] = {
                name: _tidy(entry, definitions, keeps_null) for name, entry in value.items()
            }
        elif key == "anyOf":
            kept = [entry for entry in value if entry != {"type": "null"}]
            if len(kept) == 1:
                out.update(_tidy_schema(kept[0], definitions, keeps_null))
                if keeps_null and len(kept) < len(value):
                    out["type"] = [out["type"], "null"]
            else:
                out[key] = _tidy(kept, definitions, keeps_null)
        else:
            out[key] = (
                value
                if key in ("examples", "default", "enum", "const", "required")
                else _tidy(value, definitions, keeps_null)
            )
    return out
