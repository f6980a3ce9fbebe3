"""The authorization endpoint of OAuth, where a person answers an app: approve, narrowed, or cancel.

Nothing is kept between the question and the answer. The form sends the request along, and its token
binds the answer to the session and to what was shown (services/consent.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import READING_SCOPES, Json, Scope, StoreRowId, current_request
from orderdesk_app.errors import (
    NotFound,
    OrderDeskAgentsError,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.routes.consent_page import (
    ACTION,
    Choice,
    ConsentView,
    answer_page,
    consent_page,
    denied_words,
    refusal_page,
)
from orderdesk_app.routes.forms import (
    Form,
    client_address,
    redirect_to,
    redirect_with_error,
    signed_in_form,
    signed_in_user,
)
from orderdesk_app.routes.html_pages import error_page, plain_page, with_opener, with_wait
from orderdesk_app.security.web import own_page, sign_in_address
from orderdesk_app.services.app_names import app_name, looks_like_ours
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.oauth_authorization import AuthorizationRequest
from orderdesk_app.services.oauth_errors import AuthorizationRedirect, OAuthRefused
from orderdesk_app.services.redirect_uris import RedirectKind, RedirectUri, read_redirect
from orderdesk_app.services.roles import Permission, may, refusal_of, scopes_of
from orderdesk_app.services.sessions import WebUser

# What is ticked only by the person: an app that asks for everything is not thereby given it.
_TICKED_BY_HAND = frozenset({Scope.ORDERS_DELETE, Scope.STORES_MANAGE})
_TITLE = "The app could not be connected"
_BACK = Markup(
    "<p>The app at <strong>{host}</strong> sent you here with a request that does not work, so "
    "nothing was connected. Go back, and connect once more; if it stays, tell its maker this:</p>"
    '<p class="dim small">{words}</p>'
    '<div class="row"><a class="button primary" rel="noreferrer" href="{address}">'
    "Go back to {host}</a></div>"
)
_AGAIN = Markup(
    '<meta http-equiv="refresh" content="0"><p>One moment.</p>'
    '<div class="row"><a class="button primary" href="">Continue</a></div>'
)


@open_to(Callers.ANYBODY)
async def show(request: Request) -> Response:
    """The question; who is not signed in does that first, and comes back to it."""
    wanted = request_address(request.url.query)
    if wanted is None:
        return error_page(400, _TITLE, "The request of this app is too long, or cannot be read.")
    services = wiring.current()
    user = await signed_in_user(request)
    try:
        asked = await services.authorization_requests.look(
            _query_of(wanted), user.actor if user else None, address=client_address(request)
        )
    except OAuthRefused as error:
        return _refused(error)
    except OrderDeskAgentsError as error:  # such as too many documents fetched
        return _failed(error)
    if user is None:
        if _is_from_another_site(request):
            return with_opener(plain_page("One moment", _AGAIN), wanted)
        return redirect_to(sign_in_address(wanted))
    view = await _view(user, wanted, asked)
    flash = services.flash_messages.pop(user.session_id)
    choice = _first_choice(asked, view)
    if flash is not None and flash.form == _form_name(wanted):
        choice = _choice_again(flash.typed)
        if flash.tone == "green":
            choice = replace(choice, notice="You confirmed that it is you. Now approve.")
        else:
            choice = replace(choice, wrong={flash.field or "scopes": flash.text})
    return _page(user, view, asked, choice)


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def decide(request: Request, user: WebUser, form: Form) -> Response:
    """The answer. What the form says of the request is checked as if it were new."""
    wanted = own_page(form.get("next", ""))
    if not wanted.startswith(f"{ACTION}?"):
        words = "This form is out of date. Go back to the app, and start again."
        return error_page(400, _TITLE, words, reference=current_request().request_id)
    services = wiring.current()
    requests = services.authorization_requests
    try:
        asked = await requests.look(_query_of(wanted), user.actor, address=client_address(request))
    except OAuthRefused as error:
        return _refused(error)
    view = await _view(user, wanted, asked)
    services.consent_tokens.check(user.session_id, _shown(view, asked), form.get("consent", ""))
    is_approved = form.get("decision") == "approve"
    if not is_approved:
        address = await requests.refuse(user.actor, asked)
        return _answered(request, asked, address, is_approved=is_approved)
    try:
        address = await requests.approve(
            user.actor,
            asked,
            scopes=_scopes(form, view),
            store_ids=_store_ids(form, view),
            is_read_only=form.get("read_only") == "1",
        )
    except (ReauthenticationRequired, ValidationFailed, NotFound) as error:
        return redirect_with_error(user, wanted, error, form=_form_name(wanted), typed=_typed(form))
    return _answered(request, asked, address, is_approved=is_approved)


def request_address(query: str) -> str | None:
    """The address of the consent page for the request in a query, in the one spelling that survives
    the ways of signing in; None for a query that is too long or cannot be read.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="strict")
        spelt = urlencode(pairs, quote_via=quote, safe="").replace("~", "%7E")
    except ValueError:  # also what is no UTF-8
        return None
    if not spelt:
        return f"{ACTION}?client_id="
    address = f"{ACTION}?{spelt}"
    return address if own_page(address) == address else None


