"""Making, revoking and rotating keys.

Only the answer to the POST ever shows a new key.
"""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Scope, Secret
from orderdesk_app.errors import (
    Conflict,
    OrderDeskAgentsError,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.routes.forms import (
    Form,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.routes.html_pages import copyable, plain_page
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser
from orderdesk_app.services.snippets import claude_code, claude_desktop

CONFIRMS = "replace"  # pages/settings.py asks for the same word
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
_NOT_FOR_ASSISTANTS = Markup(
    "<p>Sign in here with it. It may do everything, so keep it to yourself: for an "
    "assistant make an access key under Settings, which you can limit and revoke.</p>"
)
_STEPS = Markup(
    '<ol class="stack tight dim"><li>1. In Claude Desktop open Settings, Developer, Edit '
    "Config.</li><li>2. Merge this into claude_desktop_config.json.</li>"
    "<li>3. Restart Claude Desktop. The first call then appears on Home.</li></ol>"
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
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(
            user,
            "/settings",
            error,
            form="key",
            typed={
                name: form.get(name, "")[:200]
                for name in ("name", "scopes", "default_store")
                if name != "default_store" or form.get(name)
            },
        )
    address = wiring.current().settings.public_url
    configuration = Markup("{}{}{}").format(
        copyable("claude-desktop", claude_desktop(address, key.reveal()), "Claude Desktop"),
        _STEPS,
        copyable("claude-code", claude_code(address, key.reveal()), "Claude Code"),
    )
    return _show_once(f"Key “{view.name}”", key, configuration)


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
    services = wiring.current()
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
        key = await services.keys.rotate_master(user.actor)
    except (ValidationFailed, ReauthenticationRequired) as error:
        typed = {"confirm": form.get("confirm", "")[:200]}
        return redirect_with_error(user, "/settings", error, form="rotate-master", typed=typed)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, "/settings", error)
    if is_first:
        return _show_once("Your master key", key, _NOT_FOR_ASSISTANTS)
    return _show_once("New master key", key, _REPLACED + _NOT_FOR_ASSISTANTS)


def _scopes(form: Form) -> frozenset[Scope]:
    """The scopes of the ticked boxes; unknown names are left out."""
    known = {str(scope): scope for scope in Scope}
    return frozenset(known[name] for name in form.get("scopes", "").split(",") if name in known)


def _show_once(title: str, key: Secret, words: Markup) -> Response:
    body = Markup("{once}{key}{words}{done}").format(
        once=_ONCE, key=copyable("new-key", key.reveal(), "The key"), words=words, done=_DONE
    )
    return plain_page(title, body, wide=True)


ROUTES = [
    Route("/settings/keys/create", create, methods=["POST"]),
    Route("/settings/keys/revoke", revoke, methods=["POST"]),
    Route("/settings/keys/rotate-master", rotate_master, methods=["POST"]),
]
