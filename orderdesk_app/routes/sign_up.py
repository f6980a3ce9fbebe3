"""Public sign-up: the form, the mailed link, and the one answer that shows the new master key.

The pages are plain HTML: strangers get no websocket (routes/sockets.py). A link is used up by a
POST alone: mail scanners open links.
"""

from dataclasses import replace
from math import ceil
from urllib.parse import parse_qsl, quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import (
    AuthFailed,
    Conflict,
    LinkUsed,
    NotFound,
    OrderDeskAgentsError,
    PermissionDenied,
    RateLimited,
    ValidationFailed,
)
from orderdesk_app.mail.addresses import MOST_CHARACTERS, readable
from orderdesk_app.mail.letters import minutes
from orderdesk_app.routes.forms import (
    Form,
    client_address,
    device_of,
    redirect_to,
    same_origin_form,
    session_cookie,
    set_session_cookie,
    signed_in_user,
    user_agent,
)
from orderdesk_app.routes.html_pages import (
    callout,
    copyable,
    error_page,
    field_error,
    plain_page,
    with_opener,
    with_wait,
)
from orderdesk_app.security.web import own_page, sign_in_address, sign_up_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.sign_up import Browser, OpenedAccount
from orderdesk_app.services.tenants import LONGEST_NAME

RESEND_SECONDS = 60  # two a minute are allowed; whoever waits this long is not refused
_NOTHING = Markup()
_TITLE = "Create an account"
_FORM = Markup(
    "<p>{intro}</p>{notice}"
    '<form class="form" action="/sign-up" method="post">{next}'
    '<div class="field"><label for="email">E-mail</label>'
    '<input class="input" id="email" name="email" type="email" required autofocus '
    'maxlength="{most}" placeholder="ada@example.com" value="{typed}" data-trim="1" '
    'spellcheck="false" autocapitalize="off" autocomplete="email" aria-invalid="{is_wrong}" '
    'aria-describedby="email-wrong">{wrong}</div>{name}'
    '<button type="submit" class="button primary full">{label}</button></form>'
    '<p class="dim small">You have an account? <a href="{sign_in}">Sign in</a>.</p>'
)
_NAME = Markup(
    '<div class="field"><label for="name">Name of the account</label>'
    '<span class="help" id="name-help">Such as your shop’s name. Without one, it is called after '
    "your address.</span>"
    '<input class="input" id="name" name="name" maxlength="{most}" value="{typed}" '
    'autocomplete="organization" aria-invalid="{is_wrong}" aria-describedby="name-help name-wrong">'
    "{wrong}</div>"
)
_SENT = Markup(
    "{notice}<p>We have sent a mail to <strong>{email}</strong>. Open the link in it to go on; it "
    "works once, for {works_for}.</p>"
    '<p class="dim">Nothing there after a minute? Look among spam, and check the address.</p>'
    '<div class="row"><form action="/sign-up/again" method="post">'
    '<input type="hidden" name="email" value="{email}">{next}'
    '<button type="submit" class="button" data-countdown="{seconds}">Send it again</button></form>'
    '<a class="button ghost" href="{sign_up}">Use another address</a></div>'
)
_CONFIRM = Markup(
    "<p>Open an account for <strong>{email}</strong>. The link works once.</p>"
    # goes to the address that was opened, token and all: the server never sends the token
    '<form class="form" method="post">{name}'
    '<button type="submit" class="button primary full">Open my account</button></form>'
)
_KEY = Markup(
    '<p class="callout amber">This is the only time that this key is shown. Store it now, such as '
    "in a password manager: nobody can read it again, us included.</p>"
    "<p>This key signs you in and may do everything in your account. Keep it to yourself: "
    "assistants get keys of their own, which you can limit and revoke.</p>"
    "{key}"
    '<div class="row"><a class="button" download="order-desk-agents-master-key.txt" '
    'href="data:text/plain;charset=utf-8,{file}">Download as a text file</a></div>'
    '<form class="form" action="{page}" method="get">{query}<label class="check">'
    '<input type="checkbox" required>I have stored it</label>'
    '<div class="row"><button type="submit" class="button primary">Continue</button></div></form>'
    '<p class="dim small">{way_out}</p>'
)
_HIDDEN = Markup('<input type="hidden" name="{name}" value="{value}">')
_WAY_OUT = (
    "Closed this page too early? The sign-in page mails you a link that signs you in; then make a "
    "new key under Settings."
)
_NO_WAY_OUT = (
    "Your address is not verified, so nothing is ever mailed to it: while you are signed in, you "
    "can make another key under Settings. After that this key is the only way in."
)


