"""Answering an invitation: who invites to which account, and a button that accepts.

The page is plain HTML: strangers get no websocket (routes/sockets.py). A link is used up by a POST
alone: mail scanners open links.
"""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Role
from orderdesk_app.errors import (
    Conflict,
    LinkExpired,
    LinkUsed,
    NotFound,
    OrderDeskAgentsError,
    PermissionDenied,
    RateLimited,
    ValidationFailed,
)
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
from orderdesk_app.routes.html_pages import callout, error_page, field_error, plain_page, with_wait
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.invitations import PATH, Offer
from orderdesk_app.services.profile import LONGEST_NAME
from orderdesk_app.services.sessions import WebUser

_MAY = {
    Role.OWNER: "Owners do everything: stores, people, keys, and the account itself.",
    Role.MEMBER: "Members see everything, change orders, and make keys for their assistants.",
    Role.VIEWER: "Viewers see everything and change nothing.",
}
_OFFER = Markup(
    "<p><strong>{by}</strong> invites <strong>{email}</strong> to the account "
    "<strong>{account}</strong> as {role}.</p>"
    '<p class="dim small">{may} The invitation works once, until {until} UTC.</p>'
)
# goes to the address that was opened, token and all: the server never sends the token
_ACCEPT = Markup(
    '<form class="form" method="post">{notice}{fields}'
    '<button type="submit" class="button primary full">{label}</button></form>'
)
_NAME = Markup(
    '<div class="field"><label for="name">Your name</label>'
    '<input class="input" id="name" name="name" required autofocus maxlength="{longest}" '
    'autocomplete="name" value="{typed}" aria-invalid="{is_wrong}" '
    'aria-describedby="name-help name-wrong">'
    '<span class="help" id="name-help">Colleagues see it where something was done by you.</span>'
    "{wrong}</div>"
)
_SIGN_OUT = Markup(
    '<form method="post" action="/sign-out">'
    '<input type="hidden" name="form_token" value="{token}">'
    '<button type="submit" class="button full">Sign out</button></form>'
)
_PASSED_ON = (
    "If you have a user here already, sign in first, then open this link again: otherwise it makes "
    "another one."
)


@open_to(Callers.ANYBODY)
async def show(request: Request) -> Response:
    user = await signed_in_user(request)
    try:
        offer = await wiring.current().invitations.look(_token(request), user)
    except (LinkExpired, LinkUsed, NotFound) as error:
        return _dead(error)
    return _page(offer, user)


@same_origin_form
@open_to(Callers.ANYBODY)
async def accept(request: Request, form: Form) -> Response:
    user = await signed_in_user(request)
    services, token = wiring.current(), _token(request)
    device = device_of(request)
    try:
        accepted = await services.invitations.accept(
            token,
            user=user,
            name=form.get("name", ""),
            address=client_address(request),
            user_agent=user_agent(request),
            replaces=session_cookie(request),
            device=device,
        )
    except ValidationFailed as error:
        offer = await services.invitations.look(token, user)
        return _page(offer, user, typed=form.get("name", "")[:200], wrong=error.message)
    except (LinkExpired, LinkUsed, NotFound) as error:
        return _dead(error)
    except (PermissionDenied, Conflict, RateLimited) as error:
        return with_wait(error_page(error.http_status, "That was not done", error.message), error)
    return set_session_cookie(redirect_to("/"), accepted.cookie, device)


def _page(offer: Offer, user: WebUser | None, *, typed: str = "", wrong: str = "") -> Response:
    words = _OFFER.format(
        by=offer.by,
        email=offer.email,
        account=offer.account,
        role=offer.role.with_article,
        may=_MAY[offer.role],
        until=f"{offer.expires_at:%d %b %Y %H:%M}",
    )
    if user is not None and not offer.is_for_user:
        other = callout(
            f"You are signed in to {user.name} as somebody else. Sign out, then open the "
            "invitation again.",
            tone="amber",
        )
        token = wiring.current().form_tokens.issue(user.session_id)
        return plain_page("Invitation", words + other + _SIGN_OUT.format(token=token))
    is_new = user is None and not offer.is_known
    name = _NAME.format(
        longest=LONGEST_NAME,
        typed=typed,
        is_wrong="true" if wrong else "false",
        wrong=field_error("name", wrong),
    )
    notice = callout(_PASSED_ON, tone="amber") if is_new and not offer.is_proof else Markup()
    body = _ACCEPT.format(
        notice=notice,
        fields=name if is_new else "",
        label="Accept" if user else "Accept and sign in",
    )
    status = ValidationFailed.http_status if wrong else 200
    return plain_page("Invitation", words + body, status=status)


def _dead(error: OrderDeskAgentsError) -> Response:
    return error_page(
        error.http_status,
        "This invitation no longer works",
        error.message,
        href="/sign-in",
        label="Sign in",
    )


def _token(request: Request) -> str:
    return request.query_params.get("token", "")


ROUTES = [
    Route(PATH, show, methods=["GET"]),
    Route(PATH, accept, methods=["POST"]),
]
