"""Tokens of connected apps: given for a code, renewed by each refresh, ended as a family.

A refresh token works once. Who sends it again within half a minute gets the pair that the first one
got, as answers are lost and programs race; later it is a copy that somebody else has, so that all
tokens of its family end (RFC 9700 section 4.14.2).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy.exc import InvalidRequestError
from sqlmodel import and_, col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import (
    Actor,
    JsonObject,
    Scope,
    Secret,
    StoreRowId,
    Via,
    new_id,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.oauth import OAuthCode, OAuthToken
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.tokens import OAUTH_ACCESS, OAUTH_REFRESH, new_oauth_token
from orderdesk_app.services.access import APP, FoundKey
from orderdesk_app.services.app_names import known_as
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.connected_apps import AppConnections
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.members import member_of
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.oauth_resource import as_text, effective
from orderdesk_app.services.roles import scopes_of
from orderdesk_app.services.sealed import Seals

ACCESS_SECONDS = 3600
REFRESH_LASTS = timedelta(days=90)  # since the last refresh
GRACE = timedelta(seconds=30)
_VERIFIER_LENGTHS = range(43, 129)  # RFC 7636 section 4.1
_TABLE = "oauth_tokens"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client is given. `expires_in` is of the access token, in seconds."""

    access: Secret
    refresh: Secret
    expires_in: int
    scopes: frozenset[Scope]

    def answer(self) -> JsonObject:
        """As RFC 6749 section 5.1 sends it."""
        return {
            "access_token": self.access.reveal(),
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "refresh_token": self.refresh.reveal(),
            "scope": as_text(self.scopes),
        }


@dataclass(frozen=True, slots=True)
class _Replay:
    """Something was used a second time, by which its family has ended."""

    what: str  # "code" or "refresh_token"
    actor: Actor
    app: str


