"""All rows of the activity: pages by key, filters, and what they cost."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services import activity_log
from orderdesk_app.services.activity_entries import ActivityEntries
from orderdesk_app.services.activity_filter import ActivityFilter, read_filter
from orderdesk_app.services.activity_log import ActivityLog
from orderdesk_app.services.audit import AuditLog, Entry

WRITES = ("orders_update", "orders_delete")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class LogWorld:
    """The log of one account, and rows that happen one second after the other."""

    def __init__(self, database: Database, sealer: Sealer, person: Actor) -> None:
        self.database = database
        self.audit = AuditLog(database, sealer, enabled=True)
        self.log = ActivityLog(database, ActivityEntries(sealer), self.audit)
        self.person = person
        self.agent = replace(person, via=Via.MCP, credential_id="01KEY", client_name="Claude")
        self.seconds = 0

    async def happen(self, actor: Actor | None = None, **values: Any) -> str:
        self.seconds += 1
        entry = Entry(
            **{
                "actor": actor or self.agent,
                "action": "tool",
                "tool": "orders_get",
                "at": NOON + timedelta(seconds=self.seconds),
                **values,
            }
        )
        if entry.action != "tool":
            entry = replace(entry, tool=None)
        await self.audit.write(entry)
        return entry.id

    async def page(self, query: dict[str, str] | None = None, **options: Any) -> Any:
        return await self.log.page(self.person, read_filter(query or {}), writes=WRITES, **options)

    async def found(self, query: dict[str, str], **options: Any) -> list[str]:
        return [entry.id for entry in (await self.page(query, **options)).entries]


@pytest.fixture
def world(database: Database, sealer: Sealer, tenant: Any) -> LogWorld:
    return LogWorld(database, sealer, tenant.actor)


async def test_pages_lead_from_the_newest_row_to_the_oldest_and_back(world: LogWorld) -> None:
    # rows of one moment, so that the time alone is no key
    ids = [await world.happen(at=NOON + timedelta(seconds=number // 3)) for number in range(10)]
    in_order = sorted(ids, key=lambda row_id: (ids.index(row_id) // 3, row_id), reverse=True)

    first = await world.page(count=4)
    second = await world.page(count=4, before=first.older)
    third = await world.page(count=4, before=second.older)
    back = await world.page(count=4, after=third.newer)
    top = await world.page(count=4, after=back.newer)

    pages = [[entry.id for entry in page.entries] for page in (first, second, third, back, top)]
    assert pages == [in_order[:4], in_order[4:8], in_order[8:], in_order[4:8], in_order[:4]]
    assert (first.newer, third.older, top.newer) == (None, None, None)


async def test_rows_that_come_meanwhile_move_no_page(world: LogWorld) -> None:
    ids = [await world.happen() for _ in range(6)][::-1]
    first = await world.page(count=3)

    await world.happen()
    second = await world.page(count=3, before=first.older)

    assert [entry.id for entry in second.entries] == ids[3:]
    assert second.older is None


async def test_each_filter_finds_its_rows_and_no_others(world: LogWorld) -> None:
    console = replace(world.person, via=Via.CONSOLE)
    web = world.person
    ids = {
        "read": await world.happen(),
        "changed": await world.happen(tool="orders_update", store_row_id="01STORE"),
        "missing": await world.happen(outcome="NOT_FOUND", store_row_id="01STORE"),
        "refused": await world.happen(tool="orders_update", outcome="PERMISSION_DENIED"),
        "failed": await world.happen(outcome="ORDERDESK_API_ERROR", request_id="01REQUEST"),
        "other": await world.happen(replace(world.agent, client_name="Zed")),
        "console": await world.happen(console, tool="orders_delete"),
        "key": await world.happen(web, action="key.create"),
        "signed in": await world.happen(web, action="sign_in.key"),
        "later": await world.happen(at=NOON + timedelta(days=1)),
    }
    names = {row_id: name for name, row_id in ids.items()}

    async def found(**query: str) -> set[str]:
        return {names[row_id] for row_id in await world.found(query)}

    assert await found() == set(ids)
    assert await found(tool="orders_update") == {"changed", "refused"}
    assert await found(tool="key.create") == {"key"}
    assert await found(client="Zed") == {"other"}
    assert await found(outcome="NOT_FOUND") == {"missing"}
    assert await found(outcome="refused") == {"refused"}
    assert await found(outcome="ORDERDESK_API_ERROR") == {"failed"}
    assert await found(outcome="ok") == set(ids) - {"missing", "refused", "failed"}
    assert await found(writes="1") == {"changed", "refused", "console", "key"}
    assert await found(store="01STORE") == {"changed", "missing"}
    assert await found(person=str(web.user_id)) == {"console", "key", "signed in"}
    assert await found(request="01REQUEST") == {"failed"}
    assert await found(**{"from": "2026-11-21"}) == {"later"}
    assert await found(to="2026-11-20") == set(ids) - {"later"}
    assert await found(writes="1", outcome="ok", store="01STORE") == {"changed"}
    assert await found(tool="orders_update", outcome="refused") == {"refused"}
    assert await found(client="Claude", outcome="NOT_FOUND", tool="orders_delete") == set()


@pytest.mark.parametrize("query", [{"writes": "1"}, {"outcome": "refused"}, {"outcome": "ok"}])
async def test_pages_of_a_filter_have_every_row_of_it_once(
    world: LogWorld, query: dict[str, str]
) -> None:
    for number in range(24):
        await world.happen(
            tool=WRITES[number % 2] if number % 3 else "orders_get",
            outcome=("ok", "PERMISSION_DENIED", "VALIDATION_ERROR", "NOT_FOUND")[number % 4],
        )
    at_once = await world.found(query, count=50)
    one_by_one: list[str] = []
    before = None

    while True:
        page = await world.page(query, count=4, before=before)
        one_by_one += [entry.id for entry in page.entries]
        before = page.older
        if before is None:
            break

    assert one_by_one == at_once
    assert len(at_once) >= 6


@pytest.mark.parametrize("query", [{"outcome": "NOT_FOUND", "client": "Zed"}, {"outcome": "ok"}])
async def test_a_search_that_would_take_long_says_how_far_it_looked_and_goes_on_from_there(
    world: LogWorld, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    monkeypatch.setattr(activity_log, "LOOKED_THROUGH", 5)
    zed = replace(world.agent, client_name="Zed")
    wanted = [
        await world.happen(zed, outcome=query["outcome"]),
        await world.happen(zed, outcome=query["outcome"]),
    ]
    for _ in range(12):
        await world.happen(outcome="NOT_FOUND")
    found: list[str] = []
    looked = []
    before = None

    while True:
        page = await world.page(query, count=2, before=before)
        found += [entry.id for entry in page.entries]
        before = page.older
        if page.looked_to is not None:
            looked.append(page.looked_to)
        if before is None:
            break

    assert found == wanted[::-1]
    assert looked[:2] == [NOON + timedelta(seconds=10), NOON + timedelta(seconds=5)]
    up = await world.page(query, count=2, after=(await world.page(query, count=2)).older)
    assert up.older is not None


async def test_what_nobody_does_takes_nothing_from_how_far_a_search_looks(
    world: LogWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more than thirty kinds of changes most accounts have a few."""
    monkeypatch.setattr(activity_log, "LOOKED_THROUGH", 60)
    row_id = await world.happen(replace(world.agent, client_name="Zed"), tool="orders_update")
    for number in range(40):
        await world.happen(tool=WRITES[number % 2])

    page = await world.page({"writes": "1", "client": "Zed"}, count=2)

    assert ([entry.id for entry in page.entries], page.looked_to) == ([row_id], None)


