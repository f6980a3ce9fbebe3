"""JSON Schemas that every model accepts: flat, without `$ref`, unions with null, or generated
titles.
"""

from typing import Any

from pydantic import TypeAdapter

Schema = dict[str, Any]


def schema_of(shape: Any, *, keeps_null: bool = False) -> Schema:
    """The schema of a pydantic model or TypedDict with references put in place.

    An argument may always be left out, so its null is dropped; a result says null where it means it
    (`keeps_null`)."""
    raw = TypeAdapter(shape).json_schema()
    definitions = raw.pop("$defs", {})
    tidy: Schema = _tidy(raw, definitions, keeps_null)
    tidy.setdefault("type", "object")
    return tidy


def _tidy(node: Any, definitions: Schema, keeps_null: bool) -> Any:
    if isinstance(node, list):
        return [_tidy(entry, definitions, keeps_null) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _tidy(
            {**definitions[node["$ref"].rsplit("/", 1)[-1]], **beside}, definitions, keeps_null
        )
    out: Schema = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        if key == "properties":
            out[key] = {
                name: _tidy(entry, definitions, keeps_null) for name, entry in value.items()
            }
        elif key == "anyOf":
            kept = [entry for entry in value if entry != {"type": "null"}]
            if len(kept) == 1:
                out.update(_tidy(kept[0], definitions, keeps_null))
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
