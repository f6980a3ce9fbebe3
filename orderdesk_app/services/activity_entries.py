"""Rows of the audit log as people read them: with the name of the key, and with their arguments."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, JsonObject, Via
from orderdesk_app.db.audit import SEALED_AS, AuditEntry
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)
AGENTS = (str(Via.MCP), str(Via.STDIO))


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One audit row for the screen; `arguments` are without secrets."""

    id: str
    at: datetime
    action: str
    tool: str | None
    via: str
    client: str
    key: str  # the name of the access key it was done with; empty for people and for the master key
    store_row_id: str | None
    outcome: str
    duration_ms: float
    cached: bool
    request_id: str
    change_id: str | None
    arguments: JsonObject
    times: int = 1  # refused calls of one kind share a row
    user_id: str | None = None


class ActivityEntries:
    """Opens the sealed arguments of audit rows."""

    def __init__(self, sealer: Seals) -> None:
        self._sealer = sealer

    async def opened(
        self, actor: Actor, rows: Iterable[AuditEntry], keys: Mapping[str, str]
    ) -> list[ActivityEntry]:
        """The actor's own rows, in their order. `keys` are the names of `key_names`."""
        return [await self._entry(actor, row, keys) for row in rows]

    async def _entry(self, actor: Actor, row: AuditEntry, keys: Mapping[str, str]) -> ActivityEntry:
        return ActivityEntry(
            id=row.id,
            at=row.at,
            action=row.action,
            tool=row.tool,
            via=row.via,
            client=row.client_name,
            key=keys.get(row.credential_id or "", "") if row.via in AGENTS else "",
            user_id=row.user_id,
            store_row_id=row.store_row_id,
            outcome=row.outcome,
            duration_ms=row.duration_ms,
            cached=row.cached,
            request_id=row.request_id,
            change_id=row.change_id,
            arguments=await self._arguments(actor, row),
            times=row.times,
        )

    async def _arguments(self, actor: Actor, row: AuditEntry) -> JsonObject:
        if row.arguments is None:
            return {}
        place = (actor.tenant_id, SEALED_AS, "arguments", row.id)
        try:
            found: JsonObject = json.loads(await self._sealer.open_for(*place, row.arguments))
        except Exception as error:
            # one row that cannot be opened (a lost key, a damaged file) must not hide all the
            # others
            ERRORS.labels("audit").inc()
            _LOG.error("the arguments of an audit row cannot be opened", exc_info=error, row=row.id)
            return {}
        return found


async def key_names(
    session: AsyncSession, actor: Actor, rows: Iterable[AuditEntry]
) -> dict[str, str]:
    """The names of the access keys of agents' rows, by id; revoked ones too."""
    used = {row.credential_id for row in rows if row.via in AGENTS and row.credential_id}
    return await names_of_keys(session, actor, used)


async def names_of_keys(
    session: AsyncSession, actor: Actor, key_ids: Iterable[str]
) -> dict[str, str]:
    """The names of these access keys, by id; the master key has none."""
    keys = await session.exec(
        owned(actor, Credential).where(
            col(Credential.id).in_(list(key_ids)), col(Credential.kind) == "access"
        )
    )
    return {key.id: key.name for key in keys.all()}
