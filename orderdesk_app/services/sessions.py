"""Sessions of signed-in people: a cookie names a row, and every event reads that row."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cachetools import LRUCache
from sqlalchemy import ColumnElement
from sqlmodel import and_, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, StoreRowId, TenantId, UserId, Via, new_id, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, Conflict, PermissionDenied, SignInFailed
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.web import SessionCookies, SignedText, cookie_in
from orderdesk_app.services.devices import Devices, is_device_token
from orderdesk_app.services.members import (
    Member,
    as_by_master_key,
    member_of,
)
from orderdesk_app.services.roles import scopes_of

COOKIE = "orderdesk_session"
# Browsers take this name only with Secure, Path=/ and no Domain, and only over https: no other host
# of the domain can set it.
SECURE_COOKIE = f"__Host-{COOKIE}"
DEVICE_COOKIE = "orderdesk_device"
_IDLE_SHARE = 4  # an idle session ends after a quarter of its time
_KEPT = timedelta(days=30)  # how long rows of ended sessions are kept
_MOST_SPENT = 10_000
MOST_SESSIONS = 100  # of a person, with those that have ended a short while ago
_SEEN_SHARE = 20  # how often, within the idle time, seen_at is written


class SignInMethod(StrEnum):
    """How a session began."""

    KEY = "key"  # the account's master key
    LINK = "link"
    PASSKEY = "passkey"
    SIGN_UP = "sign_up"


@dataclass(frozen=True, slots=True)
class WebUser:
    """A user who is signed in to the web app."""

    actor: Actor
    name: str
    session_id: str
    active_store_id: StoreRowId | None = None


class Sessions:
    """The sessions of this installation, by the cookies that name them."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        cookies: SessionCookies,
        *,
        timeout: int,
        is_secure: bool = False,
        signals: Signals | None = None,
        devices: Devices | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._cookies = cookies
        self._signals = signals
        self._devices = devices
        self._clock = clock
        self.cookie_name = SECURE_COOKIE if is_secure else COOKIE
        self.device_cookie_name = f"__Host-{DEVICE_COOKIE}" if is_secure else DEVICE_COOKIE
        self._timeout = timedelta(seconds=timeout)
        self._idle = self._timeout / _IDLE_SHARE

    def cookie_in(self, *headers: str) -> str | None:
        """The session cookie in the Cookie headers of a request; None without one, and where there
        are two.
        """
        return cookie_in(";".join(headers), self.cookie_name)

    def device_in(self, *headers: str) -> str | None:
        """The token of the browser in the Cookie headers of a request; None for anything else."""
        token = cookie_in(";".join(headers), self.device_cookie_name)
        return token if is_device_token(token) else None

    async def start(
        self,
        tenant_id: TenantId,
        user_id: UserId,
        *,
        credential_id: str | None,
        address: str,
        user_agent: str,
    ) -> str:
        """A new session of that user; returns the value of its cookie."""
        async with self._database.write() as session:
            return await self.begin(
                session,
                tenant_id,
                user_id,
                credential_id=credential_id,
                address=address,
                user_agent=user_agent,
            )

    async def begin(
        self,
        session: AsyncSession,
        tenant_id: TenantId,
        user_id: UserId,
        *,
        credential_id: str | None,
        address: str,
        user_agent: str,
        method: SignInMethod | None = None,
        proved_at: datetime | None = None,
        replaces: str | None = None,
        device: str = "",
    ) -> str:
        """`start` inside a write that the caller has opened; ends the session of the cookie that
        the new one replaces in the browser. Without a `method` it is the key, where there is one,
        else a link. `proved_at` is when its person proved who they are, where that is not now.
        `device` is the browser's own token (services/devices.py), where it has one.

        Raises SignInFailed for a user who was disabled meanwhile.
        """
        moment = self._clock()
        await _note_at_user(session, user_id, last_sign_in_at=moment, last_active_at=moment)
        if (replaced := self._cookies.read(replaces)) is not None:
            await self._end(session, replaced)
        row = Session(
            id=new_id(),
            tenant_id=tenant_id,
            user_id=user_id,
            method=method or (SignInMethod.KEY if credential_id else SignInMethod.LINK),
            credential_id=credential_id,
            created_at=moment,
            proved_at=proved_at or moment,
            seen_at=moment,
            expires_at=moment + self._timeout,
            address=address[:64],
            user_agent=user_agent[:200],
        )
        await session.exec(
            delete(Session).where(
                col(Session.tenant_id) == tenant_id, col(Session.expires_at) < moment - _KEPT
            )
        )
        await self._make_room(session, row)
        session.add(row)
        await session.flush()
        if self._devices is not None and device:
            await self._devices.meet(session, row, device)
        return self._cookies.sign(row.id, expires_at=row.expires_at.timestamp())

    async def _make_room(self, session: AsyncSession, begins: Session) -> None:
        """Deletes the sessions that are one too many for its user: those that have ended, then
        those that were used least lately. A master key, which others may have too, pushes out only
        sessions of master keys.
        """
        user_id = begins.user_id
        by_key = col(Session.credential_id).is_not(None)
        too_many = (
            select(Session.id)
            .where(col(Session.user_id) == user_id, by_key == (begins.credential_id is not None))
            .order_by(col(Session.ended_at).is_not(None), col(Session.seen_at).desc())
            .offset(MOST_SESSIONS - 1)
        )
        deleted = await session.exec(
            delete(Session).where(col(Session.id).in_(too_many)).returning(col(Session.ended_at))
        )
        if self._signals is not None and None in deleted.scalars().all():
            await self._signals.publish(session, f"user:{user_id}")

    async def move(self, session: AsyncSession, session_id: str, tenant_id: TenantId) -> str:
        """Inside a write: ends that session, and begins another of the same sign-in in another
        account of its user; returns the value of its cookie. It lasts as long, and nothing more is
        proved. The caller has asked whether the user belongs to the account.
        """
        row = await session.get(Session, session_id)
        if row is not None:
            await self.lock(session, row.user_id)
            await _note_at_user(session, row.user_id, last_active_at=self._clock())
            await session.refresh(row)
        if row is None or row.ended_at is not None:
            raise AuthFailed("Your session has ended. Sign in again.")
        await self._end(session, row.id)
        kept = row.model_dump(exclude={"id", "tenant_id", "active_store_id", "ended_at"})
        moved = Session(**kept, id=new_id(), tenant_id=tenant_id)
        await self._make_room(session, moved)
        session.add(moved)
        await session.flush()
        return self._cookies.sign(moved.id, expires_at=moved.expires_at.timestamp())

    async def lock(self, session: AsyncSession, user_id: UserId) -> None:
        """Inside a write: no session of that user moves to another account until ours has ended.
        Call it before sessions are read that shall end.
        """
        await self._database.advisory_lock(session, f"sessions:{user_id}")

    async def resume(self, cookie: str | None, *, is_use: bool = True) -> WebUser | None:
        """The user of the cookie's session. Reads the row every time. `is_use` False leaves the
        session as idle as it was.

        None for an unknown cookie, a session that has ended or was idle for too long, an account or
        user that is gone or disabled, and a user who is no member of the account.
        """
        session_id = self._cookies.read(cookie)
        if session_id is None:
            return None
        question = (
            select(Session, Tenant, Membership, User)
            .join(Tenant, col(Tenant.id) == col(Session.tenant_id))
            .join(
                Membership,
                and_(
                    col(Membership.tenant_id) == col(Session.tenant_id),
                    col(Membership.user_id) == col(Session.user_id),
                ),
            )
            .join(User, col(User.id) == col(Session.user_id))
            .where(Session.id == session_id)
        )
        async with self._database.read() as session:
            found = (await session.exec(question)).one_or_none()
            if found is None:
                return None
            row, tenant, membership, user = found
            member = member_of(membership, user)
            if row.credential_id is not None:
                member = await as_by_master_key(session, row.tenant_id, member)
        moment = self._clock()
        if (
            row.ended_at is not None
            or tenant.disabled_at is not None
            or user.disabled_at is not None
            or moment >= row.expires_at
            or moment >= row.seen_at + self._idle
        ):
            return None
        if is_use and moment - row.seen_at >= self._idle / _SEEN_SHARE:
            await self._note_use(row, moment)
        await self._keyring.tenant(row.tenant_id)  # so that the next call may seal without waiting
        active_store_id = StoreRowId(row.active_store_id) if row.active_store_id else None
        return WebUser(_actor(row, member), tenant.name, row.id, active_store_id)

    async def _note_use(self, row: Session, moment: datetime) -> None:
        async with self._database.write() as session:
            # The user first, as wherever both are written: else two writes may wait for each other.
            await session.exec(
                update(User).where(col(User.id) == row.user_id).values(last_active_at=moment)
            )
            await session.exec(
                update(Session).where(col(Session.id) == row.id).values(seen_at=moment)
            )

    async def end(self, cookie: str | None) -> None:
        """Ends the session of the cookie, in every tab and for every copy of the cookie."""
        session_id = self._cookies.read(cookie)
        if session_id is not None:
            async with self._database.write() as session:
                await self._end(session, session_id)

    def moment(self) -> datetime:
        """The time by which sessions begin and end."""
        return self._clock()

    def live(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions of a session that goes on: not ended, not too old, not idle for long."""
        moment = self._clock()
        return (
            col(Session.ended_at).is_(None),
            col(Session.expires_at) > moment,
            col(Session.seen_at) > moment - self._idle,
        )

    async def _end(self, session: AsyncSession, session_id: str) -> None:
        ended = await session.exec(
            update(Session)
            .where(col(Session.id) == session_id, col(Session.ended_at).is_(None))
            .values(ended_at=self._clock())
            .returning(col(Session.user_id))
        )
        user_id = ended.scalar_one_or_none()
        if user_id is not None and self._signals is not None:
            # Its open pages are signed out by it (states/live.py).
            await self._signals.publish(session, f"user:{user_id}")


async def _note_at_user(session: AsyncSession, user_id: UserId, **noted: datetime) -> None:
    """Inside a write, before a session is added. Raises SignInFailed for a user who is disabled.

    Whoever disables the user writes the same row first, then ends the sessions: so one that begins
    meanwhile is ended there, or does not begin. Else it would live again with the user.
    """
    found = await session.exec(
        update(User)
        .where(col(User.id) == user_id, col(User.disabled_at).is_(None))
        .values(**noted)
        .returning(col(User.id))
    )
    if found.scalar_one_or_none() is None:
        raise SignInFailed("You cannot sign in here now. Ask whoever runs this installation.")


def _actor(row: Session, member: Member) -> Actor:
    """The user of that session, with the rights that their role gives them now."""
    return Actor(
        tenant_id=row.tenant_id,
        user_id=member.user_id,
        role=member.role,
        is_operator=member.is_operator,
        scopes=scopes_of(member.role),
        via=Via.WEB,
        credential_id=row.credential_id,
        session_id=row.id,
        address=row.address,
    )


class FormTokens:
    """A token in every form that changes something (against CSRF), valid only for the session that
    it was made for.
    """

    def __init__(self, key: bytes) -> None:
        self._signed = SignedText(key, "form")
        self._spent: LRUCache[str, None] = LRUCache(_MOST_SPENT)

    def issue(self, session_id: str) -> str:
        return self._signed.sign(f"{session_id} {new_id()}")

    def check(self, session_id: str, token: str) -> None:
        """Raises PermissionDenied for a missing or foreign value."""
        found, _, _ = (self._signed.read(token) or "").rpartition(" ")
        if not found or not hmac.compare_digest(found.encode(), session_id.encode()):
            raise PermissionDenied("This form is out of date. Reload the page and send it again.")

    def spend(self, token: str) -> None:
        """Uses the token up, for forms that must not run twice when the browser sends them twice
        (F5 on the answer). Raises Conflict the second time.
        """
        if token in self._spent:
            raise Conflict(
                "This form was sent before, and what it did is done. A key is shown "
                "once: if you have not copied it, make another."
            )
        self._spent[token] = None
