"""Wrapped keys: the digest key and each tenant's data key, unreadable without MCP_KMS_KEY."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col, func, select, update

from orderdesk_app.context import TenantId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row


class MasterKeyMetadata(Row, table=True):
    __tablename__ = "master_key_metadata"

    # "digest", or "tenant:" and the tenant's id: two processes cannot both make one
    id: str = Field(primary_key=True)
    purpose: str
    tenant_id: TenantId | None = Field(
        default=None, sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    salt: bytes = Field(sa_type=LargeBinary)
    wrapped: bytes = Field(sa_type=LargeBinary)
    key_id: str  # which MCP_KMS_KEY wrapped it
    created_at: datetime = Field(default_factory=now)


class KeyRows:
    """security/keyring.py's rows, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, row_id: str) -> MasterKeyMetadata | None:
        async with self._database.read() as session:
            return (
                await session.exec(
                    select(MasterKeyMetadata).where(col(MasterKeyMetadata.id) == row_id)
                )
            ).one_or_none()

    async def add(
        self,
        *,
        row_id: str,
        purpose: str,
        tenant_id: TenantId | None,
        salt: bytes,
        wrapped: bytes,
        key_id: str,
    ) -> MasterKeyMetadata:
        """Stores the row, unless another process stored one first; returns the stored row."""
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        values = {
            "id": row_id,
            "purpose": purpose,
            "tenant_id": tenant_id,
            "salt": salt,
            "wrapped": wrapped,
            "key_id": key_id,
            "created_at": now(),
        }
        async with self._database.write() as session:
            await session.exec(
                insert(MasterKeyMetadata)
                .values(values)
                .on_conflict_do_nothing(index_elements=["id"])
            )
            return (
                await session.exec(
                    select(MasterKeyMetadata).where(col(MasterKeyMetadata.id) == row_id)
                )
            ).one()

    async def wrapped_otherwise(
        self, key_id: str, *, before: str | None, count: int
    ) -> Sequence[MasterKeyMetadata]:
        """The next rows, backwards by their id, that another key has wrapped: the digest key comes
        after all tenants.
        """
        row_id = col(MasterKeyMetadata.id)
        question = (
            select(MasterKeyMetadata)
            .where(col(MasterKeyMetadata.key_id) != key_id)
            .order_by(row_id.desc())
            .limit(count)
        )
        if before is not None:
            question = question.where(row_id < before)
        async with self._database.read() as session:
            return (await session.exec(question)).all()

    async def rewrap(self, rows: Sequence[tuple[MasterKeyMetadata, bytes]], *, key_id: str) -> int:
        """Puts the new wrapping of each row in the place of the one that was read, all of them in
        one transaction; returns how many it were. A row that changed meanwhile stays as it is.
        """
        count = 0
        async with self._database.write() as session:
            for row, wrapped in rows:
                changed = await session.exec(
                    update(MasterKeyMetadata)
                    .where(
                        col(MasterKeyMetadata.id) == row.id,
                        col(MasterKeyMetadata.wrapped) == row.wrapped,
                    )
                    .values(wrapped=wrapped, key_id=key_id)
                )
                count += changed.rowcount
        return count

    async def counts(self) -> dict[str, int]:
        """How many rows each key has wrapped, by its id."""
        key_id = col(MasterKeyMetadata.key_id)
        async with self._database.read() as session:
            found = await session.exec(select(key_id, func.count()).group_by(key_id))
            return dict(found.all())

    async def all(self) -> Sequence[MasterKeyMetadata]:
        async with self._database.read() as session:
            return (await session.exec(select(MasterKeyMetadata))).all()
