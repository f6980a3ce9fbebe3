"""Connecting, editing and disconnecting stores: an Order Desk key that a person types arrives here,
never in a state.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Secret
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

PAGE = "/stores"


@signed_in_form
@open_to(Permission.MANAGE_STORES)
async def connect(request: Request, user: WebUser, form: Form) -> Response:
    typed = {name: form.get(name, "")[:200] for name in ("store_id", "store_name", "label")}
    try:
        record = await wiring.current().stores.connect(
            user.actor,
            form.get("store_id", ""),
            Secret(form.get("api_key", "")),
            name=form.get("store_name", "").strip(),
            label=form.get("label", "").strip(),
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error, form="connect", typed=typed)
    return redirect_with_notice(
        user, PAGE, f"{record.name} is connected. {_folders(len(record.folders))} found."
    )


@signed_in_form
@open_to(Permission.MANAGE_STORES)
async def edit(request: Request, user: WebUser, form: Form) -> Response:
    row_id, key = form.get("row_id", ""), form.get("api_key", "").strip()
    typed = {name: form.get(name, "")[:200] for name in ("store_name", "label")}
    try:
        record = await wiring.current().stores.edit(
            user.actor,
            row_id,
            name=form.get("store_name", ""),
            label=form.get("label", ""),
            api_key=Secret(key) if key else None,
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error, form=f"edit-{row_id[:40]}", typed=typed)
    return redirect_with_notice(
        user,
        PAGE,
        f"{record.name} is saved."
        if not key
        else f"{record.name} is saved, and its new key works.",
    )


@signed_in_form
@open_to(Permission.MANAGE_STORES)
async def disconnect(request: Request, user: WebUser, form: Form) -> Response:
    row_id = form.get("row_id", "")
    try:
        record = await wiring.current().stores.disconnect(
            user.actor, row_id, typed_name=form.get("confirm", "")
        )
    except OrderDeskAgentsError as error:
        typed = {"confirm": form.get("confirm", "")[:200]}
        return redirect_with_error(user, PAGE, error, form=f"disconnect-{row_id[:40]}", typed=typed)
    return redirect_with_notice(
        user,
        PAGE,
        f"{record.name} is disconnected."
        if record.is_sandbox
        else f"{record.name} is disconnected. Nothing changed at Order Desk.",
    )


def _folders(count: int) -> str:
    return "1 folder" if count == 1 else f"{count} folders"


ROUTES = [
    Route("/stores/connect", connect, methods=["POST"]),
    Route("/stores/edit", edit, methods=["POST"]),
    Route("/stores/disconnect", disconnect, methods=["POST"]),
]