async def test_a_neighbour_sees_nothing_of_it(
    world: LogWorld, sealer: Sealer, neighbour: Any
) -> None:
    row_id = await world.happen(request_id="01REQUEST", store_row_id="01STORE")
    bert = replace(neighbour.actor, via=Via.WEB)
    queries = ({}, {"request": "01REQUEST"}, {"store": "01STORE"}, {"client": "Claude"})

    seen = [
        entry.id
        for query in queries
        for entry in (await world.log.page(bert, read_filter(query), writes=WRITES)).entries
    ]
    person = ActivityFilter(person=str(world.person.user_id))
    seen += [e.id for e in (await world.log.page(bert, person, writes=WRITES)).entries]

    assert seen == []
    assert row_id
    assert await world.log.clients(bert) == []
    assert str(world.person.user_id) not in await world.log.people(bert)


async def test_the_filters_offer_the_programs_and_the_people_of_the_account(
    world: LogWorld,
) -> None:
    for name in ("Zed", "Claude", "Claude", "", "Ärger"):
        await world.happen(replace(world.agent, client_name=name))

    assert sorted(await world.log.clients(world.person)) == ["Claude", "Zed", "Ärger"]
    assert set(await world.log.people(world.person)) == {str(world.person.user_id)}


# ------------------------------------------------------------------ what a question costs


