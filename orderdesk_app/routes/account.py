"""Forms of the page "Your account"."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.routes.forms import (
    Form,
    device_of,
    redirect_to,
    redirect_with_error,
    redirect_with_notice,
    set_session_cookie,
    signed_in_form,
)
from orderdesk_app.security.web import own_page
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


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def switch(request: Request, user: WebUser, form: Form) -> Response:
    wanted = own_page(form.get("next", ""))  # of the consent page, which comes again
    try:
        cookie = await wiring.current().account_switch.go_to(user, form.get("tenant_id", ""))
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, wanted, error)
    return set_session_cookie(redirect_to(wanted), cookie, device_of(request))


ROUTES = [
    Route("/account/name", rename, methods=["POST"]),
    Route("/account/switch", switch, methods=["POST"]),
]
