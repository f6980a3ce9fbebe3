"""Rotation of MCP_KMS_KEY: wraps every key of the keyring again while servers run.

Each row is readable at every moment, before and after: servers have both keys while it goes on
(docs/operations.md). What the keys have sealed stays as it is.
"""

import asyncio
from dataclasses import dataclass

from orderdesk_app.context import Actor, new_id
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import ConfigurationError, Conflict
from orderdesk_app.observability import log
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.audit import AuditTrail, Entry

_LOG = log(__name__)
BATCH = 200  # rows of one transaction
OBJECTION_SECONDS = 2.0  # signals take a fraction of a second
_OFFER = "kms.offer"
_OBJECTION = "kms.objection"
ACTION = "installation.rotate_keys"


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """How many rows a key has wrapped; `is_open` where this process has that key."""

    id: str
    rows: int
    is_current: bool
    is_open: bool


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many rows were wrapped again here, and how many no key of ours opens."""

    rows: int
    unreadable: int


class KeyRotation:
    """In every server it objects to a key that this server does not have."""

    def __init__(
        self,
        database: Database,
        rows: KeyRows,
        keyring: Keyring,
        signals: Signals,
        audit: AuditTrail,
        *,
        objection_seconds: float | None = None,
    ) -> None:
        self._database = database
        self._rows = rows
        self._keyring = keyring
        self._signals = signals
        self._audit = audit
        self._objection_seconds = objection_seconds or OBJECTION_SECONDS
        self._objected: asyncio.Event | None = None
        self._asked = ""
        self._answers: set[asyncio.Task[None]] = set()
        signals.subscribe(self._on_signal)

    async def wrapping_keys(self) -> list[WrappingKey]:
        """The keys under which rows are wrapped, and the current one."""
        current = self._keyring.kms_key_id
        counts = {current: 0} | await self._rows.counts()
        return [
            WrappingKey(name, number, name == current, self._keyring.opens(name))
            for name, number in sorted(counts.items(), key=lambda pair: pair[0] != current)
        ]

    async def warn_of_unreadable(self) -> None:
        """At the start: says in the log how many keys this process cannot open. Their accounts
        get errors, and all others work.
        """
        lost = sum(key.rows for key in await self.wrapping_keys() if not key.is_open)
        if lost:
            _LOG.error(
                "keys of accounts are wrapped by one that is neither MCP_KMS_KEY nor in "
                "MCP_KMS_KEY_PREVIOUS; add it there, and run orderdesk rotate-keys",
                count=lost,
            )

    async def rotate(self, actor: Actor) -> Rotated:
        """Wraps each row again that another key has wrapped, in batches. It may be killed, run
        again, and run twice at once: a row is changed where it is as it was read.

        Raises Conflict, with nothing changed, where a server that runs does not have the new key.
        """
        if await self._is_objected():
            raise Conflict(
                "A server that runs does not have the key of MCP_KMS_KEY yet, so nothing was "
                "changed. Start every server with both keys first (docs/operations.md), and run "
                "this again."
            )
        rows = 0
        while (last := await self._pass()).rows:
            rows += last.rows
        if rows:
            arguments = {"rows": rows, "unreadable": last.unreadable}
            await self._audit.write_or_queue(Entry(actor, ACTION, arguments=arguments))
        return Rotated(rows, last.unreadable)

    async def _pass(self) -> Rotated:
        """Goes once through all rows. Servers that still wrap with the key of before may add more
        meanwhile. The digest key is the last one: until then no server starts without the key of
        before, as it could not open all.
        """
        key_id = self._keyring.kms_key_id
        done = unreadable = 0
        before: str | None = None
        while rows := await self._rows.wrapped_otherwise(key_id, before=before, count=BATCH):
            before = rows[-1].id
            batch = []
            for row in rows:
                try:
                    batch.append((row, self._keyring.rewrapped(row)))
                except ConfigurationError:
                    unreadable += 1
            done += await self._rows.rewrap(batch, key_id=key_id)
        return Rotated(done, unreadable)

    # ------------------------------------------------------------------ servers without the key

    async def _is_objected(self) -> bool:
        self._asked = new_id()
        self._objected = asyncio.Event()
        await self._publish(f"{_OFFER}:{self._keyring.kms_key_id}:{self._asked}")
        try:
            async with asyncio.timeout(self._objection_seconds):
                await self._objected.wait()
        except TimeoutError:
            return False
        return True

    def _on_signal(self, topic: str) -> None:
        kind, _, rest = topic.partition(":")
        if kind == _OFFER:
            key_id, _, asked = rest.partition(":")
            if not self._keyring.opens(key_id):
                _LOG.warning(
                    "keys are to be rotated to one that this server does not have; set "
                    "MCP_KMS_KEY_PREVIOUS"
                )
                answer = asyncio.create_task(self._publish(f"{_OBJECTION}:{asked}"))
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)
        elif kind == _OBJECTION and self._objected is not None and rest == self._asked:
            self._objected.set()

    async def _publish(self, topic: str) -> None:
        async with self._database.write() as session:
            await self._signals.publish(session, topic, here=False)
