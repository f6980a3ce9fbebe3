"""The chains of the audit log: each row is linked to the one before it when it is committed, and
rows leave a chain only with a signature (docs/decisions/0024-audit-chains.md).
"""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import TenantId, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.audit_chains import (
    MOST,
    ChainHead,
    count_begun,
    lock_heads,
    lock_register,
    store_heads,
    store_last_rows,
)
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.security.audit_links import SALT_BYTES, AuditKey
from orderdesk_app.services.audit_links import (
    COLUMNS,
    PLAIN,
    PlainRow,
    as_bytes,
    condition_of,
    moment_text,
    personal_fields,
    public_fields,
)

_LOG = log(__name__)
_TENANT = PLAIN.index("tenant_id")
LINKED = ("sequence", "link", "personal_digest", "salt")
_ENTRIES = AuditEntry.__table__  # type: ignore[attr-defined]

Digests = tuple[bytes, bytes, bytes]  # the public fields, the digest of the others, its salt


class AuditChains:
    """Goes on with chains, inside of the write that changes their rows."""

    def __init__(self, key: AuditKey) -> None:
        self._key = key

    def digests(self, rows: Sequence[PlainRow]) -> list[Digests]:
        """What of a row needs no lock."""
        salts = secrets.token_bytes(SALT_BYTES * len(rows))
        found = []
        for place, row in enumerate(rows):
            salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
            personal = self._key.personal_digest(salt, personal_fields(row))
            found.append((public_fields(row), personal, salt))
        return found

    async def linked(
        self,
        connection: AsyncConnection,
        rows: Sequence[PlainRow],
        digests: Sequence[Digests],
        *,
        are_numbers_taken: bool = False,
    ) -> list[tuple[Any, ...]]:
        """The rows with the values of LINKED behind their own, to be inserted in the same write.
        From here to its end nobody else goes on with their chains. `are_numbers_taken`: somebody
        has inserted rows of the next numbers.
        """
        heads = await self._locked(connection, {row[_TENANT] for row in rows})
        if are_numbers_taken:
            for head in heads.values():
                await self._go_behind_all(connection, head)
            await store_heads(connection, heads.values())
        found = []
        for row, (fields, personal, salt) in zip(rows, digests, strict=True):
            head = heads[row[_TENANT]]
            head.sequence += 1
            head.link = self._key.link(head.link, head.sequence, personal, fields)
            found.append((*row, head.sequence, head.link, personal, salt))
        self._sign(heads.values())
        await store_last_rows(connection, heads.values())
        return found

    async def end(self, session: AsyncSession, tenant_ids: Collection[TenantId]) -> None:
        """The accounts are being deleted: what remains of each chain is its signed end."""
        connection = await session.connection()
        heads = await self._locked(connection, set(tenant_ids))
        for head in heads.values():
            head.ended_at = head.ended_at or now()
        self._sign(heads.values())
        await store_heads(connection, heads.values())

    async def expire(
        self, session: AsyncSession, tenant_id: TenantId | None, before: datetime, count: int
    ) -> int:
        """Delete the chain's first rows as far as all of them are older than `before`, `count` at
        most, and sign how far that is. Returns how many they were. A row of the future, from a
        clock that was wrong, is as old as the one behind it, so that it keeps nothing for ever.
        """
        connection = await session.connection()
        head = (await self._locked(connection, {tenant_id}))[tenant_id]
        rows = await rows_after(connection, tenant_id, head.expired_sequence, count)
        times = await self._times(connection, tenant_id, rows)
        old = moment_text(before)
        rows = rows[: next((place for place, at in enumerate(times) if at >= old), len(rows))]
        rows = [row for row in rows if isinstance(row["sequence"], int)]  # SQLite takes anything
        if not rows:
            return 0
        if not self._is_whole(head, rows):
            self._note_fault(head, "rows that are too old are not what they were")
        last = rows[-1]
        head.expired_sequence = last["sequence"]
        head.expired_link = as_bytes(last["link"])
        head.expired_at = before
        self._sign([head])
        await store_heads(connection, [head])
        await connection.execute(
            delete(_ENTRIES).where(
                rows_of(tenant_id), col(AuditEntry.sequence) <= head.expired_sequence
            )
        )
        return len(rows)

    async def _times(
        self,
        connection: AsyncConnection,
        tenant_id: TenantId | None,
        rows: Sequence[Mapping[str, Any]],
    ) -> list[str]:
        """When rows of a chain happened, as text."""
        times = [_time(row["at"]) for row in rows]
        present = moment_text(now())
        behind = "9"  # never
        if times and times[-1] > present:
            question = (
                select(_ENTRIES.c.at)
                .where(rows_of(tenant_id), _ENTRIES.c.sequence > rows[-1]["sequence"])
                .where(_ENTRIES.c.at <= now())
                .order_by(_ENTRIES.c.sequence)
            )
            found = (await connection.execute(question.limit(1))).scalar()
            behind = _time(found) if found is not None else behind
        for place in reversed(range(len(times))):
            behind = times[place] = behind if times[place] > present else times[place]
        return times

    def _is_whole(self, head: ChainHead, rows: Sequence[Mapping[str, Any]]) -> bool:
        link, sequence = head.expired_link, head.expired_sequence
        for row in rows:
            sequence += 1
            if row["sequence"] != sequence or condition_of(self._key, link, row) == "changed":
                return False
            link = as_bytes(row["link"])
        return True

    async def _locked(
        self, connection: AsyncConnection, tenant_ids: Collection[TenantId | None]
    ) -> dict[TenantId | None, ChainHead]:
        """The chains, begun where they were not. One whose signature is wrong goes on, as nobody
        may stop the log that way; but it will always say that it was damaged.
        """
        heads = {head.tenant_id: head for head in await lock_heads(connection, tenant_ids)}
        new = 0
        for head in heads.values():
            if head.begun_at is None:
                self._begin(head)
                new += 1
            elif self._key.is_signature(facts_of(head), head.signature):
                continue
            else:
                self._note_fault(head, "the signature of its end is wrong")
            await self._go_behind_all(connection, head)
            self._sign([head])
            await store_heads(connection, [head])
        if new:
            await self._register(connection, new)
        return heads

    def _begin(self, head: ChainHead) -> None:
        head.begun_at = now()
        head.sequence = 0
        head.expired_sequence = 0
        head.link = self._key.first_link(str(head.id))
        head.expired_link = head.link

    async def _go_behind_all(self, connection: AsyncConnection, head: ChainHead) -> None:
        """Where the account has rows behind the end of its chain, the chain goes on behind them."""
        number = _ENTRIES.c.sequence
        question = select(func.max(number)).where(rows_of(head.tenant_id), number < MOST)
        last = (await connection.execute(question)).scalar()
        if last is not None and last > head.sequence:
            head.sequence = last
            self._note_fault(head, "there are rows behind its end")

    async def _register(self, connection: AsyncConnection, new: int) -> None:
        """Counts chains that were just begun."""
        register = await lock_register(connection)
        if register.begun_at is None:
            register.begun_at = now()
            register.sequence = await count_begun(connection) - new
            if register.sequence:
                self._note_fault(register, "there are chains, and what counts them is gone")
        elif not self._key.is_signature(facts_of(register), register.signature):
            self._note_fault(register, "the signature of what counts the chains is wrong")
        register.sequence += new
        self._sign([register])
        await store_heads(connection, [register])

    def _note_fault(self, head: ChainHead, words: str) -> None:
        head.faults += 1
        ERRORS.labels("audit").inc()
        _LOG.error("a chain of the audit log is damaged", why=words, chain=head.id)

    def _sign(self, heads: Iterable[ChainHead]) -> None:
        for head in heads:
            head.signature = self._key.signature(facts_of(head))


