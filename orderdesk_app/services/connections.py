"""Which clients of a person called lately, and the last request of theirs that was refused: what
the lights of the page Connect show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Via, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import NotFound, PermissionDenied, RateLimited
from orderdesk_app.services.activity_entries import AGENTS, WhoActed, who_did
from orderdesk_app.services.app_names import known_as
from orderdesk_app.services.audit import UNKNOWN_TOOL, AuditLog, Entry
from orderdesk_app.services.key_check import ACTION as KEY_CHECK
from orderdesk_app.services.key_check import NOBODY
from orderdesk_app.services.key_views import APP, MASTER
from orderdesk_app.services.limits import network_of

_RECENT = timedelta(hours=24)
_NEW = timedelta(hours=1)  # so long a new key is waited for
_REFUSED_FOR = timedelta(minutes=15)  # then somebody else may have the network
_MOST_ROWS = 500  # newest of an account that are looked through
_MOST_STRANGERS = 100  # newest requests of no account that are looked through, of all networks


class Why(StrEnum):
    """Why a request was refused."""

    UNKNOWN_KEY = "unknown_key"
    WRONG_ADDRESS = "wrong_address"
    WRONG_HOST = "wrong_host"
    FOREIGN_PAGE = "foreign_page"
    REVOKED_KEY = "revoked_key"
    EXPIRED_KEY = "expired_key"
    MISUSED_KEY = "misused_key"  # in an address, or of somebody who may no longer
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    UNKNOWN_TOOL = "unknown_tool"


# The actions of rows of no account: requests that were refused before anybody looked at their key.
_OF_STRANGERS = {
    KEY_CHECK: Why.UNKNOWN_KEY,
    "mcp.address": Why.WRONG_ADDRESS,
    "mcp.host": Why.WRONG_HOST,
    "mcp.origin": Why.FOREIGN_PAGE,
}
_ACTIONS = {why: action for action, why in _OF_STRANGERS.items()}


@dataclass(frozen=True, slots=True)
class Connection:
    """The last call of one client with one key or app. `client` is what it calls itself."""

    client: str
    credential_id: str | None
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """The last request that was refused. Who sent a key that is not known here has no name."""

    why: Why
    at: datetime
    client: str = ""
    credential_id: str | None = None
    key: str = ""
    is_app: bool = False  # `key` is the name of a connected app
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A key that the person made, or an app that they connected, within the last hour."""

    credential_id: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Lights:
    """Everything that the page shows to a person, the newest first."""

    connections: tuple[Connection, ...] = ()
    newcomers: tuple[Newcomer, ...] = ()
    refusal: Refusal | None = None


