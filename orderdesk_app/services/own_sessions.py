"""Where a person is signed in: they see their sessions and end them, and nobody else's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from orderdesk_app.context import Actor
from orderdesk_app.db.engine import Database
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import AuthFailed, NotFound
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.sessions import Sessions, SignInMethod
from orderdesk_app.services.user_agents import device_name

MOST_SHOWN = 50  # the ones that were used last


@dataclass(frozen=True, slots=True)
class SessionView:
    """One browser that is signed in."""

    id: str
    device: str
    address: str
    account: str
    method: SignInMethod
    created_at: datetime
    seen_at: datetime
    is_this: bool  # the session that asks


@dataclass(frozen=True, slots=True)
class SessionList:
    """The sessions that were used last, and how many there are in all."""

    shown: tuple[SessionView, ...]
    total: int


class OwnSessions:
    """The live sessions of the actor: in all of their accounts, or in this one alone for a session
    that a master key began. The key belongs to the account, and its holder need not be the person
    whom it signs in.
    """

    def __init__(
        self, database: Database, sessions: Sessions, signals: Signals, audit: AuditTrail
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._signals = signals
        self._audit = audit

    async def list(self, actor: Actor) -> SessionList:
        """This session first, then those that were used last."""
        live = _sessions_of(actor).where(*self._sessions.live())
        # A session is written as used now and then, so this one is put first by name.
        latest = live.order_by(
            (col(Session.id) == actor.session_id).desc(),
            col(Session.seen_at).desc(),
            col(Session.id),
        )
        async with self._database.read() as session:
            total = (await session.exec(select(func.count()).select_from(live.subquery()))).one()
            rows = (await session.exec(latest.limit(MOST_SHOWN))).all()
            accounts = await _names_of(session, {row.tenant_id for row in rows})
        shown = tuple(
            SessionView(
                row.id,
                device_name(row.user_agent),
                row.address,
                accounts[row.tenant_id],
                SignInMethod(row.method),
                row.created_at,
                row.seen_at,
                row.id == actor.session_id,
            )
            for row in rows
        )
        return SessionList(shown, total)

    async def end(self, actor: Actor, session_id: str) -> str:
        """Ends one of the actor's sessions at once; returns the name of its device. One that has
        ended already stays ended. Raises NotFound for any other.
        """
        async with self._database.write() as session:
            mine = _sessions_of(actor).where(col(Session.id) == session_id)
            row = (await session.exec(mine)).one_or_none()
            if row is None:
                raise NotFound("You have no such session. Reload the page.")
            await self._end(session, actor, [row.id])
            device = device_name(row.user_agent)
        await self._audit.write_or_queue(
            Entry(actor=actor, action="session.end", arguments={"device": device})
        )
        return device

    async def end_others(self, actor: Actor) -> int:
        """Ends all of the actor's sessions but this one; returns how many lived."""
        async with self._database.write() as session:
            if actor.user_id is not None:
                await self._sessions.lock(session, actor.user_id)
            others = _sessions_of(actor).where(
                *self._sessions.live(), col(Session.id) != actor.session_id
            )
            ids = [row.id for row in (await session.exec(others)).all()]
            await self._end(session, actor, ids)
        if ids:
            await self._audit.write_or_queue(
                Entry(actor=actor, action="session.end_others", arguments={"count": len(ids)})
            )
        return len(ids)

    async def _end(self, session: AsyncSession, actor: Actor, ids: Sequence[str]) -> None:
        await session.exec(
            update(Session)
            .where(col(Session.id).in_(ids), col(Session.ended_at).is_(None))
            .values(ended_at=self._sessions.moment())
        )
        # Open pages of these sessions are signed out by it (states/live.py).
        await self._signals.publish(session, f"user:{actor.user_id}")


def _sessions_of(actor: Actor) -> SelectOfScalar[Session]:
    if actor.user_id is None or actor.session_id is None:
        raise AuthFailed("Your session has ended. Sign in again.")
    mine = select(Session).where(col(Session.user_id) == actor.user_id)
    if actor.credential_id is not None:
        mine = mine.where(col(Session.tenant_id) == actor.tenant_id)
    return mine


async def _names_of(session: AsyncSession, ids: set[str]) -> dict[str, str]:
    question = select(Tenant.id, Tenant.name).where(col(Tenant.id).in_(ids))
    return {str(id_): name for id_, name in (await session.exec(question)).all()}
