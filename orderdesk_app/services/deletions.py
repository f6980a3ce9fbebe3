"""How users and accounts are deleted, once it is clear that they may be. From one short write on
nobody gets in; then the rows go in batches, here or by a job that survives a restart.

What goes, what stays without a name, and why: docs/decisions/0020-deletion.md.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, JsonObject, Role, TenantId, UserId, Via, new_id, now
from orderdesk_app.db.deletions import Doomed, RowDeletion
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.signals import Signals
from orderdesk_app.observability import log
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.audit_chains import AuditChains
from orderdesk_app.services.jobs import Jobs
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.sign_in import NO_TENANT
from orderdesk_app.services.tenants import Tenants

_LOG = log(__name__)
DELETION = "deletion"  # the kind of the jobs
DELETED = "deleted"  # the kind of the signal when nothing is left: "deleted:<tenant id>"
# A person waits so long for the end. The job takes over a little later.
PERSON_SECONDS = 8.0
JOB_BEGINS_AFTER = 10.0
_JOB_SECONDS = 35.0  # services/jobs.py gives a job 45
_LOOK_SECONDS = 0.1
# A user or an account that is being deleted has this name, which nobody can choose.
BEING_DELETED = ""  # RowDeletion.close
_NAMELESS = "nameless"
_OTHERS = "others"
# What counts say of a table; rows of tables that are not here are "other rows".
_WORDS: Mapping[str, tuple[str, str]] = {
    "tenants": ("account", "accounts"),
    "stores": ("connected store", "connected stores"),
    "credentials": ("key", "keys"),
    "passkeys": ("passkey", "passkeys"),
    "sessions": ("session", "sessions"),
    "audit_log": ("row of activity", "rows of activity"),
    "changes": ("change in the journal", "changes in the journal"),
    "console_calls": ("call in the console's history", "calls in the console's history"),
    "sandbox_rows": ("change in a sandbox", "changes in sandboxes"),
    "magic_links": ("link", "links"),
    "jobs": ("mail that waits", "mails that wait"),
    _NAMELESS: (
        "row of others' activity, which loses the name",
        "rows of others' activity, which lose the name",
    ),
}
_NOT_COUNTED = ("users",)  # the one that the dialog names


@dataclass(frozen=True, slots=True)
class Count:
    """How many of something go, in words: "2 connected stores"."""

    number: int
    words: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that has begun. `id` is that of its one row in the audit log; `by` is who did it,
    None for those who deleted what is their own, as nothing may name them.
    """

    id: str
    action: str
    doomed: Doomed
    stores: tuple[str, ...]  # StoreAccess.upstream_id of those that go
    counts: Mapping[str, int]
    by: Actor | None


