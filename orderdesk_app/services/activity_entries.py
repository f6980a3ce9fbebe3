"""Rows of the audit log as people read them: with the names of key and person, and with their
arguments.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, JsonObject, Via
from orderdesk_app.db.audit import SEALED_AS, AuditEntry
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.users import User
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)
AGENTS = (str(Via.MCP), str(Via.STDIO))
PERSON = "person"  # the argument of a row that is about somebody: the id of a user


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One audit row for the screen; `arguments` are without secrets."""

    id: str
    at: datetime
    action: str
    tool: str | None
    via: str
    client: str
    key: str  # the name of the key it was done with; empty for people who had none
    store_row_id: str | None
    outcome: str
    duration_ms: float
    cached: bool
    request_id: str
    change_id: str | None
    arguments: JsonObject
    times: int = 1  # refused calls of one kind share a row
    # the user who did it, or in whose name an access key did, and their name; empty for nobody who
    # is known, and for a user who is deleted
    user_id: str | None = None
    person: str = ""
    # of a master key, at any entry point; its holder need not be the user
    master_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class WhoActed:
    """Through which entry point, with which key, and as which user."""

    via: str
    credential_id: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True)
class Names:
    """The keys of some rows, and the names of people, by id."""

    keys: Mapping[str, Credential]
    people: Mapping[str, str]

    def master_key_of(self, row: AuditEntry | WhoActed) -> str | None:
        """The id of the master key that the row was done with."""
        key = self.keys.get(row.credential_id or "")
        return key.id if key is not None and key.kind == "master" else None

    def key_of(self, row: AuditEntry | WhoActed) -> str:
        """The name of the key; empty for a person who had none."""
        key = self.keys.get(row.credential_id or "")
        is_meant = key is not None and (row.via in AGENTS or key.kind == "master")
        return key.name if key is not None and is_meant else ""

    def user_of(self, row: AuditEntry | WhoActed) -> str | None:
        """The user who did it. A refused call of a key names the key alone, and the key its
        user.
        """
        key = self.keys.get(row.credential_id or "")
        return row.user_id or (key.user_id if key is not None and key.kind == "access" else None)


class ActivityEntries:
    """Opens the sealed arguments of audit rows."""

    def __init__(self, sealer: Seals) -> None:
        self._sealer = sealer

    async def opened(
        self, session: AsyncSession, actor: Actor, rows: Sequence[AuditEntry]
    ) -> list[ActivityEntry]:
        """The actor's own rows, in their order."""
        names = await who_did(session, actor, rows)
        entries = [await self._entry(actor, row, names) for row in rows]
        meant = {str(found) for entry in entries if (found := entry.arguments.get(PERSON))}
        if not meant:
            return entries
        people = await names_of_people(session, meant)
        return [_naming_the_person(entry, people) for entry in entries]

    async def _entry(self, actor: Actor, row: AuditEntry, names: Names) -> ActivityEntry:
        user_id = names.user_of(row)
        return ActivityEntry(
            id=row.id,
            at=row.at,
            action=row.action,
            tool=row.tool,
            via=row.via,
            client=row.client_name,
            key=names.key_of(row),
            user_id=user_id,
            person=names.people.get(user_id or "", ""),
            master_key_id=names.master_key_of(row),
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


def _naming_the_person(entry: ActivityEntry, people: Mapping[str, str]) -> ActivityEntry:
    """The name of whom it was done to: the row itself keeps the id alone, so that nothing of a user
    who is deleted stays in it.
    """
    meant = entry.arguments.get(PERSON)
    if not meant:
        return entry
    name = people.get(str(meant), "somebody who is deleted")
    return replace(entry, arguments={**entry.arguments, PERSON: name})


async def who_did(
    session: AsyncSession, actor: Actor, rows: Iterable[AuditEntry | WhoActed]
) -> Names:
    """The keys and people of the actor's own rows; revoked keys and people who left too."""
    rows = list(rows)
    used = {row.credential_id for row in rows if row.credential_id}
    found = await session.exec(owned(actor, Credential).where(col(Credential.id).in_(used)))
    keys = {key.id: key for key in found.all()}
    users = {row.user_id for row in rows} | {key.user_id for key in keys.values()}
    return Names(keys, await names_of_people(session, {user for user in users if user}))


async def names_of_people(session: AsyncSession, user_ids: Collection[str]) -> dict[str, str]:
    """The names of these users, by id: rows of the account that asks name them."""
    if not user_ids:
        return {}
    question = select(User.id, User.name).where(col(User.id).in_(user_ids))
    return {str(user_id): name for user_id, name in (await session.exec(question)).all()}