def _query_of(address: str) -> str:
    return address.partition("?")[2]


def _is_from_another_site(request: Request) -> bool:
    """Whether the browser came by a link of another site: with SameSite=Strict it then sends no
    cookie, but does when the page asks for itself.
    """
    is_strict = wiring.current().settings.session_cookie_samesite == "Strict"
    return is_strict and request.headers.get("sec-fetch-site") == "cross-site"


# ------------------------------------------------------------------ what is shown


async def _view(user: WebUser, wanted: str, asked: AuthorizationRequest) -> ConsentView:
    services, actor = wiring.current(), user.actor
    allowed = actor.scopes & scopes_of(actor.role)
    accounts = await services.account_switch.list(actor)
    stores = await services.stores.list(actor)
    client, redirect = asked.client, asked.redirect
    return ConsentView(
        request=wanted,
        app=app_name(client.name),
        has_our_name=looks_like_ours(client.name),
        domain=_domain(client.client_id) if client.is_document else "",
        redirect=redirect.kind,
        redirect_host=redirect.shown,
        redirect_source=redirect.source,
        is_new_redirect=asked.is_new_redirect,
        offered=[scope for scope in asked.scopes if scope in allowed],
        denied=[scope for scope in asked.scopes if scope not in allowed],
        added=_added(asked),
        account=user.name,
        account_id=actor.tenant_id,
        role=actor.role.with_article if actor.role else "",
        accounts=[(one.id, one.name) for one in accounts],
        stores=[(record.id, record.name) for record in stores],
    )


def _added(asked: AuthorizationRequest) -> list[Scope]:
    """What an app that was connected before asks for beyond what it has."""
    if asked.before is None:
        return []
    return [scope for scope in asked.scopes if scope not in asked.before.scopes]


def _domain(address: str) -> str:
    """The host of a client's metadata document, which is its id."""
    found = read_redirect(address)
    return found.host if isinstance(found, RedirectUri) else ""


def _shown(view: ConsentView, asked: AuthorizationRequest) -> Mapping[str, Json]:
    """What the answer belongs to. The session stands for the person and their account."""
    return {
        "request": view.request,
        "client": asked.client.client_id,
        "name": asked.client.name,
        "redirect": asked.redirect.text,
        "asked": [scope.value for scope in asked.scopes],
        "account": view.account_id,
    }


def _page(
    user: WebUser, view: ConsentView, asked: AuthorizationRequest, choice: Choice
) -> Response:
    services = wiring.current()
    form_token = services.form_tokens.issue(user.session_id)
    consent = services.consent_tokens.issue(user.session_id, _shown(view, asked))
    if not may(user.actor, Permission.MANAGE_OWN_KEYS) or not view.offered:
        is_about_role = not may(user.actor, Permission.MANAGE_OWN_KEYS)
        words = refusal_of(Permission.MANAGE_OWN_KEYS) if is_about_role else denied_words(view)
        return refusal_page(view, words, form_token=form_token, consent=consent)
    return consent_page(view, choice, form_token=form_token, consent=consent)


