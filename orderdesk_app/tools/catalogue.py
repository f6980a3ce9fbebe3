"""One tool, one value: its name, words, schemas, scope and example; asked by MCP, the console, the
guide, the README and the tests.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TypeVar, cast, get_type_hints

from orderdesk_app.context import Actor, LegacyScope, Scope, Secret
from orderdesk_app.errors import UnknownTool
from orderdesk_app.orderdesk.merge import NO_NEW_FOLDERS
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Principal
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.roles import has_scope
from orderdesk_app.services.writes import Preview
from orderdesk_app.tools import toolsets
from orderdesk_app.tools.arguments import Arguments, ArgumentsT
from orderdesk_app.tools.schema import Schema, schema_of
from orderdesk_app.tools.tool_services import ToolServices


@dataclass(slots=True)
class ToolCall:
    """What a tool gets beside its arguments: who asks, the services, and the store when the tool
    works on one.
    """

    services: ToolServices
    budget: WaitBudget
    signed_in: Principal | None  # None before a stdio session has signed in
    opened: OpenStore | None = None
    # signs the session in with a key; None over HTTP
    sign_in: Callable[[Secret], None] | None = None

    @property
    def principal(self) -> Principal:
        assert self.signed_in is not None, (
            "the runner lets only tools that work signed out run without a principal"
        )
        return self.signed_in

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def store(self) -> OpenStore:
        assert self.opened is not None, (
            "the runner opens a store for every tool that takes store_identifier"
        )
        return self.opened


ResultT = TypeVar("ResultT", bound=Mapping[str, object])
ToolFunction = Callable[[ToolCall, Arguments], Awaitable[Mapping[str, object]]]
PreviewFunction = Callable[[ToolCall, Arguments], Awaitable[Preview]]


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A tool as data.

    `legacy_scope` opens it too, to old keys; `weight` is its cost at the rate limit;
    `takes_store` makes the runner open the store of `store_identifier`; `deletes` is the argument
    that names what the tool deletes, or empty; `preview` tells what a call would write, without
    writing it; `also_called` are names that callers try.
    """

    name: str
    toolset: str
    title: str
    description: str
    scope: Scope
    reads: bool
    destructive: bool
    deletes: str
    idempotent: bool
    open_world: bool
    arguments: type[Arguments]
    run: ToolFunction
    example: Arguments
    input_schema: Schema
    output_schema: Schema
    secrets: frozenset[str]
    takes_store: bool
    works_signed_out: bool
    preview: PreviewFunction | None = None
    also_called: tuple[str, ...] = ()
    legacy_scope: LegacyScope | None = None

    def is_open_to(self, actor: Actor) -> bool:
        """Whether the actor's key or session has its scope."""
        return has_scope(actor, self.scope, self.legacy_scope)

    @property
    def weight(self) -> int:
        return 1 if self.reads else 2

    @property
    def annotations(self) -> Mapping[str, str | bool]:
        """The hints of the protocol, by their names on the wire."""
        return {
            "title": self.title,
            "readOnlyHint": self.reads,
            "destructiveHint": self.destructive,
            "idempotentHint": self.idempotent,
            "openWorldHint": self.open_world,
        }


_DECORATED: dict[str, Tool] = {}  # by name; filled while the modules of toolsets/ are imported


