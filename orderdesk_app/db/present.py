"""Which of some accounts and users are still there, asked inside the write that names them."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from orderdesk_app.context import TenantId, UserId


async def ids_present(
    connection: AsyncConnection, tenant_ids: Collection[TenantId], user_ids: Collection[UserId]
) -> set[str]:
    """The ids that have a row. On Postgres none of them is deleted before the write ends."""
    if connection.dialect.name == "sqlite":
        places = [", ".join("?" * len(ids)) for ids in (tenant_ids, user_ids)]
        return await _ids(
            connection,
            f"SELECT id FROM tenants WHERE id IN ({places[0]}) "  # noqa: S608
            f"UNION ALL SELECT id FROM users WHERE id IN ({places[1]})",
            (*tenant_ids, *user_ids),
        )
    found: set[str] = set()
    for table, ids in (("tenants", tenant_ids), ("users", user_ids)):
        if ids:
            statement = f"SELECT id FROM {table} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"  # noqa: S608
            found |= await _ids(connection, statement, (sorted(ids),))
    return found


async def _ids(connection: AsyncConnection, statement: str, values: Sequence[object]) -> set[str]:
    result = await connection.exec_driver_sql(statement, tuple(values))
    return {str(row[0]) for row in result}
