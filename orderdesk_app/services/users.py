"""The users of the installation, for its operators: who they are, what they have and did, and
whether they may go on.

Everything here is refused to anybody else with NotFound, as if it was not there. Whether the actor
is an operator is read from their row each time.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlmodel import col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, TenantId, UserId, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.magic_links import MagicLink
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.user_days import UserDay
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict, NotFound, in_message
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.deletions import BEING_DELETED
from orderdesk_app.services.key_rows import is_working
from orderdesk_app.services.operators import is_operator_now, require_operator_left
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.user_agents import device_name
from orderdesk_app.services.user_filter import UserFilter, UserPlace, beginnings
from orderdesk_app.services.user_list import DAYS, PAGE_ROWS, UserPage, UserRow, read_page, read_row

_MOST_NAMESAKES = 10  # that are told apart by their ids
_MOST_SHOWN = 200  # accounts, stores, keys and sessions of one user
_NOTHING = "There is no such page."
_NO_USER = "There is no such user. They may have been deleted; go back to the list of users."


@dataclass(frozen=True, slots=True)
class AccountOfUser:
    """An account that a user is a member of."""

    id: TenantId
    name: str
    role: str
    since: datetime
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class StoreOfUser:
    """A store of one of a user's accounts."""

    name: str
    account: str
    is_sandbox: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class KeyOfUser:
    """A key that works and that the user made. `hint` is its last four characters."""

    name: str
    kind: str
    hint: str
    account: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionOfUser:
    """A browser in which the user is signed in."""

    account: str
    address: str
    device: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class UserDetail:
    """Lists have the newest _MOST_SHOWN each. `calls_by_day` has the calls of the last 30 days (of
    UTC), the oldest first, and its first day is `since`.
    """

    user: UserRow
    is_operator: bool  # also of a user who is disabled
    accounts: list[AccountOfUser]
    stores: list[StoreOfUser]
    keys: list[KeyOfUser]
    sessions: list[SessionOfUser]
    since: date
    calls_by_day: list[int]


