"""Forms of a user's page, for operators: disable, enable, operator.

Deleting is in own_data.py, with the deletions of other kinds.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import UserId
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.routes.forms import (
    Form,
    redirect_to,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.sessions import WebUser

PAGE = "/users"


@signed_in_form
@open_to(Callers.OPERATORS)
async def disable(request: Request, user: WebUser, form: Form) -> Response:
    user_id = _user_id(form)
    try:
        name = await wiring.current().users.disable(user.actor, user_id)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, page_of(user_id), error)
    if user_id == user.actor.user_id:
        return redirect_to("/sign-in", error="ended")
    words = f"{name} is disabled: signed out everywhere, and their keys are refused."
    return redirect_with_notice(user, page_of(user_id), words)


@signed_in_form
@open_to(Callers.OPERATORS)
async def enable(request: Request, user: WebUser, form: Form) -> Response:
    user_id = _user_id(form)
    try:
        name = await wiring.current().users.enable(user.actor, user_id)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, page_of(user_id), error)
    words = f"{name} is enabled. Their keys work again, and they can sign in."
    return redirect_with_notice(user, page_of(user_id), words)


@signed_in_form
@open_to(Callers.OPERATORS)
async def operator(request: Request, user: WebUser, form: Form) -> Response:
    user_id, is_operator = _user_id(form), form.get("operator") == "1"
    try:
        name = await wiring.current().users.set_operator(
            user.actor, user_id, is_operator=is_operator
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, page_of(user_id), error)
    if user_id == user.actor.user_id and not is_operator:
        return redirect_with_notice(user, "/", "You are no longer an operator.")
    words = f"{name} is an operator now." if is_operator else f"{name} is no longer an operator."
    return redirect_with_notice(user, page_of(user_id), words)


def _user_id(form: Form) -> UserId:
    return UserId(form.get("user_id", "")[:64])


def page_of(user_id: UserId) -> str:
    return f"{PAGE}/{user_id}" if user_id.isalnum() and user_id.isascii() else PAGE


ROUTES = [
    Route("/users/disable", disable, methods=["POST"]),
    Route("/users/enable", enable, methods=["POST"]),
    Route("/users/operator", operator, methods=["POST"]),
]
