"""The checks of every form: same origin, small, and (for signed-in people) a live session with its
form token; and the answers, which are redirects.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import URL
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from orderdesk_app import wiring
from orderdesk_app.context import Actor, current_request
from orderdesk_app.db.engine import NO_ANSWER
from orderdesk_app.errors import (
    BodyEncoded,
    BodyTooLarge,
    BodyTooSlow,
    NotFound,
    OrderDeskAgentsError,
    PermissionDenied,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.routes.html_pages import (
    error_page,
    is_for_a_program,
    with_opener,
    with_wait,
)
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.security.web import (
    body_encoding,
    confirm_address,
    own_page,
    sign_in_address,
)
from orderdesk_app.services.callers import allowed_callers, may_call
from orderdesk_app.services.devices import KEPT_DAYS, new_device_token
from orderdesk_app.services.flash_messages import FlashMessage, message_of
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.services.sessions import COOKIE, WebUser
from orderdesk_app.setting_rules import read_host

_LOG = log(__name__)
_MAX_BYTES = 256 * 1024
_MOST_DROPPED = 32 * 1024 * 1024  # of a body that is too large
_FORM_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 300  # a key of 200 stores
FORM_SECONDS = 30.0  # a slow form holds a connection, and nobody has signed in yet
Form = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]
SignedInEndpoint = Callable[[Request, WebUser, Form], Awaitable[Response]]
_KIND = "__orderdesk_form__"


class FormKind(StrEnum):
    """Whose form an endpoint takes."""

    OF_ANYBODY = "anybody"
    OF_A_SESSION = "session"  # with the token of the session


def takes_form(endpoint: Callable[..., object], kind: FormKind) -> None:
    """Declares it, for the one who describes the routes (openapi.py)."""
    setattr(endpoint, _KIND, kind)


def form_kind(endpoint: Callable[..., object]) -> FormKind | None:
    """None for an endpoint that takes no form."""
    kind: FormKind | None = getattr(endpoint, _KIND, None)
    return kind


def same_origin_form(endpoint: Callable[[Request, Form], Awaitable[Response]]) -> Endpoint:
    """Decorates the endpoint of a form for people who are not signed in: checks origin and size,
    and answers errors with a page, or with JSON where a program asks for it.
    """

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        try:
            if not is_same_origin(
                request.headers.get("origin", ""), request.headers.get("host", "")
            ):
                raise PermissionDenied(
                    "This form came from another address than this server's own. Open "
                    "the page by the address in PUBLIC_URL and send it again."
                )
            return await endpoint(request, await read_form(request))
        except OrderDeskAgentsError as error:
            answer = _problem(
                request,
                error.http_status,
                error.code.lower(),
                "That was not done",
                error.message,
            )
            return with_wait(answer, error)
        except ClientDisconnect:
            return Response(status_code=400)  # never read: the client has disconnected
        except Exception as error:
            ERRORS.labels("web").inc()
            _LOG.error("a form failed", exc_info=error, route=request.url.path)
            if isinstance(error, NO_ANSWER):
                return _problem(
                    request,
                    503,
                    "unavailable",
                    "Not available right now",
                    "Our own records cannot be reached. Try again in a minute; if it stays, tell "
                    "your administrator the reference.",
                )
            return _problem(
                request,
                500,
                "internal",
                "Something went wrong on our side",
                "Try again; if it stays, tell your administrator the reference.",
            )

    takes_form(checked, FormKind.OF_ANYBODY)
    return checked


def _problem(request: Request, status: int, name: str, title: str, words: str) -> Response:
    """What went wrong with a form, as a page or as JSON, with the reference of the request."""
    reference = current_request().request_id
    answer: Response
    if is_for_a_program(request.scope):
        answer = JSONResponse({"error": name, "message": words, "reference": reference}, status)
    else:
        answer = error_page(status, title, words, reference=reference)
    if status == BodyEncoded.http_status:
        answer.headers["Accept-Encoding"] = "identity"  # RFC 9110 12.5.3: what is taken
    return answer


def signed_in_form(endpoint: SignedInEndpoint) -> Endpoint:
    """Decorates the endpoint of every other form: checks the session and its form token too."""

    @same_origin_form
    @wraps(endpoint)
    async def checked(request: Request, form: Form) -> Response:
        user = await signed_in_user(request)
        if user is None:
            return redirect_to(sign_in_address(form.get("next", ""), error="ended"))
        await wiring.current().limits.forms.spend(user.session_id)
        with _noting_denials(user.actor):
            wiring.current().form_tokens.check(user.session_id, form.get("form_token", ""))
        check_caller(endpoint, user.actor)
        try:
            with _noting_denials(user.actor):
                return await endpoint(request, user, form)
        except ReauthenticationRequired as error:
            if is_for_a_program(request.scope):
                raise
            return redirect_with_error(user, _page_of(request), error)

    takes_form(checked, FormKind.OF_A_SESSION)
    return checked


@contextmanager
def _noting_denials(actor: Actor) -> Iterator[None]:
    """Leaves a row of the audit log for what the actor may not do."""
    try:
        yield
    except ReauthenticationRequired:
        raise  # nothing is denied: they prove who they are, and it goes on
    except PermissionDenied as error:
        wiring.current().audit.refuse_act(actor, error.permission)
        raise


def check_caller(endpoint: Callable[..., object], actor: Actor) -> None:
    """Raises PermissionDenied where the endpoint is not open to that actor, and NotFound where it
    is for operators. Either leaves a row of the audit log.
    """
    allowed = allowed_callers(endpoint)
    if may_call(allowed, actor):
        return
    wiring.current().audit.refuse_act(actor, str(allowed or ""))
    if isinstance(allowed, Permission):
        raise PermissionDenied(refusal_of(allowed))
    raise NotFound("Nothing is served at this address.")


async def signed_in_user(connection: HTTPConnection, *, is_use: bool = True) -> WebUser | None:
    """The user of the session in the cookie, read from its row; None without a live session.
    `is_use` False leaves the session as idle as it was.
    """
    return await wiring.current().sessions.resume(session_cookie(connection), is_use=is_use)


def session_cookie(connection: HTTPConnection) -> str | None:
    """The value of the one session cookie of a request, or None."""
    return wiring.current().sessions.cookie_in(*connection.headers.getlist("cookie"))


def redirect_to(path: str, **query: str) -> RedirectResponse:
    """303 to a page of ours, with codes in the query that the page turns into sentences."""
    given = {name: value for name, value in query.items() if value}
    address = f"{path}?{urlencode(given)}" if given else path
    return with_opener(RedirectResponse(address, 303), address)


def redirect_with_error(
    user: WebUser,
    path: str,
    error: OrderDeskAgentsError,
    *,
    form: str = "",
    typed: Mapping[str, str] | None = None,
) -> RedirectResponse:
    """303 to the page, which shows the error at its field and keeps what was typed; where the
    person has to confirm who they are first, by way of the page that asks it.
    """
    if isinstance(error, ReauthenticationRequired):
        wiring.current().held_forms.hold(user.session_id, form=form, typed=typed)
        return redirect_to(confirm_address(path))
    wiring.current().flash_messages.set(
        user.session_id,
        FlashMessage(message_of(error), field=error.field or "", form=form, typed=typed or {}),
    )
    return redirect_to(path)


def _page_of(request: Request) -> str:
    """The page that the form was sent from, as far as the browser says it."""
    url = URL(request.headers.get("referer", ""))
    return own_page(f"{url.path}?{url.query}" if url.query else url.path)


def redirect_with_notice(user: WebUser, path: str, text: str) -> RedirectResponse:
    """303 to the page, which shows the text as a notice."""
    wiring.current().flash_messages.set(user.session_id, FlashMessage(text, tone="green"))
    return redirect_to(path)


def device_of(connection: HTTPConnection) -> str:
    """The token by which this browser is known (services/devices.py); a new one for a browser that
    has none. Whoever signs it in gives it back to `set_session_cookie`.
    """
    known = wiring.current().sessions.device_in(*connection.headers.getlist("cookie"))
    return known or new_device_token()


def set_session_cookie(response: Response, cookie: str, device: str) -> Response:
    """The response with the session cookie and the browser's own one, closed to scripts and to
    other sites.
    """
    sessions, settings = wiring.current().sessions, wiring.current().settings
    _clear_former_cookie(response, sessions.cookie_name)
    is_strict = settings.session_cookie_samesite == "Strict"
    for name, value, seconds in (
        (sessions.cookie_name, cookie, settings.session_timeout),
        (sessions.device_cookie_name, device, KEPT_DAYS * 86_400),
    ):
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            secure=settings.cookie_secure,
            samesite="strict" if is_strict else "lax",
        )
    return response


def clear_session_cookie(response: Response) -> Response:
    """The response that makes the browser drop the session cookie."""
    settings = wiring.current().settings
    name = wiring.current().sessions.cookie_name
    _clear_former_cookie(response, name)
    response.delete_cookie(
        name, path="/", httponly=True, secure=settings.cookie_secure, samesite="lax"
    )
    return response


def _clear_former_cookie(response: Response, name: str) -> None:
    """The cookie that older releases set over https is not read any more."""
    if name != COOKIE:
        response.delete_cookie(COOKIE, path="/", httponly=True, secure=True, samesite="lax")


def client_address(request: Request) -> str:
    """The caller's address, as far as proxies are trusted (routes/request_middleware.py)."""
    return str(request.scope.get(ADDRESS) or (request.client.host if request.client else ""))