class Users:
    """Every act leaves an audit row that names the user by id alone."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        reauthentication: Reauthentication,
        audit: AuditTrail,
    ) -> None:
        self._database = database
        self._signals = signals
        self._reauthentication = reauthentication
        self._audit = audit

    async def page(
        self,
        actor: Actor,
        wanted: UserFilter,
        *,
        count: int = PAGE_ROWS,
        after: UserPlace | None = None,
        before: UserPlace | None = None,
    ) -> UserPage:
        """The first users of the filter; those right after `after`, or right before `before`."""
        async with self._database.read() as session:
            await _require_operator(session, actor)
            return await read_page(session, wanted, count=count, after=after, before=before)

    async def get(self, actor: Actor, user_id: UserId) -> UserDetail:
        """A user with what they have and did. Raises NotFound."""
        moment = now()
        since = moment.date() - timedelta(days=DAYS - 1)
        async with self._database.read() as session:
            await _require_operator(session, actor)
            row = await read_row(session, user_id)
            if row is None or row.name == BEING_DELETED:
                raise NotFound(_NO_USER, field="user_id")
            calls = await _calls_of(session, user_id, since)
            return UserDetail(
                user=row,
                is_operator=await _is_operator(session, user_id),
                accounts=await _accounts_of(session, user_id),
                stores=await _stores_of(session, user_id),
                keys=await _keys_of(session, user_id),
                sessions=await _sessions_of(session, user_id, moment),
                since=since,
                calls_by_day=[
                    calls.get(since + timedelta(days=number), 0) for number in range(DAYS)
                ],
            )

    async def find(self, actor: Actor, text: str) -> UserRow:
        """The user with that id or e-mail address, else the only one with that name.

        Raises NotFound, and Conflict where several have it.
        """
        keys = beginnings(text)
        question = (
            select(User.id, col(User.id) == text, col(User.email_key).in_(keys))
            .where(
                or_(
                    col(User.id) == text,
                    col(User.email_key).in_(keys),
                    col(User.name_key).in_(keys),
                )
            )
            .order_by(col(User.id))
            .limit(_MOST_NAMESAKES)
        )
        async with self._database.read() as session:
            await _require_operator(session, actor)
            found = (await session.exec(question)).all()
            certain = [user_id for user_id, by_id, by_email in found if by_id or by_email]
            ids = certain[:1] or [user_id for user_id, *_ in found]
            if len(ids) > 1:
                raise Conflict(
                    f"Several users have the name {in_message(text)}. Say which by its id: "
                    f"{', '.join(ids)}.",
                    field="user",
                )
            row = await read_row(session, UserId(ids[0])) if ids else None
        if row is None:
            raise NotFound(
                f"No user has the id, the e-mail address or the name {in_message(text)}.",
                field="user",
            )
        return row

    async def disable(self, actor: Actor, user_id: UserId) -> str:
        """The user stops at once, at every entry point: their sessions and unused links end, and
        their keys open nothing until they are enabled again. Returns their name.

        It is an emergency, so it asks for no fresh proof. Raises NotFound, and Conflict for the
        last operator.
        """
        moment = now()
        async with self._database.write() as session:
            user = await self._begin(session, actor, user_id, takes_operator=True)
            if user.disabled_at is None:
                user.disabled_at = moment
                session.add(user)
                await _end_sessions(session, user_id, moment)
                await self._signal(session, user_id)
        await self._record(actor, "user.disable", user_id)
        return user.name

    async def enable(self, actor: Actor, user_id: UserId) -> str:
        """The user may sign in again, and their keys work; sessions that ended stay ended. Returns
        their name. Raises NotFound.
        """
        async with self._database.write() as session:
            user = await self._begin(session, actor, user_id)
            if user.disabled_at is not None:
                user.disabled_at = None
                session.add(user)
                await self._signal(session, user_id)
        await self._record(actor, "user.enable", user_id)
        return user.name

    async def set_operator(self, actor: Actor, user_id: UserId, *, is_operator: bool) -> str:
        """Makes the user an operator, or no longer one; returns their name.

        Raises NotFound, ReauthenticationRequired, and Conflict for the last operator.
        """
        async with self._database.read() as session:
            await _require_operator(session, actor)
        await self._reauthentication.require_recent(actor)
        async with self._database.write() as session:
            user = await self._begin(session, actor, user_id, takes_operator=not is_operator)
            if user.is_operator != is_operator:
                user.is_operator = is_operator
                session.add(user)
                await self._signal(session, user_id)
        action = "user.make_operator" if is_operator else "user.remove_operator"
        await self._record(actor, action, user_id)
        return user.name

    async def _begin(
        self, session: AsyncSession, actor: Actor, user_id: UserId, *, takes_operator: bool = False
    ) -> User:
        """The user's row, inside a write."""
        await _require_operator(session, actor)
        user = await session.get(User, user_id)
        if user is None or user.name == BEING_DELETED:
            raise NotFound(_NO_USER, field="user_id")
        if takes_operator and user.is_operator and user.disabled_at is None:
            await require_operator_left(self._database, session, without_user=user_id)
            # Two operators may stop each other at once, and the first has won meanwhile.
            await _require_operator(session, actor)
            await session.refresh(user)
        return user

    async def _signal(self, session: AsyncSession, user_id: UserId) -> None:
        await self._signals.publish(session, f"user:{user_id}")
        # a master key acts as the first owner who is not disabled
        for tenant_id in (
            await session.exec(
                select(Membership.tenant_id).where(col(Membership.user_id) == user_id)
            )
        ).all():
            await self._signals.publish(session, f"tenant:{tenant_id}")

    async def _record(self, actor: Actor, action: str, user_id: UserId) -> None:
        entry = Entry(actor=actor, action=action, arguments={"user_id": str(user_id)})
        await self._audit.write_or_queue(entry)


