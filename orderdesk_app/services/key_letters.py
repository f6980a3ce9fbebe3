"""Mails about keys: every owner hears that the account's master key was replaced."""

from datetime import datetime, timedelta

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.mail.letters import KeyRotated
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import users_of

_MOST_OWNERS = 50
_BY_NOBODY = "the operator of this installation"


async def tell_owners_of_rotation(
    session: AsyncSession, mailer: Mailer, actor: Actor, moment: datetime, grace: timedelta
) -> None:
    """Inside the write that rotates: a mail to each owner who has a verified address. The old key
    works for the grace period.
    """
    if not mailer.is_set_up:
        return
    tenant = await session.get(Tenant, actor.tenant_id)
    owners = (
        users_of(actor)
        .where(
            col(Membership.role) == Role.OWNER.value,
            col(User.email).is_not(None),
            col(User.disabled_at).is_(None),
        )
        .order_by(col(Membership.created_at))
        .limit(_MOST_OWNERS)
    )
    by = users_of(actor).where(col(User.id) == actor.user_id)
    person = (await session.exec(by)).one_or_none()
    letter = KeyRotated(
        tenant.name if tenant else "",
        person.name if person else _BY_NOBODY,
        moment,
        moment + grace if grace else None,
    )
    for owner in (await session.exec(owners)).all():
        if owner.email is not None:
            await mailer.send(
                session, letter, to=owner.email, tenant_id=actor.tenant_id, user_id=owner.id
            )
