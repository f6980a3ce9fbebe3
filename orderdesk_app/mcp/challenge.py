"""How `/mcp` says what a caller lacks, so that an OAuth client can fetch it: tokens (401), or more
permissions (403, "step-up").

Only connected apps are asked to come back with more: whoever sends a key gets the tool's own error.
"""

from collections.abc import Iterable, Sequence

from starlette.responses import JSONResponse, Response

from orderdesk_app.context import READING_SCOPES, Json, JsonObject
from orderdesk_app.errors import AuthFailed, UnknownTool
from orderdesk_app.mcp.body import INVALID_REQUEST
from orderdesk_app.services.access import Principal
from orderdesk_app.services.oauth_resource import USUAL_SCOPES, OAuthResource, as_text
from orderdesk_app.services.roles import scopes_of
from orderdesk_app.tools.catalogue import Tool, find_tool


class Challenges:
    """`resource` is None where there is no OAuth: nobody could approve anything."""

    def __init__(self, resource: OAuthResource | None) -> None:
        self._resource = resource

    def unauthorized(self, error: AuthFailed, *, had_token: bool, is_post: bool) -> Response:
        """401. Without credentials there is no error code (RFC 6750 section 3.1)."""
        parts = ['realm="orderdesk"']
        if had_token:
            parts += [
                'error="invalid_token"',
                'error_description="The key is unknown, revoked or expired"',
            ]
        if self._resource is not None:
            parts += [f'scope="{as_text(USUAL_SCOPES)}"', self._metadata()]
        name = "invalid_token" if had_token else "unauthorized"
        return _refused(401, parts, name, error.code, error.message, is_post=is_post)

    def insufficient(self, principal: Principal, tools: Sequence[Tool]) -> Response:
        """403 with all that the app needs: what it has, and what these tools need (RFC 6750
        section 3.1; MCP 2026-07-28, authorization).
        """
        names = ", ".join(tool.name for tool in tools)
        missing = as_text(tool.scope for tool in tools)
        needed = {*principal.actor.scopes, *(tool.scope for tool in tools)}
        words = (
            f"The permission for {names} is missing: this app does not have {missing}. Nothing was "
            "done. Connect the app once more and allow it."
        )
        parts = [
            'realm="orderdesk"',
            'error="insufficient_scope"',
            f'error_description="Needed for {names}: {missing}"',
            f'scope="{as_text(needed)}"',
            self._metadata(),
        ]
        return _refused(403, parts, "insufficient_scope", "PERMISSION_DENIED", words, is_post=True)

    def lacking(self, principal: Principal, messages: Iterable[Json]) -> list[Tool]:
        """The tools that the messages call, where the caller is an app that has not got their
        permission, and whose person could give it. Each stands there once.
        """
        if self._resource is None or not principal.is_app:
            return []
        called = dict.fromkeys(filter(None, map(_called_name, messages)))
        return [tool for name in called if (tool := _known(name)) and _may_ask(principal, tool)]

    def _metadata(self) -> str:
        assert self._resource is not None
        return f'resource_metadata="{self._resource.metadata}"'


def _called_name(message: Json) -> str | None:
    """The name of the tool that the message calls, if it is a call."""
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else None


def _known(name: str) -> Tool | None:
    try:
        return find_tool(name)
    except UnknownTool:
        return None


def _may_ask(principal: Principal, tool: Tool) -> bool:
    """Whether the app lacks the tool's permission, and its person's role has it."""
    actor = principal.actor
    return not tool.is_open_to(actor) and tool.scope in scopes_of(actor.role)


def is_listed(principal: Principal, tool: Tool) -> bool:
    """Whether the caller hears of the tool. An app also hears of what nobody asks for at first,
    such as deletions, so that it can ask when it is needed; not of what its person took away.
    """
    if tool.is_open_to(principal.actor):
        return True
    if not principal.is_app or tool.scope in USUAL_SCOPES:
        return False
    is_read_only = principal.actor.scopes <= READING_SCOPES
    return not is_read_only and tool.scope in scopes_of(principal.actor.role)


def _refused(
    status: int, parts: list[str], name: str, code: str, words: str, *, is_post: bool
) -> Response:
    said: JsonObject = {"error": name, "code": code, "message": words}
    if is_post:  # clients of MCP show the message of a JSON-RPC error alone
        error: JsonObject = {"code": INVALID_REQUEST, "message": words}
        said |= {"jsonrpc": "2.0", "id": None, "error": error}
    return JSONResponse(
        said,
        status,
        {"WWW-Authenticate": "Bearer " + ", ".join(parts), "Cache-Control": "no-store"},
    )