@open_to(Callers.ANYBODY)
async def show_form(request: Request) -> Response:
    """The sign-up page; a person who is signed in has an account."""
    wanted = own_page(request.query_params.get("next", ""))
    if await signed_in_user(request) is not None:
        return redirect_to(wanted)
    if not wiring.current().sign_up.rules.is_open:
        return _closed(200)
    return _form_page({"next": wanted})


@same_origin_form
@open_to(Callers.ANYBODY)
async def send_link(request: Request, form: Form) -> Response:
    """One answer whether or not the address has an account."""
    services, browser = wiring.current(), _browser(request)
    try:
        if not services.sign_up.rules.needs_proof:
            if await signed_in_user(request) is not None:
                # A reload of the answer sends the form again, and must not open another account.
                return _already_open(Conflict.http_status, "This form was sent before")
            opened = await services.sign_up.open_without_proof(
                form.get("email", ""), form.get("name", ""), browser=browser
            )
            opened = replace(opened, next_page=_wanted(form))
            return _key_page(opened, browser, _NO_WAY_OUT)
        email = await services.sign_up.send_link(
            form.get("email", ""), address=client_address(request), next_page=_wanted(form)
        )
    except PermissionDenied:
        return _closed(403)
    except (ValidationFailed, RateLimited) as error:
        return _form_page(form, error)
    return _sent_page(email, _wanted(form))


@same_origin_form
@open_to(Callers.ANYBODY)
async def send_again(request: Request, form: Form) -> Response:
    if not wiring.current().sign_up.rules.needs_proof:
        return redirect_to("/sign-up")
    try:
        email = await wiring.current().sign_up.send_link(
            form.get("email", ""), address=client_address(request), next_page=_wanted(form)
        )
    except PermissionDenied:
        return _closed(403)
    except ValidationFailed as error:
        return _form_page(form, error)
    except RateLimited as error:
        return _sent_page(form.get("email", "").strip(), _wanted(form), error)
    return _sent_page(email, _wanted(form), notice=callout("Sent again.", tone="green"))


@open_to(Callers.ANYBODY)
async def show_link(request: Request) -> Response:
    """Uses nothing up: mail scanners open links."""
    if not wiring.current().sign_up.rules.is_open:
        return _closed(403)
    try:
        email = await wiring.current().sign_up.look(request.query_params.get("token", ""))
    except (AuthFailed, NotFound) as error:
        return await _dead_link(request, error)
    return _confirm_page(email)


@same_origin_form
@open_to(Callers.ANYBODY)
async def use_link(request: Request, form: Form) -> Response:
    """The one answer that shows the key."""
    sign_up, browser = wiring.current().sign_up, _browser(request)
    token = request.query_params.get("token", "")
    try:
        opened = await sign_up.verify(token, form.get("name", ""), browser=browser)
    except ValidationFailed as error:
        return _confirm_page(await sign_up.look(token), form, error)
    except RateLimited as error:
        return with_wait(_busy_page(error), error)
    except (AuthFailed, NotFound, Conflict) as error:
        return await _dead_link(request, error)
    return _key_page(opened, browser, _WAY_OUT)


def _browser(request: Request) -> Browser:
    return Browser(
        client_address(request), user_agent(request), session_cookie(request), device_of(request)
    )


def _wanted(form: Form) -> str:
    """The page that the person was going to."""
    return own_page(form.get("next", ""))


def _next_field(wanted: str) -> Markup:
    return _HIDDEN.format(name="next", value=wanted) if wanted != "/" else _NOTHING


def _form_page(given: Form, error: ValidationFailed | RateLimited | None = None) -> Response:
    wanted = _wanted(given)
    needs_proof = wiring.current().sign_up.rules.needs_proof
    field = error.field if isinstance(error, ValidationFailed) else None
    is_wrong = field == "email"
    page = plain_page(
        _TITLE,
        _FORM.format(
            intro=(
                "Type your e-mail address: we send you a link to go on with."
                if needs_proof
                else "Your address is a label of the account: nothing is sent to it."
            ),
            notice=_too_many(error) if isinstance(error, RateLimited) else _NOTHING,
            next=_next_field(wanted),
            sign_in=sign_in_address(wanted),
            most=MOST_CHARACTERS,
            typed=given.get("email", "")[: 2 * MOST_CHARACTERS],
            is_wrong="true" if is_wrong else "false",
            wrong=field_error("email", error.message if error and is_wrong else ""),
            name="" if needs_proof else _name_field(given.get("name", ""), error),
            label="Send me a link" if needs_proof else _TITLE,
        ),
        status=error.http_status if error else 200,
    )
    return with_opener(with_wait(page, error), wanted)


