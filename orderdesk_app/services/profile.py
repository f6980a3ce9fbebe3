"""Who a signed-in person is: their name, their e-mail address, and their role in this account."""

from dataclasses import dataclass

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, ValidationFailed
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.members import users_of
from orderdesk_app.services.names import is_visible, without_idle_half_spaces
from orderdesk_app.services.tenants import Tenants

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A person as they see themselves. `email` is verified; None without one. `unverified_email`
    is what they typed at a sign-up without a mail.
    """

    name: str
    email: str | None
    role: Role
    is_operator: bool
    account: str
    unverified_email: str | None = None


class Profile:
    """Reads and changes the actor's own name; nobody else's."""

    def __init__(
        self, database: Database, signals: Signals, tenants: Tenants, audit: AuditTrail
    ) -> None:
        self._database = database
        self._signals = signals
        self._tenants = tenants
        self._audit = audit

    async def get(self, actor: Actor) -> ProfileView:
        """Raises AuthFailed for a user who is no longer a member of this account."""
        async with self._database.read() as session:
            user = await _find_user(session, actor)
            question = owned(actor, Membership).where(col(Membership.user_id) == user.id)
            membership = (await session.exec(question)).one()
        account = await self._tenants.get(actor)
        return ProfileView(
            user.name,
            user.email,
            Role(membership.role),
            user.is_operator,
            account.name,
            user.unverified_email,
        )

    async def rename(self, actor: Actor, name: str) -> str:
        """Changes the actor's own name; returns it as it is kept. Raises ValidationFailed."""
        name = person_name(name)
        async with self._database.write() as session:
            user = await _find_user(session, actor)
            if user.name == name:
                return name
            user.name = name
            await self._signals.publish(session, f"user:{user.id}")
        await self._audit.write_or_queue(Entry(actor=actor, action="profile.rename"))
        return name


def person_name(text: str) -> str:
    """The name with single spaces. Raises ValidationFailed."""
    name = without_idle_half_spaces(" ".join(text.split()))
    if not 1 <= len(name) <= LONGEST_NAME or not is_visible(name):
        raise ValidationFailed(
            f"A name has 1 to {LONGEST_NAME} characters, all of them visible. Type it again.",
            field="name",
        )
    return name


async def _find_user(session: AsyncSession, actor: Actor) -> User:
    question = users_of(actor).where(col(User.id) == actor.user_id)
    user = (await session.exec(question)).one_or_none()
    if user is None:
        raise AuthFailed("You no longer belong to this account. Sign in again.")
    return user
