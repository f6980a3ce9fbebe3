"""An account keeps an owner who can sign in, whoever removes, demotes or leaves, and at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, select, update

from orderdesk_app.context import Actor, Role, UserId, Via
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict, NotFound, OrderDeskAgentsError, PermissionDenied
from orderdesk_app.services import people as service
from orderdesk_app.services.people import People
from orderdesk_app.wiring import Services
from tests.attacks.letters import record_letters
from tests.worlds import on_sqlite, open_services, settings_for


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    async with open_services(settings_for(database_url)) as services:
        yield services


@pytest.fixture
async def ada(services: Services) -> Actor:
    account, _ = await services.tenants.make_tenant("Ada's Teas")
    return account.owner(Via.SYSTEM)


async def add(services: Services, owner: Actor, role: Role, name: str = "Cleo") -> Actor:
    user = User(name=name)
    async with services.database.write() as session:
        session.add(user)
        await session.flush()
        session.add(Membership(tenant_id=owner.tenant_id, user_id=user.id, role=role.value))
    return Actor(owner.tenant_id, user.id, role=role, via=Via.SYSTEM)


async def owners(services: Services, actor: Actor) -> set[UserId]:
    async with services.database.read() as session:
        question = select(Membership).where(
            Membership.tenant_id == actor.tenant_id, Membership.role == Role.OWNER.value
        )
        return {row.user_id for row in (await session.exec(question)).all()}


async def disable(services: Services, user_id: UserId | None) -> None:
    async with services.database.write() as session:
        moment = datetime.now(UTC)
        await session.exec(update(User).where(col(User.id) == user_id).values(disabled_at=moment))


ENDS: list[Callable[[People, Actor], Awaitable[object]]] = [
    lambda people, owner: people.leave(owner, typed_name="Ada's Teas"),
    lambda people, owner: people.remove(owner, str(owner.user_id)),
    lambda people, owner: people.change_role(owner, str(owner.user_id), Role.MEMBER),
    lambda people, owner: people.change_role(owner, str(owner.user_id), Role.VIEWER),
]


@on_sqlite
@pytest.mark.parametrize("end", ENDS)
async def test_the_last_owner_stays(services: Services, ada: Actor, end: Any) -> None:
    await add(services, ada, Role.MEMBER)

    with pytest.raises(Conflict, match="last owner"):
        await end(services.people, ada)

    assert await owners(services, ada) == {ada.user_id}


@on_sqlite
@pytest.mark.parametrize("end", ENDS)
async def test_without_the_guard_the_last_owner_goes(
    services: Services, ada: Actor, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        pass

    monkeypatch.setattr(service, "require_owner_left", nothing)

    await end(services.people, ada)

    assert await owners(services, ada) == set()


@on_sqlite
@pytest.mark.parametrize("end", ENDS)
async def test_an_owner_who_cannot_sign_in_does_not_count(
    services: Services, ada: Actor, end: Any
) -> None:
    other = await add(services, ada, Role.OWNER)
    await disable(services, other.user_id)

    with pytest.raises(Conflict, match="last owner"):
        await end(services.people, ada)


@on_sqlite
@pytest.mark.parametrize("end", ENDS)
async def test_one_of_two_owners_may_go(services: Services, ada: Actor, end: Any) -> None:
    other = await add(services, ada, Role.OWNER)

    await end(services.people, ada)

    assert await owners(services, ada) == {other.user_id}


@pytest.mark.parametrize("attack", ["leave", "demote each other", "remove each other"])
async def test_of_two_owners_who_go_at_once_one_stays(
    services: Services, ada: Actor, attack: str
) -> None:
    bert = await add(services, ada, Role.OWNER, "Bert")
    people = services.people
    acts = {
        "leave": [
            people.leave(ada, typed_name="Ada's Teas"),
            people.leave(bert, typed_name="Ada's Teas"),
        ],
        "demote each other": [
            people.change_role(ada, str(bert.user_id), Role.VIEWER),
            people.change_role(bert, str(ada.user_id), Role.VIEWER),
        ],
        "remove each other": [
            people.remove(ada, str(bert.user_id)),
            people.remove(bert, str(ada.user_id)),
        ],
    }
    chosen = acts.pop(attack)
    for others in acts.values():
        for other in others:
            other.close()

    outcomes = await asyncio.gather(*chosen, return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, OrderDeskAgentsError)]
    assert len(refused) == 1, outcomes
    assert isinstance(refused[0], Conflict | PermissionDenied)
    assert len(await owners(services, ada)) == 1


@on_sqlite
async def test_an_owner_who_was_demoted_meanwhile_removes_nobody(
    services: Services, ada: Actor
) -> None:
    bert = await add(services, ada, Role.OWNER, "Bert")
    await services.people.change_role(ada, str(bert.user_id), Role.VIEWER)

    with pytest.raises(PermissionDenied):  # with the rights of before
        await services.people.remove(bert, str(ada.user_id))
    with pytest.raises(PermissionDenied):
        await services.invitations.invite(bert, "friend@example.com", Role.OWNER)


@on_sqlite
async def test_an_owner_who_was_demoted_meanwhile_does_not_promote_themselves(
    services: Services, ada: Actor
) -> None:
    bert = await add(services, ada, Role.OWNER, "Bert")
    await services.people.change_role(ada, str(bert.user_id), Role.VIEWER)

    with pytest.raises(PermissionDenied, match="Only an owner"):  # with the rights of before
        await services.people.change_role(bert, str(bert.user_id), Role.OWNER)

    assert await owners(services, ada) == {ada.user_id}


@on_sqlite
@pytest.mark.parametrize("end", ["demoted", "removed", "disabled"])
async def test_an_owner_who_is_none_any_more_gets_no_master_key(
    services: Services, ada: Actor, end: str
) -> None:
    """Hashing takes long: they may have asked for it while they were one."""
    bert = await add(services, ada, Role.OWNER, "Bert")
    if end == "demoted":
        await services.people.change_role(ada, str(bert.user_id), Role.VIEWER)
    elif end == "removed":
        await services.people.remove(ada, str(bert.user_id))
    else:
        await disable(services, bert.user_id)

    with pytest.raises(PermissionDenied, match="Only an owner"):  # with the rights of before
        await services.keys.rotate_master(bert)

    [key] = await services.keys.list(ada)
    assert key.user_id == ada.user_id


@on_sqlite
async def test_a_neighbour_has_nobody_to_remove(services: Services, ada: Actor) -> None:
    account, _ = await services.tenants.make_tenant("Bert's Bikes")
    bert = account.owner(Via.SYSTEM)
    await add(services, ada, Role.OWNER)

    with pytest.raises(NotFound):
        await services.people.remove(bert, str(ada.user_id))
    with pytest.raises(NotFound):
        await services.people.change_role(bert, str(ada.user_id), Role.VIEWER)


@on_sqlite
async def test_the_last_operator_does_not_leave_their_last_account(services: Services) -> None:
    first = await services.tenants.ensure_admin(master_key=None, has_webui=True)
    admin = Actor(first.tenant_id, first.user_id, role=Role.OWNER, is_operator=True)
    await add(services, admin, Role.OWNER)

    with pytest.raises(Conflict, match="last operator"):
        await services.people.leave(admin, typed_name="Admin")


async def test_one_of_many_answers_to_an_invitation_wins_on_both_databases(
    services: Services, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = record_letters(services, monkeypatch)
    await services.invitations.invite(ada, "cleo@example.com", Role.MEMBER)
    token = letters.token_for("cleo@example.com")

    async def use(name: str) -> str:
        try:
            await services.invitations.accept(
                token, user=None, name=name, address="", user_agent="", replaces=None
            )
        except OrderDeskAgentsError as error:
            return type(error).__name__
        return "joined"

    outcomes = await asyncio.gather(*[use(f"Racer {number}") for number in range(6)])

    assert sorted(outcomes) == ["LinkUsed"] * 5 + ["joined"]
    assert len(await services.people.list(ada)) == 2


async def test_one_address_joins_two_accounts_at_once_as_one_user(
    services: Services, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = record_letters(services, monkeypatch)
    account, _ = await services.tenants.make_tenant("Bert's Bikes")
    bert = account.owner(Via.SYSTEM)
    tokens = []
    for owner in (ada, bert):
        await services.invitations.invite(owner, "cleo@example.com", Role.VIEWER)
        tokens.append(letters.token_for("cleo@example.com"))

    await asyncio.gather(
        *[
            services.invitations.accept(
                token, user=None, name="Cleo", address="", user_agent="", replaces=None
            )
            for token in tokens
        ]
    )

    lists = [await services.people.list(owner) for owner in (ada, bert)]
    [first], [second] = ([one.id for one in people if one.email] for people in lists)
    assert first == second