def _name_field(typed: str, error: OrderDeskAgentsError | None) -> Markup:
    is_wrong = error is not None and error.field == "name"
    return _NAME.format(
        most=LONGEST_NAME,
        typed=typed[: 2 * LONGEST_NAME],
        is_wrong="true" if is_wrong else "false",
        wrong=field_error("name", error.message if error and is_wrong else ""),
    )


def _sent_page(
    email: str, wanted: str, error: RateLimited | None = None, notice: Markup = _NOTHING
) -> Response:
    page = plain_page(
        "Check your mail",
        _SENT.format(
            notice=_too_many(error) if error else notice,
            email=readable(email),
            next=_next_field(wanted),
            sign_up=sign_up_address(wanted),
            works_for=minutes(wiring.current().sign_up.rules.works_for),
            seconds=RESEND_SECONDS,
        ),
        status=error.http_status if error else 200,
    )
    return with_opener(with_wait(page, error), wanted)


def _confirm_page(
    email: str, form: Form | None = None, error: ValidationFailed | None = None
) -> Response:
    body = _CONFIRM.format(
        email=readable(email), name=_name_field((form or {}).get("name", ""), error)
    )
    return plain_page("Open your account", body, status=error.http_status if error else 200)


def _key_page(opened: OpenedAccount, browser: Browser, way_out: str) -> Response:
    """`no-store`, as every plain page; the key is in this answer and nowhere else."""
    key = opened.master_key.reveal()
    address = wiring.current().settings.public_url
    file = (
        f"Master key of the account {opened.account.name} at {address}\n\n{key}\n\n"
        "It signs in, and may do everything in the account. Keep it to yourself.\n"
    )
    wanted = own_page(opened.next_page)
    path, _, query = wanted.partition("?")
    body = _KEY.format(
        key=copyable("new-key", key, "Your master key"),
        file=quote(file),
        way_out=way_out,
        page=path,
        # a form that is sent by GET drops the query of its address
        query=Markup().join(
            _HIDDEN.format(name=name, value=value)
            for name, value in parse_qsl(query, keep_blank_values=True)
        ),
    )
    page = with_opener(plain_page("Your account is open", body, wide=True), wanted)
    return set_session_cookie(page, opened.cookie, browser.device)


def _closed(status: int) -> Response:
    return error_page(
        status,
        "Sign-up is closed",
        "Accounts are not opened by sign-up here. Ask whoever runs this installation for one, or a "
        "colleague for an invitation to theirs.",
        href="/sign-in",
        label="Sign in",
    )


async def _dead_link(request: Request, error: OrderDeskAgentsError) -> Response:
    """What to do instead: somebody who has just used it is signed in, and may have reloaded."""
    if isinstance(error, LinkUsed) and await signed_in_user(request) is not None:
        return _already_open(error.http_status, "This link was used")
    has_account = isinstance(error, LinkUsed | Conflict)
    return error_page(
        error.http_status,
        "This link no longer works",
        error.message,
        href="/sign-in" if has_account else "/sign-up",
        label="Sign in" if has_account else "Sign up again",
    )


def _already_open(status: int, reason: str) -> Response:
    return error_page(
        status,
        "Your account is open",
        f"{reason}, and you are signed in. Your master key was shown once: if you have not stored "
        "it, make a new one under Settings.",
        href="/settings",
        label="Open Settings",
    )


def _busy_page(error: RateLimited) -> HTMLResponse:
    words = "Too many tries from this network. Wait a minute, then open the link in the mail again."
    return error_page(error.http_status, "Not now", words, href="/sign-up", label="Sign up")


def _too_many(error: RateLimited) -> Markup:
    wait = minutes(ceil((error.retry_after or 1) / 60) * 60)
    return callout(f"Too many sign-ups from this network. Try again in {wait}.", tone="amber")


ROUTES = [
    Route("/sign-up", show_form, methods=["GET"]),
    Route("/sign-up", send_link, methods=["POST"]),
    Route("/sign-up/again", send_again, methods=["POST"]),
    Route("/verify", show_link, methods=["GET"]),
    Route("/verify", use_link, methods=["POST"]),
]
