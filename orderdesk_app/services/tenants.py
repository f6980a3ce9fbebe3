"""Accounts and their owners: makes the admin account at the first start, and reads an actor's
account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Secret, TenantId, UserId, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import ConfigurationError, NotFound, ValidationFailed
from orderdesk_app.security.tokens import could_be_key, new_master_key
from orderdesk_app.services.key_views import MASTER
from orderdesk_app.services.keys import HashedKey, Keys
from orderdesk_app.services.names import is_visible

ADMIN_NAME = "Admin"
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class TenantView:
    """An account."""

    id: TenantId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account that was made just now, with its owner."""

    id: TenantId
    name: str
    owner_id: UserId
    is_operator: bool

    def owner(self, via: Via) -> Actor:
        """The owner as they act at that entry point."""
        return Actor(self.id, self.owner_id, role=Role.OWNER, is_operator=self.is_operator, via=via)


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The admin account with its owner, who is an operator, and whether this start made it."""

    tenant_id: TenantId
    user_id: UserId
    is_first: bool


class Tenants:
    """Makes accounts, and reads the actor's own."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def ensure_admin(self, *, master_key: Secret | None, has_webui: bool) -> FirstStart:
        """The admin account.

        The first start makes it; an admin who has never had a master key gets `master_key`
        (ADMIN_MASTER_KEY). A key that was made once is never changed here.

        Raises ConfigurationError when no sign-in would be possible: no web UI to make a key in, no
        key given, and no key that works.
        """
        async with self._database.read() as session:
            admin = await self._admin(session)
            keys = await self._keys_of(session, admin.tenant_id) if admin else []
        had_master = any(key.kind == MASTER for key in keys)
        if admin is not None and (had_master or not master_key):
            if has_webui or any(_works(key) for key in keys):
                return admin
            if had_master:
                raise ConfigurationError(
                    "ENABLE_WEBUI: no key of the admin account works any more, and "
                    "without the web UI nobody can make one. Example: ENABLE_WEBUI=true"
                )
        if not master_key and not has_webui:
            raise ConfigurationError(
                "ADMIN_MASTER_KEY: a start without the web UI needs one while the admin "
                "account has no key, as nobody could get one otherwise. "
                "Example: ADMIN_MASTER_KEY=<64 random characters, output of: openssl rand "
                "-hex 32>, or ENABLE_WEBUI=true"
            )
        hashed = await self._keys.hash_key(master_key) if master_key else None
        async with self._database.write() as session:
            await self._database.advisory_lock(session, "first start")
            admin = await self._admin(session)  # another process may have been first
            if admin is None:
                tenant, owner = await _add_account(session, ADMIN_NAME, is_operator=True)
                admin = FirstStart(tenant.id, owner.id, is_first=True)
            await self._keys.lock(session, admin.tenant_id)
            if hashed is not None and not any(
                key.kind == MASTER for key in await self._keys_of(session, admin.tenant_id)
            ):
                await self._keys.add_master(session, admin.tenant_id, hashed, user_id=admin.user_id)
            return admin

    async def _keys_of(self, session: AsyncSession, tenant_id: TenantId) -> Sequence[Credential]:
        """All keys that the account has ever had."""
        return (await session.exec(owned(Actor(tenant_id), Credential))).all()

    async def get(self, actor: Actor) -> TenantView:
        """The actor's own account. Raises NotFound when it is gone."""
        async with self._database.read() as session:
            tenant = await session.get(Tenant, actor.tenant_id)
        if tenant is None or tenant.disabled_at is not None:
            raise NotFound("This account no longer exists. Ask whoever runs this installation.")
        return TenantView(tenant.id, tenant.name, tenant.created_at)

    async def admin(self) -> FirstStart | None:
        """The admin account as it is now; None where no operator owns an account."""
        async with self._database.read() as session:
            return await self._admin(session)

    async def make_tenant(
        self, name: str, *, is_operator: bool = False, master_key: Secret | None = None
    ) -> tuple[NewAccount, Secret]:
        """A new account with its owner, and its master key (made here unless given), which is shown
        once and never again.
        """
        name = account_name(name)
        if master_key is not None and not could_be_key(master_key.reveal()):
            raise ValidationFailed(
                "A master key has 32 to 256 characters without spaces. Choose another.",
                field="master_key",
            )
        key = master_key or new_master_key()
        hashed = await self._keys.hash_key(key)
        async with self._database.write() as session:
            account = await self.add_account(session, name, hashed, is_operator=is_operator)
        return account, key

    async def add_account(
        self,
        session: AsyncSession,
        name: str,
        hashed: HashedKey,
        *,
        is_operator: bool = False,
        owner: User | None = None,
        email: str | None = None,
        unverified_email: str | None = None,
    ) -> NewAccount:
        """Inside a write: an account with its owner and its master key, all or nothing.

        `name` is as account_name() returns it. `owner` is somebody who exists already; else a user
        is made, with the address that is theirs, or with one that they only typed.
        """
        tenant, owner = await _add_account(
            session,
            name,
            is_operator=is_operator,
            owner=owner,
            email=email,
            unverified_email=unverified_email,
        )
        await self._keys.add_master(session, tenant.id, hashed, user_id=owner.id)
        return NewAccount(tenant.id, name, owner.id, owner.is_operator)

    async def _admin(self, session: AsyncSession) -> FirstStart | None:
        """The oldest account that an operator owns; disabled ones do not count."""
        question = (
            select(Membership)
            .join(Tenant, col(Tenant.id) == col(Membership.tenant_id))
            .join(User, col(User.id) == col(Membership.user_id))
            .where(
                col(Membership.role) == Role.OWNER.value,
                col(User.is_operator),
                col(User.disabled_at).is_(None),
                col(Tenant.disabled_at).is_(None),
            )
            .order_by(col(Tenant.created_at), col(Tenant.id), col(Membership.created_at))
        )
        owner = (await session.exec(question.limit(1))).one_or_none()
        return FirstStart(owner.tenant_id, owner.user_id, is_first=False) if owner else None


def account_name(text: str) -> str:
    """The name without spaces around it. Raises ValidationFailed."""
    name = text.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not is_visible(name):
        raise ValidationFailed(
            f"An account's name has 1 to {LONGEST_NAME} characters on one line. Choose another.",
            field="name",
        )
    return name


async def _add_account(
    session: AsyncSession,
    name: str,
    *,
    is_operator: bool,
    owner: User | None = None,
    email: str | None = None,
    unverified_email: str | None = None,
) -> tuple[Tenant, User]:
    """Inside a write: a tenant with its owner."""
    moment = now()
    tenant = Tenant(name=name, created_at=moment)
    if owner is None:
        owner = User(
            name=name,
            email=email,
            unverified_email=unverified_email,
            is_operator=is_operator,
            created_at=moment,
        )
    session.add_all([tenant, owner])
    await session.flush()
    session.add(
        Membership(tenant_id=tenant.id, user_id=owner.id, role=Role.OWNER.value, created_at=moment)
    )
    await session.flush()
    return tenant, owner


def _works(key: Credential) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now())
