"""The connected apps of an account, as people see, narrow and disconnect them.

How one is connected: services/oauth_authorization.py and the services of its tokens.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Scope, StoreRowId, UserId, Via, now
from orderdesk_app.db.credential_days import count_calls_of_keys
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.oauth import OAuthCode, OAuthToken
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import NotFound, PermissionDenied, ValidationFailed
from orderdesk_app.services.app_names import known_as
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.key_views import APP, granted_scopes, scopes_of_key
from orderdesk_app.services.oauth_authorization import chosen_stores
from orderdesk_app.services.redirect_uris import RedirectUri, read_redirect
from orderdesk_app.services.roles import Permission, may, require

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class AppView:
    """A connected app. `scopes` is what it may do now, `granted` what was approved for it."""

    id: str
    name: str
    host: str  # where its answers go: that of its redirect address, or the scheme of a program
    user_id: UserId | None  # who connected it
    scopes: tuple[Scope, ...]
    granted: tuple[Scope, ...]
    store_ids: tuple[str, ...] | None  # None for every store of the account
    is_read_only: bool
    connected_at: datetime
    last_used_at: datetime | None
    last_client: str
    calls: int  # in the last thirty days


class ConnectedApps:
    """Members see their own apps, owners all of the account. What changes one acts at once, here
    and in every other process within a second, and leaves a row in the audit log.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        audit: AuditTrail,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._signals = signals
        self._audit = audit
        self._clock = clock

    async def list(self, actor: Actor) -> list[AppView]:
        """The newest first."""
        _only_people(actor)
        question = (
            owned(actor, Credential)
            .where(col(Credential.kind) == APP, col(Credential.revoked_at).is_(None))
            .order_by(col(Credential.created_at).desc(), col(Credential.id).desc())
            .limit(MOST_SHOWN)
        )
        if not may(actor, Permission.MANAGE_ALL_KEYS):
            question = question.where(col(Credential.user_id) == actor.user_id)
        async with self._database.read() as session:
            rows = (await session.exec(question)).all()
            calls = await count_calls_of_keys(session, [row.id for row in rows], self._clock())
            hosts = await _hosts(session, actor, [row.id for row in rows])
            roles = {
                member.user_id: Role(member.role)
                for member in (await session.exec(owned(actor, Membership))).all()
            }
        return [
            _view(
                row,
                roles.get(UserId(row.user_id or "")),
                calls=calls.get(row.id, 0),
                host=hosts.get(row.id, ""),
            )
            for row in rows
        ]

    async def narrow(
        self,
        actor: Actor,
        app_id: str,
        *,
        scopes: Collection[Scope],
        store_ids: Collection[StoreRowId] | None,
        is_read_only: bool,
    ) -> str:
        """Takes permissions or stores from the app; returns its name. It gets none back here: that
        is for the app to ask, and for its person to approve with a fresh proof of identity.

        Raises NotFound, PermissionDenied, and ValidationFailed (field "scopes" or "stores").
        """
        _only_people(actor)
        async with self._database.write() as session:
            row = await self._working(session, actor, app_id)
            _require_narrower(row, scopes, store_ids, is_read_only=is_read_only)
            row.scopes = [scope.value for scope in Scope if scope in set(scopes)]
            if row.store_ids is None:
                row.store_ids = await chosen_stores(session, actor, store_ids)
            elif store_ids is not None:
                row.store_ids = sorted(set(store_ids))
            row.is_read_only = is_read_only
            name = row.name
            details = {
                "app": name,
                "scopes": row.scopes,
                "stores": "all" if row.store_ids is None else len(row.store_ids),
                "is_read_only": is_read_only,
            }
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        await self._audit.write_or_queue(Entry(actor, "app.narrow", arguments=details))
        return known_as(name)

    async def disconnect(self, actor: Actor, app_id: str) -> str:
        """The app's next call is refused, and so is its next refresh; returns its name.

        Everybody may disconnect an app that they connected themselves, whatever their role is by
        now. Raises NotFound and PermissionDenied.
        """
        _only_people(actor)
        moment = self._clock()
        async with self._database.write() as session:
            row = await self._working(session, actor, app_id)
            row.revoked_at = moment
            name = row.name
            session.add(row)
            tokens = update(OAuthToken).where(
                col(OAuthToken.tenant_id) == actor.tenant_id,
                col(OAuthToken.credential_id) == row.id,
                col(OAuthToken.revoked_at).is_(None),
            )
            await session.exec(tokens.values(revoked_at=moment, successor=None))
            # what was approved a moment ago connects it no more
            codes = update(OAuthCode).where(
                col(OAuthCode.tenant_id) == actor.tenant_id,
                col(OAuthCode.user_id) == row.user_id,
                col(OAuthCode.client_id) == row.client_id,
                col(OAuthCode.used_at).is_(None),
            )
            await session.exec(codes.values(used_at=moment))
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        await self._audit.write_or_queue(Entry(actor, "app.disconnect", arguments={"app": name}))
        return known_as(name)

    async def _working(self, session: AsyncSession, actor: Actor, app_id: str) -> Credential:
        """The app, if the actor may change it. Somebody else's is not there for a member."""
        question = owned(actor, Credential).where(
            col(Credential.id) == app_id,
            col(Credential.kind) == APP,
            col(Credential.revoked_at).is_(None),
        )
        row = (await session.exec(question)).one_or_none()
        is_mine = row is not None and row.user_id is not None and row.user_id == actor.user_id
        if row is None or not (is_mine or may(actor, Permission.MANAGE_ALL_KEYS)):
            raise NotFound("This app is not connected any more. Reload the page.")
        await self._database.advisory_lock(session, f"app:{row.user_id}:{row.client_id}")
        await session.refresh(row)
        if row.revoked_at is not None:
            raise NotFound("This app is not connected any more. Reload the page.")
        if not is_mine:
            require(actor, Permission.MANAGE_ALL_KEYS)
        return row


