"""A user is deleted with everything of theirs, and nothing of anybody else."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.context import Actor, UserId, Via
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, Conflict, NotFound, PermissionDenied, ValidationFailed
from orderdesk_app.services.user_deletion import ACTION
from tests.db.ownership import belonging_to
from tests.deletions import (
    EMAIL,
    NAME,
    VALUES,
    Person,
    add_made_up_rows,
    all_rows,
    files_below,
    make_person,
    places_of,
)
from tests.worlds import FIRST_ORDER, World, on_sqlite, open_world, settings_for


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(database_url), None) as world:
        yield world


@pytest.fixture
async def person(world: World) -> Person:
    return await make_person(world)


async def _make_operator(person: Person) -> Actor:
    services = person.services
    admin = await services.tenants.ensure_admin(master_key=None, has_webui=True)
    return Actor(admin.tenant_id, admin.user_id, is_operator=True, via=Via.WEB, session_id="01OP")


async def test_all_rows_of_a_user_go_and_no_row_of_anybody_else(person: Person) -> None:
    services = person.services
    operator = await _make_operator(person)
    await add_made_up_rows(person)
    await services.audit.flush()
    await services.user_activity.flush()
    await services.key_uses.flush()  # they are noted in the background
    before = await all_rows(services.database)

    deleted = await services.user_deletion.delete(operator, person.user_id, EMAIL)

    assert deleted.is_finished
    await services.audit.flush()
    await services.user_activity.flush()
    after = await all_rows(services.database)
    gone = {person.user_id, person.own.tenant_id}
    keys = {row["id"] for row in before["credentials"] if gone & set(map(str, row.values()))}
    for table in sorted(belonging_to("tenants") | belonging_to("users") | {"tenants", "users"}):
        hers = [row for row in before[table] if (gone | keys) & set(map(str, row.values()))]
        assert hers or table == "sandbox_rows", f"she had nothing in {table}"
    assert not places_of(after, *VALUES)
    # A signal is kept for a minute, and names ids. The key that was made up is called x.
    assert not places_of({**after, "signals": []}, *gone, *(keys - {"x"}))
    assert _of_others(person, before) == _of_others(person, after)


def _of_others(person: Person, rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    """What is nobody's but the neighbour's, and the shared account's without her."""
    shared, bert = person.shared.tenant_id, person.bert
    kept: dict[str, list[Any]] = {}
    for table, found in rows.items():
        kept[table] = [
            {name: cell for name, cell in row.items() if name not in ("last_active_at",)}
            for row in found
            if person.user_id not in row.values()
            and {shared, bert.tenant_id, bert.user_id} & set(map(str, row.values()))
        ]
    # An invitation to her is not of others alone.
    kept["invitations"] = [row for row in kept["invitations"] if row["email_key"] != EMAIL]
    names = {"audit_log": "user_id", "changes": "user_id"}
    for table, column in names.items():
        kept[table] = [row for row in kept[table] if row[column] is not None]
    return kept


@on_sqlite
async def test_in_the_account_of_others_what_she_did_stays_without_her(person: Person) -> None:
    services = person.services
    before = await all_rows(services.database)
    hers = [
        row
        for row in before["audit_log"]
        if row["tenant_id"] == person.shared.tenant_id and row["user_id"] == person.user_id
    ]
    written = [row for row in before["changes"] if row["tenant_id"] == person.shared.tenant_id]

    await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    after = await all_rows(services.database)
    left = {row["id"]: row for row in after["audit_log"]}
    kept = ("at", "tenant_id", "tool", "action", "outcome", "store_row_id", "duration_ms")
    assert hers
    for row in hers:
        now_there = left[row["id"]]
        assert {name: now_there[name] for name in kept} == {name: row[name] for name in kept}
        assert (now_there["user_id"], now_there["credential_id"], now_there["arguments"]) == (
            None,
            None,
            None,
        )
        emptied = ("address", "client_name", "client_version", "role", "request_id")
        assert {now_there[name] for name in emptied} == {""}
    journal = {row["id"]: row for row in after["changes"]}
    assert written
    for row in written:
        assert journal[row["id"]]["before"] == row["before"]
        assert journal[row["id"]]["client_name"] == ""
        assert journal[row["id"]]["user_id"] is None


@on_sqlite
@pytest.mark.parametrize("by", ["an operator", "herself"])
async def test_one_row_says_that_it_happened_and_names_nobody(person: Person, by: str) -> None:
    services = person.services
    operator = await _make_operator(person)
    actor = operator if by == "an operator" else person.own

    await services.user_deletion.delete(actor, person.user_id, EMAIL)

    rows = [row for row in await person.world.audit_rows() if row.action == ACTION]
    assert len(rows) == 1
    [row] = rows
    assert row.tenant_id == operator.tenant_id
    assert row.user_id == (operator.user_id if by == "an operator" else None)
    assert row.arguments is not None
    place = (operator.tenant_id, "audit_entries", "arguments", row.id)
    said = await services.sealer.open_for(*place, row.arguments)
    assert json.loads(said)["account"] == 1
    assert not [value for value in (*VALUES, person.user_id) if value.encode() in said]


@on_sqlite
async def test_the_dialog_counts_what_goes_and_says_who_else_loses_it(person: Person) -> None:
    operator = await _make_operator(person)

    preview = await person.services.user_deletion.preview(operator, person.user_id)

    assert (preview.name, preview.to_type) == (NAME, EMAIL)
    assert [(account.name, account.others) for account in preview.goes] == [
        ("Ada's Teas", ("Cleo",))
    ]
    assert [account.name for account in preview.stays] == ["Shared shop"]
    counts = {count.words: count.number for count in preview.counts}
    assert (counts["account"], counts["connected store"], counts["sessions"]) == (1, 1, 2)
    assert counts["keys"] == 2  # her account's master key, and hers in the shared one
    assert counts["change in the journal"] == 1
    assert counts["call in the console's history"] == 1
    assert counts["mail that waits"] == 1


