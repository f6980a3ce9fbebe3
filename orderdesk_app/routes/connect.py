"""Making the key of a client on the page Connect. Only the answer to the POST ever shows it, with
the texts to paste; the page shows that answer in its own place (assets/ui/answers.js).
"""

from datetime import datetime, timedelta

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import SCOPE_PRESETS, Secret, now
from orderdesk_app.errors import Conflict, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.routes.client_texts import of_client
from orderdesk_app.routes.forms import Form, redirect_with_error, signed_in_form
from orderdesk_app.routes.html_pages import copyable, plain_page
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.client_setups import (
    CLIENTS,
    EXPIRIES,
    USUAL_EXPIRY,
    ClientSetup,
    find_client,
)
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser

FORM = "connect"
_TYPED = ("name", "preset", "stores", "expires")
_LONGEST_TYPED = 6_000  # 200 stores
_ONCE = Markup(
    '<p class="callout amber">This is the only time that this key is shown. Copy it now; '
    "it is not kept in a form that anybody can read.</p>"
)
_BACK = Markup('<div class="row"><a class="button primary" href="{page}">Back to Connect</a></div>')


@signed_in_form
@open_to(Permission.MANAGE_OWN_KEYS)
async def create(request: Request, user: WebUser, form: Form) -> Response:
    services = wiring.current()
    client = find_client(form.get("client", "")) or CLIENTS[0]
    page = f"/connect?client={client.id}"
    try:
        services.form_tokens.spend(form["form_token"])
    except Conflict as error:  # the same form once more: its key was made
        return redirect_with_error(user, page, error)
    preset = SCOPE_PRESETS.get(form.get("preset", ""), frozenset())
    try:
        view, key = await services.keys.create(
            user.actor,
            form.get("name", "").strip(),
            preset & user.actor.scopes,
            store_ids=_stores(form),
            expires_at=_expiry(form),
        )
    except OrderDeskAgentsError as error:
        typed = {name: form.get(name, "")[:_LONGEST_TYPED] for name in _TYPED}
        return redirect_with_error(user, page, error, form=FORM, typed=typed)
    return plain_page(f"Key “{view.name}”", _answer(client, view.name, key, page), wide=True)


def _stores(form: Form) -> list[str] | None:
    """The ids of the ticked stores; None ticked is every store."""
    return [store_id for store_id in form.get("stores", "").split(",") if store_id] or None


def _expiry(form: Form) -> datetime | None:
    """The end of a key; None for one that lasts. Raises ValidationFailed."""
    days = form.get("expires", USUAL_EXPIRY)
    if days not in EXPIRIES:
        raise ValidationFailed("Choose how long the key works.", field="expires")
    return now() + timedelta(days=int(days)) if days else None


def _answer(client: ClientSetup, name: str, key: Secret, page: str) -> Markup:
    url = wiring.current().settings.public_url
    # What the page Connect takes out of this answer stands in `data-answer`.
    return Markup(
        '<div class="stack" data-answer="1"><h2>{client}, with the key “{name}”</h2>{once}'
        "{texts}{key}</div>{back}"
    ).format(
        client=client.name,
        name=name,
        once=_ONCE,
        texts=of_client(client, url, key, "made"),
        key=copyable("new-key", key.reveal(), "The key"),
        back=_BACK.format(page=page),
    )


ROUTES = [Route("/connect/keys", create, methods=["POST"])]
