"""Accounts: the first start makes the admin's, and everybody sees their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Secret, TenantId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import ConfigurationError, NotFound, ValidationFailed
from orderdesk_app.security.tokens import could_be_key, new_master_key
from orderdesk_app.services.keys import MASTER, Keys

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
        """The admin account.

        The first start makes it; an admin who has never had a master key gets `master_key`
        (ADMIN_MASTER_KEY). A key that was made once is never changed here.

        Raises ConfigurationError when nobody could sign in: no web UI to make a key in, none given,
        and none that works.
        """
        async with self._database.read() as session:
            admin = await self._admin(session)
            keys = await self._keys_of(session, admin)
        had_master = any(key.kind == MASTER for key in keys)
        if admin is not None and (had_master or not master_key):
            if has_webui or any(key.revoked_at is None for key in keys):
                return FirstStart(admin.id, is_first=False)
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
        hashed = await self._keys.hashed(master_key) if master_key else None
        async with self._database.write() as session:
            await self._database.advisory_lock(session, "first start")
            admin = await self._admin(session)  # another process may have been first
            is_first = admin is None
            if admin is None:
                admin = Tenant(name=ADMIN_NAME, role=Role.ADMIN.value)
                session.add(admin)
                await session.flush()
            await self._keys.hold(session, admin.id)
            if hashed is not None and not any(
                key.kind == MASTER for key in await self._keys_of(session, admin)
            ):
                await self._keys.add_master(session, admin.id, hashed)
            return FirstStart(admin.id, is_first=is_first)

    async def _keys_of(self, session: AsyncSession, tenant: Tenant | None) -> Sequence[Credential]:
        """All that the account has ever had."""
        return (
            []
            if tenant is None
            else (await session.exec(owned(Actor(tenant.id), Credential))).all()
        )

    async def get(self, actor: Actor) -> TenantView:
        """The actor's own account. Raises NotFound when it is gone."""
        async with self._database.read() as session:
            tenant = await session.get(Tenant, actor.tenant_id)
        if tenant is None or tenant.disabled_at is not None:
            raise NotFound("This account no longer exists. Ask whoever runs this installation.")
        return _view(tenant)

    async def make_tenant(
        self, name: str, role: Role = Role.MEMBER, master_key: Secret | None = None
    ) -> tuple[TenantView, Secret]:
        """A new account and its master key (made here unless given), which is shown once and never
        again.
        """
        name = name.strip()
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValidationFailed(
                (
                    f"An account's name has 1 to {_LONGEST_NAME} characters on one line. "
                    "Choose another."
                ),
                field="name",
            )
        if master_key is not None and not could_be_key(master_key.reveal()):
            raise ValidationFailed(
                "A master key has 32 to 256 characters without spaces. Choose another.",
                field="master_key",
            )
        key = master_key or new_master_key()
        hashed = await self._keys.hashed(key)
        tenant = Tenant(name=name, role=role.value, created_at=now())
        async with self._database.write() as session:
            session.add(tenant)
            await session.flush()
            await self._keys.add_master(session, tenant.id, hashed)
        return _view(tenant), key

    async def _admin(self, session: AsyncSession) -> Tenant | None:
        question = (
            select(Tenant)
            .where(Tenant.role == Role.ADMIN.value, col(Tenant.disabled_at).is_(None))
            .order_by(col(Tenant.created_at), col(Tenant.id))
        )
        return (await session.exec(question.limit(1))).one_or_none()


def _view(tenant: Tenant) -> TenantView:
    return TenantView(tenant.id, tenant.name, Role(tenant.role), tenant.email, tenant.created_at)
