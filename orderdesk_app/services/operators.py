"""The last operator: an installation keeps one who can sign in. Every write that may take an
operator away (demote, disable, delete, the end of an account) asks here, inside its transaction.
"""

from collections.abc import Collection

from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import TenantId, UserId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict

LAST_OPERATOR = (
    "This is the last operator who can sign in, and nobody could run this installation without "
    "one. Make another user an operator first."
)


async def require_operator_left(
    database: Database,
    session: AsyncSession,
    *,
    without_user: UserId | None = None,
    without_tenants: Collection[TenantId] = (),
) -> None:
    """Raises Conflict where no operator could sign in any more without that user and those
    accounts.

    Call it in the write that takes them away, before it changes anything: until that write ends, no
    other one gets past this line.
    """
    await database.advisory_lock(session, "operators")
    # An operator signs in to an account, so one without an account does not count.
    question = (
        select(User.id, Tenant.id)
        .join(Membership, col(Membership.user_id) == col(User.id))
        .join(Tenant, col(Tenant.id) == col(Membership.tenant_id))
        .where(
            and_(
                col(User.is_operator),
                col(User.disabled_at).is_(None),
                col(Tenant.disabled_at).is_(None),
            )
        )
    )
    found = (await session.exec(question)).all()
    left = [
        user_id
        for user_id, tenant_id in found
        if user_id != without_user and tenant_id not in without_tenants
    ]
    if found and not left:
        raise Conflict(LAST_OPERATOR)


async def is_operator_now(session: AsyncSession, user_id: UserId | None) -> bool:
    """Whether the user's row says so: they may have been demoted or disabled a moment ago."""
    question = select(User.id).where(
        col(User.id) == user_id, col(User.is_operator), col(User.disabled_at).is_(None)
    )
    return (await session.exec(question)).one_or_none() is not None
