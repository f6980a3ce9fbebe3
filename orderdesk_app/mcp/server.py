"""The protocol server: lists the tools that a credential may call, and hands calls to the runner.

HTTP and stdio each make one.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Protocol

import mcp_types as types
from cachetools import LRUCache
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import SERVER_INFO_META_KEY
from mcp_types.methods import validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError

from orderdesk_app import __version__
from orderdesk_app.context import JsonObject, Secret, current_request, serving
from orderdesk_app.errors import AuthFailed
from orderdesk_app.mcp.challenge import is_listed
from orderdesk_app.mcp.prebuilt_result import PrebuiltResult, prebuilt_result_of
from orderdesk_app.mcp.progress import report_progress
from orderdesk_app.mcp.text import clean, program_name, render_text
from orderdesk_app.observability import ERRORS, MCP_REQUESTS, log
from orderdesk_app.services.access import Principal
from orderdesk_app.tools.catalogue import Tool, every_tool
from orderdesk_app.tools.runner import Outcome, Runner

_LOG = log(__name__)
_SERVER_INFO = {"name": "orderdesk-agents", "title": "Order Desk agents", "version": __version__}
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
INSTRUCTIONS = (
    "Read and change the orders of Order Desk stores. Find orders with orders_list, read one "
    "with orders_get, change it with orders_update "
    "(send only what changes; pass expected_date_updated to be refused when somebody else "
    "changed it meanwhile). Ids are Order Desk's own."
)
_METHODS = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "notifications/initialized",
        "notifications/cancelled",
    }
)
_REVISIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"})
_MAX_CLIENTS = 10_000
MAX_NAME = 80  # characters of a client's own name


class Caller(Protocol):
    """The caller as its transport knows it."""

    async def principal(self) -> Principal | None: ...

    def sign_in(self, key: Secret) -> None: ...

    @property
    def may_sign_in(self) -> bool: ...

    @property
    def session(self) -> str:
        """The same for all calls that one `initialize` belongs to."""
        ...


CallerOf = Callable[[ServerRequestContext], Caller]


class McpHandlers:
    """The handlers of the protocol server. `caller_of` finds the caller of a request."""

    def __init__(self, runner: Runner, caller_of: CallerOf) -> None:
        self._runner = runner
        self._caller_of = caller_of
        # by session, the name and version in its last `initialize`
        self._clients: LRUCache[str, tuple[str, str]] = LRUCache(_MAX_CLIENTS)
        self._listed = {entry.name: listing(entry) for entry in every_tool()}
        # The SDK asks in every call whether an argument is also sent as a header, and would search
        # the whole schema to find none.
        self._schemas_with_headers = {
            entry.name: entry.input_schema
            for entry in every_tool()
            if '"x-mcp-header"' in json.dumps(entry.input_schema)
        }

    def server(self) -> Server:
        """A protocol server with these handlers."""
        server: Server = Server(
            _SERVER_INFO["name"],
            version=_SERVER_INFO["version"],
            title=_SERVER_INFO["title"],
            instructions=INSTRUCTIONS,
            cache_hints={
                "tools/list": CacheHint(60_000, "private"),
                "server/discover": CacheHint(300_000, "private"),
            },
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )
        # in place of the SDK's tracing middleware, for which there is no collector here
        server.middleware[:] = [self._middleware]
        return server

    async def _middleware(self, ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
        """Counts the message, gives it a request context, and handles most tools/call itself."""
        method = ctx.method if ctx.method in _METHODS else "other"
        MCP_REQUESTS.labels(
            method, ctx.protocol_version if ctx.protocol_version in _REVISIONS else "other"
        ).inc()
        if ctx.method == "initialize":
            self._remember_client(ctx)
        try:
            if ctx.method != "tools/call":  # which has a row of the audit log
                await self._note_use(ctx)
            # Over HTTP it is the request's; over stdio each message is a request of its own.
            with serving(current_request()):
                if ctx.method != "tools/call":
                    return await call_next(ctx)
                prebuilt = (
                    prebuilt_result_of(ctx.request.scope) if ctx.request is not None else None
                )
                if prebuilt is not None or not _has_valid_arguments(ctx.params):
                    return await self._call(ctx, prebuilt)
                return await call_next(ctx)
        except (MCPError, ValidationError):
            raise  # the protocol's own refusals
        except Exception as error:  # the SDK would send its text to the client
            _LOG.error("a request of an agent failed", exc_info=error, method=method)
            ERRORS.labels("mcp").inc()
            reference = current_request().request_id
            raise MCPError(
                INTERNAL_ERROR,
                (
                    "Something went wrong on our side. Tell your administrator this "
                    f"reference: {reference}."
                ),
            ) from error

    async def _note_use(self, ctx: ServerRequestContext) -> None:
        """The first message of a client is its first call, though it calls no tool yet."""
        caller = self._caller_of(ctx)
        with contextlib.suppress(AuthFailed):  # the handler says so, where the message needs a key
            principal = self._with_client_name(ctx, caller, await self._principal(caller))
            if principal is not None:
                self._runner.note_use(principal)

    def _remember_client(self, ctx: ServerRequestContext) -> None:
        info = (ctx.params or {}).get("clientInfo")
        if isinstance(info, Mapping):
            session = self._caller_of(ctx).session
            self._clients[session] = _name_and_version(info)

    def _input_schema(self, name: str) -> Mapping[str, object] | None:
        return self._schemas_with_headers.get(name)

    async def _list_tools(
        self, ctx: ServerRequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        caller = self._caller_of(ctx)
        try:
            principal = self._with_client_name(ctx, caller, await self._principal(caller))
        except AuthFailed as error:
            raise MCPError(INVALID_REQUEST, error.message) from error
        shown = [
            entry for entry in every_tool() if principal is None or is_listed(principal, entry)
        ]
        return types.ListToolsResult(tools=[self._listed[entry.name] for entry in shown])

    async def _list_prompts(
        self, ctx: ServerRequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[])

    async def _list_resources(
        self, ctx: ServerRequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])

    async def _list_templates(
        self, ctx: ServerRequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[])

    async def _get_prompt(
        self, ctx: ServerRequestContext, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        raise MCPError(
            INVALID_PARAMS,
            "There is no such prompt: this server has tools only.",
            {"name": params.name},
        )

    async def _read_resource(
        self, ctx: ServerRequestContext, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        raise MCPError(
            INVALID_PARAMS,
            "There is no such resource: this server has tools only.",
            {"uri": str(params.uri)},
        )

    async def _call_tool(
        self, ctx: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return call_tool_result(await self._run(ctx, params.name, params.arguments))

    async def _call(self, ctx: ServerRequestContext, prebuilt: PrebuiltResult | None) -> JsonObject:
        """tools/call as the SDK does it, with its check of the parameters, but without its copies
        of parameters and result. Returns the wire's form.

        Arguments that are not an object reach the runner too, which refuses them in words and
        writes an audit row."""
        params = ctx.params or {}
        validate_client_request(
            "tools/call",
            ctx.protocol_version,
            params if _has_valid_arguments(params) else {**params, "arguments": {}},
        )
        outcome = await self._run(ctx, params["name"], params.get("arguments"))
        if outcome.result is None or prebuilt is None:
            result = call_tool_result(outcome).model_dump(
                by_alias=True, mode="json", exclude_none=True
            )
        else:
            result = prebuilt.placeholder_for(outcome.result)
        if ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS:
            result.pop("resultType", None)
            return result
        meta = result.get("_meta")
        return {
            **result,
            "resultType": "complete",
            "_meta": {
                **(meta if isinstance(meta, dict) else {}),
                SERVER_INFO_META_KEY: _SERVER_INFO,
            },
        }

    async def _run(self, ctx: ServerRequestContext, tool: str, arguments: object) -> Outcome:
        caller = self._caller_of(ctx)
        try:
            principal = self._with_client_name(ctx, caller, await self._principal(caller))
        except AuthFailed as error:
            error.outcome = "not_done"
            return Outcome(None, error=error)
        call = self._runner.run(
            principal,
            tool,
            arguments,
            sign_in=caller.sign_in if caller.may_sign_in else None,
            ask_again=caller.principal,
        )
        if (ctx.meta or {}).get("progress_token") is None:
            return await call
        async with report_progress(ctx.session.report_progress):
            return await call

    async def _principal(self, caller: Caller) -> Principal | None:
        """The caller, None before a stdio session has signed in. Raises AuthFailed where an HTTP
        request's key stopped while the request ran.
        """
        try:
            return await caller.principal()
        except AuthFailed:
            if not caller.may_sign_in:
                raise
            # A key that stopped during a stdio session: the runner asks to sign in again.
            return None

    def _with_client_name(
        self, ctx: ServerRequestContext, caller: Caller, principal: Principal | None
    ) -> Principal | None:
        if principal is None:
            return None
        info = (ctx.meta or {}).get(CLIENT_INFO)
        if isinstance(info, Mapping):
            name, version = _name_and_version(info)
        else:
            name, version = self._clients.get(caller.session, ("", ""))
        return principal.with_client(
            name or principal.actor.client_name, version, principal.actor.address
        )


def _has_valid_arguments(params: Mapping[str, object] | None) -> bool:
    """Whether the arguments of a tools/call are an object, as the protocol asks, or left out."""
    arguments = (params or {}).get("arguments")
    return arguments is None or isinstance(arguments, Mapping)


def _name_and_version(info: Mapping[str, object]) -> tuple[str, str]:
    """What a client calls itself, cleaned once for all places that keep or show it."""
    return program_name(info.get("name", ""), MAX_NAME), program_name(info.get("version", ""), 40)


def listing(entry: Tool) -> types.Tool:
    """A tool as `tools/list` shows it."""
    return types.Tool(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        input_schema=entry.input_schema,
        output_schema=entry.output_schema,
        annotations=types.ToolAnnotations(
            title=entry.title,
            read_only_hint=entry.reads,
            destructive_hint=entry.destructive,
            idempotent_hint=entry.idempotent,
            open_world_hint=entry.open_world,
        ),
    )


def call_tool_result(outcome: Outcome) -> types.CallToolResult:
    """An outcome in the SDK's type: text for models and structure for programs.

    An error says its code, the next step, and in `_meta` what became of a write.
    """
    error = outcome.error
    if error is None:
        result = outcome.result or {}
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=render_text(result))],
            structured_content=result,
        )
    facts = {
        "code": error.code,
        "field": error.field,
        "retry_after": error.retry_after,
        "outcome": error.outcome,
        **error.details,
    }
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=f"{error.code}: {clean(error.message)}")],
        is_error=True,
        _meta={"orderdesk/error": facts},
    )