async def _require_operator(session: AsyncSession, actor: Actor) -> None:
    """Raises NotFound for anybody but an operator, and the shell of the server. Who came by a
    master key may be the user of an operator, and yet no operator (services/members.py).
    """
    if actor.via is Via.SHELL and actor.user_id is None:
        return
    if not (actor.is_operator and await is_operator_now(session, actor.user_id)):
        raise NotFound(_NOTHING)


async def _is_operator(session: AsyncSession, user_id: UserId) -> bool:
    question = select(User.id).where(col(User.id) == user_id, col(User.is_operator))
    return (await session.exec(question)).one_or_none() is not None


async def _end_sessions(session: AsyncSession, user_id: UserId, moment: datetime) -> None:
    """Also links that were not used: enabling the user again must not bring them back."""
    sessions = update(Session).where(
        col(Session.user_id) == user_id, col(Session.ended_at).is_(None)
    )
    await session.exec(sessions.values(ended_at=moment))
    links = update(MagicLink).where(
        col(MagicLink.user_id) == user_id, col(MagicLink.used_at).is_(None)
    )
    await session.exec(links.values(used_at=moment, payload=None))


async def _calls_of(session: AsyncSession, user_id: UserId, since: date) -> dict[date, int]:
    question = select(UserDay).where(col(UserDay.user_id) == user_id, col(UserDay.day) >= since)
    return {row.day: row.calls for row in (await session.exec(question)).all()}


async def _accounts_of(session: AsyncSession, user_id: UserId) -> list[AccountOfUser]:
    question = (
        select(Tenant, Membership)
        .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
        .where(col(Membership.user_id) == user_id)
        .order_by(col(Membership.created_at).desc(), col(Tenant.id))
        .limit(_MOST_SHOWN)
    )
    return [
        AccountOfUser(
            tenant.id,
            tenant.name,
            membership.role,
            membership.created_at,
            tenant.disabled_at is not None,
        )
        for tenant, membership in (await session.exec(question)).all()
    ]


async def _stores_of(session: AsyncSession, user_id: UserId) -> list[StoreOfUser]:
    question = (
        select(Store, Tenant.name)
        .join(Tenant, col(Tenant.id) == col(Store.tenant_id))
        .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
        .where(col(Membership.user_id) == user_id)
        .order_by(col(Store.created_at).desc(), col(Store.id))
        .limit(_MOST_SHOWN)
    )
    return [
        StoreOfUser(store.name, account, store.is_sandbox, store.created_at)
        for store, account in (await session.exec(question)).all()
    ]


async def _keys_of(session: AsyncSession, user_id: UserId) -> list[KeyOfUser]:
    question = (
        select(Credential, Tenant.name)
        .join(Tenant, col(Tenant.id) == col(Credential.tenant_id))
        .where(col(Credential.user_id) == user_id, *is_working())
        .order_by(col(Credential.created_at).desc(), col(Credential.id))
        .limit(_MOST_SHOWN)
    )
    return [
        KeyOfUser(key.name, key.kind, key.hint, account, key.created_at, key.last_used_at)
        for key, account in (await session.exec(question)).all()
    ]


async def _sessions_of(
    session: AsyncSession, user_id: UserId, moment: datetime
) -> list[SessionOfUser]:
    question = (
        select(Session, Tenant.name)
        .join(Tenant, col(Tenant.id) == col(Session.tenant_id))
        .where(
            col(Session.user_id) == user_id,
            col(Session.ended_at).is_(None),
            col(Session.expires_at) > moment,
        )
        .order_by(col(Session.seen_at).desc(), col(Session.id))
        .limit(_MOST_SHOWN)
    )
    return [
        SessionOfUser(
            account, row.address, device_name(row.user_agent), row.created_at, row.seen_at
        )
        for row, account in (await session.exec(question)).all()
    ]
