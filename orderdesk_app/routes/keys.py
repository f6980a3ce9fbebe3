"""Making, revoking and rotating keys. The answer to the POST is the one place that ever shows a new key."""

import json

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Scope, Secret
from orderdesk_app.errors import Conflict, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.routes.forms import Form, done, refuse, signed_in_form
from orderdesk_app.routes.plain import copyable, plain_page
from orderdesk_app.services.sessions import WebUser

CONFIRMS = "replace"  # pages/settings.py asks for the same word
_ONCE = Markup('<p class="callout amber">This is the only time that this key is shown. Copy it now; it is not kept in a form that anybody can read.</p>')
_DONE = Markup('<div class="row"><a class="button primary" href="/settings">I have copied it</a></div>')
_STEPS = Markup(
    '<ol class="stack tight dim"><li>1. In Claude Desktop open Settings, Developer, Edit Config.</li><li>2. Merge this into claude_desktop_config.json.</li>'
    "<li>3. Restart Claude Desktop. The first call then stands on Home.</li></ol>"
)


@signed_in_form
async def create(request: Request, user: WebUser, form: Form) -> Response:
    try:
        wiring.current().form_tokens.spend(form["form_token"])
        view, key = await wiring.current().keys.create(user.actor, form.get("name", "").strip(), _scopes(form))
    except Conflict as error:
        return refuse(user, "/settings", error)
    except OrderDeskAgentsError as error:
        return refuse(user, "/settings", error, form="key", typed={"name": form.get("name", "")[:200], "scopes": form.get("scopes", "")[:200]})
    return _show_once(f"Key “{view.name}”", key, note="")


@signed_in_form
async def revoke(request: Request, user: WebUser, form: Form) -> Response:
    try:
        await wiring.current().keys.revoke(user.actor, form.get("key_id", ""))
    except OrderDeskAgentsError as error:
        return refuse(user, "/settings", error)
    return done(user, "/settings", "The key is revoked. Whoever uses it is refused from now on.")


@signed_in_form
async def rotate_master(request: Request, user: WebUser, form: Form) -> Response:
    house = wiring.current()
    try:
        house.form_tokens.spend(form["form_token"])
        await _must_mean_it(user, form)
        key = await house.keys.rotate_master(user.actor)
    except ValidationFailed as error:
        return refuse(user, "/settings", error, form="rotate-master")
    except OrderDeskAgentsError as error:
        return refuse(user, "/settings", error)
    return _show_once("New master key", key, note="The old master key stopped working just now, and other browsers that were signed in with it are signed out.")


async def _must_mean_it(user: WebUser, form: Form) -> None:
    """A key that exists is replaced when the word was typed, as the page asks; a first one replaces nothing."""
    has_one = any(key.is_master for key in await wiring.current().keys.list(user.actor))
    if has_one and form.get("confirm", "").strip() != CONFIRMS:
        raise ValidationFailed(f"Type “{CONFIRMS}” to replace the master key. The old one still works.", field="confirm")


def _scopes(form: Form) -> frozenset[Scope]:
    """The boxes that were ticked; names that are no scope are left out."""
    known = {str(scope): scope for scope in Scope}
    return frozenset(known[name] for name in form.get("scopes", "").split(",") if name in known)


def claude_desktop(settings: Settings, key: str) -> str:
    """The configuration of Claude Desktop through mcp-remote: the key stands in an environment variable, never in the address."""
    arguments = ["-y", "mcp-remote", f"{settings.public_url}/mcp", "--transport", "http-only", "--header", "Authorization:${ORDERDESK_AUTHORIZATION}"]
    if settings.public_url.startswith("http://"):
        arguments.append("--allow-http")
    return json.dumps({"mcpServers": {"orderdesk": {"command": "npx", "args": arguments, "env": {"ORDERDESK_AUTHORIZATION": f"Bearer {key}"}}}}, indent=2)


def _show_once(title: str, key: Secret, *, note: str) -> Response:
    text = key.reveal()
    body = Markup("{once}{note}{key}{config}{steps}{done}").format(
        once=_ONCE,
        note=Markup("<p>{}</p>").format(note) if note else "",
        key=copyable("new-key", text, "The key"),
        config=copyable("claude-desktop", claude_desktop(wiring.current().settings, text), "Claude Desktop"),
        steps=_STEPS,
        done=_DONE,
    )
    return plain_page(title, body, wide=True)


ROUTES = [
    Route("/settings/keys/create", create, methods=["POST"]),
    Route("/settings/keys/revoke", revoke, methods=["POST"]),
    Route("/settings/keys/rotate-master", rotate_master, methods=["POST"]),
]
