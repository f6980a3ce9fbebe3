"""Finding a key, going on with a session and signing in take the same time however many tenants
there are: each statement finds its rows by an index.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from orderdesk_app.context import Actor, Secret, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.security.tokens import new_access_key
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.tenants import NewAccount
from orderdesk_app.wiring import Services
from tests.oauth import add_client, person, refresh
from tests.worlds import open_services, settings_for

Statement = tuple[str, Any]
BROWSER = {"address": "203.0.113.9", "user_agent": "Firefox"}


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """What SQLAlchemy sends to a database meanwhile, with its values."""
    seen: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", statement):
            seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def full_scans(database: Database, statement: Statement) -> list[str]:
    """The lines of the plan that read a whole table."""
    words, values = statement
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    async with database.write() as session:
        connection = await session.connection()
        if not database.is_sqlite:  # few rows: it would not trouble to use an index
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (await connection.exec_driver_sql(f"{explain} {words}", values)).all()
    lines = [str(row[-1]) for row in plan]
    # SQLite reads what a materialised part of the statement has made, too.
    return [line for line in lines if re.search(r"Seq Scan|^\s*SCAN (?!CONSTANT|\()", line)]


async def find_key(services: Services, account: NewAccount, key: Secret) -> None:
    await services.keys.find(key.reveal())


async def find_unknown_key(services: Services, account: NewAccount, key: Secret) -> None:
    await services.keys.find(new_access_key().reveal())


async def read_account(services: Services, account: NewAccount, key: Secret) -> None:
    await services.access.by_token(key.reveal())


async def sign_in(services: Services, account: NewAccount, key: Secret) -> None:
    await services.sign_in.with_key(key, **BROWSER)


async def sign_in_by_link(services: Services, account: NewAccount, key: Secret) -> None:
    link = await services.sign_in.make_link(account.id)
    await services.sign_in.look_at_link(link.reveal())
    await services.sign_in.use_link(link.reveal(), **BROWSER)


async def resume(services: Services, account: NewAccount, key: Secret) -> None:
    cookie = await services.sign_in.with_key(key, **BROWSER)
    user = await services.sessions.resume(cookie)
    assert user is not None
    await services.access.of_actor(user.actor)
    await services.reauthentication.is_recent(user.actor)


async def open_a_new_account(services: Services, account: NewAccount, key: Secret) -> None:
    await services.tenants.make_tenant("Another")


async def is_a_key_taken(services: Services, account: NewAccount, key: Secret) -> None:
    await services.keys.is_taken(key.reveal())


async def use_an_app(services: Services, account: NewAccount, key: Secret) -> None:
    client = await add_client(services)
    ada = person(services, account.id, account.owner_id)
    pair = await ada.connect(client)
    await services.access.by_token(pair.access.reveal())
    later = await refresh(services, client, pair.refresh.reveal())
    await refresh(services, client, pair.refresh.reveal())
    await services.oauth_tokens.revoke(client, later.access.reveal(), address="")


async def list_keys(services: Services, account: NewAccount, key: Secret) -> None:
    await services.keys.list(Actor(account.id, account.owner_id, via=Via.WEB))


ACTS = (
    find_key,
    find_unknown_key,
    read_account,
    sign_in,
    sign_in_by_link,
    resume,
    open_a_new_account,
    is_a_key_taken,
    list_keys,
    use_an_app,
)


@pytest.mark.parametrize("act", ACTS)
async def test_no_statement_reads_a_whole_table(
    database_url: str, act: Callable[[Services, NewAccount, Secret], Awaitable[None]]
) -> None:
    async with open_services(settings_for(database_url)) as services:
        account, key = await services.tenants.make_tenant("Ada's Teas")
        # the first row of an installation counts the chains of the audit log
        await services.audit.write(Entry(Actor(account.id), "tool", tool="orders_get"))
        with statements() as seen:
            await act(services, account, key)

        scans = {
            statement[0]: found
            for statement in seen
            if (found := await full_scans(services.database, statement))
        }

    assert seen or act is open_a_new_account
    assert scans == {}


async def test_a_statement_that_reads_a_whole_table_is_seen(database: Database) -> None:
    assert await full_scans(database, ("SELECT id FROM users WHERE name = 'Ada'", ()))
    assert not await full_scans(database, ("SELECT id FROM users WHERE id = 'Ada'", ()))
