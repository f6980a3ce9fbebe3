"""The addresses of OAuth: which there are, which of them pages of other sites may use, and what is
answered at those that clients guess and that are none.

Without the web app nobody can approve anything, so there is no OAuth: the answer says what to do
instead, as a client shows it and not that of `/mcp`.
"""

import re
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from orderdesk_app.context import current_request
from orderdesk_app.routes.html_pages import error_page, is_for_a_person
from orderdesk_app.security.web import EXPOSED_HEADERS
from orderdesk_app.services.callers import Callers, open_to

ResponseT = TypeVar("ResponseT", bound=Response)

# Metadata: RFC 8414, RFC 9728 and OpenID Connect Discovery, with the path of the resource before or
# behind. Endpoints: those that the SDKs of MCP guess without metadata, and the usual ones.
_METADATA = re.compile(
    r"(?:/[\w-]+)?/\.well-known/(?:oauth-[a-z-]+|openid-configuration|jwks\.json)(?:/.*)?", re.ASCII
)
_ENDPOINTS = re.compile(
    r"(?:/mcp)?(?:/oauth2?)?/"
    r"(?:register|authorize|token|revoke|introspect|device_authorization|userinfo|par|jwks)/?"
)
# Where a document is looked for: of the host, of `/mcp`, and below it. Some clients end each of
# these with a slash, as they do the address of the server.
METADATA_FORMS = tuple(
    f"{form}{end}"
    for form in ("/.well-known/{name}", "/.well-known/{name}/mcp", "/mcp/.well-known/{name}")
    for end in ("", "/")
)
# For programs: they need no cookie, and a page of any site may be one of them.
FOR_PROGRAMS = frozenset({"/register", "/token", "/revoke"})
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
WITHOUT_OAUTH = (
    "This server has no OAuth sign-in, and the key that was sent is missing, unknown, revoked or "
    "expired. Send the account's master key, or a key from Settings in the web app, as "
    "Authorization: Bearer, and start the client again (mcp-remote: --header)."
)
_ELSEWHERE = (
    "Nothing of OAuth is served at this address. Read /.well-known/oauth-authorization-server, "
    "which names the addresses that there are."
)


def is_oauth(path: str) -> bool:
    """Whether OAuth clients ask for this address."""
    return _METADATA.fullmatch(path) is not None or _ENDPOINTS.fullmatch(path) is not None


def is_for_programs(path: str) -> bool:
    """Whether pages of other sites may use this address (CORS), and every host of ours serves it:
    nothing there acts by a cookie.
    """
    return path in FOR_PROGRAMS or _METADATA.fullmatch(path) is not None


def cross_origin(response: ResponseT) -> ResponseT:
    """The response, which a page of any site may read; no browser sends cookies along."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return response


@open_to(Callers.ANYBODY)
async def preflight(request: Request) -> Response:
    """What a browser asks before a page of another site may send its request."""
    return cross_origin(
        Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": (
                    "Authorization, Content-Type, Accept, MCP-Protocol-Version, X-Request-ID"
                ),
                "Access-Control-Max-Age": "600",
            },
        )
    )


def no_oauth(scope: Scope, *, is_elsewhere: bool) -> Response:
    """404 where metadata would be, which lets a client go on to its next guess; 403 for endpoints.
    `is_elsewhere`: there is OAuth, at other addresses.

    A 404 or 405 to a registration makes mcp-remote try its older transport and hide the reason.
    """
    is_metadata = _METADATA.fullmatch(scope["path"]) is not None
    status, name = (404, "not_found") if is_metadata else (403, "access_denied")
    words = _ELSEWHERE if is_elsewhere else WITHOUT_OAUTH
    if is_for_a_person(scope):
        title = "Nothing is here" if is_elsewhere else "There is no OAuth here"
        return error_page(status, title, words, reference=current_request().request_id)
    # `error` and `error_description` are what the SDKs read (RFC 6749 5.2, RFC 7591 3.2.2).
    answer = JSONResponse(
        {"error": name, "error_description": words, "message": words},
        status,
        {"Cache-Control": "no-store"},
    )
    return cross_origin(answer) if is_metadata else answer
