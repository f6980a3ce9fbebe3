"""Signing in with a key or a one-time link, asking for a link by e-mail, and signing out.

The page is plain HTML: strangers get no websocket (routes/sockets.py). A link is used up by a POST
alone: mail scanners open links.
"""

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Secret
from orderdesk_app.errors import (
    AuthFailed,
    LinkExpired,
    LinkUsed,
    NotFound,
    RateLimited,
    ReplacedKey,
    ValidationFailed,
    WeakKey,
)
from orderdesk_app.mail.addresses import MOST_CHARACTERS
from orderdesk_app.routes.forms import (
    Form,
    clear_session_cookie,
    client_address,
    device_of,
    redirect_to,
    same_origin_form,
    session_cookie,
    set_session_cookie,
    signed_in_form,
    signed_in_user,
    user_agent,
)
from orderdesk_app.routes.html_pages import error_page, with_wait
from orderdesk_app.routes.sign_in_page import SignInWays, link_page, sign_in_page
from orderdesk_app.security.tokens import ACCESS_PREFIX
from orderdesk_app.security.web import own_page, sign_in_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.sessions import WebUser

KEY_WORDS = {
    "replaced": (
        "That master key was replaced, and signs in no more. Use the new one, or sign in in "
        "another way."
    ),
    "unknown": "That key is not known here. Check that you copied all 64 characters.",
    "agents": (
        "This is an access key, which is for assistants. Sign in with the account's master key."
    ),
    "short": (
        "That key is not known here, and it is too short to open an account: a master key has 32 "
        "to 256 characters without spaces."
    ),
    "simple": (
        "That key is not known here, and it is too simple to open an account: somebody could guess "
        "it. Use a random one."
    ),
}
OTHER_WORDS = {
    "origin": (
        "This form came from another address than this server's own. Open the sign-in page "
        "by the address in PUBLIC_URL."
    ),
    "passkey": "That passkey does not sign in here. Try again, or sign in in another way.",
    "ended": "Your session has ended. Sign in again.",
}


@open_to(Callers.ANYBODY)
async def show_form(request: Request) -> Response:
    """The sign-in page; a person who is signed in is sent on to the page that they want."""
    wanted = own_page(request.query_params.get("next", ""))
    if await signed_in_user(request) is not None:
        return redirect_to(wanted)
    error = request.query_params.get("error", "")
    notices: dict[str, Literal["green", "amber"]] = {}
    if request.query_params.get("out") == "1":
        notices["You are signed out."] = "green"
    if error in OTHER_WORDS:
        notices[OTHER_WORDS[error]] = "amber"
    return sign_in_page(
        wanted,
        notices=notices,
        ways=_ways(),
        is_mailed=request.query_params.get("mailed") == "1",
        wrong_key=KEY_WORDS.get(error, ""),
    )


@same_origin_form
@open_to(Callers.ANYBODY)
async def with_key(request: Request, form: Form) -> Response:
    key, wanted = Secret(form.get("key", "").strip()), own_page(form.get("next", ""))
    device = device_of(request)
    try:
        cookie = await wiring.current().sign_in.with_key(
            key,
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
            device=device,
        )
    except RateLimited as error:
        page = sign_in_page(
            wanted,
            notices={},
            ways=_ways(),
            wrong_key=error.message,
            status=error.http_status,
        )
        return with_wait(page, error)
    except WeakKey as error:
        return redirect_to(sign_in_address(wanted, error="short" if error.is_short else "simple"))
    except ReplacedKey:
        return redirect_to(sign_in_address(wanted, error="replaced"))
    except (AuthFailed, NotFound, ValidationFailed):
        return redirect_to(
            sign_in_address(
                wanted, error="agents" if key.reveal().startswith(ACCESS_PREFIX) else "unknown"
            )
        )
    return set_session_cookie(redirect_to(wanted), cookie, device)


@same_origin_form
@open_to(Callers.ANYBODY)
async def mail_link(request: Request, form: Form) -> Response:
    """One answer whether or not the address has an account."""
    links, typed = wiring.current().sign_in_links, form.get("email", "")
    wanted = own_page(form.get("next", ""))
    try:
        await links.ask(typed, address=client_address(request), next_page=wanted)
    except (ValidationFailed, RateLimited) as error:
        page = sign_in_page(
            wanted,
            notices={},
            ways=_ways(),
            wrong_email=error.message,
            typed_email=typed[:MOST_CHARACTERS],
            status=error.http_status,
        )
        return with_wait(page, error)
    return redirect_to(sign_in_address(wanted, mailed="1"))


@open_to(Callers.ANYBODY)
async def show_link(request: Request) -> Response:
    token = request.query_params.get("token", "")
    try:
        return link_page(await wiring.current().sign_in.look_at_link(token))
    except (LinkExpired, LinkUsed, NotFound, AuthFailed) as error:
        return _dead_link(error)


@same_origin_form
@open_to(Callers.ANYBODY)
async def with_link(request: Request, form: Form) -> Response:
    token = form.get("token") or request.query_params.get("token", "")
    device = device_of(request)
    try:
        cookie = await wiring.current().sign_in.use_link(
            token,
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
            device=device,
            tenant_id=form.get("account", ""),
        )
    except RateLimited as error:
        title = "Too many links that do not work"
        return with_wait(error_page(error.http_status, title, error.message), error)
    except (LinkExpired, LinkUsed, NotFound, AuthFailed) as error:
        return _dead_link(error)
    return set_session_cookie(redirect_to(own_page(form.get("next", ""))), cookie, device)


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def sign_out(request: Request, user: WebUser, form: Form) -> Response:
    # the row first: open tabs end at once
    await wiring.current().sign_in.sign_out(user, session_cookie(request))
    # on the consent page: somebody else signs in and answers the same request
    wanted = own_page(form.get("next", ""))
    return clear_session_cookie(redirect_to(sign_in_address(wanted, out="1")))


def _ways() -> SignInWays:
    services = wiring.current()
    return SignInWays(
        has_passkeys=services.passkeys.is_available,
        has_mail=services.sign_in_links.is_possible,
        has_sign_up=services.sign_up.rules.is_open,
    )


def _dead_link(error: LinkExpired | LinkUsed | NotFound | AuthFailed) -> Response:
    return error_page(
        error.http_status,
        "This link no longer works",
        error.message,
        href="/sign-in",
        label="Sign in",
    )


ROUTES = [
    Route("/sign-in", show_form, methods=["GET"]),
    Route("/sign-in/key", with_key, methods=["POST"]),
    Route("/sign-in/mail", mail_link, methods=["POST"]),
    Route("/sign-in/link", show_link, methods=["GET"]),
    Route("/sign-in/link", with_link, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
