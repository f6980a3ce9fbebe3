"""Files of the activity: whole, in parts, harmless for spreadsheets, and few at a time."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from orderdesk_app.context import StoreRowId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.errors import RateLimited
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services import activity_export
from orderdesk_app.services.activity_entries import ActivityEntries
from orderdesk_app.services.activity_export import ActivityExport, Form
from orderdesk_app.services.activity_filter import read_filter
from orderdesk_app.services.activity_log import ActivityLog
from orderdesk_app.services.audit import AuditLog, Entry

WRITES = ("orders_update",)


class OneStore:
    """The part of services/stores.py that a file asks."""

    async def list(self, _: Any) -> list[Any]:
        return [type("Record", (), {"id": StoreRowId("01STORE"), "name": "Ada’s Teas"})()]


class FileWorld:
    def __init__(self, database: Database, sealer: Sealer, person: Any) -> None:
        self.audit = AuditLog(database, sealer, enabled=True)
        log = ActivityLog(database, ActivityEntries(sealer), self.audit)
        stores: Any = OneStore()
        self.export = ActivityExport(log, stores, self.audit)
        self.person = person
        self.agent = replace(person, via=Via.MCP, client_name="Claude")

    async def happen(self, **values: Any) -> None:
        facts = {"actor": self.agent, "action": "tool", "tool": "orders_get", **values}
        await self.audit.write(Entry(**facts))

    async def parts(self, form: Form, actor: Any = None, **query: str) -> list[bytes]:
        wanted = read_filter({"tool": "orders_get", **query})
        opened = self.export.open(actor or self.person, wanted, form, writes=WRITES)
        async with opened as parts:
            return [part async for part in parts]

    async def table(self, **query: str) -> list[dict[str, str]]:
        text = b"".join(await self.parts("csv", **query)).decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def world(database: Database, sealer: Sealer, tenant: Any) -> FileWorld:
    return FileWorld(database, sealer, tenant.actor)


async def test_a_table_has_what_happened_with_its_names(world: FileWorld) -> None:
    await world.happen(
        store_row_id="01STORE",
        outcome="NOT_FOUND",
        arguments={"order_id": "1042", "note": "two\nlines, “quoted”"},
        request_id="01REQUEST",
        duration_ms=12.3456,
    )

    [row] = await world.table()

    assert tuple(row) == activity_export.COLUMNS
    assert row["time"].endswith("+00:00")
    assert (row["what"], row["outcome"], row["through"], row["program"], row["store"]) == (
        "orders_get",
        "NOT_FOUND",
        "mcp",
        "Claude",
        "Ada’s Teas",
    )
    assert (row["duration_ms"], row["from_cache"], row["times"]) == ("12.346", "no", "1")
    assert json.loads(row["arguments"]) == {"order_id": "1042", "note": "two\nlines, “quoted”"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
async def test_no_cell_is_a_formula(world: FileWorld, start: str) -> None:
    evil = f"{start}HYPERLINK(1)"
    agent = replace(world.agent, client_name=evil)
    await world.happen(actor=agent, request_id=evil, duration_ms=-1.0)

    [row] = await world.table()

    assert (row["program"], row["request_id"]) == (f"'{evil}", f"'{evil}")
    assert row["duration_ms"] == "-1.0"  # a number is no formula


async def test_lines_are_json_with_every_digit(world: FileWorld) -> None:
    await world.happen(arguments={"id": 123456789012345678, "list": [{"big": 2**60}], "is": True})

    [line] = b"".join(await world.parts("jsonl")).decode().splitlines()

    row = json.loads(line)
    assert tuple(row) == activity_export.COLUMNS
    assert row["arguments"] == {
        "id": "123456789012345678",
        "list": [{"big": str(2**60)}],
        "is": True,
    }
    assert row["from_cache"] is False


async def test_a_long_file_comes_in_parts_and_says_where_it_ends(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await world.happen(arguments={"order_id": str(number)})
    monkeypatch.setattr(activity_export, "ROWS_AT_ONCE", 3)

    parts = await world.parts("jsonl")
    monkeypatch.setattr(activity_export, "MOST_EXPORTED", 5)
    cut = [json.loads(line) for line in b"".join(await world.parts("jsonl")).splitlines()]
    table = await world.table()

    assert [part.count(b"\n") for part in parts] == [3, 3, 2]
    assert [row["arguments"]["order_id"] for row in cut[:-1]] == ["7", "6", "5", "4", "3"]
    assert cut[-1] == {"what": "The file ends here, after 5 rows"}
    assert (len(table), table[-1]["what"]) == (6, "The file ends here, after 5 rows")


async def test_a_file_has_the_rows_of_its_filters_alone(world: FileWorld) -> None:
    await world.happen(outcome="NOT_FOUND")
    await world.happen()

    assert [row["outcome"] for row in await world.table(outcome="NOT_FOUND")] == ["NOT_FOUND"]


async def test_a_file_of_no_rows_has_its_head(world: FileWorld) -> None:
    parts = await world.parts("csv")

    assert b"".join(parts).decode("utf-8-sig").strip() == ",".join(activity_export.COLUMNS)


async def test_a_neighbours_file_has_nothing_of_it(world: FileWorld, neighbour: Any) -> None:
    await world.happen(arguments={"order_id": "4711"})

    found = b"".join(await world.parts("jsonl", replace(neighbour.actor, via=Via.WEB)))

    assert found == b""


async def test_few_files_of_an_account_are_under_way_at_once(
    world: FileWorld, neighbour: Any
) -> None:
    def start(actor: Any) -> Any:
        return world.export.open(actor, read_filter({}), "csv", writes=WRITES)

    async with start(world.person), start(world.person), start(neighbour.actor):
        with pytest.raises(RateLimited, match="Wait until one has ended"):
            async with start(world.person):
                pass
    async with start(world.person) as parts:
        assert await anext(parts)


async def test_a_download_is_a_row_of_the_activity(world: FileWorld) -> None:
    await world.parts("jsonl", outcome="NOT_FOUND")

    opened = world.export.open(world.person, read_filter({}), "jsonl", writes=WRITES)
    async with opened as parts:
        rows = [json.loads(line) async for part in parts for line in part.splitlines()]

    assert [(row["what"], row["through"]) for row in rows] == [("activity.export", "web")] * 2
    assert rows[1]["arguments"] == {
        "format": "jsonl",
        "filters": "tool=orders_get&outcome=NOT_FOUND",
    }