def facts_of(head: ChainHead) -> bytes:
    """What the signature of a chain is about. Its account is in every row."""
    return json.dumps(
        [
            str(head.id),  # SQLite takes anything
            head.begun_at and moment_text(head.begun_at),
            head.unchained,
            head.expired_sequence,
            head.expired_link.hex(),
            head.expired_at and moment_text(head.expired_at),
            head.sequence,
            head.link.hex(),
            head.faults,
            head.ended_at and moment_text(head.ended_at),
        ]
    ).encode()


async def rows_after(
    connection: AsyncConnection, tenant_id: TenantId | None, sequence: int, count: int
) -> Sequence[Mapping[str, Any]]:
    """The next rows of a chain, each with the names of its columns. On SQLite, which takes anything
    in any column, a row is what is stored: nothing that somebody puts there stops a reader.
    """
    columns = [_ENTRIES.c[name] for name in COLUMNS]
    if connection.dialect.name == "sqlite":
        columns = [type_coerce(column, NullType()).label(column.name) for column in columns]
    question = (
        select(*columns)
        .where(rows_of(tenant_id), col(AuditEntry.sequence) > sequence)
        .order_by(col(AuditEntry.sequence))
        .limit(count)
    )
    found: list[dict[str, Any]] = [
        dict(row) for row in (await connection.execute(question)).mappings()
    ]
    for row in found:
        row["cached"] = bool(row["cached"]) if row["cached"] in (0, 1) else row["cached"]
    return found


def _time(at: object) -> str:
    """A time as SQLite keeps it, or what somebody has put in its place there."""
    return moment_text(at) if isinstance(at, datetime) else str(at)


def rows_of(tenant_id: TenantId | None) -> Any:
    """The condition for the rows of an account, or of none."""
    column = col(AuditEntry.tenant_id)
    return column.is_(None) if tenant_id is None else column == tenant_id
