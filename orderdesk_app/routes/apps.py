"""Forms of the page "Connected apps"."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Scope, StoreRowId
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.routes.forms import (
    Form,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser

PAGE = "/apps"


@signed_in_form
@open_to(Permission.SEE_ACCOUNT)  # an app of one's own, in any role
async def narrow(request: Request, user: WebUser, form: Form) -> Response:
    app_id = form.get("app_id", "")
    known = {scope.value: scope for scope in Scope}
    stores = [StoreRowId(store_id) for store_id in form.get("stores", "").split(",") if store_id]
    try:
        name = await wiring.current().connected_apps.narrow(
            user.actor,
            app_id,
            scopes=[known[one] for one in form.get("scopes", "").split(",") if one in known],
            store_ids=None if form.get("which") == "all" else stores,
            is_read_only=form.get("read_only") == "1",
        )
    except OrderDeskAgentsError as error:
        typed = {
            "scopes": form.get("scopes", "")[:500],
            "which": form.get("which", "")[:10],
            "stores": form.get("stores", "")[:20_000],
            "read_only": form.get("read_only", "")[:1],
        }
        return redirect_with_error(user, PAGE, error, form=f"narrow-{app_id[:40]}", typed=typed)
    return redirect_with_notice(user, PAGE, f"“{name}” is narrowed, from its next call on.")


@signed_in_form
@open_to(Permission.SEE_ACCOUNT)  # an app of one's own, in any role
async def disconnect(request: Request, user: WebUser, form: Form) -> Response:
    try:
        name = await wiring.current().connected_apps.disconnect(user.actor, form.get("app_id", ""))
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error)
    return redirect_with_notice(
        user,
        PAGE,
        f"“{name}” is disconnected: its next call is refused. It can be connected again.",
    )


ROUTES = [
    Route("/apps/narrow", narrow, methods=["POST"]),
    Route("/apps/disconnect", disconnect, methods=["POST"]),
]