class Deletions:
    """Begins deletions, and ends them."""

    def __init__(
        self,
        database: Database,
        rows: RowDeletion,
        chains: AuditChains,
        jobs: Jobs,
        signals: Signals,
        keyring: Keyring,
        reads: Reads,
        keys: Keys,
        tenants: Tenants,
        audit: AuditTrail,
        *,
        write_seconds: float,
    ) -> None:
        self._database = database
        self._rows = rows
        self._chains = chains
        self._jobs = jobs
        self._signals = signals
        self._keyring = keyring
        self._reads = reads
        self._keys = keys
        self._tenants = tenants
        self._audit = audit
        # a request to Order Desk, and one more to find out what became of it
        self._write_time = timedelta(seconds=2 * write_seconds)
        signals.subscribe(self._hear)

    async def count(self, doomed: Doomed) -> Mapping[str, int]:
        """How many rows go, by their table, and how many rows of others lose the name."""
        async with self._database.read() as session:
            counts = await self._rows.count_rows(session, doomed)
            return counts | {_NAMELESS: await self._rows.count_nameless(session, doomed)}

    async def begin(
        self,
        session: AsyncSession,
        action: str,
        doomed: Doomed,
        counts: Mapping[str, int],
        *,
        by: Actor | None,
    ) -> Deletion:
        """Inside a write, after all checks. From its commit on nobody gets in with what was theirs,
        no write of the accounts begins, no mail that waits is sent, and the names are gone.
        """
        stores = await self._rows.stores(session, doomed)
        deletion = Deletion(new_id(), action, doomed, tuple(map("|".join, stores)), counts, by)
        await self._rows.close(session, doomed, now())
        await self._chains.end(session, doomed.tenant_ids)
        await self._add_job(session, deletion, run_in=JOB_BEGINS_AFTER)
        await self._publish(session, deletion)
        return deletion

    async def run(self, deletion: Deletion) -> bool:
        """Go on with a deletion whose beginning is committed, while somebody waits for it. False:
        it did not end in that time, and its job goes on.
        """
        try:
            return await self._run(deletion, time.monotonic() + PERSON_SECONDS)
        except Exception as error:  # it has begun, so it is no failure: the job tries again
            _LOG.error("a deletion was interrupted", exc_info=error, row=deletion.id)
            return False

    async def run_job(self, payload: JsonObject) -> None:
        """What runs the jobs of the kind DELETION."""
        deletion = _deletion_in(payload)
        if not await self._run(deletion, time.monotonic() + _JOB_SECONDS):
            # This try was no failure, so that the next one does not wait for longer and longer.
            async with self._database.write() as session:
                await self._add_job(session, deletion, run_in=0.0)

    async def _run(self, deletion: Deletion, until: float) -> bool:
        if not await self.have_writes_ended(deletion.doomed, until):
            return False
        await self._record(deletion)
        while True:
            doomed = await self._with_late_accounts(deletion.doomed)
            if not await self._rows.delete_rows(doomed, until=until):
                return False
            async with self._database.write() as session:
                for tenant_id in sorted(doomed.tenant_ids):
                    await self._keys.lock(session, tenant_id)  # a sign-in that is under way ends
                if await self._late_accounts(session, doomed):
                    continue
                await self._rows.delete_rest(session, doomed)
                await self._publish(session, deletion)
                for tenant_id in doomed.tenant_ids:
                    await self._signals.publish(session, f"{DELETED}:{tenant_id}")
            break
        for store in deletion.stores:
            await self._reads.drop(store)
        return True

    async def have_writes_ended(self, doomed: Doomed, until: float) -> bool:
        """Wait for writes that are under way at Order Desk: their rows in the journal are open. One
        that is open for longer was cut off by a crash.
        """
        while True:
            since = now() - self._write_time
            async with self._database.read() as session:
                if not await self._rows.has_open_writes(session, doomed, since):
                    return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK_SECONDS)

    async def _record(self, deletion: Deletion) -> None:
        """Commit the one row that says what happened, and nobody's name. A second try with the same
        id adds none.
        """
        by = deletion.by
        if by is None or by.tenant_id in deletion.doomed.tenant_ids:
            admin = await self._tenants.admin()
            by = Actor(admin.tenant_id if admin else NO_TENANT)
        counts = {count.words: count.number for count in in_words(deletion.counts)}
        await self._audit.write(
            Entry(by, deletion.action, arguments=counts, id=deletion.id, request_id="")
        )

    async def _with_late_accounts(self, doomed: Doomed) -> Doomed:
        async with self._database.read() as session:
            late = await self._late_accounts(session, doomed)
        if late:
            async with self._database.write() as session:
                await self._chains.end(session, late)
        return Doomed(doomed.user_id, (*doomed.tenant_ids, *late))

    async def _late_accounts(self, session: AsyncSession, doomed: Doomed) -> list[TenantId]:
        """Accounts that the user got in the moment in which the deletion began, and that would have
        nobody left.
        """
        return [
            membership.tenant_id
            for membership in await memberships_of(session, doomed.user_id)
            if membership.tenant_id not in doomed.tenant_ids
            and not await has_other_owner(session, membership.tenant_id, doomed.user_id)
        ]

    async def _add_job(self, session: AsyncSession, deletion: Deletion, *, run_in: float) -> None:
        user_id, tenant_ids = deletion.doomed.user_id, deletion.doomed.tenant_ids
        await self._jobs.add(
            session,
            DELETION,
            _payload(deletion),
            # the last write of the deletion deletes it too
            tenant_id=None if user_id else tenant_ids[0],
            user_id=user_id,
            run_in=run_in,
        )

    async def _publish(self, session: AsyncSession, deletion: Deletion) -> None:
        user_id = deletion.doomed.user_id
        topics = [f"tenant:{tenant_id}" for tenant_id in deletion.doomed.tenant_ids]
        topics += [f"store:{store}" for store in deletion.stores]
        topics += [f"user:{user_id}"] if user_id else []
        for topic in topics:
            await self._signals.publish(session, topic)

    def _hear(self, topic: str) -> None:
        kind, _, tenant_id = topic.partition(":")
        if kind == DELETED:
            self._keyring.forget(tenant_id)


