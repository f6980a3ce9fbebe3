"""Forms of the page "People": inviting, roles, and leaving.

Where mail is not set up, only the answer to the POST ever shows an invitation's link.
"""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.context import Role
from orderdesk_app.errors import OrderDeskAgentsError, ValidationFailed
from orderdesk_app.routes.forms import (
    Form,
    clear_session_cookie,
    redirect_to,
    redirect_with_error,
    redirect_with_notice,
    signed_in_form,
)
from orderdesk_app.routes.html_pages import copyable, plain_page
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.invitations import Sent
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import WebUser

PAGE = "/people"
_LINK = Markup(
    '<p class="callout amber">Mail is not set up on this server, so nothing was sent. Pass this '
    "link on to {email} yourself: whoever has it can accept the invitation. It is shown once.</p>"
    '{link}<div class="row"><a class="button primary" href="/people">I have copied it</a></div>'
)


@signed_in_form
@open_to(Permission.MANAGE_PEOPLE)
async def invite(request: Request, user: WebUser, form: Form) -> Response:
    typed = {name: form.get(name, "")[:254] for name in ("email", "role")}
    try:
        role = _role(form)
        sent = await wiring.current().invitations.invite(user.actor, form.get("email", ""), role)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error, form="invite", typed=typed)
    return _sent(user, sent)


@signed_in_form
@open_to(Permission.MANAGE_PEOPLE)
async def resend(request: Request, user: WebUser, form: Form) -> Response:
    try:
        sent = await wiring.current().invitations.resend(user.actor, form.get("invitation_id", ""))
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error)
    return _sent(user, sent)


@signed_in_form
@open_to(Permission.MANAGE_PEOPLE)
async def withdraw(request: Request, user: WebUser, form: Form) -> Response:
    try:
        email = await wiring.current().invitations.withdraw(
            user.actor, form.get("invitation_id", "")
        )
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error)
    return redirect_with_notice(user, PAGE, f"The invitation of {email} is withdrawn.")


@signed_in_form
@open_to(Permission.MANAGE_PEOPLE)
async def change_role(request: Request, user: WebUser, form: Form) -> Response:
    user_id = form.get("user_id", "")
    try:
        person = await wiring.current().people.change_role(user.actor, user_id, _role(form))
    except OrderDeskAgentsError as error:
        typed = {"role": form.get("role", "")[:20]}
        return redirect_with_error(user, PAGE, error, form=f"role-{user_id[:40]}", typed=typed)
    return redirect_with_notice(user, PAGE, f"{person.name} is {person.role.with_article} now.")


@signed_in_form
@open_to(Permission.MANAGE_PEOPLE)
async def remove(request: Request, user: WebUser, form: Form) -> Response:
    user_id = form.get("user_id", "")
    try:
        person = await wiring.current().people.remove(user.actor, user_id)
    except OrderDeskAgentsError as error:
        return redirect_with_error(user, PAGE, error, form=f"remove-{user_id[:40]}")
    if user_id == user.actor.user_id:
        return clear_session_cookie(redirect_to("/sign-in", out="1"))
    return redirect_with_notice(
        user, PAGE, f"{person.name} is removed: their keys and sessions here have ended."
    )


@signed_in_form
@open_to(Callers.SIGNED_IN)
async def leave(request: Request, user: WebUser, form: Form) -> Response:
    try:
        await wiring.current().people.leave(user.actor, typed_name=form.get("confirm", ""))
    except OrderDeskAgentsError as error:
        typed = {"confirm": form.get("confirm", "")[:200]}
        return redirect_with_error(user, PAGE, error, form="leave", typed=typed)
    return clear_session_cookie(redirect_to("/sign-in", out="1"))


def _role(form: Form) -> Role:
    try:
        return Role(form.get("role", ""))
    except ValueError:
        raise ValidationFailed(f"Choose a role: {', '.join(Role)}.", field="role") from None


def _sent(user: WebUser, sent: Sent) -> Response:
    if sent.link is None:
        return redirect_with_notice(user, PAGE, f"The invitation is on its way to {sent.email}.")
    shown = copyable("invitation-link", sent.link.reveal(), "The link")
    return plain_page("Invitation", _LINK.format(email=sent.email, link=shown), wide=True)


ROUTES = [
    Route("/people/invite", invite, methods=["POST"]),
    Route("/people/invitations/resend", resend, methods=["POST"]),
    Route("/people/invitations/withdraw", withdraw, methods=["POST"]),
    Route("/people/role", change_role, methods=["POST"]),
    Route("/people/remove", remove, methods=["POST"]),
    Route("/people/leave", leave, methods=["POST"]),
]
