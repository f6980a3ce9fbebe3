"""The page that asks a person whether an app may use their account, as plain HTML.

What the app says of itself is untrusted: its name is quoted, and the host of its redirect address
stands in bold, as that is where the answer goes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from starlette.responses import Response

from orderdesk_app.context import READING_SCOPES, Scope, StoreRowId, TenantId
from orderdesk_app.routes.headers import content_policy
from orderdesk_app.routes.html_pages import callout, field_error, plain_page, with_opener
from orderdesk_app.services.redirect_uris import RedirectKind, RedirectUri

ACTION = "/authorize"
_MEANS = {
    Scope.STORES_READ: "Names, folders and settings of your stores; never their keys.",
    Scope.ORDERS_READ: "Also the names, addresses and notes of your customers.",
    Scope.ORDERS_WRITE: "Create orders, change them, and move them to other folders.",
    Scope.ORDERS_DELETE: "A deleted order cannot be brought back.",
}
_INTRO = Markup(
    "<p>It wants to use your account, and can do what you tick here and nothing more.</p>"
)
# a name in letters that run from right to left moves no word of ours
_HEADING = Markup("{before} “<bdi>{name}</bdi>”{after}")
_FACTS = Markup(
    '<dl class="facts"><dt>App</dt><dd>{name}{trust}</dd>'
    "<dt>The answer goes to</dt><dd><strong>{host}</strong>{where}</dd>"
    "<dt>Account</dt><dd><strong>{account}</strong>, as {role}</dd></dl>"
)
_NAME = Markup("It calls itself “<bdi>{name}</bdi>”. ")
_VERIFIED = Markup("Its maker has the address <strong>{domain}</strong>, which was checked.")
_REGISTERED = Markup("It registered itself: nobody has checked who made it.")
# The person's click has sent a form, and Chromium holds all redirects that follow to the page's
# `form-action`: also those of the app's own site, which are none of ours. So the page that leads on
# begins a way of its own. And an app without a page of its own leaves its person here.
_ANSWERED = Markup(
    '<meta http-equiv="refresh" content="0;url={address}"><p>{words}</p>'
    '<div class="row"><a class="button primary" rel="noreferrer" href="{address}">{label}</a></div>'
)
_SWITCH = Markup(
    '<form class="row" action="/account/switch" method="post">{hidden}'
    '<label class="sr" for="tenant_id">Another account</label>'
    '<select class="input grow" id="tenant_id" name="tenant_id">{options}</select>'
    '<button type="submit" class="button">Switch account</button></form>'
)
_OPTION = Markup('<option value="{id}"{chosen}>{name}</option>')
_HIDDEN = Markup(
    '<input type="hidden" name="form_token" value="{token}">'
    '<input type="hidden" name="next" value="{request}">'
)
_FORM = Markup(
    '<form class="form consent" action="{action}" method="post">{hidden}'
    '<input type="hidden" name="consent" value="{consent}">{permissions}{stores}'
    # the first button is the one that Enter presses: a key held down approves nothing
    '<div class="ends"><button type="submit" name="decision" value="cancel" class="button">'
    'Cancel</button><button type="submit" name="decision" value="approve" '
    # a double click whose first half closed a window above the page is no approval
    'class="button primary" data-settle="700">Approve</button></div></form>'
)
_NOT_YOU = Markup(
    '<form class="form consent" action="{action}" method="post">{hidden}'
    '<input type="hidden" name="consent" value="{consent}"><p>{words}</p>'
    '<div class="row"><button type="submit" name="decision" value="cancel" class="button primary">'
    "Back to {where}</button></div></form>"
)
_FIELDSET = Markup(
    '<fieldset class="field plain" aria-describedby="{name}-wrong"><legend>{legend}</legend>'
    "{inside}{wrong}</fieldset>"
)
_BOX = Markup(
    '<label class="check"><input type="{kind}" name="{name}" value="{value}"{checked}'
    ' aria-invalid="{is_wrong}"><span class="stack tight"><span>{words}</span>{means}</span>'
    "</label>"
)
_MEANING = Markup('<span class="dim small">{words}</span>')
_DENIED = Markup(
    '<p class="dim small">It also asks for: {words}. As {role} you cannot allow that.</p>'
)
_CHOICES = Markup('<div class="choices">{boxes}</div>')
_LATER = Markup('<p class="dim small">{words}</p>')
_OTHER_PERSON = Markup(
    '<form class="row" action="/sign-out" method="post">{hidden}<span class="dim small grow">'
    "Not you?</span>"
    '<button type="submit" class="button small bare">Sign in as somebody else</button></form>'
)
_AFTERWARDS = Markup(
    '<p class="dim small">You can narrow or disconnect it at any time under Connected apps.</p>'
)
_NEW_ADDRESS = (
    "You know this app, but its answer goes to a new address this time. Approve only if you have "
    "just started this yourself."
)
_ON_THIS_COMPUTER = (
    "The answer goes to a program on the computer that you are using. Any program there can use "
    "this name: approve only if you have just started this yourself."
)
_NAMED_AS_WE_ARE = (
    "It uses a name like ours. It is not part of Order Desk agents and not made by Order Desk."
)


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What is asked, of whom."""

    request: str  # the address of this page, which has the whole request
    app: str  # its name; empty where that must not be shown
    has_our_name: bool
    domain: str  # of its metadata document; empty for an app that registered itself
    redirect: RedirectKind
    redirect_host: str
    redirect_source: str  # as a content security policy names it
    is_new_redirect: bool
    offered: Sequence[Scope]  # what was asked for and this person may allow
    denied: Sequence[Scope]
    added: Sequence[Scope]  # of an app that is connected: what it does not have yet
    account: str
    account_id: TenantId
    role: str  # with its article
    accounts: Sequence[tuple[TenantId, str]]
    stores: Sequence[tuple[StoreRowId, str]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is ticked."""

    scopes: Collection[str]
    store_ids: Collection[str] | None = None  # None: all
    is_read_only: bool = False
    wrong: Mapping[str, str] = field(default_factory=dict)  # sentences, by field
    notice: str = ""


def consent_page(view: ConsentView, choice: Choice, *, form_token: str, consent: str) -> Response:
    """`consent` binds the answer to this session, and to what is shown here."""
    hidden = _HIDDEN.format(token=form_token, request=view.request)
    form = _FORM.format(
        action=ACTION,
        hidden=hidden,
        consent=consent,
        permissions=_permissions(view, choice),
        stores=_stores(view, choice),
    )
    body = (
        _notices(view, choice)
        + _INTRO
        + _facts(view)
        + _switch(view, hidden)
        + form
        + _AFTERWARDS
        + _OTHER_PERSON.format(hidden=hidden)
    )
    return _page(view, body)


def refusal_page(view: ConsentView, words: str, *, form_token: str, consent: str) -> Response:
    """For somebody who may give the app nothing: why, who can, and the ways out."""
    hidden = _HIDDEN.format(token=form_token, request=view.request)
    where = view.redirect_host if view.redirect is RedirectKind.WEB else "the app"
    form = _NOT_YOU.format(action=ACTION, hidden=hidden, consent=consent, words=words, where=where)
    body = _facts(view) + _switch(view, hidden) + form + _OTHER_PERSON.format(hidden=hidden)
    return _page(view, body)


def denied_words(view: ConsentView) -> str:
    """Why nothing is left to tick of what the app asks for."""
    asked = ", ".join(scope.words for scope in view.denied)
    return (
        f"It asks for: {asked}. As {view.role} you cannot allow that. Ask an owner to connect it, "
        "or for another role."
    )


def answer_page(name: str, redirect: RedirectUri, address: str, *, is_approved: bool) -> Response:
    """The page that leads a browser on to the app with the answer; `name` may be empty."""
    before = "You approved" if is_approved else "You did not connect"
    if redirect.kind is RedirectKind.APP:
        words = "The app goes on by itself: you can close this page. If nothing opens, open it."
        label = "Open the app"
    else:
        words, label = "One moment: the app goes on.", f"Go on to {redirect.shown}"
    page = plain_page(
        "Approved" if is_approved else "Not connected",
        _ANSWERED.format(address=address, words=words, label=label),
        heading=_heading(before, name, otherwise=f"{before} the app"),
    )
    page.headers["Referrer-Policy"] = "no-referrer"
    page.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return page


def _heading(before: str, name: str, after: str = "", *, otherwise: str) -> str:
    return _HEADING.format(before=before, name=name, after=after) if name else otherwise


def _page(view: ConsentView, body: Markup) -> Response:
    heading = _heading("Connect", view.app, "?", otherwise="Connect an app?")
    page = plain_page("Connect an app", body, heading=heading, wide=True)
    # the answer leads to that one origin or scheme, and to no other
    page.headers["Content-Security-Policy"] = content_policy((), form_target=view.redirect_source)
    return with_opener(page, view.request)


def _switch(view: ConsentView, hidden: Markup) -> Markup:
    """The way to another account of the same person."""
    if len(view.accounts) < 2:
        return Markup()
    options = Markup().join(
        _OPTION.format(
            id=account_id,
            name=name,
            chosen=Markup(" selected") if account_id == view.account_id else "",
        )
        for account_id, name in view.accounts
    )
    return _SWITCH.format(hidden=hidden, options=options)


def _notices(view: ConsentView, choice: Choice) -> Markup:
    shown = callout(choice.notice, tone="green") if choice.notice else Markup()
    if view.has_our_name:
        shown += callout(_NAMED_AS_WE_ARE, tone="amber")
    if view.is_new_redirect:
        shown += callout(_NEW_ADDRESS, tone="amber")
    if view.added:
        words = ", ".join(scope.words for scope in view.added)
        shown += callout(f"This app is connected, and asks for more: {words}.", tone="amber")
    if view.redirect is not RedirectKind.WEB:
        shown += callout(_ON_THIS_COMPUTER, tone="amber")
    return shown


def _facts(view: ConsentView) -> Markup:
    where = {
        RedirectKind.WEB: "",
        RedirectKind.LOOPBACK: " (this computer)",
        RedirectKind.APP: " (a program on this device)",
    }
    return _FACTS.format(
        name=_NAME.format(name=view.app) if view.app else "",
        trust=_VERIFIED.format(domain=view.domain) if view.domain else _REGISTERED,
        host=view.redirect_host,
        where=where[view.redirect],
        account=view.account,
        role=view.role,
    )


def _permissions(view: ConsentView, choice: Choice) -> Markup:
    wrong = choice.wrong.get("scopes", "")
    inside = Markup().join(
        _box(
            "scopes",
            scope.value,
            scope.words,
            means=_MEANS.get(scope, ""),
            is_checked=scope.value in choice.scopes,
            is_wrong=bool(wrong),
        )
        for scope in view.offered
    )
    if view.denied:
        words = ", ".join(scope.words for scope in view.denied)
        inside += _DENIED.format(words=words, role=view.role)
    if choice.is_read_only or not READING_SCOPES.issuperset(view.offered):
        inside += _box(
            "read_only",
            "1",
            "Read only",
            means="Whatever is ticked above, it changes nothing.",
            is_checked=choice.is_read_only,
            is_wrong=False,
        )
    return _fieldset("scopes", "It may", inside, wrong)


def _stores(view: ConsentView, choice: Choice) -> Markup:
    if not view.stores:
        words = "No store is connected yet. It may use those that you connect later."
        return _LATER.format(words=words)
    wrong = choice.wrong.get("stores", "")
    chosen = choice.store_ids
    boxes = Markup().join(
        _box(
            "stores",
            store_id,
            name,
            is_checked=store_id in (chosen or ()),
            is_wrong=bool(wrong),
        )
        for store_id, name in view.stores
    )
    inside = _box(
        "which",
        "all",
        "All stores",
        kind="radio",
        means="Also those that are connected later.",
        is_checked=chosen is None,
        is_wrong=False,
    )
    inside += _box(
        "which",
        "some",
        "Only these:",
        kind="radio",
        is_checked=chosen is not None,
        is_wrong=bool(wrong),
    )
    return _fieldset("stores", "In", inside + _CHOICES.format(boxes=boxes), wrong)


def _fieldset(name: str, legend: str, inside: Markup, wrong: str) -> Markup:
    return _FIELDSET.format(name=name, legend=legend, inside=inside, wrong=field_error(name, wrong))


def _box(
    name: str,
    value: str,
    words: str,
    *,
    is_checked: bool,
    is_wrong: bool,
    means: str = "",
    kind: str = "checkbox",
) -> Markup:
    return _BOX.format(
        kind=kind,
        name=name,
        value=value,
        words=words,
        means=_MEANING.format(words=means) if means else "",
        checked=Markup(" checked") if is_checked else "",
        is_wrong="true" if is_wrong else "false",
    )
