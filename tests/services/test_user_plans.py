"""Each page of the list of users is found by an index, whatever it is narrowed and sorted by."""

import itertools
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.signals import Signals
from orderdesk_app.services import user_list
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.user_filter import SORTS, UserFilter, UserPlace
from orderdesk_app.services.users import Users
from tests.services.test_users import Written, everybody, fill

# where a page begins; None is among the users without a value
STARTS = {"name": "ada", "created": datetime(2026, 11, 1, tzinfo=UTC)}
SHELL = Actor(TenantId(""), via=Via.SHELL)
READS_ALL = re.compile(r"Seq Scan on users|SCAN users(?! USING (COVERING )?INDEX)")
# the filter, and what the index that leads begins with before the sorted column
LEADS: dict[str, tuple[dict[str, str], str]] = {
    "everybody": ({}, ""),
    "active": ({"state": "active"}, "state_top_role_"),
    "operators": ({"state": "operator"}, "state_top_role_"),
    "viewers": ({"role": "viewer"}, "state_top_role_"),
}

MANY = (
    "INSERT INTO users (id, name, email, is_operator, created_at, disabled_at, last_sign_in_at, "
    "last_active_at, top_role) SELECT 'many' || n, 'name ' || n % 500, n || '@many.example', "
    "n % 50 = 0, now() - n * interval '1 minute', CASE WHEN n % 7 = 0 THEN now() END, "
    "now() - n * interval '1 second', now() - n * interval '1 second', "
    "(ARRAY['owner', 'member', 'viewer', ''])[1 + n % 4] FROM generate_series(1, 4000) AS n"
)


async def plans(database: Database, users: Users, wanted: UserFilter, **way: Any) -> list[str]:
    """The plan of each question about users that the page asks."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "top_role" in statement or "count(*)" in statement:
            asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await users.page(SHELL, wanted, count=5, **way)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    found = []
    async with database.write() as session:
        connection = await session.connection()
        if not database.is_sqlite:  # all questions shall be answered in the order of an index
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            await connection.execute(text("SET LOCAL enable_sort = off"))
        for statement, parameters in asked:
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            found.append("\n".join(str(row[-1]) for row in rows))
    return found


@pytest.fixture
async def users(database: Database, signals: Signals) -> Users:
    await fill(database)
    await everybody(database)
    if not database.is_sqlite:
        # of few rows its planner takes any index, and without figures it guesses how many there are
        await database.execute(MANY, {})
        await database.execute("ANALYZE users", {})
    return Users(database, signals, Reauthentication(database), Written())


async def test_every_filter_and_sort_is_answered_by_its_index(
    database: Database, users: Users
) -> None:
    wrong = []
    directions = itertools.cycle((False, True))
    for (given, lead), (sort, column) in itertools.product(LEADS.values(), SORTS.items()):
        wanted = UserFilter(**given, sort=sort, is_descending=next(directions))
        for way in ({}, {"after": UserPlace(STARTS.get(sort), "u1")}):
            found = await plans(database, users, wanted, **way)
            assert found
            wrong += [
                f"{wanted} {way}:\n{plan}"
                for plan in found
                if f"ix_users_{lead}{column}_id" not in plan or READS_ALL.search(plan)
            ]

    assert not wrong, "\n\n".join(wrong[:3])


@pytest.mark.parametrize("most", [user_list.FOUND_MOST, 0])
async def test_a_search_is_answered_by_the_indexes_of_names_and_addresses(
    database: Database, users: Users, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few that fit are found by them, and many by the index of the sort."""
    monkeypatch.setattr(user_list, "FOUND_MOST", most)
    found = await plans(database, users, UserFilter(search="ada", sort="active"))

    count, *page = found
    assert all(f"ix_users_{key}_id" in count for key in ("name_key", "email_key"))
    assert page
    for plan in page:
        assert not READS_ALL.search(plan), plan
        if most:  # found first, by both, and sorted then
            assert all(f"ix_users_{key}_id" in plan for key in ("name_key", "email_key")), plan
            assert re.search("MATERIALIZE found|CTE found", plan), plan
        assert "ix_users_name_key_id" in plan or "ix_users_last_active_at_id" in plan, plan
