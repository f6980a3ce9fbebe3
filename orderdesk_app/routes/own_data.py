"""Taking one's data along, and deleting oneself, an account, or (operators) a user."""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import UserId, now
from orderdesk_app.errors import NotFound, OrderDeskAgentsError
from orderdesk_app.routes.downloads import Download, nothing_downloaded
from orderdesk_app.routes.forms import (
    Form,
    clear_session_cookie,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
    signed_in_user,
)
from orderdesk_app.routes.html_pages import plain_page
from orderdesk_app.routes.users import page_of
from orderdesk_app.security.web import sign_in_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser
from orderdesk_app.services.user_deletion import Deleted

PAGE = "/account"
USERS = "/users"
_GONE = Markup('<p>{words}</p>{counts}<p>{when}</p><div class="row">{way}</div>')
_COUNTS = Markup('<ul class="bullets">{lines}</ul>')
_LINE = Markup("<li>{number} {words}</li>")
_SIGN_IN = Markup('<a class="button" href="/sign-in">Sign in</a>')
_NOW = "All of it is gone, and you are signed out."
_SOON = "Nobody gets in any more, and you are signed out. The rest goes within minutes."


@open_to(Callers.SIGNED_IN)
async def export(request: Request) -> Response:
    user = await signed_in_user(request)
    if user is None:
        return RedirectResponse(sign_in_address(PAGE, error="ended"), 303)
    try:
        return await Download.of(
            wiring.current().data_export.open(user.actor),
            name=f"my-data-{now():%Y-%m-%d}.json",
            media_type="application/json",
        )
    except OrderDeskAgentsError as error:
        return nothing_downloaded(error, href=PAGE, label="Your account")


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def delete_me(request: Request, user: WebUser, form: Form) -> Response:
    return await _delete_oneself(user, form)


@signed_in_form
@open_to(Permission.DELETE_ACCOUNT)
async def delete_account(request: Request, user: WebUser, form: Form) -> Response:
    typed = form.get("confirm", "")
    try:
        deleted = await wiring.current().account_deletion.delete(user.actor, typed)
    except OrderDeskAgentsError as error:
        return redirect_with_error(
            user, PAGE, error, form="delete-account", typed={"confirm": typed[:200]}
        )
    return _goodbye("The account is deleted", "Its keys and sessions no longer work.", deleted)


@signed_in_form
@open_to(Callers.OPERATORS)
async def delete_user(request: Request, user: WebUser, form: Form) -> Response:
    user_id, typed = UserId(form.get("row_id", "")[:64]), form.get("confirm", "")
    if user_id == user.actor.user_id:
        return await _delete_oneself(user, form)
    try:
        deleted = await wiring.current().user_deletion.delete(user.actor, user_id, typed)
    except NotFound as error:
        return redirect_with_error(user, USERS, error)
    except OrderDeskAgentsError as error:
        return redirect_with_error(
            user,
            page_of(user_id),
            error,
            form="delete-user",
            typed={"confirm": typed[:200]},
        )
    return redirect_with_notice(
        user,
        USERS,
        "The user is deleted, with everything of theirs."
        if deleted.is_finished
        else "The user is deleted. What is left of theirs goes within minutes.",
    )


async def _delete_oneself(user: WebUser, form: Form) -> Response:
    typed = form.get("confirm", "")
    try:
        deleted = await wiring.current().user_deletion.delete(
            user.actor, user.actor.user_id or UserId(""), typed
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(
            user, PAGE, error, form="delete-me", typed={"confirm": typed[:200]}
        )
    return _goodbye("You are deleted", "You are no longer known here.", deleted)


def _goodbye(title: str, words: str, deleted: Deleted) -> Response:
    lines = Markup().join(
        _LINE.format(number=f"{count.number:,}", words=count.words) for count in deleted.counts
    )
    body = _GONE.format(
        words=words,
        counts=_COUNTS.format(lines=lines) if lines else "",
        when=_NOW if deleted.is_finished else _SOON,
        way=_SIGN_IN,
    )
    return clear_session_cookie(plain_page(title, body))


ROUTES = [
    Route("/account/export", export, methods=["GET"]),
    Route("/account/delete", delete_me, methods=["POST"]),
    Route("/account/delete-account", delete_account, methods=["POST"]),
    Route("/users/delete", delete_user, methods=["POST"]),
]
