"""`/register`, where OAuth clients register themselves (RFC 7591). Programs call it, from any
origin: no cookie counts here.
"""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import JsonObject
from orderdesk_app.errors import BodyEncoded, BodyTooLarge, BodyTooSlow, RateLimited
from orderdesk_app.routes.forms import FORM_SECONDS, client_address, read_body
from orderdesk_app.routes.oauth import NO_STORE, cross_origin, preflight
from orderdesk_app.routes.oauth_tokens import refusal, too_many, with_level
from orderdesk_app.security.web import body_encoding
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.client_registration import LARGEST_BODY
from orderdesk_app.services.oauth_client import AUTH_METHODS
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused

PATH = "/register"
# What is read of the body, for openapi.json.
METADATA: JsonObject = {
    "type": "object",
    "required": ["redirect_uris"],
    "properties": {
        "redirect_uris": {
            "type": "array",
            "items": {"type": "string", "format": "uri"},
            "minItems": 1,
        },
        "client_name": {"type": "string"},
        "client_uri": {"type": "string", "format": "uri"},
        "token_endpoint_auth_method": {"enum": list(AUTH_METHODS)},
        "grant_types": {"type": "array", "items": {"type": "string"}},
        "response_types": {"type": "array", "items": {"type": "string"}},
    },
}


@open_to(Callers.ANYBODY)
async def register(request: Request) -> Response:
    """Registers a client: 201, or an error of RFC 7591 section 3.2.2."""
    services, address = wiring.current(), client_address(request)
    answer: Response
    try:
        said = await services.oauth_clients.register(await _metadata(request), address=address)
        answer = cross_origin(JSONResponse(said, 201, NO_STORE))
    except RateLimited as error:
        return too_many(error)
    except OAuthRefused as error:
        answer = refusal(error)
    except (BodyEncoded, BodyTooLarge, BodyTooSlow) as error:
        answer = refusal(_unreadable(error.message), error.http_status)
    return with_level(answer, await services.limits.registrations.level(address))


async def _metadata(request: Request) -> JsonObject:
    """The JSON object of the body. Raises OAuthRefused for any other, BodyEncoded, BodyTooLarge,
    BodyTooSlow.
    """
    if body_encoding(request.headers):
        raise BodyEncoded("Send the metadata plain, without Content-Encoding.")
    try:
        async with asyncio.timeout(FORM_SECONDS):
            body = await read_body(
                request,
                LARGEST_BODY,
                f"The metadata of a client has at most {LARGEST_BODY // 1024} KiB.",
            )
        said = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        said = None
    except TimeoutError:
        raise BodyTooSlow("The metadata did not arrive in time. Send it again.") from None
    if not isinstance(said, dict):
        raise _unreadable("Send the client's metadata as one JSON object.")
    return said


def _unreadable(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_CLIENT_METADATA, description)


ROUTES = [
    Route(PATH, register, methods=["POST"]),
    Route(PATH, preflight, methods=["OPTIONS"]),
]
