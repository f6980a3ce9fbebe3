"""All that this installation has about a person, as one JSON file that they take along; owners get
what is in their accounts too.

Rows are read and written a few at a time: no file is ever in memory, and no read is long.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import col, select

from orderdesk_app.context import ALL_SCOPES, Actor, Json, JsonObject, Role, Sealed, Via, now
from orderdesk_app.db.audit import SEALED_AS, AuditEntry
from orderdesk_app.db.changes import Change
from orderdesk_app.db.console import ConsoleCall
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.passkeys import Passkey
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import NotFound, RateLimit, RateLimited
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.orderdesk import json_text
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.roles import Permission, may
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)
ACTION = "data.export"
FORMAT = 1
LOOK_AGAIN = 10  # seconds, while another download is under way
ROWS_AT_ONCE = 100
# Tables with rows of people that are not in the file, and why.
LEFT_OUT: Mapping[str, str] = {
    "activity_slots": "sums of the activity, which is in it",
    "credential_days": "sums of the activity, which is in it",
    "devices": "digests of a cookie; where it signed in is in the sessions",
    "invitations": "addresses of people who have not joined yet",
    "jobs": "mails that are about to be sent",
    "magic_links": "secrets that work for minutes",
    "master_key_metadata": "a secret",
    "oauth_codes": "secrets that work for a minute",
    "oauth_tokens": "digests of secrets; the apps that have them are among the keys",
    "sandbox_rows": "made-up orders of a sandbox",
    "user_days": "sums of the activity, which is in it",
}

T = TypeVar("T", AuditEntry, Change, ConsoleCall)


@dataclass(frozen=True, slots=True)
class _Account:
    """One account of the person, and the person as an actor in it."""

    tenant: Tenant
    membership: Membership
    actor: Actor

    @property
    def is_whole(self) -> bool:
        """Whether all that is in the account is the person's to take along."""
        return may(self.actor, Permission.EXPORT_ACCOUNT)


