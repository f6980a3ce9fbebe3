"""What ours is compared with: the MCP SDK with one trivial tool and a bearer check, and a route
that only answers JSON.
"""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = "the-key-of-the-bare-server"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[
            types.Tool(
                name="echo",
                description="Returns the text.",
                input_schema=SCHEMA,
                output_schema=SCHEMA,
            )
        ]
    )


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    text = str((params.arguments or {}).get("text", ""))
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content={"text": text}
    )


class BearerCheck:
    """The whole of its security."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, f"Bearer {TOKEN}".encode()):
            return await PlainTextResponse("no", 401, {"WWW-Authenticate": "Bearer"})(
                scope, receive, send
            )
        await self._manager.handle_request(scope, receive, send)


def create_app() -> ASGIApp:
    # With get_tool_input_schema the SDK does not list the tools in each call: the faster of the two
    # ways to write a bare server.
    server: Server[Any] = Server(
        "bare",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: SCHEMA,
    )
    manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Route("/mcp", BearerCheck(manager))], lifespan=lifespan)


def create_json_app() -> ASGIApp:
    """How fast the load generator can be at all."""

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"text": "hello"})

    return Starlette(routes=[Route("/mcp", answer, methods=["POST"])])
