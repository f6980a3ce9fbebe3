"""Forms of the page "Your account"."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.routes.forms import (
    Form,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.sessions import WebUser

PAGE = "/account"


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def rename(request: Request, user: WebUser, form: Form) -> Response:
    name = form.get("name", "")
    try:
        kept = await wiring.current().profile.rename(user.actor, name)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error, form="name", typed={"name": name[:200]})
    return redirect_with_notice(user, PAGE, f"Your name is {kept}.")


ROUTES = [Route("/account/name", rename, methods=["POST"])]
