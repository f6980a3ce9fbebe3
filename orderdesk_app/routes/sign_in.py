"""Signing in with a key or a one-time link, and signing out.

The page is plain HTML: strangers get no websocket (routes/sockets.py). A link is used up by a POST
alone: mail scanners open links.
"""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Secret
from orderdesk_app.errors import (
    AuthFailed,
    LinkExpired,
    LinkUsed,
    NotFound,
    RateLimited,
    ValidationFailed,
)
from orderdesk_app.routes.forms import (
    Form,
    clear_session_cookie,
    client_address,
    redirect_to,
    same_origin_form,
    session_cookie,
    set_session_cookie,
    signed_in_form,
    signed_in_user,
    user_agent,
)
from orderdesk_app.routes.html_pages import callout, error_page, plain_page
from orderdesk_app.security.tokens import ACCESS_PREFIX
from orderdesk_app.security.web import own_page, sign_in_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.sessions import WebUser

KEY_WORDS = {
    "unknown": "That key is not known here. Check that you copied all 64 characters.",
    "agents": (
        "This is an access key, which is for assistants. Sign in with the account's master key."
    ),
}
OTHER_WORDS = {
    "many": "Too many tries from this address. Wait a minute, then try again.",
    "origin": (
        "This form came from another address than this server's own. Open the sign-in page "
        "by the address in PUBLIC_URL."
    ),
    "ended": "Your session has ended. Sign in again.",
}
_FORM = Markup(
    '<form class="form" action="/sign-in/key" method="post">{notice}'
    '<input type="hidden" name="next" value="{wanted}">'
    '<div class="field"><label for="key">Key</label><div class="withbutton">'
    '<input class="input" id="key" name="key" type="password" required autofocus '
    'maxlength="512" placeholder="Master key, 64 characters" data-trim="1" spellcheck="false" '
    'autocapitalize="off" autocomplete="off" aria-invalid="{is_wrong}" '
    'aria-describedby="key-wrong">'
    '<button type="button" class="button" aria-label="Show or hide the key" '
    'aria-pressed="false" data-reveal="key">Show</button></div>{wrong}</div>'
    '<button type="submit" class="button primary full">Sign in</button></form>'
    '<p class="dim small">No key at hand? In development the server prints a one-time link when '
    "it starts; an administrator makes one with <code>orderdesk signin-link</code>.</p>"
)
_SIGN_UP = Markup('<p class="small">New here? <a href="/sign-up">Create an account</a>.</p>')
_WRONG_KEY = Markup('<span class="wrong" id="key-wrong" role="alert">{words}</span>')
_ASK = Markup(
    "<p>This link signs you in as <strong>{name}</strong>. It works once.</p>"
    # goes to the address that was opened, token and all: the server never sends the token
    '<form method="post">'
    '<button type="submit" class="button primary full">Sign in as {name}</button></form>'
)


@open_to(Callers.ANYBODY)
async def show_form(request: Request) -> Response:
    """The sign-in page; a person who is signed in is sent on to the page that they want."""
    wanted = own_page(request.query_params.get("next", ""))
    if await signed_in_user(request) is not None:
        return RedirectResponse(wanted, 303)
    error = request.query_params.get("error", "")
    notice = Markup()
    if request.query_params.get("out") == "1":
        notice = callout("You are signed out.", tone="green")
    if error in OTHER_WORDS:
        notice += callout(OTHER_WORDS[error], tone="amber")
    wrong = KEY_WORDS.get(error, "")
    body = _FORM.format(
        notice=notice,
        wanted="" if wanted == "/" else wanted,
        is_wrong="true" if wrong else "false",
        wrong=_WRONG_KEY.format(words=wrong) if wrong else "",
    )
    if wiring.current().sign_up.rules.is_open:
        body += _SIGN_UP
    return plain_page("Sign in", body, heading="Sign in to Order Desk agents")


@same_origin_form
@open_to(Callers.ANYBODY)
async def with_key(request: Request, form: Form) -> Response:
    key, wanted = Secret(form.get("key", "").strip()), own_page(form.get("next", ""))
    try:
        cookie = await wiring.current().sign_in.with_key(
            key,
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
        )
    except RateLimited:
        return redirect_to(sign_in_address(wanted, error="many"))
    except (AuthFailed, NotFound, ValidationFailed):
        return redirect_to(
            sign_in_address(
                wanted, error="agents" if key.reveal().startswith(ACCESS_PREFIX) else "unknown"
            )
        )
    return set_session_cookie(redirect_to(wanted), cookie)


@open_to(Callers.ANYBODY)
async def show_link(request: Request) -> Response:
    token = request.query_params.get("token", "")
    try:
        name = await wiring.current().sign_in.look_at_link(token)
    except (LinkExpired, LinkUsed, NotFound, AuthFailed) as error:
        return _dead_link(error)
    return plain_page("Sign in", _ASK.format(name=name))


@same_origin_form
@open_to(Callers.ANYBODY)
async def with_link(request: Request, form: Form) -> Response:
    try:
        token = form.get("token") or request.query_params.get("token", "")
        cookie = await wiring.current().sign_in.use_link(
            token,
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
        )
    except RateLimited:
        return redirect_to("/sign-in", error="many")
    except (LinkExpired, LinkUsed, NotFound, AuthFailed) as error:
        return _dead_link(error)
    return set_session_cookie(redirect_to("/"), cookie)


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def sign_out(request: Request, user: WebUser, form: Form) -> Response:
    # the row first: open tabs end at once
    await wiring.current().sign_in.sign_out(user, session_cookie(request))
    return clear_session_cookie(redirect_to("/sign-in", out="1"))


def _dead_link(error: LinkExpired | LinkUsed | NotFound | AuthFailed) -> Response:
    return error_page(
        error.http_status,
        "This link no longer works",
        error.message,
        href="/sign-in",
        label="Sign in with a key",
    )


ROUTES = [
    Route("/sign-in", show_form, methods=["GET"]),
    Route("/sign-in/key", with_key, methods=["POST"]),
    Route("/sign-in/link", show_link, methods=["GET"]),
    Route("/sign-in/link", with_link, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