class Connections:
    """Reads what the keys and apps of one person did, and the account's master key, and which
    requests of no account came from the network of who looks.
    """

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def lights(self, actor: Actor) -> Lights:
        """The calls of the last day, and the last refusal of a quarter of an hour."""
        await self._audit.flush()
        async with self._database.read() as session:
            rows = await self._rows(session, actor)
            names = await who_did(session, actor, [_who(row) for row in rows])
            own = await self._own(session, actor)
            stranger = await self._stranger(session, actor)
        # The first message of a client leaves no row: only its key or app says that it was used.
        calls = [
            Connection(key.last_client, key.id, _name_of(key), key.last_used_at)
            for key in own
            # a look at it alone, as for one that was refused, has neither
            if key.last_used_at and (key.last_client or key.last_address) and _works(key)
        ]
        refusals = [stranger] if stranger else []
        for row in rows:
            key = names.keys.get(row.credential_id or "")
            if not _is_of(actor, row, key) or (row.action == KEY_CHECK and _renews(key)):
                continue
            name = _name_of(key) if key is not None else ""
            if why := _why(row, key):
                is_app = key is not None and key.kind == APP
                refusals.append(
                    Refusal(
                        why,
                        row.at,
                        client=row.client_name,
                        credential_id=row.credential_id,
                        key=name,
                        is_app=is_app,
                        tool=row.tool,
                    )
                )
            elif key is None or _works(key):
                calls.append(Connection(row.client_name, row.credential_id, name, row.at))
        refusals = [refusal for refusal in refusals if refusal.at > now() - _REFUSED_FOR]
        new = [
            Newcomer(key.id, _name_of(key), key.created_at)
            for key in own
            if key.created_at > now() - _NEW and _works(key)
        ]
        return Lights(
            _newest(calls),
            tuple(sorted(new, key=lambda each: each.at, reverse=True)),
            max(refusals, key=lambda each: each.at, default=None),
        )

    async def _rows(self, session: AsyncSession, actor: Actor) -> Sequence[AuditEntry]:
        question = (
            owned(actor, AuditEntry)
            .where(
                col(AuditEntry.at) > now() - _RECENT,
                col(AuditEntry.via).in_(AGENTS),
                col(AuditEntry.action).in_(("tool", KEY_CHECK)),
            )
            .order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc())
            .limit(_MOST_ROWS)
        )
        return (await session.exec(question)).all()

    async def _own(self, session: AsyncSession, actor: Actor) -> Sequence[Credential]:
        """The person's own keys and apps that were made or used lately. A master key is used by
        whoever signs in with it, too.
        """
        moment = now()
        question = owned(actor, Credential).where(
            col(Credential.user_id) == actor.user_id,
            col(Credential.kind) != MASTER,
            or_(
                col(Credential.last_used_at) > moment - _RECENT,
                col(Credential.created_at) > moment - _NEW,
            ),
        )
        return (await session.exec(question)).all()

    def note_refused(self, why: Why, address: str) -> None:
        """A program at that network address sent a message that was refused for the WRONG_ADDRESS,
        the WRONG_HOST, or as one of a FOREIGN_PAGE.
        """
        stranger = Actor(NOBODY, via=Via.MCP, address=address)
        entry = Entry(actor=stranger, action=_ACTIONS[why], outcome=NotFound.code)
        self._audit.refuse_key(entry, network_of(address))

    async def _stranger(self, session: AsyncSession, actor: Actor) -> Refusal | None:
        """The last request of no account that was refused, from the network that the person signed
        in from, since they did. Nothing that a stranger has sent is in it.
        """
        if actor.session_id is None:
            return None
        mine = owned(actor, Session).where(col(Session.id) == actor.session_id)
        signed_in = (await session.exec(mine)).one_or_none()
        if signed_in is None or not signed_in.address:
            return None
        question = (
            select(AuditEntry)
            .where(
                col(AuditEntry.tenant_id).is_(None),
                col(AuditEntry.at) > max(signed_in.created_at, now() - _REFUSED_FOR),
                col(AuditEntry.action).in_(_OF_STRANGERS),
            )
            .order_by(col(AuditEntry.at).desc())
            .limit(_MOST_STRANGERS)
        )
        network = network_of(signed_in.address)
        for row in (await session.exec(question)).all():
            if row.address and network_of(row.address) == network:
                return Refusal(_OF_STRANGERS[row.action], row.at)
        return None


def _who(row: AuditEntry) -> WhoActed:
    return WhoActed(row.via, row.credential_id, row.user_id)


def _is_of(actor: Actor, row: AuditEntry, key: Credential | None) -> bool:
    """Whether it is that person's client: a colleague's call would light what does not work yet."""
    if key is None:
        return row.user_id in (None, actor.user_id)
    return key.kind == MASTER or key.user_id in (None, actor.user_id)


def _name_of(key: Credential) -> str:
    """An app has chosen its name itself."""
    return known_as(key.name) if key.kind == APP else key.name


def _works(key: Credential) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now())


def _renews(key: Credential | None) -> bool:
    """Whether it is a connected app, which gets another token by itself each hour."""
    return key is not None and key.kind == APP and key.revoked_at is None


def _why(row: AuditEntry, key: Credential | None) -> Why | None:
    """Why the request of that row was refused; None for a call that ran."""
    if row.action == KEY_CHECK:
        if key is None or key.revoked_at:
            return Why.REVOKED_KEY
        is_over = key.expires_at is not None and key.expires_at <= row.at
        return Why.EXPIRED_KEY if is_over else Why.MISUSED_KEY
    if row.tool == UNKNOWN_TOOL:
        return Why.UNKNOWN_TOOL if row.outcome != RateLimited.code else Why.TOO_MANY
    if row.outcome == PermissionDenied.code:
        return Why.NOT_ALLOWED
    # one that Order Desk had no room for has run
    is_refused = row.outcome == RateLimited.code and not row.duration_ms
    return Why.TOO_MANY if is_refused else None


def _newest(calls: Sequence[Connection]) -> tuple[Connection, ...]:
    """The last call of each client with each key, the newest first."""
    found: dict[tuple[str, str | None], Connection] = {}
    for call in sorted(calls, key=lambda each: each.at, reverse=True):
        found.setdefault((call.client, call.credential_id), call)
    return tuple(found.values())
