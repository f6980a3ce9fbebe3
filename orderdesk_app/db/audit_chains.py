"""One row for each chain of the audit log: how far it goes, what has expired, and a signature.

The rows of an account are one chain, those without an account another.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    LargeBinary,
    Select,
    String,
    bindparam,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType
from sqlmodel import Field

from orderdesk_app.context import TenantId, new_id
from orderdesk_app.db.rows import Row

INSTALLATION = "installation"  # the chain of rows without an account
# No chain: its `sequence` is the number of chains that were begun, so that none vanishes.
REGISTER = "register"
MOST = 2**62  # rows of a chain; nobody has as many


class AuditChain(Row, table=True):
    """What remains of a deleted account: its id is none of the account's, and with `ended_at` it
    names nobody.
    """

    __tablename__ = "audit_chains"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId | None = Field(
        default=None, sa_type=String, foreign_key="tenants.id", ondelete="SET NULL", unique=True
    )
    begun_at: datetime | None = None  # None: only the rows from before it were counted
    unchained: int = 0  # rows from before the chain began, which it says nothing about
    # the checkpoint of the retention: rows up to this one were deleted as they were too old
    expired_sequence: int = Field(default=0, sa_type=BigInteger)
    expired_link: bytes = Field(default=b"", sa_type=LargeBinary)
    expired_at: datetime | None = None
    # the last row
    sequence: int = Field(default=0, sa_type=BigInteger)
    link: bytes = Field(default=b"", sa_type=LargeBinary)
    faults: int = 0  # how often a server found it damaged while it went on with it
    ended_at: datetime | None = None  # the account is deleted
    signature: bytes | None = Field(default=None, sa_type=LargeBinary)


@dataclass(slots=True)
class ChainHead:
    """A row of the table, to be changed and stored."""

    id: str
    tenant_id: TenantId | None
    begun_at: datetime | None
    unchained: int
    expired_sequence: int
    expired_link: bytes
    expired_at: datetime | None
    sequence: int
    link: bytes
    faults: int
    ended_at: datetime | None
    signature: bytes | None


_TABLE = AuditChain.__table__  # type: ignore[attr-defined]
_MEANT = or_(
    _TABLE.c.tenant_id.in_(bindparam("tenants", expanding=True)),
    _TABLE.c.id.in_(bindparam("ids", expanding=True)),
)


def select_heads(connection: AsyncConnection) -> Select[*tuple[Any, ...]]:
    """The rows of the table, for `head_of`. On SQLite, which takes anything in any column, a row is
    what is stored: nothing that somebody puts there stops a reader.
    """
    return _SELECT_STORED if connection.dialect.name == "sqlite" else _SELECT


_SELECT = select(_TABLE)
_SELECT_STORED = select(
    *(type_coerce(column, NullType()).label(column.name) for column in _TABLE.c)
)
_FIELDS = tuple(column.name for column in _TABLE.c if column.name not in ("id", "tenant_id"))
_STORE = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("chain"))
    .values({name: bindparam(f"new_{name}") for name in _FIELDS})
)
_STORE_LAST = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("chain"))
    .values({name: bindparam(f"new_{name}") for name in ("sequence", "link", "signature")})
)


async def lock_heads(
    connection: AsyncConnection, tenant_ids: Collection[TenantId | None]
) -> list[ChainHead]:
    """Inside a write: the chains of these accounts (None: of no account), made where there is none.
    Nobody else goes on with them until the write ends.
    """
    heads = await _locked(connection, tenant_ids)
    missing = set(tenant_ids) - {head.tenant_id for head in heads}
    if not missing:
        return heads
    new = [
        (new_id() if tenant_id else INSTALLATION, tenant_id)
        for tenant_id in sorted(missing, key=lambda tenant_id: tenant_id or "")
    ]
    await _insert_blank(connection, new)
    return heads + await _locked(connection, missing)


async def _insert_blank(
    connection: AsyncConnection, chains: Collection[tuple[str, TenantId | None]]
) -> None:
    """Those that are not there."""
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    rows = [AuditChain(id=chain, tenant_id=tenant_id).model_dump() for chain, tenant_id in chains]
    await connection.execute(dialect(_TABLE).on_conflict_do_nothing(), rows)


async def _locked(
    connection: AsyncConnection, tenant_ids: Collection[TenantId | None]
) -> list[ChainHead]:
    given = {
        "tenants": [tenant_id for tenant_id in tenant_ids if tenant_id],
        "ids": [INSTALLATION] if None in tenant_ids else [],
    }
    # all processes lock them in the same order, so that none waits for another that waits for it
    question = select_heads(connection).where(_MEANT).order_by(_TABLE.c.id).with_for_update()
    return [head_of(row) for row in (await connection.execute(question, given)).all()]


async def lock_register(connection: AsyncConnection) -> ChainHead:
    """Inside a write, behind all chains: the row that counts them, made where there is none."""
    await _insert_blank(connection, [(REGISTER, None)])
    question = select_heads(connection).where(_TABLE.c.id == REGISTER).with_for_update()
    return head_of((await connection.execute(question)).one())


async def count_begun(connection: AsyncConnection) -> int:
    """How many chains there are that a server has begun, also those of deleted accounts."""
    question = select(func.count()).where(_TABLE.c.begun_at.is_not(None), _TABLE.c.id != REGISTER)
    count: int = (await connection.execute(question)).scalar_one()
    return count


def head_of(row: Sequence[Any]) -> ChainHead:
    """A head; with an empty value in place of each that cannot be one, and then without its
    signature.
    """
    head = ChainHead(*row)
    for name, check in _CHECKS.items():
        value = getattr(head, name)
        is_sound, value = check(value)
        setattr(head, name, value)
        if not is_sound:
            head.signature = None
    return head


def _number(value: object) -> tuple[bool, int]:
    is_one = isinstance(value, int) and 0 <= value < MOST
    return (True, cast(int, value)) if is_one else (False, 0)


def _bytes(value: object) -> tuple[bool, bytes]:
    return (True, value) if isinstance(value, bytes) else (False, b"")


def _moment(value: object) -> tuple[bool, datetime | None]:
    if value is None or isinstance(value, datetime):
        return True, value
    try:
        return True, datetime.fromisoformat(cast(str, value)).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return False, None


_CHECKS: Mapping[str, Callable[[object], tuple[bool, object]]] = {
    **dict.fromkeys(("begun_at", "expired_at", "ended_at"), _moment),
    **dict.fromkeys(("unchained", "expired_sequence", "sequence", "faults"), _number),
    **dict.fromkeys(("expired_link", "link"), _bytes),
    "signature": lambda value: (True, value if isinstance(value, bytes) else None),
}


async def store_heads(connection: AsyncConnection, heads: Collection[ChainHead]) -> None:
    """Store every field of chains that `lock_heads` gave."""
    await connection.execute(_STORE, [_values(head, _FIELDS) for head in heads])


async def store_last_rows(connection: AsyncConnection, heads: Collection[ChainHead]) -> None:
    """The same where rows were added, and nothing else has changed."""
    fields = ("sequence", "link", "signature")
    await connection.execute(_STORE_LAST, [_values(head, fields) for head in heads])


def _values(head: ChainHead, fields: Sequence[str]) -> dict[str, object]:
    return {"chain": head.id, **{f"new_{name}": getattr(head, name) for name in fields}}
