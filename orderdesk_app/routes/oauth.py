"""The addresses at which clients look for OAuth after a 401. There is none here, and the answer
says what to do instead: a client shows this answer and not that of `/mcp`.
"""

import re

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from orderdesk_app.context import current_request
from orderdesk_app.routes.html_pages import error_page, is_for_a_person

# Metadata: RFC 8414, RFC 9728 and OpenID Connect Discovery, with the path of the resource before or
# behind. Endpoints: those that the SDKs of MCP guess without metadata, and the usual ones.
_METADATA = re.compile(
    r"(?:/[\w-]+)?/\.well-known/(?:oauth-[a-z-]+|openid-configuration|jwks\.json)(?:/.*)?", re.ASCII
)
_ENDPOINTS = re.compile(
    r"(?:/mcp)?(?:/oauth2?)?/"
    r"(?:register|authorize|token|revoke|introspect|device_authorization|userinfo|par|jwks)/?"
)
WORDS = (
    "This server has no OAuth sign-in, and the key that was sent is missing, unknown, revoked or "
    "expired. Send the account's master key, or a key from Settings in the web app, as "
    "Authorization: Bearer, and start the client again (mcp-remote: --header)."
)


def is_oauth(path: str) -> bool:
    """Whether OAuth clients ask for this address."""
    return _METADATA.fullmatch(path) is not None or _ENDPOINTS.fullmatch(path) is not None


def no_oauth(scope: Scope) -> Response:
    """404 where metadata would be, which lets a client go on to its next guess; 403 elsewhere.

    A 404 or 405 to a registration makes mcp-remote try its older transport and hide the reason.
    """
    is_metadata = _METADATA.fullmatch(scope["path"]) is not None
    status, name = (404, "not_found") if is_metadata else (403, "access_denied")
    if is_for_a_person(scope):
        return error_page(
            status, "There is no OAuth here", WORDS, reference=current_request().request_id
        )
    # `error` and `error_description` are what the SDKs read (RFC 6749 5.2, RFC 7591 3.2.2).
    return JSONResponse(
        {"error": name, "error_description": WORDS, "message": WORDS},
        status,
        {"Cache-Control": "no-store"},
    )