def tool(
    *,
    title: str,
    scope: Scope,
    legacy_scope: LegacyScope | None = None,
    reads: bool,
    example: Arguments,
    destructive: bool = False,
    deletes: str = "",
    idempotent: bool = True,
    open_world: bool = True,
    works_signed_out: bool = False,
    preview: Callable[[ToolCall, ArgumentsT], Awaitable[Preview]] | None = None,
    also_called: tuple[str, ...] = (),
) -> Callable[
    [Callable[[ToolCall, ArgumentsT], Awaitable[ResultT]]],
    Callable[[ToolCall, ArgumentsT], Awaitable[ResultT]],
]:
    """Make a function a tool: its name is the tool's name, its docstring the description, its
    annotations the schemas. It must be in a module of toolsets/.
    """

    def decorate(
        function: Callable[[ToolCall, ArgumentsT], Awaitable[ResultT]],
    ) -> Callable[[ToolCall, ArgumentsT], Awaitable[ResultT]]:
        hints = get_type_hints(function, vars(sys.modules[function.__module__]))
        arguments = cast(type[Arguments], hints["arguments"])
        assert function.__name__ not in _DECORATED, f"two tools are named {function.__name__}"
        takes_store = "store_identifier" in arguments.model_fields
        output_schema = schema_of(hints["return"], keeps_null=True)
        _DECORATED[function.__name__] = Tool(
            name=function.__name__,
            toolset=function.__module__.rsplit(".", 1)[-1],
            title=title,
            description=" ".join((function.__doc__ or "").split()),
            scope=scope,
            reads=reads,
            destructive=destructive or bool(deletes),
            deletes=deletes,
            idempotent=idempotent,
            open_world=open_world,
            arguments=arguments,
            run=cast(ToolFunction, function),
            example=example,
            input_schema=schema_of(arguments),
            output_schema=_naming_the_store(output_schema) if takes_store else output_schema,
            secrets=arguments.secret_names(),
            takes_store=takes_store,
            works_signed_out=works_signed_out,
            preview=cast(PreviewFunction | None, preview),
            also_called=also_called,
            legacy_scope=legacy_scope,
        )
        return function

    return decorate


def _naming_the_store(schema: Schema) -> Schema:
    """The runner puts the store before all else into the result of a tool that works on one."""
    store = {"type": "string", "description": "The store that was worked on: its name and id."}
    return {
        **schema,
        "properties": {"store": store, **schema["properties"]},
        "required": ["store", *schema["required"]],
    }


@cache
def _catalogue() -> Mapping[str, Tool]:
    for module in pkgutil.iter_modules(toolsets.__path__):
        importlib.import_module(f"{toolsets.__name__}.{module.name}")
    return dict(sorted(_DECORATED.items(), key=lambda entry: entry[1].toolset))


def every_tool() -> list[Tool]:
    """All tools in a fixed order: by toolset, then as written."""
    return list(_catalogue().values())


def tools_for(scopes: frozenset[Scope]) -> list[Tool]:
    """The tools that a credential with these scopes may call."""
    return [entry for entry in every_tool() if entry.scope in scopes]


def find_tool(name: str) -> Tool:
    """The tool of that name.

    Raises UnknownTool, which says what was probably meant and lists the names of all tools.
    """
    found = _catalogue().get(name)
    if found is None:
        raise UnknownTool(
            f"There is no tool of that name.{_meant(name[:_MAX_NAME])} "
            f"The tools are: {', '.join(_catalogue())}.",
            field="name",
        )
    return found


def _meant(name: str) -> str:
    """What the caller of an unknown tool probably wanted, "" where nobody can tell."""
    words = _words(name)
    if "folder" in words and words & {"create", "update", "delete"}:
        return f" {NO_NEW_FOLDERS} To move an order, call orders_update with folder_name."
    others = {known: tool.name for tool in every_tool() for known in tool.also_called}
    meant = (
        others.get(name)
        or next((known for known in _catalogue() if _words(known) == words), None)
        or next((others[known] for known in others if _words(known) == words), None)
        or next(iter(get_close_matches(name.lower(), _catalogue(), 1)), None)
    )
    return f" Did you mean {meant}?" if meant else ""


def _words(name: str) -> frozenset[str]:
    """The words of a tool's name in any style and order, in the singular, and one of those with
    the same meaning: orders.list, listOrders and get_all_orders are one.
    """
    parts = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    plain = [part.removesuffix("s") if len(part) > 3 else part for part in parts]
    return frozenset(_SAME_WORDS.get(part, part) for part in plain)


_MAX_NAME = 80  # characters of an unknown name that are compared: comparing takes long
_SAME_WORDS = {
    **dict.fromkeys(("add", "new", "make", "insert", "place", "post"), "create"),
    **dict.fromkeys(("edit", "change", "modify", "patch", "set", "mutate", "put"), "update"),
    **dict.fromkeys(("remove", "destroy"), "delete"),
    **dict.fromkeys(("read", "fetch", "show", "retrieve", "view"), "get"),
    **dict.fromkeys(("find", "search", "query", "filter"), "list"),
    **dict.fromkeys(("inventory", "item", "sku"), "product"),
    "shop": "store",
}
