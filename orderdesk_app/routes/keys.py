"""Making, editing, rotating and revoking keys.

Only the answer to the POST ever shows a new key.
"""

from datetime import timedelta

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import LegacyScope, Scope, Secret, now
from orderdesk_app.errors import (
    Conflict,
    OrderDeskAgentsError,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.routes.client_texts import of_every_client
from orderdesk_app.routes.forms import (
    Form,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.routes.html_pages import copyable, plain_page
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.key_choices import KEEP, KeyChoice, end_of
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser

CONFIRMS = "replace"  # pages/settings/master.py asks for the same word
_TYPED = ("name", "scopes", "read_only", "by_store", "which", "stores", "default_store", "expires")
_ONCE = Markup(
    '<p class="callout amber">This is the only time that this key is shown. Copy it now; '
    "it is not kept in a form that anybody can read.</p>"
)
_DONE = Markup(
    '<div class="row"><a class="button primary" href="/settings">I have copied it</a></div>'
)
_REPLACED = Markup(
    "<p>The old master key stopped working just now, and other browsers that were signed "
    "in with it are signed out.</p>"
)
_IN_GRACE = Markup(
    "<p>The old master key signs in no more, and other browsers that were signed in with it are "
    "signed out. Assistants that have it can work with it for {hours}.</p>"
)
_OVERLAPS = Markup("<p>The old key works for {hours} more. Put this one in its place.</p>")
_STOPPED = Markup("<p>The old key stopped working just now. Put this one in its place.</p>")
_NOT_FOR_ASSISTANTS = Markup(
    "<p>Sign in here with it. It may do everything, so keep it to yourself: for an "
    "assistant make an access key under Settings, which you can limit and revoke.</p>"
)


@signed_in_form
@open_to(Permission.MANAGE_OWN_KEYS)
async def create(request: Request, user: WebUser, form: Form) -> Response:
    try:
        wiring.current().form_tokens.spend(form["form_token"])
    except Conflict as error:  # the same form once more: its key was made
        return redirect_with_error(user, "/settings", error)
    try:
        view, key = await wiring.current().keys.create(
            user.actor,
            form.get("name", "").strip(),
            _scopes(form),
            default_store_id=form.get("default_store") or None,
            store_ids=_stores(form),
            is_read_only=form.get("read_only") == "1",
            expires_at=end_of(form.get("expires", ""), now()),
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, "/settings", error, form="key", typed=_typed(form))
    address = wiring.current().settings.public_url
    return _show_once(f"Key “{view.name}”", key, of_every_client(address, key))


@signed_in_form
@open_to(Permission.SEE_ACCOUNT)  # a key of one's own, in any role; services look at what it gains
async def edit(request: Request, user: WebUser, form: Form) -> Response:
    services, key_id = wiring.current(), form.get("key_id", "")[:40]
    listed = {key.id: key for key in await services.keys.list(user.actor)}
    known = listed[key_id].expires_at if key_id in listed else None
    halves = form.get("scopes", "").split(",")
    expires = form.get("expires", KEEP if known else "")
    try:
        choice = KeyChoice(
            form.get("name", ""),
            _scopes(form),
            _stores(form),
            form.get("read_only") == "1",
            end_of(expires, now(), known) if key_id in listed else None,
            form.get("default_store") or None,
            [half for half in LegacyScope if half.value in halves],
        )
        view = await services.key_changes.edit(user.actor, key_id, choice)
    except OrderDeskAgentsError as error:
        form_name = f"edit-{key_id}" if key_id in listed else ""
        return redirect_with_error(user, "/settings", error, form=form_name, typed=_typed(form))
    return redirect_with_notice(
        user, "/settings", f"{view.name} is saved. Its next call is as you chose."
    )


@signed_in_form
@open_to(Permission.MANAGE_OWN_KEYS)
async def rotate(request: Request, user: WebUser, form: Form) -> Response:
    services, key_id = wiring.current(), form.get("key_id", "")[:40]
    overlap = _hours(form.get("overlap", ""))
    try:
        services.form_tokens.spend(form["form_token"])
        view, key = await services.key_changes.rotate(user.actor, key_id, overlap=overlap)
    except (ValidationFailed, ReauthenticationRequired) as error:
        return redirect_with_error(user, "/settings", error, form=f"rotate-{key_id}")
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, "/settings", error)
    words = _OVERLAPS.format(hours=_in_words(overlap)) if overlap else _STOPPED
    return _show_once(f"New key “{view.name}”", key, words)


@signed_in_form
@open_to(Permission.SEE_ACCOUNT)  # a key of one's own, in any role
async def revoke(request: Request, user: WebUser, form: Form) -> Response:
    try:
        await wiring.current().keys.revoke(user.actor, form.get("key_id", ""))
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, "/settings", error)
    return redirect_with_notice(
        user, "/settings", "The key is revoked. Whoever uses it is refused from now on."
    )