async def _hosts(session: AsyncSession, actor: Actor, app_ids: Sequence[str]) -> Mapping[str, str]:
    """Of each app, as its person was shown it at the consent page."""
    question = (
        owned(actor, OAuthToken)
        .where(
            col(OAuthToken.credential_id).in_(app_ids),
            col(OAuthToken.revoked_at).is_(None),
            col(OAuthToken.refreshed_at).is_(None),
        )
        .order_by(col(OAuthToken.created_at))
    )
    tokens = (await session.exec(question)).all()
    found = {token.credential_id: read_redirect(token.redirect_uri) for token in tokens}
    return {app_id: uri.shown for app_id, uri in found.items() if isinstance(uri, RedirectUri)}


def _view(row: Credential, role: Role | None, *, calls: int, host: str) -> AppView:
    # whose user has left opens nothing
    now_may = frozenset[Scope]() if role is None else scopes_of_key(row, role)
    granted = granted_scopes(row)
    return AppView(
        id=row.id,
        name=known_as(row.name),
        host=host,
        user_id=row.user_id,
        scopes=tuple(scope for scope in Scope if scope in now_may),
        granted=tuple(scope for scope in Scope if scope in granted),
        store_ids=None if row.store_ids is None else tuple(row.store_ids),
        is_read_only=row.is_read_only,
        connected_at=row.created_at,
        last_used_at=row.last_used_at,
        last_client=row.last_client,
        calls=calls,
    )


def _require_narrower(
    row: Credential,
    scopes: Collection[Scope],
    store_ids: Collection[StoreRowId] | None,
    *,
    is_read_only: bool,
) -> None:
    if not scopes:
        raise ValidationFailed(
            "Leave at least one permission, or disconnect the app.", field="scopes"
        )
    if not set(scopes) <= granted_scopes(row) or (row.is_read_only and not is_read_only):
        raise ValidationFailed(
            "Here an app can only be narrowed. To allow more, connect it again in the app.",
            field="scopes",
        )
    if store_ids is None and row.store_ids is not None:
        raise ValidationFailed(
            "This app has chosen stores. To allow all, connect it again in the app.",
            field="stores",
        )
    if store_ids is not None:
        if not store_ids:
            raise ValidationFailed(
                "Leave at least one store, or disconnect the app.", field="stores"
            )
        if row.store_ids is not None and not set(store_ids) <= set(row.store_ids):
            raise ValidationFailed(
                "Here stores can only be taken away. To allow more, connect it again in the app.",
                field="stores",
            )


def _only_people(actor: Actor) -> None:
    """Refuses agents: an app must not be able to end another one."""
    if actor.via not in (Via.WEB, Via.SYSTEM):
        raise PermissionDenied("Connected apps are managed by a person in the web app.")
