"""Passkeys: signing in and confirming with one, and adding one.

Each takes two requests. The first asks what the authenticator is to sign (JSON) and sets a cookie
that binds the answer to this browser; the second is the form with the answer.
"""

from typing import Literal

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    RateLimited,
    ReauthenticationRequired,
    SignInFailed,
    ValidationFailed,
)
from orderdesk_app.routes.confirm import actor_at, lead_back
from orderdesk_app.routes.forms import (
    Form,
    client_address,
    device_of,
    redirect_to,
    redirect_with_error,
    redirect_with_notice,
    same_origin_form,
    session_cookie,
    set_session_cookie,
    signed_in_form,
    signed_in_user,
    user_agent,
)
from orderdesk_app.routes.html_pages import callout, passkey_form, plain_page
from orderdesk_app.security.web import confirm_address, cookie_in, own_page, sign_in_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.passkey_challenges import CHALLENGE_SECONDS
from orderdesk_app.services.passkeys import LONGEST_NAME, PasskeyQuestion
from orderdesk_app.services.sessions import WebUser

COOKIE = "orderdesk_passkey"
PAGE = "/account"
NEW = "/account/passkeys/new"
_INTRO = Markup(
    "<p>A passkey is kept by your device or your password manager. You sign in with a finger, your "
    "face or a PIN, and type no key. It works at this address alone.</p>{notice}"
)
_UNSUPPORTED = Markup(
    '<p class="callout amber" data-no-passkeys>This browser makes no passkeys. Open this '
    "page in another one.</p>"
)
_NAME = Markup(
    '<input type="hidden" name="form_token" value="{token}">'
    '<div class="field"><label for="name">Name</label>'
    '<input class="input" id="name" name="name" required maxlength="{longest}" value="{name}" '
    'placeholder="My phone" autocomplete="off" autofocus aria-describedby="name-help">'
    '<span class="help" id="name-help">By which you recognise it, to remove it when the device is '
    "gone.</span></div>"
)
_BACK = Markup('<p class="dim small"><a href="/account">Go back without a passkey</a></p>')


# ------------------------------------------------------------------ signing in


@same_origin_form
@open_to(Callers.ANYBODY)
async def ask_to_sign_in(request: Request, form: Form) -> Response:
    return _question(await wiring.current().passkey_sign_in.ask())


@same_origin_form
@open_to(Callers.ANYBODY)
async def sign_in(request: Request, form: Form) -> Response:
    wanted, device = own_page(form.get("next", "")), device_of(request)
    try:
        cookie = await wiring.current().passkey_sign_in.with_passkey(
            form.get("credential", ""),
            _question_cookie(request),
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
            device=device,
        )
    except SignInFailed:
        return redirect_to(sign_in_address(wanted, error="passkey"))
    return set_session_cookie(_answered(redirect_to(wanted)), cookie, device)


# ------------------------------------------------------------------ confirming


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def ask_to_confirm(request: Request, user: WebUser, form: Form) -> Response:
    return _question(await wiring.current().passkeys.ask_to_confirm(user.actor))


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def confirm(request: Request, user: WebUser, form: Form) -> Response:
    wanted = own_page(form.get("next", ""))
    try:
        await wiring.current().identity_proofs.with_passkey(
            actor_at(request, user), form.get("credential", ""), _question_cookie(request)
        )
    except RateLimited:
        return redirect_to(confirm_address(wanted, error="many"))
    except SignInFailed:
        return redirect_to(confirm_address(wanted, error="passkey"))
    return _answered(lead_back(user, wanted))


# ------------------------------------------------------------------ adding and removing


@open_to(Callers.SIGNED_IN)
async def show_new(request: Request) -> Response:
    """The form for a new passkey; who has to confirm first, does it before the form is shown."""
    user = await signed_in_user(request)
    if user is None:
        return redirect_to(sign_in_address(NEW))
    services = wiring.current()
    if not await services.reauthentication.is_recent(user.actor):
        return redirect_to(confirm_address(NEW))
    flash = services.flash_messages.pop(user.session_id)
    tone: Literal["green", "amber"] = "green" if flash and flash.tone == "green" else "amber"
    notice = callout(flash.text, tone=tone) if flash else Markup()
    name = flash.typed.get("name", "") if flash else ""
    return _new_page(user, notice=notice, name=name)


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def ask_for_new(request: Request, user: WebUser, form: Form) -> Response:
    return _question(await wiring.current().passkeys.ask_for_new(user.actor))


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def add(request: Request, user: WebUser, form: Form) -> Response:
    name = form.get("name", "")
    try:
        view = await wiring.current().passkeys.add(
            user.actor, form.get("credential", ""), _question_cookie(request), name
        )
    except (Conflict, ReauthenticationRequired, SignInFailed, ValidationFailed) as error:
        typed = {"name": name[:LONGEST_NAME]}
        return redirect_with_error(user, NEW, error, form="passkey", typed=typed)
    return _answered(redirect_with_notice(user, PAGE, f"The passkey {view.name} is added."))


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def remove(request: Request, user: WebUser, form: Form) -> Response:
    try:
        view = await wiring.current().passkeys.remove(user.actor, form.get("passkey_id", ""))
    except NotFound as error:
        return redirect_with_error(user, PAGE, error)
    return redirect_with_notice(user, PAGE, f"The passkey {view.name} is removed.")


def _new_page(user: WebUser, *, notice: Markup, name: str) -> Response:
    form = passkey_form(
        "create",
        action="/account/passkeys/add",
        options="/account/passkeys/options",
        label="Make a passkey",
        inside=_NAME.format(
            token=wiring.current().form_tokens.issue(user.session_id),
            longest=LONGEST_NAME,
            name=name[:LONGEST_NAME],
        ),
        is_primary=True,
    )
    body = _INTRO.format(notice=notice) + _UNSUPPORTED + form + _BACK
    return plain_page("Add a passkey", body)


# ------------------------------------------------------------------ the cookie of a question


def _question(question: PasskeyQuestion) -> Response:
    settings = wiring.current().settings
    response = Response(question.options, media_type="application/json")
    response.set_cookie(
        _cookie_name(),
        question.cookie,
        max_age=CHALLENGE_SECONDS,
        path="/",
        httponly=True,
        secure=settings.cookie_secure,
        samesite="strict",
    )
    return response


def _question_cookie(request: Request) -> str | None:
    return cookie_in(";".join(request.headers.getlist("cookie")), _cookie_name())


def _answered(response: Response) -> Response:
    """The response that makes the browser drop the cookie of the question."""
    secure = wiring.current().settings.cookie_secure
    response.delete_cookie(
        _cookie_name(), path="/", httponly=True, secure=secure, samesite="strict"
    )
    return response


def _cookie_name() -> str:
    return f"__Host-{COOKIE}" if wiring.current().settings.cookie_secure else COOKIE


ROUTES = [
    Route("/sign-in/passkey/options", ask_to_sign_in, methods=["POST"]),
    Route("/sign-in/passkey", sign_in, methods=["POST"]),
    Route("/confirm/passkey/options", ask_to_confirm, methods=["POST"]),
    Route("/confirm/passkey", confirm, methods=["POST"]),
    Route("/account/passkeys/options", ask_for_new, methods=["POST"]),
    Route(NEW, show_new, methods=["GET"]),
    Route("/account/passkeys/add", add, methods=["POST"]),
    Route("/account/passkeys/remove", remove, methods=["POST"]),
]
