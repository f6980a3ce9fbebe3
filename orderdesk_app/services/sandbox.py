"""The sandbox stores of this server: a key is derived from the store id, a change is a sealed row
that belongs to the store.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from cachetools import LRUCache
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from orderdesk_app.context import Sealed, Secret
from orderdesk_app.db.engine import Database
from orderdesk_app.db.sandbox import SandboxRow
from orderdesk_app.db.stores import Store
from orderdesk_app.demo.rows import Change, Row
from orderdesk_app.errors import NotFound
from orderdesk_app.services.sealed import Seals

_TABLE = "sandbox_rows"
_MOST_KNOWN = 10_000


class SandboxKeys:
    """The keys of sandbox stores. No key is stored: each is derived from the store id and a secret
    of this server.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key_of(self, store_id: str) -> Secret:
        return Secret(
            hmac.new(self._secret, f"sandbox store {store_id}".encode(), hashlib.sha256).hexdigest()
        )

    async def account(self, store_id: str) -> str | None:
        """The key of a store id, for the sandbox to compare with."""
        return self.key_of(store_id).reveal()


class DatabaseRows:
    """demo.rows.SandboxRows over our database.

    A store that was never connected, or is deleted, shows the seeded set and keeps no changes.
    """

    def __init__(self, database: Database, sealer: Seals, *, sandbox_url: str) -> None:
        self._database = database
        self._sealer = sealer
        self._sandbox_url = sandbox_url
        # Order Desk's store id -> our row id and its tenant; neither ever changes
        self._known: LRUCache[str, tuple[str, str]] = LRUCache(_MOST_KNOWN)

    async def get(self, store_id: str, kind: str, object_id: str) -> Row | None:
        owner = await self._owner(store_id)
        if owner is None:
            return None
        async with self._database.read() as session:
            row = await session.get(SandboxRow, (owner[0], kind, object_id))
        return await self._opened(owner, row) if row is not None else None

    async def all(self, store_id: str, kind: str) -> Mapping[str, Row]:
        owner = await self._owner(store_id)
        if owner is None:
            return {}
        async with self._database.read() as session:
            rows = (
                await session.exec(
                    select(SandboxRow).where(
                        col(SandboxRow.store_row_id) == owner[0], col(SandboxRow.kind) == kind
                    )
                )
            ).all()
        return {row.object_id: await self._opened(owner, row) for row in rows}

    async def write(self, store_id: str, changes: Sequence[Change]) -> bool:
        owner = await self._owner(store_id)
        if owner is None:
            return False
        sealed = [await self._sealed(owner, change) for change in changes]
        try:
            async with self._database.write() as session:
                for change, body in zip(changes, sealed, strict=True):
                    if change.seen == 0:
                        values = {
                            "store_row_id": owner[0],
                            "kind": change.kind,
                            "object_id": change.object_id,
                            "body": body,
                            "version": 1,
                        }
                        await session.exec(insert(SandboxRow).values(values))
                        continue
                    where = (
                        col(SandboxRow.store_row_id) == owner[0],
                        col(SandboxRow.kind) == change.kind,
                        col(SandboxRow.object_id) == change.object_id,
                        col(SandboxRow.version) == change.seen,
                    )
                    done = await session.exec(
                        update(SandboxRow).where(*where).values(body=body, version=change.seen + 1)
                    )
                    if getattr(done, "rowcount", 0) != 1:
                        raise _SeenOld
        except (_SeenOld, IntegrityError, NotFound):
            return False
        return True

    async def _owner(self, store_id: str) -> tuple[str, str] | None:
        known = self._known.get(store_id)
        if known is None:
            async with self._database.read() as session:
                row = (
                    await session.exec(
                        select(Store).where(
                            col(Store.api_url) == self._sandbox_url, col(Store.store_id) == store_id
                        )
                    )
                ).first()
            if row is None:
                return None
            known = self._known[store_id] = (row.id, row.tenant_id)
        return known

    async def _opened(self, owner: tuple[str, str], row: SandboxRow) -> Row:
        if row.body is None:
            return Row(None, row.version)
        return Row(
            await self._sealer.open_for(
                owner[1], _TABLE, "body", f"{owner[0]}|{row.kind}|{row.object_id}", row.body
            ),
            row.version,
        )

    async def _sealed(self, owner: tuple[str, str], change: Change) -> Sealed | None:
        if change.body is None:
            return None
        return await self._sealer.seal_for(
            owner[1], _TABLE, "body", f"{owner[0]}|{change.kind}|{change.object_id}", change.body
        )


class _SeenOld(Exception):
    pass
