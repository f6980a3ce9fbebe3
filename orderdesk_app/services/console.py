"""The console's history: the last ten calls of each account, sealed and without secrets, to look at
and to run again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, new_id
from orderdesk_app.db.console import ConsoleCall
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.errors import NotFound
from orderdesk_app.services.activity_entries import names_of_people
from orderdesk_app.services.sealed import Seals

KEPT = 10
MOST_RESULT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call as it is kept.

    `result` is the structured content, or `{"error": {...}}`; `is_cut` when it was too large to
    keep whole.
    """

    id: str
    at: datetime
    tool: str
    arguments: Mapping[str, object]
    result: Mapping[str, object]
    outcome: str
    duration_ms: float
    cached: bool
    is_cut: bool = False
    user_id: str | None = None  # who ran it, and their name
    person: str = field(default="", compare=False)
    master_key_id: str | None = None  # of the session that ran it

    @property
    def error(self) -> Mapping[str, object]:
        """The error as `code`, `message` and perhaps `field`; empty for a call that succeeded."""
        error = self.result.get("error") if self.outcome != "ok" else None
        return error if isinstance(error, dict) else {}


class ConsoleHistory:
    """The last calls of an account from the console, newest first."""

    def __init__(self, database: Database, sealer: Seals) -> None:
        self._database = database
        self._sealer = sealer

    async def keep(
        self,
        actor: Actor,
        *,
        tool: str,
        arguments: Mapping[str, object],
        result: Mapping[str, object],
        outcome: str,
        duration_ms: float,
        cached: bool,
    ) -> PastCall:
        """Keeps a call, and deletes all but the last ten."""
        row_id = new_id()
        text, is_cut = _kept_text(result)
        row = ConsoleCall(
            id=row_id,
            tenant_id=actor.tenant_id,
            user_id=actor.user_id,
            credential_id=actor.credential_id,
            tool=tool,
            arguments=await self._sealer.seal_for(
                actor.tenant_id,
                "console_calls",
                "arguments",
                row_id,
                json.dumps(arguments, default=str).encode(),
            ),
            result=await self._sealer.seal_for(
                actor.tenant_id, "console_calls", "result", row_id, text
            ),
            outcome=outcome,
            duration_ms=duration_ms,
            cached=cached,
        )
        kept = PastCall(
            row_id,
            row.at,
            tool,
            arguments,
            result,
            outcome,
            duration_ms,
            cached,
            is_cut,
            user_id=actor.user_id,
            master_key_id=actor.credential_id,
        )
        async with self._database.write() as session:
            session.add(row)
            await session.flush()
            await _delete_old(session, actor)
        return kept

    async def list(self, actor: Actor) -> list[PastCall]:
        """The last ten calls."""
        async with self._database.read() as session:
            rows = (
                await session.exec(
                    owned(actor, ConsoleCall)
                    .order_by(col(ConsoleCall.at).desc(), col(ConsoleCall.id).desc())
                    .limit(KEPT)
                )
            ).all()
            names = await names_of_people(session, {row.user_id for row in rows if row.user_id})
        return [await self._opened(row, names.get(row.user_id or "", "")) for row in rows]

    async def get(self, actor: Actor, call_id: str) -> PastCall:
        """One of the last ten calls. Raises NotFound."""
        async with self._database.read() as session:
            row = (
                await session.exec(owned(actor, ConsoleCall).where(col(ConsoleCall.id) == call_id))
            ).one_or_none()
        if row is None:
            raise NotFound("That call is no longer in the history: the last ten are kept.")
        return await self._opened(row)

    async def _opened(self, row: ConsoleCall, person: str = "") -> PastCall:
        arguments = json.loads(
            await self._sealer.open_for(
                row.tenant_id, "console_calls", "arguments", row.id, row.arguments
            )
        )
        result = json.loads(
            await self._sealer.open_for(
                row.tenant_id, "console_calls", "result", row.id, row.result
            )
        )
        return PastCall(
            row.id,
            row.at,
            row.tool,
            arguments,
            result,
            row.outcome,
            row.duration_ms,
            row.cached,
            "cut" in result and len(result) == 1,
            user_id=row.user_id,
            person=person,
            master_key_id=row.credential_id,
        )


def _kept_text(result: Mapping[str, object]) -> tuple[bytes, bool]:
    """The result as it is kept, and whether it was too large to keep whole."""
    # half a surrogate pair has no bytes; JSON knows this escape
    text = json.dumps(result, ensure_ascii=False, default=str).encode(errors="backslashreplace")
    if len(text) <= MOST_RESULT_BYTES:
        return text, False
    words = f"The result was {len(text):,} bytes, too large to keep. Run the call again to see it."
    return json.dumps({"cut": words}).encode(), True


async def _delete_old(session: AsyncSession, actor: Actor) -> None:
    """Deletes all but the last ten."""
    old = (
        await session.exec(
            owned(actor, ConsoleCall)
            .order_by(col(ConsoleCall.at).desc(), col(ConsoleCall.id).desc())
            .offset(KEPT)
        )
    ).all()
    if old:
        await session.exec(
            delete(ConsoleCall).where(
                col(ConsoleCall.id).in_([entry.id for entry in old]),
                col(ConsoleCall.tenant_id) == actor.tenant_id,
            )
        )
