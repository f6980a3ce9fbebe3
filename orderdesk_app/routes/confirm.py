"""Confirming that it is you: the way through for an act that needs a recent proof of identity.

What was typed into the form that was refused is kept for this session, and stands in it again
afterwards. A mailed link is used up by a POST alone: mail scanners open links.
"""

from dataclasses import replace

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Actor, Secret
from orderdesk_app.errors import (
    LinkExpired,
    LinkUsed,
    NotFound,
    OrderDeskAgentsError,
    PermissionDenied,
    RateLimited,
    SignInFailed,
    ValidationFailed,
)
from orderdesk_app.routes.forms import (
    Form,
    client_address,
    redirect_to,
    signed_in_form,
    signed_in_user,
)
from orderdesk_app.routes.html_pages import (
    callout,
    error_page,
    field_error,
    passkey_form,
    plain_page,
    with_opener,
)
from orderdesk_app.security.web import confirm_address, own_page, sign_in_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.identity_proofs import ProofChoices
from orderdesk_app.services.reauthentication import PROOF_MINUTES
from orderdesk_app.services.sessions import WebUser

TITLE = "Confirm that it is you"
_KEY_WORDS = {"unknown": "That is not your master key. Check that you copied all 64 characters."}
_OTHER_WORDS = {
    "many": "Too many tries. Wait a minute, then try again.",
    "passkey": "That passkey did not confirm that it is you. Try again, or use another way.",
    "shared": (
        "The account's master key does not prove which person you are: other owners can have it. "
        "Use another way, or sign in again."
    ),
    "mail": "No link can be mailed to you here. Confirm in another way.",
}
_INTRO = Markup(
    "<p>Your sign-in is more than {minutes} minutes old. Making keys, connecting apps and deleting "
    "need a fresh proof. Afterwards you are back where you were, with what you typed.</p>{notice}"
)
_HIDDEN = Markup(
    '<input type="hidden" name="form_token" value="{token}">'
    '<input type="hidden" name="next" value="{wanted}">'
)
_KEY_FORM = Markup(
    '<form class="form" action="/confirm/key" method="post">{hidden}'
    '<div class="field"><label for="key">Master key</label><div class="withbutton">'
    '<input class="input" id="key" name="key" type="password" required {autofocus}'
    'maxlength="512" placeholder="64 characters" data-trim="1" spellcheck="false" '
    'autocapitalize="off" autocomplete="off" aria-invalid="{is_wrong}" '
    'aria-describedby="key-wrong">'
    '<button type="button" class="button" aria-label="Show or hide the key" '
    'aria-pressed="false" data-reveal="key">Show</button></div>{wrong}</div>'
    '<button type="submit" class="button{primary} full">Confirm with the key</button></form>'
)
_MAIL_FORM = Markup(
    '<form class="form" action="/confirm/mail" method="post">{hidden}'
    '<button type="submit" class="button full">Mail a link to {email}</button></form>'
)
_NO_WAY = Markup(
    "<p>You have no master key of your own and no verified e-mail address here. Sign out, and sign "
    "in again: that is a proof too.</p>"
)
_OTHERWISE = Markup(
    '<p class="dim small">Signing in again is a proof too. '
    '<a href="{wanted}">Go back without confirming</a></p>'
)
_LINK_FORM = Markup(
    "<p>This link confirms that it is you, in this browser. It works once.</p>"
    # goes to the address that was opened, token and all: the server never sends the token
    '<form method="post"><input type="hidden" name="form_token" value="{token}">'
    '<button type="submit" class="button primary full">Confirm that it is me</button></form>'
)
# with SameSite=Strict a browser sends no cookie when a mail leads here, but does from here
_AGAIN = Markup(
    "<p>Open this link in the browser in which you asked for it, while you are signed in there.</p>"
    '<div class="row"><a class="button primary" href="">I am signed in here: open it again</a>'
    "</div>"
)


