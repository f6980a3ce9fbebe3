"""The only way to a tenant's rows: every query for them begins with `owned(actor, Table)`.

An actor of chosen stores gets no row of another store, whichever service asks.
"""

from typing import Any, Protocol, TypeVar, cast

from sqlmodel import col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from orderdesk_app.context import Actor


class Owned(Protocol):
    """A table whose rows belong to one tenant."""

    @property
    def tenant_id(self) -> str | None: ...


T = TypeVar("T", bound=Owned)


def owned(actor: Actor, table: type[T]) -> SelectOfScalar[T]:
    """A select of the actor's own rows; narrow it with `.where(…)`.

    Rows of other tenants are not in it.
    """
    columns = cast(Any, table)
    mine = select(table).where(col(columns.tenant_id) == actor.tenant_id)
    if actor.store_ids is None:
        return mine
    if columns.__tablename__ == "stores":
        return mine.where(col(columns.id).in_(actor.store_ids))
    if hasattr(table, "store_row_id"):
        store = col(columns.store_row_id)
        return mine.where(or_(store.is_(None), store.in_(actor.store_ids)))
    return mine
