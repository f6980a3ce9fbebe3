"""Every tool as data: what it tells about itself is whole, readable by every model, and changes
only on purpose.

The snapshots say once which tools there are, and what each takes and returns. A changed schema is a
changed contract: `SNAPSHOTS=write python -m pytest tests/tools/test_catalogue.py` rewrites them,
and somebody reads the difference.
"""

import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orderdesk_app.context import ALL_SCOPES, SCOPE_PRESETS, Scope, Secret
from orderdesk_app.errors import UnknownTool
from orderdesk_app.mcp.server import listing
from orderdesk_app.tools import toolsets
from orderdesk_app.tools.catalogue import Tool, every_tool, find_tool, tools_for
from tests.worlds import pretty

TOOLS = every_tool()
SNAPSHOTS = Path(__file__).parent / "snapshots"
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


@each_tool
def test_a_tool_says_what_it_is_in_words(tool: Tool) -> None:
    assert tool.title
    assert tool.title != tool.name
    assert len(tool.description) > 30
    assert tool.description.endswith(".")


@each_tool
def test_a_tool_has_all_four_annotations(tool: Tool) -> None:
    shown = listing(tool).model_dump(by_alias=True, mode="json", exclude_none=True)

    hints = {
        name: shown["annotations"][name]
        for name in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
    }
    assert all(isinstance(hint, bool) for hint in hints.values())
    assert shown["title"] == shown["annotations"]["title"] == tool.title
    assert not (hints["readOnlyHint"] and hints["destructiveHint"])


@each_tool
def test_every_argument_is_described(tool: Tool) -> None:
    for name, schema in tool.input_schema.get("properties", {}).items():
        assert len(schema.get("description", "")) > 5, f"{tool.name}.{name} has no words"
        assert "type" in schema or "enum" in schema, f"{tool.name}.{name} has no type"
    assert tool.input_schema["type"] == "object"


@each_tool
def test_converters_for_models_take_every_argument(tool: Tool) -> None:
    """Google's dies of a boolean in additionalProperties; some models refuse an object that names
    no property; converters to zod drop the properties that a schema neither names nor allows.
    """

    def walk(schema: Any, path: str) -> None:
        assert isinstance(schema["type"], str), f"{path} is of several types"
        if schema["type"] == "object":
            assert schema["properties"], f"{path} names no property"
            others = schema.get("additionalProperties")
            assert isinstance(others, dict), f"{path} takes no other properties: {others}"
            assert others, "OpenAI's strict converter reads an empty schema as a closed object"
        for name, part in schema.get("properties", {}).items():
            walk(part, f"{path}.{name}")
        if "items" in schema:
            walk(schema["items"], f"{path}[]")

    assert "additionalProperties" not in tool.input_schema
    for name, schema in tool.input_schema["properties"].items():
        walk(schema, f"{tool.name}.{name}")


@each_tool
def test_every_fact_of_a_result_is_typed(tool: Tool) -> None:
    def walk(schema: Any, path: str) -> None:
        assert "type" in schema, f"{path} has no type"
        if schema.get("additionalProperties") is True:
            # An order or a product as a shop has it: a value of an odd type is no reason for a
            # client that checks results to refuse all of it.
            untyped = {name for name, part in schema["properties"].items() if not part}
            assert {"id"} == schema["properties"].keys() - untyped, path
            assert len(untyped) > 5, f"{path} names too few fields for typed clients"
            return
        assert schema["type"] != "object" or schema["properties"], f"{path} names no property"
        for name, part in schema.get("properties", {}).items():
            walk(part, f"{path}.{name}")
        if "items" in schema:
            walk(schema["items"], f"{path}[]")

    walk(tool.output_schema, tool.name)
    assert tool.output_schema["required"], f"{tool.name} promises nothing"


