"""Which clients called lately, and the last request of a client that was refused: what the lights
of the page Connect show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Via, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import NotFound
from orderdesk_app.services.activity_entries import AGENTS, WhoActed, who_did
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.key_check import ACTION as KEY_CHECK
from orderdesk_app.services.key_check import NOBODY
from orderdesk_app.services.key_views import APP
from orderdesk_app.services.limits import network_of

_RECENT = timedelta(hours=24)
_REFUSED_FOR = timedelta(minutes=15)  # then somebody else may have the network
_MOST_ROWS = 500  # newest of an account that are looked through
_MOST_STRANGERS = 100  # newest requests of no account that are looked through, of all networks
_WRONG_ADDRESS = "mcp.address"  # the action of a row
# What a call is refused for before it runs; other outcomes are those of calls that ran.
_REFUSED = ("PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED")


class Why(StrEnum):
    """Why a request was refused."""

    UNKNOWN_KEY = "unknown_key"
    WRONG_ADDRESS = "wrong_address"
    REVOKED_KEY = "revoked_key"
    EXPIRED_KEY = "expired_key"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class Connection:
    """The last call of one client with one key. `client` is what it calls itself."""

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
    key: str = ""
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Lights:
    """Everything that the page shows of an account, the newest first."""

    connections: tuple[Connection, ...] = ()
    refusal: Refusal | None = None


class Connections:
    """Reads the audit rows of one account, and those of no account from the network of who
    looks.
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
            stranger = await self._stranger(session, actor)
        seen: dict[tuple[str, str | None], Connection] = {}
        refusals = [stranger] if stranger else []
        for row in rows:
            key = names.key_of(_who(row))
            credential = names.keys.get(row.credential_id or "")
            if row.action == KEY_CHECK and credential is not None and _renews(credential):
                continue
            if why := _why(row, credential):
                refusals.append(Refusal(why, row.at, row.client_name, key, row.tool))
            else:
                place = (row.client_name, row.credential_id)
                seen.setdefault(place, Connection(row.client_name, row.credential_id, key, row.at))
        refusals = [refusal for refusal in refusals if refusal.at > now() - _REFUSED_FOR]
        return Lights(tuple(seen.values()), max(refusals, key=lambda each: each.at, default=None))

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

    def note_wrong_address(self, address: str) -> None:
        """A program at that network address sent a message to another address than `/mcp`."""
        stranger = Actor(NOBODY, via=Via.MCP, address=address)
        entry = Entry(actor=stranger, action=_WRONG_ADDRESS, outcome=NotFound.code)
        self._audit.refuse_key(entry, network_of(address))

    async def _stranger(self, session: AsyncSession, actor: Actor) -> Refusal | None:
        """The last request with a key that no account has, or to a wrong address, from the network
        that the person signed in from, since they did.
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
                col(AuditEntry.action).in_((KEY_CHECK, _WRONG_ADDRESS)),
            )
            .order_by(col(AuditEntry.at).desc())
            .limit(_MOST_STRANGERS)
        )
        network = network_of(signed_in.address)
        for row in (await session.exec(question)).all():
            if row.address and network_of(row.address) == network:
                is_lost = row.action == _WRONG_ADDRESS
                return Refusal(Why.WRONG_ADDRESS if is_lost else Why.UNKNOWN_KEY, row.at)
        return None


def _who(row: AuditEntry) -> WhoActed:
    return WhoActed(row.via, row.credential_id, row.user_id)


def _renews(key: Credential) -> bool:
    """Whether it is a connected app, which gets another token by itself each hour."""
    return key.kind == APP and key.revoked_at is None


def _why(row: AuditEntry, key: Credential | None) -> Why | None:
    """Why the request of that row was refused; None for a call that ran."""
    if row.action == KEY_CHECK:
        return Why.REVOKED_KEY if key is None or key.revoked_at else Why.EXPIRED_KEY
    if row.outcome in _REFUSED:
        return Why.NOT_ALLOWED if row.outcome == "PERMISSION_DENIED" else Why.TOO_MANY
    return None
