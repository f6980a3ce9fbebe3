"""Whose rows a table holds, read from the foreign keys of the schema."""

from orderdesk_app.db.schema import METADATA


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
