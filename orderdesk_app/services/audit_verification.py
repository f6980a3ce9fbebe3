"""Whether the audit log is what it was: follows each chain, a batch of rows at a time, beside
servers that write.

Rows that were erased (a user is deleted) or that expired (retention) are told apart from rows that
somebody changed, deleted, moved or added.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from orderdesk_app.context import TenantId
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.audit_chains import (
    INSTALLATION,
    REGISTER,
    AuditChain,
    ChainHead,
    head_of,
    select_heads,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import NotFound, ValidationFailed
from orderdesk_app.security.audit_links import AuditKey
from orderdesk_app.services.audit_chains import facts_of, rows_after, rows_of
from orderdesk_app.services.audit_links import as_bytes, condition_of

BATCH = 1_000
_MOST_FINDINGS = 100  # of one chain; all are counted
_TOKEN = re.compile(r"([0-9A-Za-z]{1,64})\.(\d{1,18})\.([0-9a-f]{32})\.([0-9a-f]{32})")
_CHAINS = AuditChain.__table__  # type: ignore[attr-defined]
_ENTRIES = AuditEntry.__table__  # type: ignore[attr-defined]
_TENANTS = Tenant.__table__  # type: ignore[attr-defined]

State = Literal["whole", "tampered", "deleted"]
Kind = Literal["changed", "missing", "added", "chain", "checkpoint"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a chain was once. Kept outside of the database, it shows that rows behind it were cut
    off together with the chain's end.
    """

    chain: str
    sequence: int
    link: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that we did not do; `first` and `last` are numbers of rows, as far as they have
    some.
    """

    kind: Kind
    words: str
    first: int | None = None
    last: int | None = None
    row_id: str = ""


@dataclass(slots=True)
class ChainReport:
    """What was found in one chain. `whole` rows are as they were linked, `erased` ones without
    their personal fields; `expired` and `unchained` rows are not checked: too old, and from before
    the chain began.
    """

    chain: str
    tenant_id: TenantId | None
    state: State = "whole"
    whole: int = 0
    erased: int = 0
    expired: int = 0
    unchained: int = 0
    findings: list[Finding] = field(default_factory=list)
    found: int = 0
    checkpoint: str = ""

    def add(self, finding: Finding) -> None:
        self.state = "tampered"
        self.found += 1
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)


class AuditVerification:
    """Reads alone; it holds no lock and no long transaction."""

    def __init__(self, database: Database, key: AuditKey, *, batch: int = BATCH) -> None:
        self._database = database
        self._key = key
        self._batch = batch

    def read_checkpoint(self, token: str) -> Checkpoint:
        """Raises ValidationFailed for what this installation did not make."""
        found = _TOKEN.fullmatch(token.strip())
        if found is not None:
            point = Checkpoint(found[1], int(found[2]), bytes.fromhex(found[3]))
            if self.checkpoint(point) == token.strip():
                return point
        raise ValidationFailed("That is no checkpoint of this installation. Copy it again, whole.")

    def checkpoint(self, point: Checkpoint) -> str:
        text = f"{point.chain}.{point.sequence}.{point.link.hex()}"
        return f"{text}.{self._key.checkpoint(text.encode()).hex()}"

    async def verify(
        self, *, tenant_id: TenantId | None = None, since: Sequence[Checkpoint] = ()
    ) -> AsyncIterator[ChainReport]:
        """Each chain, or that of one account; those with a checkpoint from there on. Raises
        NotFound for an account that has no rows.
        """
        points = {point.chain: point for point in since}
        seen: set[str] = set()
        async for chain in self._chains(tenant_id):
            seen.add(chain)
            yield await self._verify_chain(chain, points.get(chain))
        async for report in self._without_chain(tenant_id):
            seen.add(report.chain)
            yield report
        if tenant_id is None and (report := await self._register()).findings:
            yield report
        if tenant_id is not None:
            if not seen:
                raise NotFound("There is no audit log of that account.")
            return
        for point in points.values():
            if point.chain not in seen:
                report = ChainReport(point.chain, None)
                report.add(Finding("checkpoint", "the whole chain is gone", 1, point.sequence))
                yield report

    async def _chains(self, tenant_id: TenantId | None) -> AsyncIterator[str]:
        last = ""
        while True:
            question = select(_CHAINS.c.id).where(_CHAINS.c.id > last, _CHAINS.c.id != REGISTER)
            if tenant_id is not None:
                question = question.where(_CHAINS.c.tenant_id == tenant_id)
            async with self._database.read() as session:
                connection = await session.connection()
                question = question.order_by(_CHAINS.c.id).limit(self._batch)
                found = (await connection.execute(question)).scalars().all()
            for chain in found:
                yield chain
            if not found:
                return
            last = found[-1]

    async def _without_chain(self, tenant_id: TenantId | None) -> AsyncIterator[ChainReport]:
        """Accounts that have rows, and whose chain is gone."""
        own = exists().where(_ENTRIES.c.tenant_id == _TENANTS.c.id)
        chained = exists().where(_CHAINS.c.tenant_id == _TENANTS.c.id)
        question = select(_TENANTS.c.id).where(own, ~chained)
        if tenant_id is not None:
            question = question.where(_TENANTS.c.id == tenant_id)
        async with self._database.read() as session:
            connection = await session.connection()
            found = (await connection.execute(question)).scalars().all()
            rest = select(_ENTRIES.c.id).where(_ENTRIES.c.tenant_id.is_(None)).limit(1)
            has_rest = tenant_id is None and (await connection.execute(rest)).first() is not None
            head = select(_CHAINS.c.id).where(_CHAINS.c.id == INSTALLATION)
            if has_rest and (await connection.execute(head)).first() is None:
                found = [*found, None]
        for owner in found:
            report = ChainReport("" if owner else INSTALLATION, owner)
            report.add(Finding("chain", "there are rows, and their chain is gone"))
            yield report

    async def _head(self, chain: str) -> ChainHead | None:
        async with self._database.read() as session:
            connection = await session.connection()
            found = await connection.execute(select_heads(connection).where(_CHAINS.c.id == chain))
            row = found.one_or_none()
        return head_of(row) if row is not None else None

    async def _register(self) -> ChainReport:
        """Whether the chains that are there are those that were begun."""
        async with self._database.read() as session:
            connection = await session.connection()
            begun = select(func.count()).where(
                _CHAINS.c.begun_at.is_not(None), _CHAINS.c.id != REGISTER
            )
            count: int = (await connection.execute(begun)).scalar_one()
            # both in one question, as a chain may begin meanwhile
            question = select_heads(connection).add_columns(begun.scalar_subquery())
            rows = (await connection.execute(question.where(_CHAINS.c.id == REGISTER))).all()
        report = ChainReport(REGISTER, None)
        if not rows and count:
            report.add(Finding("chain", "what counts the chains is gone"))
        for *row, there in rows:
            register = head_of(row)
            lost = register.sequence - there
            if not self._is_signed(register):
                report.add(Finding("chain", "the signature of what counts the chains is wrong"))
            elif lost > 0:
                words = "1 chain was" if lost == 1 else f"{lost:,} chains were"
                report.add(Finding("missing", f"{words} deleted with all rows, and not by us"))
            elif lost < 0:
                report.add(Finding("added", f"no server has begun {-lost:,} of the chains"))
            if register.faults:
                report.add(Finding("chain", _found_damaged(register.faults)))
        return report

    async def _verify_chain(self, chain: str, since: Checkpoint | None) -> ChainReport:
        head = await self._head(chain)
        if head is None:
            report = ChainReport(chain, None)
            report.add(Finding("chain", "it was deleted just now"))
            return report
        report = ChainReport(
            chain, head.tenant_id, expired=head.expired_sequence, unchained=head.unchained
        )
        # before that only the rows are counted that were there, and nobody has signed how many
        if head.begun_at is not None or head.sequence or head.signature:
            if self._is_signed(head):
                report.checkpoint = self.checkpoint(Checkpoint(chain, head.sequence, head.link))
            else:  # and no checkpoint of what somebody else has put there
                report.add(Finding("chain", "the signature of its end is wrong"))
            if head.faults:
                report.add(Finding("chain", _found_damaged(head.faults)))
        if since is not None and since.sequence > head.sequence:
            words = "rows that were there at the checkpoint were cut off"
            report.add(Finding("checkpoint", words, head.sequence + 1, since.sequence))
            since = None
        if head.ended_at is not None:
            if report.state == "whole":
                report.state = "deleted"
        elif head.tenant_id is None and chain != INSTALLATION:
            report.add(Finding("chain", "the account is gone, and no deletion of it was signed"))
        else:
            await self._follow(report, head, since)
            await self._look_for_added(report, head)
        return report

    async def _follow(self, report: ChainReport, head: ChainHead, since: Checkpoint | None) -> None:
        """Every row from what has expired, or from the checkpoint, to the end of the chain."""
        at = head.expired_sequence
        before: bytes | None = head.expired_link
        if since is not None and since.sequence >= at:
            await self._compare(report, head, since)
            at, before = since.sequence, since.link
        while rows := await self._rows(report, head, at):
            for row in rows:
                if row["sequence"] != at + 1:
                    at, before = await self._gap(report, head, at, row["sequence"] - 1)
                condition = condition_of(self._key, before, row)
                if condition == "changed":
                    words = "it is not what it was, or not where it was"
                    number, row_id = row["sequence"], str(row["id"])
                    report.add(Finding("changed", words, number, number, row_id))
                elif condition == "erased":
                    report.erased += 1
                else:
                    report.whole += 1
                at, before = row["sequence"], as_bytes(row["link"])
            await asyncio.sleep(0)
        if at < head.sequence:
            await self._gap(report, head, at, head.sequence)
        elif before not in (None, head.link):
            report.add(Finding("changed", "the last row is not the one that was signed", at, at))

    def _is_signed(self, head: ChainHead) -> bool:
        return self._key.is_signature(facts_of(head), head.signature)

    async def _rows(self, report: ChainReport, head: ChainHead, at: int) -> list[Mapping[str, Any]]:
        async with self._database.read() as session:
            connection = await session.connection()
            rows = await rows_after(connection, head.tenant_id, at, self._batch)
        for row in rows:
            if not isinstance(row["sequence"], int):  # SQLite takes anything
                words = "its number is none"
                report.add(Finding("added", words, row_id=str(row["id"])))
        numbered = [row for row in rows if isinstance(row["sequence"], int)]
        return [row for row in numbered if row["sequence"] <= head.sequence]

    async def _gap(
        self, report: ChainReport, head: ChainHead, at: int, last: int
    ) -> tuple[int, bytes | None]:
        """Rows behind `at` up to `last` are not there: they have expired meanwhile, the account is
        being deleted, or somebody deleted them. Returns where the chain goes on, and the link
        there, None where it is unknown.
        """
        fresh = await self._head(head.id)
        if fresh is not None and fresh.ended_at and self._is_signed(fresh):
            if report.state == "whole":
                report.state = "deleted"
            return last, None
        if fresh is not None and fresh.expired_sequence > at:
            report.expired = fresh.expired_sequence
            at = min(fresh.expired_sequence, last)
            if at == last:
                return at, fresh.expired_link if at == fresh.expired_sequence else None
        report.add(Finding("missing", "rows were deleted, and not by us", at + 1, last))
        return last, None

    async def _compare(self, report: ChainReport, head: ChainHead, since: Checkpoint) -> None:
        """Whether the row at the checkpoint is still the same."""
        if since.sequence == head.expired_sequence:
            link: bytes | None = head.expired_link
        else:
            question = select(_ENTRIES.c.link).where(
                rows_of(head.tenant_id), _ENTRIES.c.sequence == since.sequence
            )
            async with self._database.read() as session:
                connection = await session.connection()
                link = (await connection.execute(question)).scalar()
        if link is None and await self._is_gone_by_us(head.id, since.sequence):
            return
        if as_bytes(link) != since.link:
            words = "the row at the checkpoint is another one"
            report.add(Finding("checkpoint", words, since.sequence, since.sequence))

    async def _is_gone_by_us(self, chain: str, sequence: int) -> bool:
        """Whether that row has expired meanwhile, or the account is being deleted."""
        head = await self._head(chain)
        if head is None or not self._is_signed(head):
            return False
        return head.ended_at is not None or head.expired_sequence > sequence

    async def _look_for_added(self, report: ChainReport, head: ChainHead) -> None:
        """Rows of the account outside of what its chain has."""
        end = select(_CHAINS.c.sequence).where(_CHAINS.c.id == head.id).scalar_subquery()
        number = col(AuditEntry.sequence)
        async with self._database.read() as session:
            connection = await session.connection()
            for outside in (number > end, number <= head.expired_sequence):
                for row_id, sequence in await self._some(connection, head, outside):
                    words = "the chain does not know it"
                    report.add(Finding("added", words, sequence, sequence, row_id))
            question = select(func.count()).select_from(_ENTRIES)
            question = question.where(rows_of(head.tenant_id), number.is_(None))
            unlinked: int = (await connection.execute(question)).scalar_one()
        report.unchained = min(unlinked, head.unchained)
        if unlinked > head.unchained:
            words = f"{unlinked - head.unchained} rows are in no chain, and not from before it"
            report.add(Finding("added", words))

    async def _some(
        self, connection: AsyncConnection, head: ChainHead, outside: ColumnElement[bool]
    ) -> Sequence[tuple[str, int]]:
        question = select(_ENTRIES.c.id, _ENTRIES.c.sequence).where(
            rows_of(head.tenant_id), outside
        )
        found = (await connection.execute(question.limit(_MOST_FINDINGS))).all()
        return [(str(row[0]), row[1]) for row in found if isinstance(row[1], int)]


def _found_damaged(times: int) -> str:
    often = "once" if times == 1 else f"{times:,} times"
    return f"a server found it damaged {often} while it went on with it"