class DataExport:
    """Whoever signed in with an account's master key gets that account alone: others may have the
    key too.
    """

    def __init__(
        self, database: Database, sealer: Seals, audit: AuditTrail, *, limit: Limit
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._audit = audit
        self._limit = limit
        self._running: set[str] = set()

    @asynccontextmanager
    async def open(self, actor: Actor) -> AsyncIterator[AsyncIterator[bytes]]:
        """The parts of the file. The download is itself a row of the audit log.

        Raises NotFound for an actor who is no user, RateLimited.
        """
        if actor.user_id is None or actor.via != Via.WEB:
            raise NotFound("Only a person who is signed in can download their data.")
        if actor.user_id in self._running:
            under_way = "A download of your data is under way. Wait until it has ended."
            raise RateLimited(under_way, retry_after=LOOK_AGAIN).by(RateLimit(1, 0, LOOK_AGAIN))
        await self._limit.spend(actor.user_id)
        self._running.add(actor.user_id)
        try:
            await self._audit.write_or_queue(Entry(actor, ACTION))
            yield self._parts(actor)
        finally:
            self._running.discard(actor.user_id)

    async def _parts(self, actor: Actor) -> AsyncIterator[bytes]:
        user, accounts = await self._person(actor)
        head: JsonObject = {
            "format": FORMAT,
            "made_at": _time(now()),
            "user": {
                "id": user.id,
                "name": user.name,
                "email": user.email,
                "unverified_email": user.unverified_email,
                "is_operator": user.is_operator,
                "created_at": _time(user.created_at),
                "last_sign_in_at": _time(user.last_sign_in_at),
                "last_active_at": _time(user.last_active_at),
                "passkeys": await self._passkeys(actor),
            },
        }
        yield json_text.dumps(head)[:-1] + b', "accounts": ['
        for number, account in enumerate(accounts):
            yield (b",\n" if number else b"\n") + json_text.dumps(await self._facts(account))[:-1]
            for name, rows in (
                ("activity", self._activity(account)),
                ("changes", self._changes(account)),
                ("console", self._console(account)),
            ):
                yield f',\n"{name}": ['.encode()
                is_first = True
                async for row in rows:
                    yield (b"\n" if is_first else b",\n") + json_text.dumps(row)
                    is_first = False
                yield b"]"
            yield b"}"
        yield b"]}\n"

    async def _person(self, actor: Actor) -> tuple[User, list[_Account]]:
        question = (
            select(Tenant, Membership)
            .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
            .where(col(Membership.user_id) == actor.user_id, col(Tenant.disabled_at).is_(None))
            .order_by(col(Membership.created_at))
        )
        if actor.credential_id is not None:
            question = question.where(col(Tenant.id) == actor.tenant_id)
        async with self._database.read() as session:
            user = (await session.exec(select(User).where(User.id == actor.user_id))).one()
            found = (await session.exec(question)).all()
        return user, [
            _Account(
                tenant,
                membership,
                replace(
                    actor,
                    tenant_id=tenant.id,
                    role=Role(membership.role),
                    scopes=ALL_SCOPES,
                ),
            )
            for tenant, membership in found
        ]

    async def _passkeys(self, actor: Actor) -> list[Json]:
        question = select(Passkey).where(col(Passkey.user_id) == actor.user_id)
        async with self._database.read() as session:
            rows = (await session.exec(question.order_by(col(Passkey.created_at)))).all()
        return [
            {
                "id": row.id,
                "name": row.name,
                "created_at": _time(row.created_at),
                "last_used_at": _time(row.last_used_at),
            }
            for row in rows
        ]

    async def _facts(self, account: _Account) -> JsonObject:
        """What an account is and has, without secrets."""
        actor = account.actor
        async with self._database.read() as session:
            stores = (await session.exec(owned(actor, Store))).all()
            keys = (await session.exec(owned(actor, Credential))).all()
            mine = owned(actor, Session).where(col(Session.user_id) == actor.user_id)
            sessions = (await session.exec(mine.order_by(col(Session.created_at)))).all()
        return {
            "id": account.tenant.id,
            "name": account.tenant.name,
            "created_at": _time(account.tenant.created_at),
            "role": account.membership.role,
            "member_since": _time(account.membership.created_at),
            "has_all_of_the_account": account.is_whole,
            "stores": [_store(row) for row in stores],
            "keys": [
                _key(row)
                for row in sorted(keys, key=lambda row: row.created_at)
                if account.is_whole or row.user_id == actor.user_id
            ],
            "sessions": [_session(row) for row in sessions],
        }

    async def _activity(self, account: _Account) -> AsyncIterator[JsonObject]:
        mine = col(AuditEntry.user_id) == account.actor.user_id
        # in the words of the index of a user's rows
        conditions = [and_(mine, col(AuditEntry.via) == via.value) for via in Via]
        for condition in [None] if account.is_whole else conditions:
            async for row in self._rows(account.actor, AuditEntry, condition):
                place = (account.actor.tenant_id, SEALED_AS, "arguments", row.id)
                yield {
                    "id": row.id,
                    "at": _time(row.at),
                    "user_id": row.user_id,
                    "role": row.role,
                    "through": row.via,
                    "key_id": row.credential_id,
                    "program": f"{row.client_name} {row.client_version}".strip(),
                    "address": row.address,
                    "what": row.tool or row.action,
                    "store_row_id": row.store_row_id,
                    "arguments": await self._opened(place, row.arguments),
                    "outcome": row.outcome,
                    "times": row.times,
                    "change_id": row.change_id,
                    "request_id": row.request_id,
                }

    async def _changes(self, account: _Account) -> AsyncIterator[JsonObject]:
        mine = col(Change.user_id) == account.actor.user_id
        async for row in self._rows(account.actor, Change, None if account.is_whole else mine):
            images: JsonObject = {}
            for column in ("before", "meant", "after"):
                place = (account.actor.tenant_id, "changes", column, row.id)
                images[column] = await self._opened(place, getattr(row, column))
            yield {
                "id": row.id,
                "at": _time(row.at),
                "user_id": row.user_id,
                "store_row_id": row.store_row_id,
                "kind": row.kind,
                "object_id": row.object_id,
                "action": row.action,
                "state": row.state,
                "paths": list(row.paths),
                **images,
            }

    async def _console(self, account: _Account) -> AsyncIterator[JsonObject]:
        mine = col(ConsoleCall.user_id) == account.actor.user_id
        async for row in self._rows(account.actor, ConsoleCall, None if account.is_whole else mine):
            place = (account.actor.tenant_id, "console_calls")
            yield {
                "id": row.id,
                "at": _time(row.at),
                "user_id": row.user_id,
                "tool": row.tool,
                "outcome": row.outcome,
                "arguments": await self._opened((*place, "arguments", row.id), row.arguments),
                "result": await self._opened((*place, "result", row.id), row.result),
            }

    async def _rows(
        self, actor: Actor, table: type[T], condition: ColumnElement[bool] | None
    ) -> AsyncIterator[T]:
        """The actor's own rows, the oldest first; each page is a short read of its own."""
        question = owned(actor, table).order_by(col(table.at), col(table.id)).limit(ROWS_AT_ONCE)
        question = question if condition is None else question.where(condition)
        page = question
        while True:
            async with self._database.read() as session:
                rows = (await session.exec(page)).all()
            for row in rows:
                yield row
                # A page of large orders is a second of work: others have their turn after each row.
                await asyncio.sleep(0)
            if len(rows) < ROWS_AT_ONCE:
                return
            last = rows[-1]
            page = question.where(
                or_(
                    col(table.at) > last.at,
                    and_(col(table.at) == last.at, col(table.id) > last.id),
                )
            )

    async def _opened(self, place: tuple[str, str, str, str], sealed: Sealed | None) -> Json:
        if sealed is None:
            return None
        try:
            value: Any = json_text.loads(await self._sealer.open_for(*place, sealed))
        except Exception as error:  # one row that cannot be opened must not stop the whole file
            ERRORS.labels("audit").inc()
            _LOG.error("a sealed value cannot be exported", exc_info=error, row=place[3])
            return None
        opened: Json = value
        return opened


def _store(row: Store) -> JsonObject:
    return {
        "id": row.id,
        "store_id": row.store_id,
        "name": row.name,
        "label": row.label,
        "address": row.api_url,
        "is_sandbox": row.is_sandbox,
        "timezone": row.timezone,
        "connected_at": _time(row.created_at),
    }


def _key(row: Credential) -> JsonObject:
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "last_characters": row.hint,
        "first_characters": row.prefix,
        "permissions": list(row.scopes),
        "is_read_only": row.is_read_only,
        "store_row_ids": None if row.store_ids is None else list(row.store_ids),
        "client_id": row.client_id,
        "made_by": row.user_id,
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "replaced_at": _time(row.replaced_at),
        "last_used_at": _time(row.last_used_at),
        "last_program": row.last_client,
        "last_address": row.last_address,
        "revoked_at": _time(row.revoked_at),
    }


def _session(row: Session) -> JsonObject:
    return {
        "id": row.id,
        "began_at": _time(row.created_at),
        "last_used_at": _time(row.seen_at),
        "ended_at": _time(row.ended_at),
        "address": row.address,
        "browser": row.user_agent,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
