"""The console's tools with secret arguments: their forms are plain POSTs, and the page then shows
the call as the history keeps it, without them.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import NotFound, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.routes.forms import Form, redirect_to, redirect_with_error, signed_in_form
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser
from orderdesk_app.tools.catalogue import find_tool
from orderdesk_app.tools.form import arguments_from

PAGE = "/console"


@signed_in_form
@open_to(Permission.RUN_READING_TOOLS)
async def run(request: Request, user: WebUser, form: Form) -> Response:
    try:
        tool = find_tool(form.get("tool", ""))
        if not tool.secrets:  # the page asks before it writes, and this form does not
            raise NotFound("This form is for tools with a secret alone. Reload the page.")
        arguments, errors = arguments_from(tool, form)
        if errors:
            name, words = next(iter(errors.items()))
            raise ValidationFailed(words, field=name)
        shown = (
            form.get("default_store_id", "")
            if tool.takes_store and "store_identifier" not in arguments
            else None
        )
        call = await wiring.current().console.run(
            user.actor,
            tool.name,
            arguments,
            active_store_id=user.active_store_id,
            shown_store_id=shown,
        )
    except OrderDeskAgentsError as error:
        typed = {
            name: value[:2000]
            for name, value in form.items()
            if name == "tool" or name not in ("form_token", *_secrets(form))
        }
        return redirect_with_error(user, PAGE, error, form="console", typed=typed)
    return redirect_to(PAGE, call=call.id)


def _secrets(form: Form) -> frozenset[str]:
    """The fields that are secret: all of them where the tool does not exist."""
    try:
        return find_tool(form.get("tool", "")).secrets
    except OrderDeskAgentsError:
        return frozenset(form)


ROUTES = [Route("/console/run", run, methods=["POST"])]
