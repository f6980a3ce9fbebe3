"""Which clock counts: several hosts on one Postgres use the server's clock; SQLite is on one host
and uses that host's.
"""

from orderdesk_app.db.engine import Database


def clock_sql(database: Database, *, injected: bool = False) -> str:
    """The SQL for seconds since 1970.

    `:now` is the caller's clock, which a test may set.
    """
    return (
        ":now"
        if database.is_sqlite or injected
        else "extract(epoch FROM clock_timestamp())::double precision"
    )
