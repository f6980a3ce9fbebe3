"""A deletion races with everything that its victim may be doing. Whatever comes first, nothing is
half done, nothing of theirs is left, and nobody gets in.

Guards: the locks and questions inside of the write that closes them, the journal, which opens no
row for who is closed, and the audit log, which says nothing about who is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.context import Actor, OrderId, Role, Via
from orderdesk_app.db.deletions import RowDeletion
from orderdesk_app.db.users import User
from orderdesk_app.demo.faults import Fault, Faults
from orderdesk_app.errors import Conflict, NotFound, OrderDeskAgentsError
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services import account_deletion, deletions, journal, user_deletion
from orderdesk_app.services.user_deletion import ACTION
from tests.deletions import EMAIL, NAME, ORDER_TEXT, Person, all_rows, make_person, places_of
from tests.worlds import FIRST_ORDER, World, eventually, on_sqlite, open_world, settings_for

NOTES = {"order_id": FIRST_ORDER, "changes": {"order_notes": ["A late note"]}}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(database_url), None) as world:
        yield world


@pytest.fixture
async def person(world: World) -> Person:
    person = await make_person(world)
    world.services.sandbox.faults = Faults()
    return person


async def nothing_is_left(person: Person) -> None:
    """No row of hers, and no value."""
    await person.services.audit.flush()
    await person.services.user_activity.flush()
    rows = await all_rows(person.services.database)
    rows["signals"] = []
    assert not places_of(rows, NAME, EMAIL, ORDER_TEXT, person.user_id, person.own.tenant_id)


async def operator_of(person: Person) -> Actor:
    services = person.services
    admin = await services.tenants.ensure_admin(master_key=None, has_webui=True)
    return Actor(admin.tenant_id, admin.user_id, is_operator=True, via=Via.WEB, session_id="01OP")


# ------------------------------------------------------------------ deletions among themselves


async def test_of_two_deletions_at_once_one_happens(person: Person) -> None:
    operator, delete = await operator_of(person), person.services.user_deletion.delete

    ended = await asyncio.gather(
        delete(operator, person.user_id, EMAIL),
        delete(person.own, person.user_id, EMAIL),
        delete(operator, person.user_id, EMAIL),
        return_exceptions=True,
    )

    refused = [each for each in ended if isinstance(each, Exception)]
    assert [type(each) for each in refused] == [NotFound, NotFound]
    rows = [row for row in await person.world.audit_rows() if row.action == ACTION]
    assert len(rows) == 1
    await nothing_is_left(person)


async def test_two_owners_who_go_at_once_leave_no_account_without_one(person: Person) -> None:
    services, bert = person.services, person.bert
    assert bert.user_id is not None

    await asyncio.gather(
        services.user_deletion.delete(person.own, person.user_id, EMAIL),
        services.user_deletion.delete(bert, bert.user_id, "Bert's Bikes"),
    )

    rows = await all_rows(services.database)
    assert [row["name"] for row in rows["users"]] == ["Cleo"]
    assert rows["tenants"] == rows["memberships"] == rows["stores"] == rows["credentials"] == []
    await nothing_is_left(person)


async def test_of_two_operators_who_delete_each_other_one_stays(person: Person) -> None:
    services = person.services
    async with services.database.write() as session:
        both = col(User.id).in_([person.user_id, person.bert.user_id])
        await session.exec(update(User).where(both).values(is_operator=True))
    ada, bert = (replace(actor, is_operator=True) for actor in (person.own, person.bert))
    assert bert.user_id is not None

    ended = await asyncio.gather(
        services.user_deletion.delete(ada, bert.user_id, "Bert's Bikes"),
        services.user_deletion.delete(bert, person.user_id, EMAIL),
        return_exceptions=True,
    )

    refused = [each for each in ended if isinstance(each, Exception)]
    assert len(refused) == 1
    assert isinstance(refused[0], NotFound | Conflict)
    left = [row for row in (await all_rows(services.database))["users"] if row["is_operator"]]
    assert len(left) == 1


# ------------------------------------------------------------------ a call that writes


async def begun_write(person: Person) -> tuple["asyncio.Task[Any]", asyncio.Event]:
    """A write of hers that Order Desk is at work on, until the event."""
    services, let_go = person.services, asyncio.Event()
    assert services.sandbox.faults is not None
    services.sandbox.faults.add(Fault("slow", "PUT", effect="done", until=let_go))
    task = asyncio.create_task(person.world.owner.call("orders_update", NOTES))

    async def is_under_way() -> bool:
        found = await services.database.query("SELECT 1 FROM changes WHERE state = 'open'", {})
        return bool(found)

    await eventually(is_under_way, 10)
    return task, let_go


async def test_a_write_that_has_begun_is_waited_for(person: Person) -> None:
    task, let_go = await begun_write(person)
    deleting = asyncio.create_task(
        person.services.user_deletion.delete(person.own, person.user_id, EMAIL)
    )
    await asyncio.sleep(0.3)
    assert not deleting.done()

    let_go.set()

    assert (await task).error is None
    assert (await deleting).is_finished
    await nothing_is_left(person)


@on_sqlite
async def test_a_write_that_takes_too_long_is_left_to_the_job(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = person.services
    monkeypatch.setattr(deletions, "PERSON_SECONDS", 0.2)
    monkeypatch.setattr(deletions, "JOB_BEGINS_AFTER", 0.0)
    task, let_go = await begun_write(person)

    deleted = await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    assert not deleted.is_finished
    let_go.set()
    assert (await task).error is None
    await services.jobs.start()
    try:
        await eventually(lambda: _is_gone(person), 20)
    finally:
        await services.jobs.stop()
    await nothing_is_left(person)
    assert not (await all_rows(services.database))["jobs"]


async def _is_gone(person: Person) -> bool:
    found = await person.services.database.query(
        "SELECT 1 FROM users WHERE id = :id", {"id": person.user_id}
    )
    return not found


async def waiting_write(person: Person) -> Any:
    """What comes of a write of hers that waits in line while she is deleted."""
    services = person.services
    store = await services.stores.unseal((await person.world.owner.stores())[0])
    async with services.locks.holding(store.access, OrderId(FIRST_ORDER), WaitBudget(20)):
        task = asyncio.create_task(person.world.owner.call("orders_update", NOTES))
        await asyncio.sleep(0.2)
        await services.user_deletion.delete(person.own, person.user_id, EMAIL)
    return await task


async def test_a_write_that_waits_in_line_is_not_begun(person: Person) -> None:
    outcome = await waiting_write(person)

    assert outcome.error is not None
    assert outcome.error.code in ("AUTH_ERROR", "NOT_FOUND")
    assert outcome.error.outcome == "not_done"
    assert person.services.sandbox.faults is not None
    assert not person.services.sandbox.faults.requests("PUT")
    await nothing_is_left(person)


@on_sqlite
@pytest.mark.parametrize("is_guarded", [True, False])
async def test_no_write_begins_between_the_close_and_the_end(
    person: Person, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """Without the question of the journal it would, and its row would be deleted under it."""
    services, go_on, is_closed = person.services, asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> bool:
        is_closed.set()
        return await go_on.wait()

    async def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(deletions.Deletions, "have_writes_ended", wait)
    if not is_guarded:
        monkeypatch.setattr(journal, "require_all_there", nothing)
    store = await services.stores.unseal((await person.world.owner.stores())[0])
    async with services.locks.holding(store.access, OrderId(FIRST_ORDER), WaitBudget(20)):
        writing = asyncio.create_task(person.world.owner.call("orders_update", NOTES))
        await asyncio.sleep(0.2)
        deleting = asyncio.create_task(
            services.user_deletion.delete(person.own, person.user_id, EMAIL)
        )
        await is_closed.wait()
    outcome = await writing
    go_on.set()
    await deleting

    assert services.sandbox.faults is not None
    assert bool(services.sandbox.faults.requests("PUT")) is not is_guarded
    assert (outcome.error is not None) is is_guarded


async def test_rows_of_calls_that_end_late_say_nothing(person: Person) -> None:
    """The rows of reads are written down within a second, and hers are then of nobody."""
    await person.world.owner.call("orders_list", {"search": ORDER_TEXT})
    await person.world.owner.call("orders_get", {"order_id": FIRST_ORDER, "x": ORDER_TEXT})

    await person.services.user_deletion.delete(person.own, person.user_id, EMAIL)

    await nothing_is_left(person)


# ------------------------------------------------------------------ coming in meanwhile


async def test_whoever_signs_in_meanwhile_is_not_in(person: Person) -> None:
    services, cookies = person.services, list[str]()

    async def keep_signing_in() -> None:
        for _ in range(20):
            try:
                cookie = await services.sign_in.with_key(
                    person.world.owner.key, address="203.0.113.4", user_agent="x"
                )
            except OrderDeskAgentsError:
                break
            cookies.append(cookie)

    await asyncio.gather(
        keep_signing_in(), services.user_deletion.delete(person.own, person.user_id, EMAIL)
    )

    assert [await services.sessions.resume(cookie) for cookie in cookies] == [None] * len(cookies)
    await nothing_is_left(person)


async def test_a_key_that_is_made_meanwhile_opens_nothing(person: Person) -> None:
    services, keys = person.services, list[str]()

    async def keep_making_keys() -> None:
        for number in range(20):
            try:
                _, key = await services.keys.create(person.shared, f"{NAME} {number}")
            except OrderDeskAgentsError:
                break
            keys.append(key.reveal())

    await asyncio.gather(
        keep_making_keys(), services.user_deletion.delete(person.own, person.user_id, EMAIL)
    )

    assert [await services.keys.find(key) for key in keys] == [None] * len(keys)
    await nothing_is_left(person)


async def test_an_invitation_that_is_accepted_meanwhile_lets_nobody_in(person: Person) -> None:
    """To an account of others: she is in it for a moment, or never."""
    services = person.services
    token = await _invitation_to_her(person)
    cookies = list[str]()

    async def accept() -> None:
        try:
            accepted = await services.invitations.accept(
                token, user=None, name=NAME, address="203.0.113.4", user_agent="x", replaces=None
            )
        except OrderDeskAgentsError:
            return
        cookies.append(accepted.cookie)

    await asyncio.gather(accept(), services.user_deletion.delete(person.own, person.user_id, EMAIL))

    members = (await all_rows(services.database))["memberships"]
    assert person.user_id not in [row["user_id"] for row in members]
    assert [await services.sessions.resume(cookie) for cookie in cookies] == [None] * len(cookies)


async def _invitation_to_her(person: Person) -> str:
    """The token of the mail that Bert has sent to her."""
    services = person.services
    await services.database.execute("DELETE FROM invitations", {})
    sent: list[str] = []
    make = services.magic_links.make

    async def make_and_note(*arguments: Any, **named: Any) -> Any:
        token = await make(*arguments, **named)
        sent.append(token.reveal())
        return token

    services.magic_links.make = make_and_note  # type: ignore[method-assign]
    await services.invitations.invite(replace(person.bert, session_id="01BERT"), EMAIL, Role.VIEWER)
    return sent[-1]


@on_sqlite
async def test_mails_that_wait_are_not_sent(person: Person) -> None:
    services = person.services
    assert (await services.jobs.counts()).waiting == 1

    await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    assert (await services.jobs.counts()).waiting == 0


@on_sqlite
async def test_an_account_that_she_gets_meanwhile_goes_too(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """She is the only owner of it from the moment in which her deletion begins."""
    services = person.services
    have_ended = deletions.Deletions.have_writes_ended

    async def get_one_first(service: Any, *arguments: Any) -> bool:
        late, _ = await services.tenants.make_tenant("Late")
        await services.database.execute(
            "UPDATE memberships SET user_id = :user WHERE tenant_id = :tenant",
            {"user": person.user_id, "tenant": late.id},
        )
        await services.database.execute("DELETE FROM users WHERE id = :id", {"id": late.owner_id})
        return await have_ended(service, *arguments)

    monkeypatch.setattr(deletions.Deletions, "have_writes_ended", get_one_first)

    await services.user_deletion.delete(person.own, person.user_id, EMAIL)

    tenants = (await all_rows(services.database))["tenants"]
    assert not [row for row in tenants if row["name"] in ("Late", "")]
    await nothing_is_left(person)


@on_sqlite
async def test_an_owner_who_was_demoted_meanwhile_deletes_no_account(person: Person) -> None:
    services = person.services
    await services.database.execute(
        "UPDATE memberships SET role = :role WHERE user_id = :user",
        {"role": Role.VIEWER.value, "user": person.bert.user_id},
    )

    with pytest.raises(OrderDeskAgentsError, match="owner"):
        await services.account_deletion.delete(person.bert, "Bert's Bikes")

    tenants = (await all_rows(services.database))["tenants"]
    assert "Bert's Bikes" in [row["name"] for row in tenants]


# ------------------------------------------------------------------ each guard, switched off


async def signs_in(person: Person) -> bool:
    services = person.services
    cookie = await services.sign_in.with_key(
        person.world.owner.key, address="203.0.113.5", user_agent="x"
    )
    return await services.sessions.resume(cookie) is not None


async def uses_her_key(person: Person) -> bool:
    return await person.services.keys.find(person.key.reveal()) is not None


async def makes_a_key(person: Person) -> bool:
    _, key = await person.services.keys.create(person.shared, f"{NAME} again")
    return await person.services.keys.find(key.reveal()) is not None


async def has_mail_that_waits(person: Person) -> bool:
    rows = await all_rows(person.services.database)
    return "mail" in [row["kind"] for row in rows["jobs"]]


@on_sqlite
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("way", [signs_in, uses_her_key, makes_a_key, has_mail_that_waits])
async def test_nobody_gets_in_between_the_close_and_the_end(
    person: Person, monkeypatch: pytest.MonkeyPatch, way: Any, is_guarded: bool
) -> None:
    """Without the close they would."""
    go_on, is_closed = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> bool:
        is_closed.set()
        return await go_on.wait()

    monkeypatch.setattr(deletions.Deletions, "have_writes_ended", wait)
    if not is_guarded:
        monkeypatch.setattr(RowDeletion, "close", no_guard)
    deleting = asyncio.create_task(
        person.services.user_deletion.delete(person.own, person.user_id, EMAIL)
    )
    await is_closed.wait()
    try:
        is_in = await way(person)
    except OrderDeskAgentsError:
        is_in = False
    go_on.set()
    await deleting

    assert is_in is not is_guarded


@on_sqlite
async def test_without_the_look_at_the_last_operator_none_would_be_left(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person.services.database.execute(
        "UPDATE users SET is_operator = (id = :id)", {"id": person.user_id}
    )
    monkeypatch.setattr(user_deletion, "require_operator_left", no_guard)

    await person.services.user_deletion.delete(person.own, person.user_id, EMAIL)

    users = (await all_rows(person.services.database))["users"]
    assert not [row for row in users if row["is_operator"]]


@on_sqlite
async def test_without_the_second_look_a_former_owner_would_delete_the_account(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = person.services
    await services.database.execute(
        "UPDATE memberships SET role = :role WHERE user_id = :user",
        {"role": Role.VIEWER.value, "user": person.bert.user_id},
    )
    monkeypatch.setattr(account_deletion, "require_still", no_guard)

    await services.account_deletion.delete(person.bert, "Bert's Bikes")

    tenants = (await all_rows(services.database))["tenants"]
    assert "Bert's Bikes" not in [row["name"] for row in tenants]


async def no_guard(*_: Any, **__: Any) -> None: ...