@open_to(Callers.SIGNED_IN)
async def show(request: Request) -> Response:
    """The page with the ways to confirm; it leads on at once where nothing has to be proved."""
    wanted = own_page(request.query_params.get("next", ""))
    user = await signed_in_user(request)
    if user is None:
        return redirect_to(sign_in_address(wanted))
    services = wiring.current()
    if await services.reauthentication.is_recent(user.actor):
        return lead_back(user, wanted)
    choices = await services.identity_proofs.choices(user.actor)
    error, sent = request.query_params.get("error", ""), request.query_params.get("sent", "")
    notice = Markup()
    if sent and choices.email:
        notice = callout(
            f"A link is on its way to {choices.email}. Open it in this browser.", tone="green"
        )
    if error in _OTHER_WORDS:
        notice += callout(_OTHER_WORDS[error], tone="amber")
    hidden = _HIDDEN.format(token=services.form_tokens.issue(user.session_id), wanted=wanted)
    ways = _ways(choices, hidden, wrong=_KEY_WORDS.get(error, ""))
    body = (
        _INTRO.format(minutes=PROOF_MINUTES, notice=notice)
        + (ways or _NO_WAY)
        + _OTHERWISE.format(wanted=wanted)
    )
    return with_opener(plain_page(TITLE, body), wanted)


def _ways(choices: ProofChoices, hidden: Markup, *, wrong: str) -> Markup:
    ways = Markup()
    if choices.has_passkey:
        ways += passkey_form(
            "get",
            action="/confirm/passkey",
            options="/confirm/passkey/options",
            label="Confirm with a passkey",
            inside=hidden,
            is_primary=True,
        )
    if choices.has_master_key:
        ways += _KEY_FORM.format(
            hidden=hidden,
            autofocus=Markup("autofocus ") if wrong or not choices.has_passkey else "",
            primary="" if choices.has_passkey else " primary",
            is_wrong="true" if wrong else "false",
            wrong=field_error("key", wrong),
        )
    if choices.email:
        ways += _MAIL_FORM.format(hidden=hidden, email=choices.email)
    return ways


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def with_key(request: Request, user: WebUser, form: Form) -> Response:
    wanted = own_page(form.get("next", ""))
    try:
        await wiring.current().identity_proofs.with_key(
            actor_at(request, user), Secret(form.get("key", "").strip())
        )
    except RateLimited:
        return redirect_to(confirm_address(wanted, error="many"))
    except SignInFailed:
        return redirect_to(confirm_address(wanted, error="unknown"))
    except PermissionDenied:
        return redirect_to(confirm_address(wanted, error="shared"))
    return lead_back(user, wanted)


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def mail(request: Request, user: WebUser, form: Form) -> Response:
    wanted = own_page(form.get("next", ""))
    try:
        await wiring.current().identity_proofs.mail_link(actor_at(request, user), next_page=wanted)
    except RateLimited:
        return redirect_to(confirm_address(wanted, error="many"))
    except ValidationFailed:
        return redirect_to(confirm_address(wanted, error="mail"))
    return redirect_to(confirm_address(wanted, sent="1"))


@open_to(Callers.ANYBODY)
async def show_link(request: Request) -> Response:
    user = await signed_in_user(request)
    if user is None:
        return plain_page(TITLE, _AGAIN)
    services = wiring.current()
    try:
        await services.identity_proofs.look_at_link(
            actor_at(request, user), request.query_params.get("token", "")
        )
    except (LinkExpired, LinkUsed, NotFound, PermissionDenied) as error:
        return _dead_link(error)
    return plain_page(TITLE, _LINK_FORM.format(token=services.form_tokens.issue(user.session_id)))


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def with_link(request: Request, user: WebUser, form: Form) -> Response:
    token = request.query_params.get("token", "")
    try:
        wanted = await wiring.current().identity_proofs.use_link(actor_at(request, user), token)
    except RateLimited:
        return redirect_to(confirm_address("/", error="many"))
    except (LinkExpired, LinkUsed, NotFound, PermissionDenied) as error:
        return _dead_link(error)
    return lead_back(user, own_page(wanted))


def lead_back(user: WebUser, wanted: str) -> RedirectResponse:
    """303 to the page, which shows the form that was refused as it was."""
    services = wiring.current()
    held = services.held_forms.pop(user.session_id)
    if held is not None:
        services.flash_messages.set(user.session_id, held)
    return redirect_to(wanted)


def actor_at(request: Request, user: WebUser) -> Actor:
    """The person with the network address of this request, which may not be that of the sign-in."""
    return replace(user.actor, address=client_address(request))


def _dead_link(error: OrderDeskAgentsError) -> Response:
    return error_page(
        error.http_status,
        "This link does not work here",
        error.message,
        href="/confirm",
        label="Confirm in another way",
    )


ROUTES = [
    Route("/confirm", show, methods=["GET"]),
    Route("/confirm/key", with_key, methods=["POST"]),
    Route("/confirm/mail", mail, methods=["POST"]),
    Route("/confirm/link", show_link, methods=["GET"]),
    Route("/confirm/link", with_link, methods=["POST"]),
]