@each_tool
def test_schemas_are_plain_enough_for_every_model(tool: Tool) -> None:
    def walk(node: Any, path: str, *, is_names: bool = False) -> None:
        if isinstance(node, list):
            for entry in node:
                walk(entry, path)
        if not isinstance(node, dict):
            return
        if not is_names:
            noise = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title"} & set(node)
            assert not noise, f"{path} has {noise}"
            assert not ("default" in node and node["default"] is None), path
        for key, value in node.items():
            if key not in ("examples", "default", "enum", "const"):
                walk(value, f"{path}.{key}", is_names=key == "properties")

    walk(tool.input_schema, tool.name)
    walk(tool.output_schema, tool.name)
    jsonschema.Draft202012Validator.check_schema(tool.input_schema)
    jsonschema.Draft202012Validator.check_schema(tool.output_schema)


@each_tool
def test_the_examples_are_valid(tool: Tool) -> None:
    jsonschema.validate(tool.example.model_dump(mode="json", exclude_unset=True), tool.input_schema)
    for name, schema in tool.input_schema.get("properties", {}).items():
        for example in schema.get("examples", ()):
            jsonschema.validate(example, schema)
            assert name not in tool.secrets, f"{tool.name}.{name} is a secret and shows an example"


@each_tool
def test_a_tool_is_the_one_of_its_snapshot(tool: Tool) -> None:
    now = pretty(listing(tool).model_dump(by_alias=True, mode="json", exclude_none=True))
    kept = SNAPSHOTS / f"{tool.name}.json"

    if os.environ.get("SNAPSHOTS") == "write":
        SNAPSHOTS.mkdir(exist_ok=True)
        kept.write_text(now, encoding="utf-8")

    assert kept.exists(), (
        f"{tool.name} has no snapshot yet: SNAPSHOTS=write python -m pytest "
        "tests/tools/test_catalogue.py"
    )
    assert kept.read_text(encoding="utf-8") == now, (
        f"the schema of {tool.name} changed; if on purpose: SNAPSHOTS=write python -m pytest "
        "tests/tools/test_catalogue.py"
    )


def test_no_snapshot_is_left_of_a_tool_that_is_gone() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == {tool.name for tool in TOOLS}


@each_tool
def test_a_key_in_the_arguments_is_a_secret_by_type(tool: Tool) -> None:
    for name, field in tool.arguments.model_fields.items():
        named_like_one = re.search(r"(^|_)(key|token|secret|password)$", name) is not None

        assert (name in tool.secrets) == named_like_one == (field.annotation is Secret), name
        assert (tool.input_schema["properties"][name].get("x-secret") is True) == named_like_one


def test_the_list_of_all_tools_stays_small() -> None:
    """An agent pays for it in every conversation: a token counts as 4 bytes of the JSON sent."""
    sent = sum(
        len(listing(tool).model_dump_json(by_alias=True, exclude_none=True).encode())
        for tool in TOOLS
    )

    assert sent / 4 < 7_500


def test_to_delete_is_a_permission_of_its_own() -> None:
    deleting = {tool.name: tool.scope for tool in TOOLS if tool.deletes}

    assert deleting == {
        "orders_delete": Scope.ORDERS_DELETE,
        "stores_delete": Scope.STORES_MANAGE,
    }
    assert {tool.scope for tool in tools_for(SCOPE_PRESETS["Read and change"])}.isdisjoint(
        deleting.values()
    )
    assert all(tool.reads or not tool.open_world for tool in tools_for(SCOPE_PRESETS["Read only"]))
    assert {scope for scope in Scope if scope.endswith(":read")} == SCOPE_PRESETS["Read only"]
    assert SCOPE_PRESETS["Everything"] == ALL_SCOPES


def test_a_key_sees_the_tools_of_its_scopes() -> None:
    for scope in Scope:
        assert tools_for(frozenset({scope})) == [tool for tool in TOOLS if tool.scope is scope]
    assert tools_for(frozenset()) == []
    assert tools_for(ALL_SCOPES) == every_tool()


def test_every_module_of_toolsets_gives_tools_in_the_order_of_its_name() -> None:
    written = sorted(path.stem for path in Path(toolsets.__path__[0]).glob("[!_]*.py"))

    assert list(dict.fromkeys(tool.toolset for tool in every_tool())) == written


def test_an_unknown_tool_is_told_with_the_names_there_are() -> None:
    with pytest.raises(UnknownTool) as error:
        find_tool("orders_fetch")

    assert "orders_get" in error.value.message
    assert error.value.code == "VALIDATION_ERROR"
