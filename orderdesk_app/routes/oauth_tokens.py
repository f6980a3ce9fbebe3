"""The addresses where OAuth clients fetch, renew and revoke tokens: `/token` and `/revoke`.

Programs call them, from any origin: no cookie counts here, and no answer is a page.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import (
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    OrderDeskAgentsError,
    RateLimit,
    RateLimited,
)
from orderdesk_app.observability import OAUTH_REFUSED
from orderdesk_app.routes.forms import (
    Endpoint,
    Form,
    FormKind,
    client_address,
    read_form,
    takes_form,
)
from orderdesk_app.routes.oauth import NO_STORE, cross_origin, preflight
from orderdesk_app.security.web import rate_limit_headers, wait_headers
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.oauth_client import Client, client_credentials, require_proved
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.oauth_resource import narrowed_scopes

_LONGEST = 4_096  # of any value: what is longer is not looked up
ClientEndpoint = Callable[[Request, Client, Form], Awaitable[Response]]


def client_form(endpoint: ClientEndpoint) -> Endpoint:
    """Decorates the endpoint of a form that a client sends: proves the client, and answers errors
    in JSON (RFC 6749 section 5.2). Failures cost their network tokens of a limit, as each asks the
    database.
    """

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        limit = wiring.current().limits.token_requests
        address = client_address(request)
        try:
            await limit.spend(address)
            answer = await _answer_of(endpoint, request)
            await limit.give_back(address)
        except RateLimited as error:
            return too_many(error)
        except OAuthRefused as error:
            answer = refusal(error)
        except OrderDeskAgentsError as error:  # of the form itself
            refused = OAuthRefused(OAuthError.INVALID_REQUEST, error.message)
            is_of_body = isinstance(error, BodyTooSlow | BodyTooLarge | BodyEncoded)
            answer = refusal(refused, error.http_status if is_of_body else 400)
        return with_level(answer, await limit.level(address))

    takes_form(checked, FormKind.OF_ANYBODY)
    return checked


async def _answer_of(endpoint: ClientEndpoint, request: Request) -> Response:
    form = await read_form(request, repeated=("resource",))
    if any(len(value) > _LONGEST for value in form.values()):
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "One of the values is too long.")
    return await endpoint(request, await _proved_client(request, form), form)


@client_form
@open_to(Callers.ANYBODY)
async def token(request: Request, client: Client, form: Form) -> Response:
    services, address = wiring.current(), client_address(request)
    services.oauth_resource.require(form.get("resource", "").split(","))
    grant = form.get("grant_type", "")
    if grant == "authorization_code":
        pair = await services.oauth_tokens.exchange(
            client,
            _required(form, "code"),
            verifier=_required(form, "code_verifier"),
            redirect_uri=form.get("redirect_uri") or None,
            address=address,
        )
    elif grant == "refresh_token":
        pair = await services.oauth_tokens.refresh(
            client,
            _required(form, "refresh_token"),
            scopes=narrowed_scopes(form.get("scope", "")),
            address=address,
        )
    elif grant:
        raise OAuthRefused(
            OAuthError.UNSUPPORTED_GRANT_TYPE, "Send authorization_code or refresh_token."
        )
    else:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, "Send grant_type.")
    await services.oauth_clients.note_use(client.client_id)
    return cross_origin(JSONResponse(pair.answer(), headers=NO_STORE))


@client_form
@open_to(Callers.ANYBODY)
async def revoke(request: Request, client: Client, form: Form) -> Response:
    """200 also for a token that is not known, or not the client's (RFC 7009 section 2.2)."""
    given = _required(form, "token")
    await wiring.current().oauth_tokens.revoke(client, given, address=client_address(request))
    return cross_origin(Response(status_code=200, headers=NO_STORE))


def refusal(error: OAuthRefused, status: int | None = None) -> Response:
    """The error as clients read it; one that is not known is told how it may prove itself."""
    OAUTH_REFUSED.labels(error.error.value).inc()
    answer = JSONResponse(
        {"error": error.error.value, "error_description": error.description},
        status or error.http_status,
        NO_STORE,
    )
    if answer.status_code == 401:  # RFC 9110 section 15.5.2
        answer.headers["WWW-Authenticate"] = 'Basic realm="orderdesk"'
    if answer.status_code == BodyEncoded.http_status:
        answer.headers["Accept-Encoding"] = "identity"  # RFC 9110 12.5.3: what is taken
    return cross_origin(answer)


async def _proved_client(request: Request, form: Form) -> Client:
    services = wiring.current()
    given = client_credentials(request.headers.get("authorization", ""), form)
    client = await services.oauth_clients.known(given.client_id)
    return require_proved(client, given, services.keyring.digest_key)


def _required(form: Form, name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, f"Send {name}.")
    return value


def with_level(answer: Response, level: RateLimit) -> Response:
    """The answer, which says what its network has left."""
    answer.headers.update(rate_limit_headers(level))
    return answer


def too_many(error: RateLimited) -> Response:
    OAUTH_REFUSED.labels(OAuthError.TEMPORARILY_UNAVAILABLE.value).inc()
    return cross_origin(
        JSONResponse(
            {
                "error": OAuthError.TEMPORARILY_UNAVAILABLE.value,
                "error_description": error.message,
            },
            error.http_status,
            {**NO_STORE, **wait_headers(error)},
        )
    )


ROUTES = [
    Route("/token", token, methods=["POST"]),
    Route("/revoke", revoke, methods=["POST"]),
    *[Route(path, preflight, methods=["OPTIONS"]) for path in ("/token", "/revoke")],
]
