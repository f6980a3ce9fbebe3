"""A person takes along what is kept about them, an owner all of the account, nobody more."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from orderdesk_app.context import Actor, Role, Via
from orderdesk_app.db.schema import METADATA
from orderdesk_app.errors import NotFound, RateLimited
from orderdesk_app.services import data_export
from orderdesk_app.services.data_export import LEFT_OUT
from tests.db.ownership import belonging_to
from tests.deletions import EMAIL, NAME, ORDER_TEXT, Person, make_person
from tests.worlds import FIRST_ORDER, World, on_sqlite, open_world, settings_for

# Which part of the file has the rows of a table.
EXPORTED = {
    "audit_log": "activity",
    "changes": "changes",
    "console_calls": "console",
    "credentials": "keys",
    "memberships": "role",
    "passkeys": "passkeys",
    "sessions": "sessions",
    "stores": "stores",
}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(database_url), None) as world:
        yield world


@pytest.fixture
async def person(world: World) -> Person:
    return await make_person(world)


async def downloaded(person: Person, actor: Actor) -> tuple[dict[str, Any], str]:
    async with person.services.data_export.open(actor) as parts:
        text = b"".join([part async for part in parts]).decode()
    found: dict[str, Any] = json.loads(text)
    return found, text


async def test_an_owner_gets_all_of_each_account(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_export, "ROWS_AT_ONCE", 2)

    found, text = await downloaded(person, person.own)

    assert (found["user"]["name"], found["user"]["email"]) == (NAME, EMAIL)
    own, shared = found["accounts"]
    assert (own["name"], own["role"]) == ("Ada's Teas", "owner")
    assert shared["name"] == "Shared shop"
    for account in (own, shared):
        tools = [row["what"] for row in account["activity"]]
        assert [tools.count(f"orders_{verb}") for verb in ("list", "update")] == [1, 1]
        assert tools.count("orders_get") >= 3
        assert len({row["id"] for row in account["activity"]}) == len(tools)
        [listed] = [row for row in account["activity"] if row["what"] == "orders_list"]
        assert listed["arguments"] == {"search": ORDER_TEXT}
        [change] = account["changes"]
        assert ORDER_TEXT in json.dumps(change["after"])
        assert len(account["stores"]) == len(account["sessions"]) == 1
    assert [(call["tool"], call["user_id"]) for call in own["console"]] == [
        ("orders_get", person.user_id)
    ]
    assert [key["name"] for key in shared["keys"]] == ["Master key", "Quintessa's key"]
    assert "Bert" not in text


@on_sqlite
@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_others_get_their_own_rows_alone(person: Person, role: Role) -> None:
    services = person.services
    await services.database.execute(
        "UPDATE memberships SET role = :role WHERE user_id = :user AND tenant_id = :tenant",
        {"role": role.value, "user": person.bert.user_id, "tenant": person.shared.tenant_id},
    )
    bert = replace(person.bert, session_id="01BERT")

    found, text = await downloaded(person, bert)

    shared = next(each for each in found["accounts"] if each["name"] == "Shared shop")
    assert not shared["has_all_of_the_account"]
    assert shared["keys"] == shared["activity"] == shared["changes"] == shared["console"] == []
    assert not [value for value in (NAME, EMAIL, ORDER_TEXT, person.user_id) if value in text]


@on_sqlite
async def test_a_colleague_gets_the_calls_that_they_ran_in_the_console(person: Person) -> None:
    services = person.services
    for actor in (person.shared, person.bert):
        caller = replace(actor, tenant_id=person.shared.tenant_id, session_id="01SESSION")
        await services.console.run(caller, "orders_get", {"order_id": FIRST_ORDER})
    await services.database.execute(
        "UPDATE memberships SET role = 'viewer' WHERE user_id = :user AND tenant_id = :tenant",
        {"user": person.bert.user_id, "tenant": person.shared.tenant_id},
    )

    found, _ = await downloaded(person, person.bert)

    shared = next(each for each in found["accounts"] if each["name"] == "Shared shop")
    assert [call["user_id"] for call in shared["console"]] == [person.bert.user_id]


@on_sqlite
async def test_no_secret_is_in_it(person: Person) -> None:
    _, text = await downloaded(person, person.own)

    rows = await person.services.database.query("SELECT * FROM credentials", {})
    secrets = [cell for row in rows for cell in row if isinstance(cell, bytes)]
    assert secrets
    assert not [secret for secret in secrets if secret.hex() in text or str(secret) in text]
    assert person.key.reveal() not in text
    assert person.world.owner.key.reveal() not in text
    store = (await person.world.owner.stores())[0]
    assert person.world.api_key_of(store.store_id) not in text


@on_sqlite
async def test_who_has_the_key_of_one_account_gets_that_one_alone(person: Person) -> None:
    found, text = await downloaded(person, replace(person.own, credential_id="01KEY"))

    assert [account["name"] for account in found["accounts"]] == ["Ada's Teas"]
    assert "Shared shop" not in text


@on_sqlite
async def test_it_is_a_row_of_the_activity_and_not_for_ever_more(person: Person) -> None:
    for _ in range(3):
        await downloaded(person, person.own)

    with pytest.raises(RateLimited, match="several times"):
        await downloaded(person, person.own)

    rows = [row for row in await person.world.audit_rows() if row.action == data_export.ACTION]
    assert [row.user_id for row in rows] == [person.user_id] * 3


@on_sqlite
async def test_agents_and_strangers_get_nothing(person: Person) -> None:
    for actor in (replace(person.own, via=Via.MCP), replace(person.own, user_id=None)):
        with pytest.raises(NotFound):
            await downloaded(person, actor)


def test_every_table_is_exported_or_left_out_with_a_reason() -> None:
    tables = belonging_to("tenants") | belonging_to("users")

    assert not set(EXPORTED) & set(LEFT_OUT)
    assert set(EXPORTED) | set(LEFT_OUT) == tables, (
        "Say in services/data_export.py what a person gets of this table, or in LEFT_OUT why not"
    )
    assert tables <= set(METADATA.tables)


async def test_others_have_their_turn_between_two_rows(person: Person) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    async with person.services.data_export.open(person.own) as parts:
        seen = [turns async for part in parts if b'"at":' in part]  # of each row
    busy.cancel()

    assert len(seen) > 5
    assert len(set(seen)) == len(seen)
