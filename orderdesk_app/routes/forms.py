"""What every form of ours passes: sent by our own page, small, by a session that is alive, with
that session's form token.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from orderdesk_app import wiring
from orderdesk_app.context import current_request
from orderdesk_app.errors import (
    BodyTooLarge,
    OrderDeskAgentsError,
    PermissionDenied,
    ValidationFailed,
)
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.routes.html_pages import error_page
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.services.flash_messages import FlashMessage, message_of
from orderdesk_app.services.sessions import COOKIE, WebUser

_LOG = log(__name__)
_MOST_BYTES = 256 * 1024
_MOST_FIELDS = 200
_SECONDS = 30.0  # a form that comes in drops holds a connection, and nobody has signed in yet
Form = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]
SignedInEndpoint = Callable[[Request, WebUser, Form], Awaitable[Response]]


def own_form(endpoint: Callable[[Request, Form], Awaitable[Response]]) -> Endpoint:
    """For people who are not signed in yet: the form comes from our own page and is small."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        try:
            if not is_from_us(request.headers.get("origin", ""), request.headers.get("host", "")):
                raise PermissionDenied(
                    "This form came from another address than this server's own. Open "
                    "the page by the address in PUBLIC_URL and send it again."
                )
            return await endpoint(request, await _read(request))
        except OrderDeskAgentsError as error:
            return error_page(
                error.http_status,
                "That was not done",
                error.message,
                href="/",
                label="Home",
                reference=current_request().request_id,
            )
        except ClientDisconnect:
            return Response(status_code=400)  # nobody waits for it
        except Exception as error:
            ERRORS.labels("web").inc()
            _LOG.error("a form failed", exc_info=error, route=request.url.path)
            return error_page(
                500,
                "Something went wrong on our side",
                "Try again; if it stays, tell your administrator the reference.",
                reference=current_request().request_id,
            )

    return checked


def signed_in_form(endpoint: SignedInEndpoint) -> Endpoint:
    """For everything else: a live session and its form token too."""

    @own_form
    @wraps(endpoint)
    async def checked(request: Request, form: Form) -> Response:
        user = await signed_in(request)
        if user is None:
            return back("/sign-in", error="ended")
        wiring.current().form_tokens.check(user.session_id, form.get("form_token", ""))
        return await endpoint(request, user, form)

    return checked


async def signed_in(connection: HTTPConnection) -> WebUser | None:
    """Whose session the cookie names, the row asked for anew."""
    return await wiring.current().sessions.resume(connection.cookies.get(COOKIE))


def back(path: str, **query: str) -> RedirectResponse:
    """303 to a page of ours, with codes that the page turns into sentences."""
    given = {name: value for name, value in query.items() if value}
    return RedirectResponse(f"{path}?{urlencode(given)}" if given else path, 303)


def refuse(
    user: WebUser,
    path: str,
    error: OrderDeskAgentsError,
    *,
    form: str = "",
    typed: Mapping[str, str] | None = None,
) -> RedirectResponse:
    """Back to the page, which says the error at its field and keeps what was typed."""
    wiring.current().flash_messages.set(
        user.session_id,
        FlashMessage(message_of(error), field=error.field or "", form=form, typed=typed or {}),
    )
    return back(path)


def done(user: WebUser, path: str, text: str) -> RedirectResponse:
    """Back to the page, which says what was done."""
    wiring.current().flash_messages.set(user.session_id, FlashMessage(text, tone="green"))
    return back(path)


def remember(response: Response, cookie: str) -> Response:
    """Sets the session cookie: for scripts invisible, for other sites useless."""
    settings = wiring.current().settings
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=settings.session_timeout,
        path="/",
        httponly=True,
        secure=settings.cookie_secure,
        samesite="strict" if settings.session_cookie_samesite == "Strict" else "lax",
    )
    return response


def forget(response: Response) -> Response:
    settings = wiring.current().settings
    response.delete_cookie(
        COOKIE, path="/", httponly=True, secure=settings.cookie_secure, samesite="lax"
    )
    return response


def address_of(request: Request) -> str:
    """The caller's address, as far as proxies are trusted (routes/request_middleware.py)."""
    return str(request.scope.get(ADDRESS) or (request.client.host if request.client else ""))


def user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:200]


def is_from_us(origin: str, host: str) -> bool:
    """Whether a form's Origin is the Host it was sent to.

    Every browser sends both with a POST; request_middleware.py has already refused what is not
    PUBLIC_URL's.
    """
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        implied = 443 if page.scheme == "https" else 80
        return bool(page.hostname) and (page.hostname, page.port or implied) == (
            here.hostname,
            here.port or implied,
        )
    except ValueError:
        return False


async def _read(request: Request) -> Form:
    if (
        request.headers.get("content-type", "").split(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        raise PermissionDenied(
            "This address takes forms alone. Use the page that the form stands on."
        )
    try:
        async with asyncio.timeout(_SECONDS):
            body = await _body(request)
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except TimeoutError:
        raise BodyTooLarge(
            f"This form did not arrive within {_SECONDS:.0f} seconds. Send it again."
        ) from None
    except ValueError as error:
        raise BodyTooLarge("This form could not be read.") from error
    if any("\0" in part for pair in pairs for part in pair):
        raise ValidationFailed(
            "This form holds a zero character, which no field takes. Type it again."
        )
    form: dict[str, str] = {}
    for name, value in pairs:
        form[name] = f"{form[name]},{value}" if name in form else value  # boxes of one name
    return form


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MOST_BYTES:
            raise BodyTooLarge(f"This form is larger than {_MOST_BYTES // 1024} KiB.")
        chunks.append(chunk)
    return b"".join(chunks)