class OAuthTokens:
    """Every write of a family holds the family's lock, so that a revocation leaves no token that a
    refresh makes meanwhile.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        sealer: Seals,
        signals: Signals,
        audit: AuditTrail,
        apps: AppConnections,
        *,
        pairs: Limit,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._sealer = sealer
        self._signals = signals
        self._audit = audit
        self._apps = apps
        self._pairs = pairs
        self._clock = clock

    # ------------------------------------------------------------------ for a code

    async def exchange(
        self, client: Client, code: str, *, verifier: str, redirect_uri: str | None, address: str
    ) -> TokenPair:
        """The first tokens of what a person approved: from now on the app is connected.

        Raises OAuthRefused, and RateLimited for the account. A code that was used before ends all
        that it gave.
        """
        moment = self._clock()
        async with self._database.read() as session:
            known = await self._code(session, code)
        if known is not None and known.used_at is None:
            await self._pairs.spend(known.tenant_id)
        async with self._database.write() as session:
            row = await self._code(session, code)
            if row is None or row.client_id != client.client_id:
                raise _wrong_grant("This code is not known here. Connect once more.")
            await self._lock(session, row.id, row)
            if row.used_at is not None:
                done: TokenPair | _Replay = await self._replayed(
                    session, "code", row, client.name, address
                )
            else:
                _require_own_code(row, moment, verifier, redirect_uri)
                done = await self._first_pair(session, client, row, moment, address)
        if isinstance(done, _Replay):
            raise await self._recorded(done)
        await self._apps.record(row, client, address)
        return done

    async def _first_pair(
        self, session: AsyncSession, client: Client, row: OAuthCode, moment: datetime, address: str
    ) -> TokenPair:
        app = await self._apps.connect(session, client, row, moment)
        row.used_at = moment
        session.add(row)
        pair, token = self._new_pair(app, moment)
        token.family_id = row.id
        token.redirect_uri = row.redirect_uri
        session.add(token)
        await self._signals.publish(session, f"tenant:{row.tenant_id}")
        return pair

    # ------------------------------------------------------------------ refresh

    async def refresh(
        self, client: Client, refresh_token: str, *, scopes: frozenset[Scope] | None, address: str
    ) -> TokenPair:
        """A new pair in the place of the old one. `scopes` narrow its access token alone; of those
        that the app has not got (any more), nothing is left.

        Raises OAuthRefused, and RateLimited for the account. A refresh token that was used before
        ends its family.
        """
        moment = self._clock()
        async with self._database.read() as session:
            known = await self._by_refresh(session, refresh_token)
        if known is not None and known.refreshed_at is None and known.revoked_at is None:
            await self._pairs.spend(known.tenant_id)
        async with self._database.write() as session:
            row = await self._by_refresh(session, refresh_token)
            if row is None or row.client_id != client.client_id:
                raise _wrong_grant("This refresh token is not known here. Connect once more.")
            await self._lock(session, row.family_id, row)
            app = await self._working_app(session, row)
            if row.revoked_at is not None or app is None:
                raise _wrong_grant("This app was disconnected. Connect once more.")
            if moment >= row.refresh_expires_at:
                raise _wrong_grant("This refresh token is too old. Connect once more.")
            if row.refreshed_at is None:
                kept = _kept(app, scopes)
                return await self._next_pair(session, row, app, kept, moment)
            if (again := await self._same_pair(session, row, app, moment)) is not None:
                return again
            replay = await self._replayed(session, "refresh_token", row, client.name, address)
        raise await self._recorded(replay)

    async def _next_pair(
        self,
        session: AsyncSession,
        row: OAuthToken,
        app: Credential,
        scopes: frozenset[Scope] | None,
        moment: datetime,
    ) -> TokenPair:
        pair, token = self._new_pair(app, moment, scopes)
        token.family_id = row.family_id
        token.redirect_uri = row.redirect_uri
        # the row's own pair is in use now: nobody gets it again
        await session.exec(
            update(OAuthToken)
            .where(
                col(OAuthToken.tenant_id) == row.tenant_id,
                col(OAuthToken.family_id) == row.family_id,
                col(OAuthToken.successor).is_not(None),
            )
            .values(successor=None)
        )
        row.refreshed_at = moment
        text = json.dumps([token.id, pair.access.reveal(), pair.refresh.reveal()]).encode()
        row.successor = await self._sealer.seal_for(*_place(row), text)
        session.add(row)
        session.add(token)
        return pair

    async def _same_pair(
        self, session: AsyncSession, row: OAuthToken, app: Credential, moment: datetime
    ) -> TokenPair | None:
        """The pair that the first use of the row's refresh token gave, as long as that may be a
        lost answer: within the grace, and until that pair is refreshed itself.
        """
        assert row.refreshed_at is not None
        if row.successor is None or moment - row.refreshed_at > GRACE:
            return None
        opened = await self._sealer.open_for(*_place(row), row.successor)
        token_id, access, refresh = json.loads(opened)
        question = owned(Actor(row.tenant_id), OAuthToken).where(col(OAuthToken.id) == token_id)
        token = (await session.exec(question)).one_or_none()
        if token is None or token.refreshed_at is not None:
            return None
        left = max(0, int((token.access_expires_at - moment).total_seconds()))
        return TokenPair(Secret(access), Secret(refresh), left, _scopes_of(token, app))

    def _new_pair(
        self, app: Credential, moment: datetime, scopes: frozenset[Scope] | None = None
    ) -> tuple[TokenPair, OAuthToken]:
        """A pair and its row, which belongs to no family yet."""
        access, refresh = new_oauth_token(OAUTH_ACCESS), new_oauth_token(OAUTH_REFRESH)
        assert app.user_id is not None
        assert app.client_id is not None
        token = OAuthToken(
            id=new_id(),
            tenant_id=app.tenant_id,
            user_id=app.user_id,
            credential_id=app.id,
            family_id="",
            client_id=app.client_id,
            redirect_uri="",
            access_digest=self._digest(access.reveal()),
            refresh_digest=self._digest(refresh.reveal()),
            scopes=None if scopes is None else sorted(scope.value for scope in scopes),
            created_at=moment,
            access_expires_at=moment + timedelta(seconds=ACCESS_SECONDS),
            refresh_expires_at=moment + REFRESH_LASTS,
        )
        return TokenPair(access, refresh, ACCESS_SECONDS, _scopes_of(token, app)), token

    # ------------------------------------------------------------------ revocation

    async def revoke(self, client: Client, token: str, *, address: str) -> None:
        """Ends the family of an access or refresh token of that client (RFC 7009), and the app's
        connection with its last family. Nothing happens for what is not a token of this client.
        """
        async with self._database.write() as session:
            row = await self._by_either(session, token)
            if row is None or row.client_id != client.client_id:
                return
            await self._lock(session, row.family_id, row)
            if row.revoked_at is not None:
                return
            await self._end_family(session, row, row.family_id)
        actor = Actor(
            row.tenant_id,
            row.user_id,
            via=Via.MCP,
            credential_id=row.credential_id,
            address=address,
        )
        await self._audit.write_or_queue(
            Entry(
                actor, "app.disconnect", arguments={"app": known_as(client.name), "by": "the app"}
            )
        )

    async def _end_family(
        self, session: AsyncSession, row: OAuthCode | OAuthToken, family_id: str
    ) -> None:
        """Ends its tokens, and the app's connection where they were the last ones."""
        tenant_id, moment = row.tenant_id, self._clock()
        ended = await session.exec(
            update(OAuthToken)
            .where(
                col(OAuthToken.tenant_id) == tenant_id,
                col(OAuthToken.family_id) == family_id,
                col(OAuthToken.revoked_at).is_(None),
            )
            .values(revoked_at=moment, successor=None)
            .returning(col(OAuthToken.credential_id))
        )
        for app_id in set(ended.scalars()):  # all of a family are of one app
            await self._apps.end_without_tokens(session, tenant_id, app_id, moment)
        await self._signals.publish(session, f"tenant:{tenant_id}")

    async def _replayed(
        self, session: AsyncSession, what: str, row: OAuthCode | OAuthToken, app: str, address: str
    ) -> _Replay:
        family_id = row.id if isinstance(row, OAuthCode) else row.family_id
        await self._end_family(session, row, family_id)
        return _Replay(what, Actor(row.tenant_id, row.user_id, via=Via.MCP, address=address), app)

    async def _recorded(self, replay: _Replay) -> OAuthRefused:
        await self._audit.write_or_queue(
            Entry(
                replay.actor,
                "app.replay",
                outcome="AUTH_ERROR",
                arguments={"app": known_as(replay.app), "what": replay.what},
            )
        )
        return _wrong_grant(
            "This was used before, so that somebody else may have it: the app's tokens have ended. "
            "Connect once more."
        )

    # ------------------------------------------------------------------ at /mcp

    async def find(self, token: str) -> FoundKey | None:
        """The account and user of an access token, by reading one row; None for an unknown or
        revoked one, and where the app, its user or account is gone. One that has expired is found:
        who asks looks at `expires_at`, and nobody is taken for a guesser for it. An app of an
        operator is no operator.
        """
        question = (
            select(OAuthToken, Credential, Membership, User)
            .join(Credential, col(Credential.id) == col(OAuthToken.credential_id))
            .join(Tenant, col(Tenant.id) == col(Credential.tenant_id))
            .join(
                Membership,
                and_(
                    col(Membership.tenant_id) == col(Credential.tenant_id),
                    col(Membership.user_id) == col(Credential.user_id),
                ),
            )
            .join(User, col(User.id) == col(Membership.user_id))
            .where(
                OAuthToken.access_digest == self._digest(token),
                col(OAuthToken.revoked_at).is_(None),
                col(Credential.kind) == APP,
                col(Credential.revoked_at).is_(None),
                col(Tenant.disabled_at).is_(None),
                col(User.disabled_at).is_(None),
            )
        )
        async with self._database.read() as session:
            found = (await session.exec(question)).one_or_none()
        if found is None:
            return None
        row, app, membership, user = found
        member = replace(member_of(membership, user), is_operator=False)
        await self._keyring.tenant(app.tenant_id)  # so that the next call may seal without waiting
        return FoundKey(
            credential_id=app.id,
            tenant_id=app.tenant_id,
            member=member,
            made_by=app.user_id,
            kind=app.kind,
            name=app.name,
            scopes=_scopes_of(row, app) & scopes_of(member.role),
            active_store_id=StoreRowId(app.active_store_id) if app.active_store_id else None,
            store_ids=None if app.store_ids is None else frozenset(map(StoreRowId, app.store_ids)),
            expires_at=row.access_expires_at,
        )

    # ------------------------------------------------------------------ rows

    async def _code(self, session: AsyncSession, code: str) -> OAuthCode | None:
        question = select(OAuthCode).where(OAuthCode.digest == code_digest(self._keyring, code))
        return (await session.exec(question)).one_or_none()

    async def _by_refresh(self, session: AsyncSession, token: str) -> OAuthToken | None:
        question = select(OAuthToken).where(OAuthToken.refresh_digest == self._digest(token))
        return (await session.exec(question)).one_or_none()

    async def _by_either(self, session: AsyncSession, token: str) -> OAuthToken | None:
        digested = self._digest(token)
        question = select(OAuthToken).where(
            or_(OAuthToken.refresh_digest == digested, OAuthToken.access_digest == digested)
        )
        return (await session.exec(question)).one_or_none()

    async def _working_app(self, session: AsyncSession, row: OAuthToken) -> Credential | None:
        """The app of a token, as long as it, its user and its account work."""
        question = (
            owned(Actor(row.tenant_id), Credential)
            .join(Tenant, col(Tenant.id) == col(Credential.tenant_id))
            .join(
                Membership,
                and_(
                    col(Membership.tenant_id) == col(Credential.tenant_id),
                    col(Membership.user_id) == col(Credential.user_id),
                ),
            )
            .join(User, col(User.id) == col(Membership.user_id))
            .where(
                col(Credential.id) == row.credential_id,
                col(Credential.revoked_at).is_(None),
                col(Tenant.disabled_at).is_(None),
                col(User.disabled_at).is_(None),
            )
        )
        return (await session.exec(question)).one_or_none()

    async def _lock(
        self, session: AsyncSession, family_id: str, row: OAuthCode | OAuthToken
    ) -> None:
        """Locks the family until the write ends, and reads its row again. Raises OAuthRefused where
        its account was deleted meanwhile.
        """
        await self._database.advisory_lock(session, f"oauth:{family_id}")
        try:
            await session.refresh(row)
        except InvalidRequestError as error:
            raise _wrong_grant("This is not known here any more. Connect once more.") from error

    def _digest(self, token: str) -> bytes:
        return token_digest(self._keyring, token)