def _refused(error: OAuthRefused) -> Response:
    """What a client did wrong, for its person. Another site is led to by a click alone: anybody can
    register a client, and a link to us must not be a link to them (RFC 9700 section 4.11.2).
    """
    if not isinstance(error, AuthorizationRedirect):
        reference = current_request().request_id
        return error_page(400, _TITLE, error.description, reference=reference)
    redirect = read_redirect(error.address)
    if not isinstance(redirect, RedirectUri) or redirect.kind is not RedirectKind.WEB:
        return _leads_to(error.address)  # a program of this computer, which waits for it
    body = _BACK.format(words=error.description, host=redirect.shown, address=error.address)
    return plain_page(_TITLE, body, status=400)


def _failed(error: OrderDeskAgentsError) -> Response:
    page = error_page(
        error.http_status, _TITLE, error.message, reference=current_request().request_id
    )
    return with_wait(page, error)


def _answered(
    request: Request, asked: AuthorizationRequest, address: str, *, is_approved: bool
) -> Response:
    """Leads back to the client: a browser by a page of ours, and whoever else by a redirect."""
    if request.headers.get("sec-fetch-mode") != "navigate":
        return _leads_to(address)
    return answer_page(
        app_name(asked.client.name), asked.redirect, address, is_approved=is_approved
    )


def _leads_to(address: str) -> Response:
    """303 to the client's own redirect address, which learns nothing of where the person was."""
    headers = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "unsafe-none",
    }
    return RedirectResponse(address, 303, headers)


# ------------------------------------------------------------------ what is chosen


def _first_choice(asked: AuthorizationRequest, view: ConsentView) -> Choice:
    """What an app is given that was connected before stays; of a new one nothing is ticked that
    deletes.
    """
    if asked.before is not None:
        more = set(asked.scopes) - _TICKED_BY_HAND
        return Choice(
            {scope.value for scope in (*asked.before.scopes, *more)},
            asked.before.store_ids,
            asked.before.is_read_only,
        )
    ticked = [scope for scope in view.offered if scope not in _TICKED_BY_HAND]
    return Choice({scope.value for scope in ticked or view.offered})


def _form_name(wanted: str) -> str:
    """Of the form of that request, in a message about it."""
    return f"consent-{sha256(wanted.encode()).hexdigest()[:16]}"


def _typed(form: Form) -> Mapping[str, str]:
    return {
        "scopes": form.get("scopes", "")[:500],
        "which": form.get("which", "")[:10],
        "stores": form.get("stores", "")[:20_000],
        "read_only": form.get("read_only", "")[:1],
    }


def _choice_again(typed: Mapping[str, str]) -> Choice:
    stores = None if typed.get("which") == "all" else _listed(typed.get("stores", ""))
    return Choice(_listed(typed.get("scopes", "")), stores, typed.get("read_only") == "1")


def _scopes(form: Form, view: ConsentView) -> frozenset[Scope]:
    """The ticked ones. Raises ValidationFailed where nothing is left of them."""
    known = {scope.value: scope for scope in Scope}
    ticked = frozenset(known[name] for name in _listed(form.get("scopes", "")) if name in known)
    if form.get("read_only") == "1" and not ticked & READING_SCOPES:
        raise ValidationFailed(
            "Read only leaves nothing of this. Tick a permission that reads.", field="scopes"
        )
    return ticked


def _store_ids(form: Form, view: ConsentView) -> list[StoreRowId] | None:
    """The ticked ones; None for all of them, which is only what the page asked for in words."""
    if form.get("which") == "all" or not view.stores:
        return None
    return [StoreRowId(store_id) for store_id in _listed(form.get("stores", ""))]


def _listed(text: str) -> list[str]:
    """The values of boxes of one name, as routes/forms.py joins them."""
    return [value for value in text.split(",") if value]


ROUTES = [
    Route(ACTION, show, methods=["GET"]),
    Route(ACTION, decide, methods=["POST"]),
]
