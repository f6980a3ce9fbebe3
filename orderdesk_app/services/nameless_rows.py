"""Audit rows that are committed after their user or account was deleted: they say nothing about a
person.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from orderdesk_app.context import Actor
from orderdesk_app.db.audit import NAMELESS
from orderdesk_app.db.present import ids_present

_OWNERS = ("tenant_id", "user_id")


async def without_the_deleted(
    connection: AsyncConnection,
    actors: Sequence[Actor],
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> list[tuple[Any, ...]]:
    """Inside the write that inserts them: the rows of those actors, of which some may be deleted. A
    deleted user or account is not named, which its foreign key would refuse.
    """
    tenants = {actor.tenant_id for actor in actors if actor.tenant_id}
    users = {actor.user_id for actor in actors if actor.user_id}
    gone = (tenants | users) - await ids_present(connection, tenants, users)
    if not gone:
        return list(rows)
    return [
        tuple(
            None if name in _OWNERS and value in gone else NAMELESS.get(name, value)
            for name, value in zip(columns, row, strict=True)
        )
        if actor.tenant_id in gone or actor.user_id in gone
        else row
        for actor, row in zip(actors, rows, strict=True)
    ]