def user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:200]


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a form's Origin is the Host that it was sent to.

    Every browser sends both with a POST; request_middleware.py has already refused other hosts than
    PUBLIC_URL's.
    """
    scheme, _, authority = origin.partition("://")
    try:
        page, here = read_host(authority), read_host(host)
    except ValueError:
        return False
    implied = 443 if scheme == "https" else 80
    return (page.name, page.port or implied) == (here.name, here.port or implied)


async def read_form(request: Request, *, repeated: Collection[str] | None = None) -> Form:
    """`repeated` are the names that may have several values, which commas join then; None for all
    of them, as check boxes do.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM_TYPE:
        raise PermissionDenied(
            f"This address accepts forms only. Send one as Content-Type: {_FORM_TYPE}."
        )
    if body_encoding(request.headers):
        raise BodyEncoded("This form is packed. Send it plain, without Content-Encoding.")
    try:
        async with asyncio.timeout(FORM_SECONDS):
            body = await read_body(
                request, _MAX_BYTES, f"This form is larger than {_MAX_BYTES // 1024} KiB."
            )
    except TimeoutError:
        raise BodyTooSlow(
            f"This form did not arrive within {FORM_SECONDS:.0f} seconds. Send it again."
        ) from None
    form: dict[str, str] = {}
    for name, value in _pairs(body):
        if name in form and repeated is not None and name not in repeated:
            raise ValidationFailed(f"Send {name[:40]} once.")
        form[name] = f"{form[name]},{value}" if name in form else value
    return form


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except UnicodeDecodeError:
        raise ValidationFailed("This form is not UTF-8. Send it from the page again.") from None
    except ValueError as error:
        raise BodyTooLarge("This form could not be read.") from error
    if any("\0" in part for pair in pairs for part in pair):
        raise ValidationFailed(
            "This form holds a zero character, which no field takes. Type it again."
        )
    return pairs


async def read_body(request: Request, most: int, words: str) -> bytes:
    """At most so many bytes. Raises BodyTooLarge with the words, once the rest has come too: many
    programs read no answer before they have sent everything, and what nobody has read ends the
    connection.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most:
            chunks.append(chunk)
        elif size > _MOST_DROPPED:
            break
    if size > most:
        raise BodyTooLarge(words)
    return b"".join(chunks)
