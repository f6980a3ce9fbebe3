"""The download of the activity: a plain address, so that the browser itself saves the file."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.errors import OrderDeskAgentsError, ValidationFailed
from orderdesk_app.routes.downloads import Download, nothing_downloaded
from orderdesk_app.routes.forms import check_caller, signed_in_user
from orderdesk_app.security.web import sign_in_address
from orderdesk_app.services.activity_export import Form
from orderdesk_app.services.activity_filter import read_filter
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.tools.catalogue import every_tool

PAGE = "/activity"
_WRITES = tuple(tool.name for tool in every_tool() if not tool.reads)
_MEDIA_TYPES: dict[Form, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson; charset=utf-8",
}


@open_to(Permission.EXPORT_ACCOUNT)
async def export(request: Request) -> Response:
    """The rows of the filters in the address, those of the page with the same ones."""
    user = await signed_in_user(request)
    if user is None:
        return RedirectResponse(sign_in_address(PAGE, error="ended"), 303)
    try:
        check_caller(export, user.actor)
        form = _form(request.query_params.get("format", "csv"))
        wanted = read_filter(request.query_params)
        await wiring.current().limits.forms.spend(user.session_id)  # leaves a row too
        opened = wiring.current().activity_export.open(user.actor, wanted, form, writes=_WRITES)
        name = f"activity-{now():%Y-%m-%d}.{form}"
        return await Download.of(opened, name=name, media_type=_MEDIA_TYPES[form])
    except OrderDeskAgentsError as error:
        return nothing_downloaded(error, href=PAGE, label="Activity")


def _form(name: str) -> Form:
    if name == "csv":
        return "csv"
    if name == "jsonl":
        return "jsonl"
    raise ValidationFailed(
        f"There is no format “{name[:40]}”. Ask for csv or jsonl.", field="format"
    )


ROUTES = [Route("/activity/export", export, methods=["GET"])]