def add_rows(count: int) -> str:
    """One day of an account, with something of everything, as one statement of either database."""
    return (
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        f"WHERE n < {count}) INSERT INTO audit_log (id, at, tenant_id, user_id, role, via, "
        "client_name, client_version, address, action, tool, store_row_id, outcome, duration_ms, "
        "cached, upstream_requests, request_id, times) SELECT 'row' || n, {at}, :tenant, "
        "CASE WHEN n % 500 = 0 THEN :user END, '', CASE WHEN n % 500 = 0 THEN 'web' ELSE 'mcp' END,"
        " CASE WHEN n % 500 = 1 THEN 'Zed' ELSE 'Claude' END, '', '', "
        "CASE WHEN n % 500 = 0 THEN 'key.create' ELSE 'tool' END, "
        "CASE WHEN n % 500 = 0 THEN NULL WHEN n % 500 = 2 THEN 'orders_update' "
        "ELSE 'orders_get' END, CASE WHEN n % 500 = 3 THEN '01RARE' WHEN n % 2 = 0 THEN '01STORE' "
        "END, CASE WHEN n % 500 = 4 THEN 'NOT_FOUND' ELSE 'ok' END, n, {false}, 1, 'request' || n, "
        "1 FROM numbers"
    )


async def fill(world: LogWorld, neighbour: Actor, count: int) -> None:
    """Rows of the account and of its neighbour, who has as many."""
    at, false = (
        ("strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || n || ' seconds')", "0")
        if world.database.is_sqlite
        else ("now() - n * interval '1 second'", "false")
    )
    statement = add_rows(count).replace("{at}", at).replace("{false}", false)
    for letter, owner in (("r", world.person), ("n", neighbour)):
        values = {"tenant": owner.tenant_id, "user": owner.user_id}
        await world.database.execute(statement.replace("'row'", f"'{letter}'"), values)
    if not world.database.is_sqlite:  # which the app never analyses
        await world.database.execute("ANALYZE", {})


READS_ALL = re.compile(r"Seq Scan on public.audit_log|SCAN audit_log(?! USING (COVERING )?INDEX)")
LEADS = {
    "": "tenant_id_at",
    "tool=orders_update": "tenant_id_tool_at",
    "tool=key.create": "tenant_id_action_at",
    "client=Zed": "tenant_id_client_name_at",
    "outcome=NOT_FOUND": "tenant_id_outcome_at",
    "outcome=refused": "tenant_id_outcome_at",
    "outcome=ok": "tenant_id_at",
    "writes=1": "tenant_id_tool_at",
    "store=01RARE": "tenant_id_store_row_id_at",
    "person=PERSON": "user_id_tenant_id_via_at",
    "request=request77": "tenant_id_request_id_at",
    "from=2026-01-01&to=2099-01-01": "tenant_id_at",
    "tool=orders_update&outcome=NOT_FOUND&client=Zed": "tenant_id_tool_at",
    "writes=1&client=Zed&store=01RARE": "tenant_id_tool_at",
}


async def plans(world: LogWorld, ask: Callable[[], Any]) -> list[str]:
    """The plan of each question about the audit log that `ask` asks."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "FROM audit_log" in statement:
            asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await ask()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if world.database.is_sqlite else "EXPLAIN (ANALYZE, VERBOSE) "
    found = []
    async with world.database.read() as session:
        connection = await session.connection()
        for statement, parameters in asked:
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            found.append("\n".join(str(row[-1]) for row in rows))
    return found


@pytest.mark.slow  # fills a table of Postgres
async def test_every_filter_is_answered_by_its_index(world: LogWorld, neighbour: Any) -> None:
    await fill(world, neighbour.actor, 10_000)
    wrong: list[str] = []

    for query, index in LEADS.items():
        given = dict(part.split("=") for part in query.split("&") if part)
        if "person" in given:
            given["person"] = str(world.person.user_id)
        page = await world.page(given)
        place = page.older or page.newer
        for options in ({}, {"before": place}, {"after": place}) if place else ({},):
            found = await plans(
                world, lambda given=given, options=options: world.page(given, **options)
            )
            assert found
            wrong += [
                f"{query} {options}:\n{plan}"
                for plan in found
                if f"ix_audit_log_{index}" not in plan or READS_ALL.search(plan)
            ]
    names = await plans(world, lambda: world.log.clients(world.person))
    wrong += [plan for plan in names if "ix_audit_log_tenant_id_client_name_at" not in plan]

    assert not wrong, "\n\n".join(wrong)
