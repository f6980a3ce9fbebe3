"""Connected apps: a person's consent becomes a row of `credentials`, of the kind "app".

One client has one app for each person and account: connected again, it is widened or narrowed.
"""

import secrets
from datetime import datetime

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Scope, TenantId, Via, new_id
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.oauth import OAuthCode, OAuthToken
from orderdesk_app.db.owned import owned
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import PermissionDenied
from orderdesk_app.mail.letters import AppConnected
from orderdesk_app.services.access import APP
from orderdesk_app.services.app_names import known_as
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import require_still, users_of
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.oauth_resource import effective, in_order
from orderdesk_app.services.roles import Permission

_DIGEST_BYTES = 32


class AppConnections:
    """Makes and ends the rows of apps, inside the writes of services/oauth_tokens.py."""

    def __init__(self, database: Database, mailer: Mailer, audit: AuditTrail) -> None:
        self._database = database
        self._mailer = mailer
        self._audit = audit

    async def connect(
        self, session: AsyncSession, client: Client, code: OAuthCode, moment: datetime
    ) -> Credential:
        """Inside a write: the app with what the code's person approved. They get a mail where it is
        new to them, or may do more than before.

        Raises OAuthRefused where they have left the account meanwhile, or may connect no apps now.
        """
        actor = _actor(code)
        await self._database.advisory_lock(session, f"app:{code.user_id}:{code.client_id}")
        await self._require_still(session, actor)
        app = await self._found(session, actor, code)
        before = None if app is None else _reach(app)
        if app is None:
            app = Credential(
                id=new_id(),
                tenant_id=code.tenant_id,
                user_id=code.user_id,
                kind=APP,
                name=known_as(client.name),
                digest=secrets.token_bytes(_DIGEST_BYTES),  # which no key has
                hint="",
                client_id=client.client_id,
                created_at=moment,
            )
        app.name = known_as(client.name)
        app.scopes = code.scopes
        app.store_ids = code.store_ids
        app.is_read_only = code.is_read_only
        session.add(app)
        await session.flush()
        if before is None or not _reach(app) <= before:
            await self._tell(session, actor, app, moment)
        return app

    async def record(self, code: OAuthCode, client: Client, address: str) -> None:
        """The audit row of a connection, once it is committed."""
        actor = Actor(code.tenant_id, code.user_id, via=Via.WEB, address=address)
        details = {
            "app": known_as(client.name),
            "scopes": code.scopes,
            "stores": "all" if code.store_ids is None else len(code.store_ids),
            "is_read_only": code.is_read_only,
        }
        await self._audit.write_or_queue(Entry(actor, "app.connect", arguments=details))

    async def end_without_tokens(
        self, session: AsyncSession, tenant_id: TenantId, app_id: str, moment: datetime
    ) -> None:
        """Inside a write: the app is no longer connected where none of its tokens works."""
        actor = Actor(tenant_id)
        working = owned(actor, OAuthToken).where(
            col(OAuthToken.credential_id) == app_id,
            col(OAuthToken.revoked_at).is_(None),
            col(OAuthToken.refreshed_at).is_(None),
            col(OAuthToken.refresh_expires_at) > moment,
        )
        if (await session.exec(working.limit(1))).one_or_none() is None:
            await session.exec(
                update(Credential)
                .where(
                    col(Credential.tenant_id) == actor.tenant_id,
                    col(Credential.id) == app_id,
                )
                .values(revoked_at=moment)
            )

    async def _require_still(self, session: AsyncSession, actor: Actor) -> None:
        tenant = await session.get(Tenant, actor.tenant_id)
        try:
            await require_still(session, actor, Permission.MANAGE_OWN_KEYS)
        except PermissionDenied as error:
            raise _left() from error
        if tenant is None or tenant.disabled_at is not None:
            raise _left()

    async def _found(
        self, session: AsyncSession, actor: Actor, code: OAuthCode
    ) -> Credential | None:
        question = owned(actor, Credential).where(
            col(Credential.kind) == APP,
            col(Credential.user_id) == code.user_id,
            col(Credential.client_id) == code.client_id,
            col(Credential.revoked_at).is_(None),
        )
        return (await session.exec(question.order_by(col(Credential.id)).limit(1))).one_or_none()

    async def _tell(
        self, session: AsyncSession, actor: Actor, app: Credential, moment: datetime
    ) -> None:
        if not self._mailer.is_set_up:
            return
        question = users_of(actor).where(col(User.id) == actor.user_id)
        user = (await session.exec(question)).one_or_none()
        tenant = await session.get(Tenant, actor.tenant_id)
        if user is None or user.email is None or tenant is None:
            return
        may = tuple(scope.words for scope in in_order(_scopes(app)))
        letter = AppConnected(app.name, tenant.name, may, moment)
        await self._mailer.send(
            session, letter, to=user.email, tenant_id=actor.tenant_id, user_id=user.id
        )


def _actor(code: OAuthCode) -> Actor:
    return Actor(code.tenant_id, code.user_id, via=Via.WEB)


def _scopes(app: Credential) -> frozenset[Scope]:
    scopes = [scope for scope in Scope if scope.value in app.scopes]
    return effective(scopes, is_read_only=app.is_read_only)


class _Reach:
    """What an app may do and where; `<=` says whether another reach covers it."""

    def __init__(self, scopes: frozenset[Scope], stores: frozenset[str] | None) -> None:
        self._scopes = scopes
        self._stores = stores

    def __le__(self, other: "_Reach") -> bool:
        is_inside = other._stores is None or (
            self._stores is not None and self._stores <= other._stores
        )
        return is_inside and self._scopes <= other._scopes


def _reach(app: Credential) -> _Reach:
    return _Reach(_scopes(app), None if app.store_ids is None else frozenset(app.store_ids))


def _left() -> OAuthRefused:
    return OAuthRefused(
        OAuthError.INVALID_GRANT,
        "Who approved this may connect no apps to the account any more. Ask one of its owners.",
    )
