"""Who may act for an account: its members, and the owner in whose name its master key acts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select, SelectOfScalar

from orderdesk_app.context import Actor, Role, TenantId, UserId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import PermissionDenied
from orderdesk_app.services.roles import Permission, denied, permissions_of

_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
_MOST_ALIKE = 20


@dataclass(frozen=True, slots=True)
class Member:
    """A user as a member of one tenant."""

    user_id: UserId
    role: Role
    is_operator: bool


async def lock_members(
    database: Database, session: AsyncSession, tenant_ids: Iterable[TenantId]
) -> None:
    """Inside a write: no other write that changes who owns these accounts gets past this line until
    ours has ended. Call it before the question whether an owner is left.
    """
    for tenant_id in sorted(tenant_ids):  # all in the same order, so that none waits in a circle
        await database.advisory_lock(session, f"members:{tenant_id}")


async def find_member(session: AsyncSession, tenant_id: TenantId, user_id: UserId) -> Member | None:
    """The member as they are now; None for a user who is disabled or no member."""
    question = _members(tenant_id).where(col(Membership.user_id) == user_id)
    return _enabled((await session.exec(question)).one_or_none())


async def require_still(session: AsyncSession, actor: Actor, permission: Permission) -> None:
    """Inside a write: raises PermissionDenied where the role that the actor has by now does not
    allow it. They may have been demoted, removed or disabled while the write waited.
    """
    if actor.user_id is None:
        return  # the system
    member = await find_member(session, actor.tenant_id, actor.user_id)
    if member is None or permission not in permissions_of(member.role):
        raise denied(permission)


async def find_first_owner(session: AsyncSession, tenant_id: TenantId) -> Member | None:
    """The member who has been an owner for longest, of those who are not disabled; None without
    one.
    """
    owners = _members(tenant_id).where(
        col(Membership.role) == Role.OWNER.value, col(User.disabled_at).is_(None)
    )
    question = owners.order_by(col(Membership.created_at), col(Membership.user_id)).limit(1)
    return _enabled((await session.exec(question)).one_or_none())


async def lock_email(database: Database, session: AsyncSession, email: str) -> None:
    """Inside a write: no other write gives this address to a user until ours has ended. Call it
    before the question whose it is.
    """
    await database.advisory_lock(session, f"email:{email.lower()}")


async def find_user_by_email(session: AsyncSession, email: str) -> User | None:
    """The user whose verified address it is; None where it is nobody's. `email` is as
    email_address() returns it. Servers take a name before the @ in any case, so no case differs.
    """
    question = select(User).where(col(User.email_key) == func.lower(email))
    found = (await session.exec(question.order_by(col(User.created_at)).limit(_MOST_ALIKE))).all()
    return next((user for user in found if is_same_address(user.email or "", email)), None)


def is_same_address(one: str, other: str) -> bool:
    """Whether both are one mailbox: they differ at most in the case of letters from A to Z.

    A database may hold more for the same: to Postgres with a language, the small form of İ is i.
    """
    return one.translate(_SMALL) == other.translate(_SMALL)


async def find_first_membership(session: AsyncSession, user_id: UserId) -> Membership | None:
    """The account that the user has been in for longest; None without any that is open."""
    question = (
        select(Membership)
        .join(Tenant, col(Tenant.id) == col(Membership.tenant_id))
        .where(col(Membership.user_id) == user_id, col(Tenant.disabled_at).is_(None))
        .order_by(col(Membership.created_at), col(Membership.tenant_id))
    )
    return (await session.exec(question.limit(1))).one_or_none()


def users_of(actor: Actor) -> SelectOfScalar[User]:
    """A select of the users who are members of the actor's account; narrow it with `.where(…)`.

    It is the only way to users, as owned() is to other rows: users of other tenants are not in it.
    """
    return (
        select(User)
        .join(Membership, col(Membership.user_id) == col(User.id))
        .where(col(Membership.tenant_id) == actor.tenant_id)
    )


def _members(tenant_id: TenantId) -> Select[Membership, User]:
    return (
        select(Membership, User)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(col(Membership.tenant_id) == tenant_id)
    )


def member_of(membership: Membership, user: User) -> Member:
    return Member(user.id, Role(membership.role), user.is_operator)


async def as_by_master_key(session: AsyncSession, tenant_id: TenantId, member: Member) -> Member:
    """The first owner as the account's master key acts for them. Each owner can make a new one, so
    where somebody else may have it, it makes nobody an operator.
    """
    if not member.is_operator or await has_key_alone(session, tenant_id, member.user_id):
        return member
    return replace(member, is_operator=False)


async def require_person(session: AsyncSession, actor: Actor) -> None:
    """Call it for what reaches beyond the account: passkeys, all data of a person, leaving for
    good.

    Raises PermissionDenied in a session that a master key began, where somebody else may have that
    key, or the person has other accounts, which it does not open.
    """
    if actor.credential_id is None:
        return
    accounts = select(func.count()).where(Membership.user_id == actor.user_id)
    is_alone = await has_key_alone(session, actor.tenant_id, actor.user_id)
    if is_alone and (await session.exec(accounts)).one() == 1:
        return
    raise PermissionDenied(
        "You signed in with the account's master key, which does not prove which person you are. "
        "Sign out, and sign in with a link that is mailed to you, or with a passkey."
    )


async def has_key_alone(session: AsyncSession, tenant_id: TenantId, user_id: UserId | None) -> bool:
    """Whether that user made the account's master key and is its only owner. Somebody who made it
    and is no owner any more still has it.
    """
    owners = select(func.count()).where(
        Membership.tenant_id == tenant_id, Membership.role == Role.OWNER.value
    )
    working = owned(Actor(tenant_id), Credential).where(
        Credential.kind == "master",
        col(Credential.revoked_at).is_(None),
        col(Credential.replaced_at).is_(None),
    )
    is_only_owner = (await session.exec(owners)).one() == 1
    return is_only_owner and {key.user_id for key in (await session.exec(working)).all()} <= {
        user_id
    }


def _enabled(found: tuple[Membership, User] | None) -> Member | None:
    if found is None or found[1].disabled_at is not None:
        return None
    return member_of(*found)
