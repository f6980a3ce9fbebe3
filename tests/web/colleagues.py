"""Colleagues of an account for tests: users with a role, signed in without a key."""

from dataclasses import dataclass

from sqlmodel import col, update

from orderdesk_app.context import Role, UserId
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.users import User
from tests.web.browser_session import BrowserSession


@dataclass
class Colleague(BrowserSession):
    """Somebody else in an account."""

    user_id: UserId | None = None


def add_colleague(
    owner: BrowserSession,
    role: Role,
    name: str = "Cleo",
    email: str | None = None,
    *,
    is_operator: bool = False,
) -> Colleague:
    """Somebody else in the owner's account, signed in."""
    services, tenant_id = owner.web.services, owner.view.id

    async def make() -> tuple[UserId, str]:
        user = User(name=name, email=email, is_operator=is_operator)
        async with services.database.write() as session:
            session.add(user)
            await session.flush()
            session.add(Membership(tenant_id=tenant_id, user_id=user.id, role=role.value))
        user_id = user.id
        cookie = await services.sessions.start(
            tenant_id, user_id, credential_id=None, address="203.0.113.9", user_agent="Firefox"
        )
        return user_id, cookie

    user_id, cookie = owner.web.do(make)
    return Colleague(owner.web, owner.view, owner.key, cookie=cookie, user_id=user_id)


def join(owner: BrowserSession, user_id: UserId, role: Role) -> None:
    """That user, of another account, joins the owner's account too."""
    services = owner.web.services
    row = Membership(tenant_id=owner.view.id, user_id=user_id, role=role.value)

    async def add() -> None:
        async with services.database.write() as session:
            session.add(row)

    owner.web.do(add)


def set_role(owner: BrowserSession, user_id: UserId | None, role: Role) -> None:
    """Changes the row alone, and tells nobody."""

    async def change() -> None:
        async with owner.web.services.database.write() as session:
            await session.exec(
                update(Membership)
                .where(
                    col(Membership.tenant_id) == owner.view.id,
                    col(Membership.user_id) == user_id,
                )
                .values(role=role.value)
            )

    owner.web.do(change)
