"""Keys that change: narrowed at once, rotated with an overlap, replaced with a grace period, and
never wider than their person is.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from orderdesk_app.context import (
    ALL_SCOPES,
    READING_SCOPES,
    LegacyScope,
    Role,
    Scope,
    Secret,
    StoreRowId,
    Via,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import (
    AuthFailed,
    NotFound,
    PermissionDenied,
    ReauthenticationRequired,
    ReplacedKey,
    SignInFailed,
    ValidationFailed,
)
from orderdesk_app.services.access import Access
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.key_changes import OVERLAPS, KeyChanges
from orderdesk_app.services.key_choices import KeyChoice
from orderdesk_app.services.key_uses import STEP, KeyUses
from orderdesk_app.services.keys import GRACES
from tests.worlds import World, open_world, settings_for

HOUR = timedelta(hours=1)


@pytest.fixture
async def world(sqlite_url: str) -> Any:
    async with open_world(settings_for(sqlite_url), None) as world:
        yield world


@pytest.fixture
async def owner(world: World) -> Any:
    """The owner at the web app."""
    return replace((await world.owner.principal()).actor, via=Via.WEB, credential_id=None)


@pytest.fixture
async def stores(world: World, owner: Any) -> list[StoreRowId]:
    await world.services.stores.add_sandbox(owner)
    return [record.id for record in await world.services.stores.list(owner)]


def changes(world: World) -> KeyChanges:
    return world.services.key_changes


async def actor_of(world: World, key: Secret) -> Any:
    return (await world.services.access.by_token(key.reveal())).actor


def at(world: World, moment: datetime) -> Access:
    """How keys are found at that moment."""
    services = world.services
    return Access(services.database, services.keys, services.signals, clock=lambda: moment)


async def test_a_key_is_made_for_stores_reading_and_a_time(
    world: World, owner: Any, stores: list[StoreRowId]
) -> None:
    ends = now() + HOUR

    view, key = await world.services.keys.create(
        owner, "narrow", ALL_SCOPES, store_ids=stores[:1], is_read_only=True, expires_at=ends
    )

    principal = await world.services.access.by_token(key.reveal())
    assert principal.actor.scopes == READING_SCOPES
    assert [store.id for store in principal.account.stores] == stores[:1]
    assert principal.expires_at == ends
    assert (view.prefix, view.hint) == (key.reveal()[:8], key.reveal()[-4:])
    assert set(view.granted) == ALL_SCOPES


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"store_ids": []}, "stores"),
        ({"store_ids": ["nobody's"]}, "stores"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expires"),
        ({"default_store_id": "nobody's"}, "default_store"),
    ],
)
async def test_what_cannot_be_chosen_is_told_at_its_field(
    world: World, owner: Any, choice: dict[str, Any], field: str
) -> None:
    view, _ = await world.services.keys.create(owner, "till")

    for attempt in (
        world.services.keys.create(owner, "other", **choice),
        changes(world).edit(owner, view.id, KeyChoice("till", **choice)),
    ):
        with pytest.raises((ValidationFailed, NotFound)) as refused:
            await attempt
        assert refused.value.field == field


async def test_a_store_of_a_neighbour_cannot_be_chosen(world: World, owner: Any) -> None:
    [theirs] = await world.neighbour.stores()

    with pytest.raises(NotFound):
        await world.services.keys.create(owner, "greedy", store_ids=[theirs.id])


async def test_a_default_store_is_one_that_the_key_reaches(
    world: World, owner: Any, stores: list[StoreRowId]
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await world.services.keys.create(
            owner, "till", store_ids=stores[:1], default_store_id=stores[1]
        )
    assert refused.value.field == "default_store"


async def test_an_edit_acts_on_the_next_call(
    world: World, owner: Any, stores: list[StoreRowId]
) -> None:
    view, key = await world.services.keys.create(owner, "till", ALL_SCOPES)
    assert (await actor_of(world, key)).scopes == ALL_SCOPES

    edited = await changes(world).edit(
        owner, view.id, KeyChoice("Till", {Scope.STORES_READ}, store_ids=stores[:1])
    )

    actor = await actor_of(world, key)
    assert (edited.name, actor.scopes, actor.store_ids) == (
        "Till",
        {Scope.STORES_READ},
        frozenset(stores[:1]),
    )
    assert (await world.audit_rows())[-1].action == "key.edit"


async def test_narrowing_needs_no_proof_and_widening_does(
    world: World, owner: Any, stores: list[StoreRowId]
) -> None:
    view, _ = await world.services.keys.create(
        owner,
        "till",
        {Scope.ORDERS_READ, Scope.STORES_READ},
        store_ids=stores,
        expires_at=now() + HOUR,
    )
    long_ago = replace(owner, session_id=await old_session(world, owner))
    kept = KeyChoice("till", {Scope.ORDERS_READ}, store_ids=stores, expires_at=view.expires_at)

    for wider in (
        replace(kept, scopes=READING_SCOPES),
        replace(kept, store_ids=None),
        replace(kept, expires_at=None),
        replace(kept, expires_at=now() + 2 * HOUR),
    ):
        with pytest.raises(ReauthenticationRequired):
            await changes(world).edit(long_ago, view.id, wider)
    narrowed = await changes(world).edit(
        long_ago, view.id, replace(kept, store_ids=stores[:1], is_read_only=True)
    )
    assert narrowed.is_read_only
    with pytest.raises(ReauthenticationRequired):
        await changes(world).edit(long_ago, view.id, replace(kept, store_ids=stores[:1]))


async def old_session(world: World, owner: Any) -> str:
    """The id of a session whose person proved who they are a day ago."""
    cookie = await world.services.sessions.start(
        owner.tenant_id, owner.user_id, credential_id=None, address="", user_agent=""
    )
    user = await world.services.sessions.resume(cookie)
    assert user is not None
    async with world.services.database.write() as session:
        row = await session.get(Session, user.session_id)
        assert row is not None
        row.proved_at = now() - timedelta(days=1)
        session.add(row)
    return user.session_id


async def test_nobody_edits_or_rotates_the_key_of_somebody_else(world: World, owner: Any) -> None:
    view, _ = await world.services.keys.create(owner, "till")
    neighbour = replace((await world.neighbour.principal()).actor, via=Via.WEB)
    colleague = replace(owner, user_id="somebody else")
    agent = replace(owner, via=Via.MCP)

    for somebody, refusal in (
        (neighbour, NotFound),
        (colleague, NotFound),
        (agent, PermissionDenied),
    ):
        with pytest.raises(refusal):
            await changes(world).edit(somebody, view.id, KeyChoice("mine"))
        with pytest.raises(refusal):
            await changes(world).rotate(somebody, view.id, overlap=HOUR)


async def test_an_edit_gives_no_key_more_than_its_person_may(world: World, owner: Any) -> None:
    view, _ = await world.services.keys.create(owner, "till")
    member = replace(owner, role=Role.MEMBER, scopes=READING_SCOPES)

    with pytest.raises(PermissionDenied):
        await changes(world).edit(member, view.id, KeyChoice("till", {Scope.STORES_MANAGE}))


async def test_a_half_of_an_old_permission_is_kept_and_never_given(
    world: World, owner: Any
) -> None:
    view, key = await world.services.keys.create(owner, "till", {Scope.STORES_READ})
    wanted = KeyChoice("till", {Scope.STORES_READ}, legacy_scopes=list(LegacyScope))
    assert (await changes(world).edit(owner, view.id, wanted)).legacy_scopes == ()

    async with world.services.database.write() as session:
        row = await session.get(Credential, view.id)
        assert row is not None
        row.scopes = ["stores:read", "stores:write"]
        session.add(row)
    kept = await changes(world).edit(owner, view.id, wanted)

    actor = await actor_of(world, key)
    assert kept.legacy_scopes == (LegacyScope.STORES_CONNECT,)
    assert actor.legacy_scopes == {LegacyScope.STORES_CONNECT}


@pytest.mark.parametrize("overlap", OVERLAPS)
async def test_a_rotated_key_has_a_successor_and_works_for_the_overlap(
    world: World, owner: Any, stores: list[StoreRowId], overlap: timedelta
) -> None:
    keys, access = world.services.keys, world.services.access
    view, old = await keys.create(
        owner, "till", {Scope.ORDERS_READ}, store_ids=stores[:1], default_store_id=stores[0]
    )
    before = await access.by_token(old.reveal())

    new_view, new = await changes(world).rotate(owner, view.id, overlap=overlap)

    after = await access.by_token(new.reveal())
    assert new.reveal() != old.reveal()
    assert (after.actor.scopes, after.actor.store_ids, after.active_store_id) == (
        before.actor.scopes,
        before.actor.store_ids,
        stores[0],
    )
    listed = {view.id: view for view in await keys.list(owner) if not view.is_master}
    if not overlap:
        assert set(listed) == {new_view.id}
        with pytest.raises(AuthFailed):
            await access.by_token(old.reveal())
        return
    ends = (await access.by_token(old.reveal())).expires_at
    assert ends is not None
    assert abs(ends - now() - overlap) < timedelta(minutes=1)
    assert listed[view.id].replaced_at is not None
    with pytest.raises(AuthFailed, match="expired"):
        await at(world, ends).by_token(old.reveal())
    with pytest.raises(NotFound):
        await changes(world).rotate(owner, view.id, overlap=overlap)


async def test_the_overlap_never_lengthens_a_key(world: World, owner: Any) -> None:
    ends = now() + HOUR
    view, old = await world.services.keys.create(owner, "till", expires_at=ends)

    new_view, _ = await changes(world).rotate(owner, view.id, overlap=OVERLAPS[-1])

    assert (await world.services.access.by_token(old.reveal())).expires_at == ends
    assert new_view.expires_at == ends


async def test_an_overlap_is_one_of_those_offered(world: World, owner: Any) -> None:
    view, _ = await world.services.keys.create(owner, "till")

    with pytest.raises(ValidationFailed):
        await changes(world).rotate(owner, view.id, overlap=timedelta(days=365))
    with pytest.raises(ValidationFailed):
        await world.services.keys.rotate_master(owner, grace=timedelta(days=365))


@pytest.mark.parametrize("grace", GRACES)
async def test_a_replaced_master_key_works_for_agents_and_proves_nobody(
    world: World, owner: Any, grace: timedelta
) -> None:
    services, old = world.services, world.owner.key

    new = await services.keys.rotate_master(owner, grace=grace)

    assert (await actor_of(world, new)).scopes == ALL_SCOPES
    with pytest.raises(SignInFailed if grace == timedelta(0) else ReplacedKey):
        await services.sign_in.with_key(old, address="", user_agent="")
    signed_in = replace(owner, session_id=await old_session(world, owner))
    with pytest.raises(SignInFailed):
        await services.identity_proofs.with_key(signed_in, old)
    if not grace:
        with pytest.raises(AuthFailed):
            await actor_of(world, old)
        return
    principal = await services.access.by_token(old.reveal())
    assert (principal.actor.scopes, principal.actor.is_operator) == (ALL_SCOPES, False)
    assert principal.expires_at is not None
    assert abs(principal.expires_at - now() - grace) < timedelta(minutes=1)
    with pytest.raises(AuthFailed, match="expired"):
        await at(world, principal.expires_at).by_token(old.reveal())


async def test_an_address_warns_of_no_key_that_has_ended(world: World, owner: Any) -> None:
    services = world.services
    await services.access.by_token(world.owner.key.reveal(), kind="master")
    await services.keys.rotate_master(owner, grace=HOUR)
    during = await services.keys.stood_in_address(owner)

    async with services.database.write() as session:
        question = owned(owner, Credential).where(col(Credential.replaced_at).is_not(None))
        row = (await session.exec(question)).one()
        row.expires_at = now()
        session.add(row)

    assert (during, await services.keys.stood_in_address(owner)) == (True, False)


async def test_a_replaced_master_key_can_be_stopped_before_its_end(
    world: World, owner: Any
) -> None:
    keys, old = world.services.keys, world.owner.key
    await keys.rotate_master(owner, grace=GRACES[-1])
    [replaced] = [view for view in await keys.list(owner) if view.replaced_at]

    with pytest.raises(PermissionDenied):
        await keys.revoke(replace(owner, role=Role.MEMBER), replaced.id)
    await keys.revoke(owner, replaced.id)

    with pytest.raises(AuthFailed):
        await actor_of(world, old)


async def test_without_a_grace_period_every_former_master_key_stops(
    world: World, owner: Any
) -> None:
    first = world.owner.key
    second = await world.services.keys.rotate_master(owner, grace=GRACES[-1])
    assert await actor_of(world, first)

    await world.services.keys.rotate_master(owner)

    for former in (first, second):
        with pytest.raises(AuthFailed):
            await actor_of(world, former)


# ------------------------------------------------------------------ when a key was used


def use(owner: Any, key_id: str, at: datetime, client: str = "Cursor") -> Entry:
    actor = replace(
        owner,
        via=Via.MCP,
        credential_id=key_id,
        session_id=None,
        client_name=client,
        client_version="2.1",
        address="192.0.2.7",
    )
    return Entry(actor=actor, action="tool", at=at)


async def last_use(database: Database, actor: Any, key_id: str) -> tuple[Any, str, str]:
    async with database.read() as session:
        question = owned(actor, Credential).where(col(Credential.id) == key_id)
        row = (await session.exec(question)).one()
        return row.last_used_at, row.last_client, row.last_address


async def test_a_use_is_written_with_its_client_once_a_minute(world: World, owner: Any) -> None:
    services, moments = world.services, [now()]
    view, _ = await services.keys.create(owner, "till")
    uses = KeyUses(services.database, services.signals, clock=lambda: moments[-1])
    first = moments[0]

    uses.note(use(owner, view.id, first))
    await uses.flush()
    assert await last_use(services.database, owner, view.id) == (first, "Cursor 2.1", "192.0.2.7")
    moments.append(first + STEP / 2)
    uses.note(use(owner, view.id, moments[-1], "Claude"))
    await uses.flush()
    assert (await last_use(services.database, owner, view.id))[0] == first
    moments.append(first + STEP)
    await uses.flush()

    assert await last_use(services.database, owner, view.id) == (
        first + STEP / 2,
        "Claude 2.1",
        "192.0.2.7",
    )


async def test_what_a_person_does_is_no_use_of_a_key_and_a_late_note_changes_nothing(
    world: World, owner: Any
) -> None:
    services, moment = world.services, now()
    view, _ = await services.keys.create(owner, "till")
    uses = KeyUses(services.database, services.signals)
    entry = use(owner, view.id, moment)

    uses.note(replace(entry, actor=replace(entry.actor, session_id="a session")))
    await uses.flush()
    assert await last_use(services.database, owner, view.id) == (None, "", "")
    uses.note(entry)
    await uses.stop()
    uses.note(use(owner, view.id, moment - HOUR, "Claude"))
    await uses.stop()

    assert (await last_use(services.database, owner, view.id))[0] == moment


async def test_the_calls_of_an_agent_tell_which_program_it_is(world: World, owner: Any) -> None:
    view, key = await world.services.keys.create(owner, "till")
    principal = await world.services.access.by_token(key.reveal())

    await world.services.runner.run(
        principal.with_client("Cursor", "2.1", "192.0.2.9"), "stores_list", {}
    )
    await world.services.audit.flush()
    await world.services.key_uses.flush()

    assert (await last_use(world.services.database, owner, view.id))[1:] == (
        "Cursor 2.1",
        "192.0.2.9",
    )


async def test_no_row_of_an_account_is_read_by_another(world: World) -> None:
    neighbour = (await world.neighbour.principal()).actor
    async with world.services.database.read() as session:
        mine = (await session.exec(select(Credential))).all()
        theirs = (await session.exec(owned(neighbour, Credential))).all()

    assert len(theirs) < len(mine)