@on_sqlite
async def test_counts_are_those_of_the_rows_that_go(person: Person) -> None:
    await add_made_up_rows(person)
    services = person.services
    before = await all_rows(services.database)
    preview = await services.user_deletion.preview(person.own, person.user_id)

    await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    after = await all_rows(services.database)
    # what remains of a chain is its signed end
    tables = set(METADATA.tables) - {"signals", "leases", "buckets", "users", "audit_chains"}
    gone = sum(len(before[table]) - len(after[table]) for table in tables)
    gone += 1  # the one row that says that it happened
    gone -= 1  # Bert's invitation to her, which is not in the dialog
    counted = [count for count in preview.counts if "others' activity" not in count.words]
    assert sum(count.number for count in counted) == gone


@on_sqlite
@pytest.mark.parametrize("typed", ["", NAME, "bert@example.com"])
async def test_without_her_address_typed_nothing_happens(person: Person, typed: str) -> None:
    services = person.services
    before = await all_rows(services.database)

    with pytest.raises(ValidationFailed, match="Type adelheid"):
        await services.user_deletion.delete(person.own, person.user_id, typed)

    assert await all_rows(services.database) == before


@on_sqlite
async def test_a_user_without_an_address_is_deleted_by_name(person: Person) -> None:
    services = person.services
    async with services.database.write() as session:
        await session.exec(update(User).where(col(User.id) == person.user_id).values(email=None))

    await services.user_deletion.delete(person.own, person.user_id, f" {NAME} ")

    assert not places_of(await all_rows(services.database), NAME)


@on_sqlite
async def test_others_find_nobody_but_themselves(person: Person) -> None:
    deletion = person.services.user_deletion
    agent = Actor(person.own.tenant_id, person.user_id, via=Via.MCP)

    for actor, user_id in (
        (person.bert, person.user_id),
        (person.bert, UserId("01NOBODY")),
        (agent, person.user_id),
    ):
        with pytest.raises(NotFound, match="no such user"):
            await deletion.preview(actor, user_id)
        with pytest.raises(NotFound, match="no such user"):
            await deletion.delete(actor, user_id, EMAIL)


@on_sqlite
async def test_who_is_an_operator_no_longer_finds_nobody(person: Person) -> None:
    operator = await _make_operator(person)
    await person.services.database.execute(
        "UPDATE users SET is_operator = false WHERE id = :id", {"id": operator.user_id}
    )

    with pytest.raises(NotFound):
        await person.services.user_deletion.preview(operator, person.user_id)


@on_sqlite
async def test_the_last_operator_cannot_be_deleted(person: Person) -> None:
    services = person.services
    operator = await _make_operator(person)
    assert operator.user_id is not None

    with pytest.raises(Conflict, match="last operator"):
        await services.user_deletion.delete(operator, operator.user_id, "Admin")

    async with services.database.write() as session:
        hers = update(User).where(col(User.id) == person.user_id)
        await session.exec(hers.values(is_operator=True))
    await services.user_deletion.delete(operator, operator.user_id, "Admin")


@on_sqlite
async def test_who_has_the_key_of_one_account_does_not_reach_the_others(person: Person) -> None:
    principal = await person.world.owner.principal()
    with_key = Actor(
        person.own.tenant_id,
        person.user_id,
        via=Via.WEB,
        credential_id=principal.actor.credential_id,
        session_id="01SESSION",
    )

    with pytest.raises(PermissionDenied, match="master key"):
        await person.services.user_deletion.delete(with_key, person.user_id, EMAIL)


@on_sqlite
async def test_whose_only_account_it_is_may_use_its_key(person: Person) -> None:
    services = person.services
    account, key = await services.tenants.make_tenant("Dora's Dates")
    principal = await services.access.by_token(key.reveal(), via=Via.WEB)

    await services.user_deletion.delete(principal.actor, account.owner_id, "Dora's Dates")

    with pytest.raises(AuthFailed):
        await services.access.by_token(key.reveal())


@on_sqlite
async def test_nothing_of_hers_is_remembered_in_the_process(person: Person) -> None:
    services = person.services
    store = (await person.world.owner.stores())[0]
    tenant_id = person.own.tenant_id

    await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    assert services.keyring.held(tenant_id) is None
    with pytest.raises(AuthFailed):
        await person.world.owner.principal()
    with pytest.raises(AuthFailed):
        await services.access.by_token(person.key.reveal())
    assert not await services.cache.get(_key_of_first_order(store))


def _key_of_first_order(store: Any) -> str:
    return f"{store.tenant_id}|{store.id}|{store.upstream_id}|order|{FIRST_ORDER}"


@on_sqlite
async def test_the_file_of_the_cache_holds_nothing_of_hers(
    database_url: str, data_dir: Path
) -> None:
    settings = settings_for(database_url).model_copy(
        update={"cache_backend": "sqlite", "data_dir": data_dir}
    )
    async with open_world(settings, None) as world:
        person = await make_person(world)
        cached = _entries(data_dir)

        await world.services.user_deletion.delete(person.own, person.user_id, EMAIL)

        left = _entries(data_dir)
        # Bert's and the shared account's are still there
        assert 0 < left < cached
        found = [
            (path.name, value)
            for path in files_below(data_dir)
            if path.name.startswith("cache")
            for value in VALUES
            if value.encode() in path.read_bytes()
        ]
        assert found == []


def _entries(data_dir: Path) -> int:
    with contextlib.closing(sqlite3.connect(data_dir / "cache.db")) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM entries").fetchall()
    return int(count)
