"""Accounts: the first start makes the admin's, and everybody sees their own."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Secret, TenantId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import ConfigurationError, NotFound, ValidationFailed
from orderdesk_app.security.tokens import could_be_key, new_master_key
from orderdesk_app.services.keys import Keys

ADMIN_NAME = "Admin"
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class TenantView:
    id: TenantId
    name: str
    role: Role
    email: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The admin account, and whether this start made it."""

    tenant_id: TenantId
    is_first: bool


class Tenants:
    def __init__(self, database: Database, keys: Keys) -> None:
        self._database, self._keys = database, keys

    async def ensure_admin(self, *, master_key: Secret | None, has_webui: bool) -> FirstStart:
        """The admin account. The first start makes it, with `master_key` (ADMIN_MASTER_KEY) where there is one; later starts never change its key.

        Raises ConfigurationError when it has to be made and nobody could get a key: no web UI to make one in, and none given.
        """
        async with self._database.read() as session:
            admin = await self._admin(session)
        if admin is not None:
            return FirstStart(admin.id, is_first=False)
        if not master_key and not has_webui:
            raise ConfigurationError(
                "ADMIN_MASTER_KEY: the first start without the web UI needs one, as nobody could get a key otherwise. "
                "Example: ADMIN_MASTER_KEY=<64 random characters, output of: openssl rand -hex 32>, or ENABLE_WEBUI=true"
            )
        hashed = await self._keys.hashed(master_key) if master_key else None
        async with self._database.write() as session:
            await self._database.alone(session, "first start")
            admin = await self._admin(session)  # another process may have been first
            if admin is not None:
                return FirstStart(admin.id, is_first=False)
            admin = Tenant(name=ADMIN_NAME, role=Role.ADMIN.value)
            session.add(admin)
            await session.flush()
            if hashed is not None:
                await self._keys.add_master(session, admin.id, hashed)
            return FirstStart(admin.id, is_first=True)

    async def get(self, actor: Actor) -> TenantView:
        """The actor's own account. Raises NotFound when it is gone."""
        async with self._database.read() as session:
            tenant = await session.get(Tenant, actor.tenant_id)
        if tenant is None or tenant.disabled_at is not None:
            raise NotFound("This account no longer exists. Ask whoever runs this installation.")
        return _view(tenant)

    async def make_tenant(self, name: str, role: Role = Role.MEMBER, master_key: Secret | None = None) -> tuple[TenantView, Secret]:
        """A new account and its master key (made here unless given), which is shown once and never again."""
        name = name.strip()
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValidationFailed(f"An account's name has 1 to {_LONGEST_NAME} characters on one line. Choose another.", field="name")
        if master_key is not None and not could_be_key(master_key.reveal()):
            raise ValidationFailed("A master key has 32 to 256 characters without spaces. Choose another.", field="master_key")
        key = master_key or new_master_key()
        hashed = await self._keys.hashed(key)
        tenant = Tenant(name=name, role=role.value, created_at=now())
        async with self._database.write() as session:
            session.add(tenant)
            await session.flush()
            await self._keys.add_master(session, tenant.id, hashed)
        return _view(tenant), key

    async def _admin(self, session: AsyncSession) -> Tenant | None:
        question = select(Tenant).where(Tenant.role == Role.ADMIN.value, col(Tenant.disabled_at).is_(None)).order_by(col(Tenant.created_at), col(Tenant.id))
        return (await session.exec(question.limit(1))).one_or_none()


def _view(tenant: Tenant) -> TenantView:
    return TenantView(tenant.id, tenant.name, Role(tenant.role), tenant.email, tenant.created_at)
