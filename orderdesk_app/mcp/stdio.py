"""The same catalogue over stdin and stdout, for clients that start us as a child process."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server

from orderdesk_app.context import Secret, Via
from orderdesk_app.errors import AuthFailed, ConfigurationError
from orderdesk_app.mcp.server import AgentDoor
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.tools.runner import Runner


class StdioCaller:
    """The one caller of a stdio session. Its key is looked up anew for each call, so that a revoked one stops at once."""

    may_sign_in = True

    def __init__(self, access: Access) -> None:
        self._access = access
        self._key: Secret | None = None

    async def principal(self) -> Principal | None:
        return await self._access.by_token(self._key.reveal(), via=Via.STDIO) if self._key else None

    def sign_in(self, key: Secret) -> None:
        self._key = key


async def serve_stdio(runner: Runner, access: Access, key: str) -> None:
    """Serve until stdin ends. `key` may be empty: then tenant_use_master_key signs in. Raises ConfigurationError for a wrong ORDERDESK_MCP_KEY."""
    caller = StdioCaller(access)
    if key:
        caller.sign_in(Secret(key))
        try:
            await caller.principal()
        except AuthFailed as error:
            raise ConfigurationError("ORDERDESK_MCP_KEY: this key is not known here. Example: ORDERDESK_MCP_KEY=<a key from Settings>") from error

    def who_calls(_: ServerRequestContext[Any, Any]) -> StdioCaller:
        return caller

    server = AgentDoor(runner, who_calls).server()
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