async def memberships_of(session: AsyncSession, user_id: UserId | None) -> list[Membership]:
    """In which accounts the user is, the oldest first."""
    question = select(Membership).where(col(Membership.user_id) == user_id)
    return list((await session.exec(question.order_by(col(Membership.created_at)))).all())


async def has_other_owner(
    session: AsyncSession, tenant_id: TenantId, user_id: UserId | None
) -> bool:
    """Whether somebody else owns the account, also if they are disabled: that may end."""
    question = select(Membership.user_id).where(
        col(Membership.tenant_id) == tenant_id,
        col(Membership.role) == Role.OWNER.value,
        col(Membership.user_id) != user_id,
    )
    return (await session.exec(question.limit(1))).first() is not None


def in_words(counts: Mapping[str, int]) -> list[Count]:
    """The counts that a person reads, without those of nothing."""
    known = {**_WORDS, _OTHERS: ("other row", "other rows")}
    others = [name for name in counts if name not in _WORDS and name not in _NOT_COUNTED]
    numbers = {**counts, _OTHERS: sum(counts[name] for name in others)}
    return [
        Count(numbers[name], one if numbers[name] == 1 else many)
        for name, (one, many) in known.items()
        if numbers.get(name)
    ]


def _payload(deletion: Deletion) -> JsonObject:
    by = deletion.by
    return {
        "id": deletion.id,
        "action": deletion.action,
        "user_id": deletion.doomed.user_id,
        "tenant_ids": list(deletion.doomed.tenant_ids),
        "stores": list(deletion.stores),
        "counts": dict(deletion.counts),
        "by": None
        if by is None
        else {
            "tenant_id": by.tenant_id,
            "user_id": by.user_id,
            "role": by.role,
            "via": by.via,
            "session_id": by.session_id,
            "address": by.address,
        },
    }


def _deletion_in(payload: JsonObject) -> Deletion:
    user_id = payload["user_id"]
    return Deletion(
        id=str(payload["id"]),
        action=str(payload["action"]),
        doomed=Doomed(
            UserId(str(user_id)) if user_id else None,
            tuple(TenantId(str(each)) for each in cast(list[str], payload["tenant_ids"])),
        ),
        stores=tuple(cast(list[str], payload["stores"])),
        counts=cast(dict[str, int], payload["counts"]),
        by=_actor_in(cast(dict[str, str | None] | None, payload["by"])),
    )


def _actor_in(values: Mapping[str, str | None] | None) -> Actor | None:
    if values is None:
        return None
    return Actor(
        TenantId(values["tenant_id"] or ""),
        UserId(values["user_id"]) if values["user_id"] else None,
        role=Role(values["role"]) if values["role"] else None,
        is_operator=True,
        via=Via(values["via"] or Via.SYSTEM),
        session_id=values["session_id"],
        address=values["address"] or "",
    )
