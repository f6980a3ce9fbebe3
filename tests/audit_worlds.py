"""An audit log with its chains, for tests that follow them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import col, select

from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.security.audit_links import PURPOSE, AuditKey
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.audit_chains import AuditChains
from orderdesk_app.services.audit_verification import AuditVerification, ChainReport, Checkpoint


@dataclass
class ChainWorld:
    """The log of one account."""

    database: Database
    keyring: Keyring
    actor: Actor

    def __post_init__(self) -> None:
        self.actor = replace(
            self.actor, via=Via.MCP, client_name="Claude", address="203.0.113.9", session_id="s"
        )
        self.key = AuditKey(self.keyring.purpose(PURPOSE))
        self.chains = AuditChains(self.key)
        self.verification = AuditVerification(self.database, self.key, batch=4)
        self.audit = self.another()

    def another(self) -> AuditLog:
        """As another process has one."""
        return AuditLog(self.database, Sealer(self.keyring), enabled=True)

    def entry(self, **values: Any) -> Entry:
        given = {"actor": self.actor, "action": "tool", "tool": "orders_get"}
        return Entry(**{**given, "arguments": {"order_id": "5"}, **values})

    async def write(self, count: int = 1, **values: Any) -> None:
        for _ in range(count):
            await self.audit.queue(self.entry(**values))
        await self.audit.flush()

    async def rows(self, tenant_id: TenantId | None = None) -> list[AuditEntry]:
        """Those of the account, in the order of their chain."""
        owner = tenant_id or self.actor.tenant_id
        question = select(AuditEntry).where(col(AuditEntry.tenant_id) == owner)
        async with self.database.read() as session:
            return list((await session.exec(question.order_by(col(AuditEntry.sequence)))).all())

    async def ids(self) -> list[Any]:
        """Those of all rows, as they are stored."""
        return [row[0] for row in await self.database.query("SELECT id FROM audit_log", {})]

    async def reports(self, since: Sequence[str] = ()) -> list[ChainReport]:
        points: list[Checkpoint] = [self.verification.read_checkpoint(token) for token in since]
        return [report async for report in self.verification.verify(since=points)]

    async def report(self, since: Sequence[str] = ()) -> ChainReport:
        """That of the account."""
        found = await self.reports(since)
        return next(report for report in found if report.tenant_id == self.actor.tenant_id)

    async def tamper(self, statement: str, **values: Any) -> None:
        """What somebody does who can write to the database, and has no key."""
        await self.database.execute(statement, values)


def found_in(report: ChainReport) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.first) for finding in report.findings]