def token_digest(keyring: Keyring, token: str) -> bytes:
    """As `oauth_tokens` keeps an access or a refresh token."""
    return digest(keyring.digest_key, f"oauth token {token}")


def code_digest(keyring: Keyring, code: str) -> bytes:
    """As `oauth_codes` keeps a code."""
    return digest(keyring.digest_key, f"oauth code {code}")


def is_verified(verifier: str, challenge: str) -> bool:
    """Whether the verifier is the one of that challenge of S256 (RFC 7636 section 4.6)."""
    if len(verifier) not in _VERIFIER_LENGTHS or not verifier.isascii():
        return False
    return create_s256_code_challenge(verifier) == challenge


def _require_own_code(
    row: OAuthCode, moment: datetime, verifier: str, redirect_uri: str | None
) -> None:
    """Raises OAuthRefused. OAuth 2.1 leaves the redirect URI out; one that is sent has to be the
    request's own (RFC 6749 section 4.1.3).
    """
    if moment >= row.expires_at:
        raise _wrong_grant("This code is too old: it works for a minute. Connect once more.")
    if redirect_uri is not None and redirect_uri != row.redirect_uri:
        raise _wrong_grant("This code was sent to another redirect_uri. Connect once more.")
    if not is_verified(verifier, row.code_challenge):
        raise _wrong_grant("The code_verifier is not that of the code_challenge (PKCE).")


def _kept(app: Credential, scopes: frozenset[Scope] | None) -> frozenset[Scope] | None:
    """What of the scopes the app has: some clients send with each refresh what they asked for at
    first, and their person gave less (RFC 6749 section 3.3). Raises OAuthRefused for nothing.
    """
    if scopes is None:
        return None
    if kept := scopes & _granted(app):
        return kept
    raise OAuthRefused(
        OAuthError.INVALID_SCOPE, f"This app has no more than {as_text(_granted(app))}."
    )


def _granted(app: Credential) -> frozenset[Scope]:
    """What the person lets the app do, whatever their own role is by now."""
    scopes = [scope for scope in Scope if scope.value in app.scopes]
    return effective(scopes, is_read_only=app.is_read_only)


def _scopes_of(token: OAuthToken, app: Credential) -> frozenset[Scope]:
    granted = _granted(app)
    if token.scopes is None:
        return granted
    return frozenset(scope for scope in granted if scope.value in token.scopes)


def _place(row: OAuthToken) -> tuple[str, str, str, str]:
    return row.tenant_id, _TABLE, "successor", row.id


def _wrong_grant(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_GRANT, description)