@signed_in_form
@open_to(Permission.MANAGE_MASTER_KEY)
async def rotate_master(request: Request, user: WebUser, form: Form) -> Response:
    services, grace = wiring.current(), _hours(form.get("grace") or "0")
    try:
        services.form_tokens.spend(form["form_token"])
        is_first = not any(key.is_master for key in await services.keys.list(user.actor))
        if (
            not is_first and form.get("confirm", "").strip() != CONFIRMS
        ):  # a first one replaces nothing
            raise ValidationFailed(
                f"Type “{CONFIRMS}” to replace the master key. The old one still works.",
                field="confirm",
            )
        key = await services.keys.rotate_master(user.actor, grace=grace)
    except (ValidationFailed, ReauthenticationRequired) as error:
        typed = {"confirm": form.get("confirm", "")[:200]}
        if "grace" in form:
            typed["grace"] = form["grace"][:10]
        return redirect_with_error(user, "/settings", error, form="rotate-master", typed=typed)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, "/settings", error)
    if is_first:
        return _show_once("Your master key", key, _NOT_FOR_ASSISTANTS)
    words = _IN_GRACE.format(hours=_in_words(grace)) if grace else _REPLACED
    return _show_once("New master key", key, words + _NOT_FOR_ASSISTANTS)


def _scopes(form: Form) -> frozenset[Scope]:
    """The scopes of the ticked boxes; unknown names are left out."""
    known = {str(scope): scope for scope in Scope}
    return frozenset(known[name] for name in form.get("scopes", "").split(",") if name in known)


def _stores(form: Form) -> list[str] | None:
    """The chosen stores; None for all of them, also of an account that has none to choose from."""
    if form.get("which") == "all" or not {"by_store", "stores"} & set(form):
        return None
    return [store_id for store_id in form.get("stores", "").split(",") if store_id]


def _hours(text: str) -> timedelta:
    """That many hours; services refuse those that are not offered."""
    return timedelta(hours=int(text)) if text.isdecimal() and len(text) < 6 else timedelta(-1)


def _in_words(time: timedelta) -> str:
    hours = time // timedelta(hours=1)
    if hours % 24 == 0 and hours > 24:
        return f"{hours // 24} days"
    return f"{hours} hour{'' if hours == 1 else 's'}"


def _typed(form: Form) -> dict[str, str]:
    """What was typed into the form of a key, which comes back with it."""
    always = ("name", "scopes")
    return {name: form.get(name, "")[:8000] for name in _TYPED if form.get(name) or name in always}


def _show_once(title: str, key: Secret, words: Markup) -> Response:
    body = Markup("{once}{key}{words}{done}").format(
        once=_ONCE,
        key=copyable("new-key", key.reveal(), "The key", download="order-desk-key.txt"),
        words=words,
        done=_DONE,
    )
    return plain_page(title, body, wide=True)


ROUTES = [
    Route("/settings/keys/create", create, methods=["POST"]),
    Route("/settings/keys/edit", edit, methods=["POST"]),
    Route("/settings/keys/rotate", rotate, methods=["POST"]),
    Route("/settings/keys/revoke", revoke, methods=["POST"]),
    Route("/settings/keys/rotate-master", rotate_master, methods=["POST"]),
]
