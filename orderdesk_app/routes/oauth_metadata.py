"""What OAuth clients read before they connect: who gives tokens for `/mcp`, where, and how.

Written by hand: with the models of the SDK an issuer without a path gets a slash, and clients
compare it byte for byte (RFC 8414 section 3.3, RFC 9728 section 3.3).
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Json, JsonObject, Scope
from orderdesk_app.routes.oauth import METADATA_FORMS, cross_origin, preflight
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.oauth_client import AUTH_METHODS
from orderdesk_app.services.oauth_resource import USUAL_SCOPES, OAuthResource, in_order

_CACHED = {"Cache-Control": "public, max-age=300"}


def protected_resource(resource: OAuthResource) -> JsonObject:
    """RFC 9728: the one audience, and who gives its tokens. Its scopes are those that a client asks
    for at first (MCP, authorization): what deletes is asked for when it is needed.
    """
    return {
        "resource": resource.audience,
        "authorization_servers": [resource.issuer],
        "scopes_supported": [scope.value for scope in in_order(USUAL_SCOPES)],
        "bearer_methods_supported": ["header"],
        "resource_name": "Order Desk agents",
    }


def authorization_server(resource: OAuthResource) -> JsonObject:
    """RFC 8414, and what the MCP specification asks for beside it."""
    issuer = resource.issuer
    methods: list[Json] = [*AUTH_METHODS]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "scopes_supported": [scope.value for scope in Scope],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
    }


@open_to(Callers.ANYBODY)
async def show_resource(request: Request) -> Response:
    return _shown(protected_resource(wiring.current().oauth_resource))


@open_to(Callers.ANYBODY)
async def show_server(request: Request) -> Response:
    return _shown(authorization_server(wiring.current().oauth_resource))


def _shown(metadata: JsonObject) -> Response:
    return cross_origin(JSONResponse(metadata, headers=_CACHED))


ROUTES = [
    *[
        Route(form.format(name="oauth-protected-resource"), show_resource, methods=["GET"])
        for form in METADATA_FORMS
    ],
    *[
        Route(form.format(name=name), show_server, methods=["GET"])
        for name in ("oauth-authorization-server", "openid-configuration")
        for form in METADATA_FORMS
    ],
    *[
        Route(form.format(name=name), preflight, methods=["OPTIONS"])
        for name in (
            "oauth-protected-resource",
            "oauth-authorization-server",
            "openid-configuration",
        )
        for form in METADATA_FORMS
    ],
]
