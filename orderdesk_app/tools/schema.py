"""JSON Schemas that every model accepts: flat, without `$ref`, unions with null, or generated titles."""

from typing import Any

from pydantic import TypeAdapter

Schema = dict[str, Any]


def schema_of(shape: Any, *, mode: str = "validation") -> Schema:
    """The schema of a pydantic model or TypedDict with references put in place. Raises RecursionError for a shape that holds itself."""
    raw = TypeAdapter(shape).json_schema(mode="validation" if mode == "validation" else "serialization")
    definitions = raw.pop("$defs", {})
    tidy: Schema = _tidy(raw, definitions)
    tidy.setdefault("type", "object")
    return tidy


def _tidy(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_tidy(entry, definitions) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _tidy({**definitions[node["$ref"].rsplit("/", 1)[-1]], **beside}, definitions)
    out: Schema = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        if key == "properties":
            out[key] = {name: _tidy(entry, definitions) for name, entry in value.items()}
        elif key == "anyOf":
            kept = [entry for entry in value if entry != {"type": "null"}]
            if len(kept) == 1:
                out.update(_tidy(kept[0], definitions))
            else:
                out[key] = _tidy(kept, definitions)
        else:
            out[key] = value if key in ("examples", "default", "enum", "const", "required") else _tidy(value, definitions)
    return out
