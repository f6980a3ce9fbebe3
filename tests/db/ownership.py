"""Whose rows a table holds, read from the foreign keys of the schema, and rows made from it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Table, TypeDecorator, insert, select
from sqlalchemy.exc import SQLAlchemyError

from orderdesk_app.db.schema import METADATA

# Values for columns that take no made-up one: {"table": {"column": value}}.
VALUES: dict[str, dict[str, Any]] = {}
_MADE_UP = {
    str: "x",
    int: 1,
    float: 1.0,
    bool: False,
    bytes: b"x",
    date: date(2026, 1, 2),
    datetime: datetime(2026, 1, 2, tzinfo=UTC),
    object: {},  # of JSON
}


def belonging_to(owner: str) -> set[str]:
    """The tables whose rows go with a row of that table: their foreign keys lead there, straight
    or through others, with `ondelete="CASCADE"`.
    """
    found: set[str] = set()
    while True:
        more = {
            table.name
            for table in METADATA.tables.values()
            for key in table.foreign_keys
            if key.ondelete == "CASCADE" and key.column.table.name in found | {owner}
        } - found
        if not more:
            return found
        found |= more


def add_missing_rows(connection: Connection, ids: dict[str, str]) -> None:
    """Sees to it that each table has a row of the tenant and user whose ids are given, so that a
    new table needs no rows by hand. Adds the ids of the rows to the given ones.
    """
    for table in METADATA.sorted_tables:
        key = next(iter(table.primary_key))
        row = _references(table, ids)
        known = select(key).where(*(table.c[name] == value for name, value in row.items()))
        if table.name in ids:
            known = select(key).where(key == ids[table.name])
        found = connection.execute(known.limit(1)).scalar()
        if found is None:
            found = _add(connection, table, row)
        ids[table.name] = found


def _references(table: Table, ids: Mapping[str, str]) -> dict[str, str]:
    return {
        key.parent.name: ids[key.column.table.name]
        for key in table.foreign_keys
        if key.column.table.name in ids
    }


def _add(connection: Connection, table: Table, row: dict[str, Any]) -> Any:
    try:
        made_up = {column.name: _made_up(column) for column in table.c if not column.nullable}
        values = {**made_up, **row, **VALUES.get(table.name, {})}
        connection.execute(insert(table).values(values))
    except (KeyError, NotImplementedError, SQLAlchemyError) as error:
        pytest.fail(
            f"No row of {table.name} can be made up: name the values that its columns take in "
            f"VALUES in tests/db/ownership.py ({error})"
        )
    return values[next(iter(table.primary_key)).name]


def _made_up(column: Column[Any]) -> Any:
    kind = column.type  # SQLModel wraps some types in its own
    return _MADE_UP[(kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type]
