"""The only way to a tenant's rows: every query for them begins with `owned(actor, Table)`."""

from typing import Any, Protocol, TypeVar, cast

from sqlmodel import col, select
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
    return select(table).where(col(cast(Any, table).tenant_id) == actor.tenant_id)
