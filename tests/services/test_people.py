"""The people of an account: who they are, and what ends with a membership."""

import pytest

from orderdesk_app.context import ALL_SCOPES, READING_SCOPES, Actor, Role, Via
from orderdesk_app.errors import AuthFailed, PermissionDenied
from orderdesk_app.wiring import Services
from tests.attacks.test_last_owner import ada, add, services
from tests.worlds import eventually, on_sqlite

__all__ = ["ada", "services"]
pytestmark = on_sqlite


async def test_the_list_names_everybody_with_their_role(services: Services, ada: Actor) -> None:
    cleo = await add(services, ada, Role.VIEWER)
    await services.sessions.start(
        ada.tenant_id, cleo.user_id, credential_id=None, address="", user_agent=""
    )

    people = await services.people.list(cleo)

    assert [(person.name, person.role) for person in people] == [
        ("Ada's Teas", Role.OWNER),
        ("Cleo", Role.VIEWER),
    ]
    assert [person.last_sign_in_at is not None for person in people] == [False, True]


async def test_a_neighbours_people_are_not_in_it(services: Services, ada: Actor) -> None:
    account, _ = await services.tenants.make_tenant("Bert's Bikes")

    people = await services.people.list(account.owner(Via.WEB))

    assert [person.name for person in people] == ["Bert's Bikes"]


async def test_a_removal_ends_keys_and_sessions_of_this_account_alone(
    services: Services, ada: Actor
) -> None:
    cleo = await add(services, ada, Role.MEMBER)
    account, _ = await services.tenants.make_tenant("Bert's Bikes")
    bert = account.owner(Via.SYSTEM)
    await services.people.list(bert)
    _, key = await services.keys.create(cleo, "laptop")
    _, masters = await services.keys.create(ada, "desk")
    start = services.sessions.start
    here = await start(ada.tenant_id, cleo.user_id, credential_id=None, address="", user_agent="")
    await services.access.by_token(key.reveal())

    removed = await services.people.remove(ada, str(cleo.user_id))

    assert removed.name == "Cleo"
    assert await services.sessions.resume(here) is None
    with pytest.raises(AuthFailed):
        await services.access.by_token(key.reveal())
    assert (await services.access.by_token(masters.reveal())).actor.tenant_id == ada.tenant_id
    assert [view.name for view in await services.keys.list(ada)] == ["desk", "Master key"]


async def test_a_demotion_narrows_a_key_at_once(services: Services, ada: Actor) -> None:
    cleo = await add(services, ada, Role.OWNER)
    _, key = await services.keys.create(cleo, "laptop", ALL_SCOPES)
    await services.access.by_token(key.reveal())

    await services.people.change_role(ada, str(cleo.user_id), Role.VIEWER)

    actor = (await services.access.by_token(key.reveal())).actor
    assert actor.role is Role.VIEWER
    assert actor.scopes < ALL_SCOPES


async def test_the_master_key_acts_as_the_owner_who_is_first_now(services: Services) -> None:
    account, key = await services.tenants.make_tenant("Ada's Teas")
    ada = account.owner(Via.SYSTEM)
    cleo = await add(services, ada, Role.OWNER)
    before = (await services.access.by_token(key.reveal())).actor.user_id

    await services.people.leave(ada, typed_name="Ada's Teas")

    assert before == ada.user_id
    assert (await services.access.by_token(key.reveal())).actor.user_id == cleo.user_id


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_only_owners_change_who_belongs_to_an_account(
    services: Services, ada: Actor, role: Role
) -> None:
    cleo = await add(services, ada, role)
    people, invitations = services.people, services.invitations

    for act in (
        people.remove(cleo, str(ada.user_id)),
        people.change_role(cleo, str(cleo.user_id), Role.OWNER),
        invitations.invite(cleo, "a@example.com", Role.OWNER),
        invitations.resend(cleo, "01X"),
        invitations.withdraw(cleo, "01X"),
    ):
        with pytest.raises(PermissionDenied, match="Only an owner"):
            await act
    await people.leave(cleo, typed_name="Ada's Teas")
    assert [person.name for person in await people.list(ada)] == ["Ada's Teas"]


async def test_a_narrowed_key_asks_no_database_a_second_time(
    services: Services, ada: Actor
) -> None:
    cleo = await add(services, ada, Role.OWNER)
    _, key = await services.keys.create(cleo, "laptop", ALL_SCOPES)
    await services.people.change_role(ada, str(cleo.user_id), Role.VIEWER)
    by_token = services.access.by_token

    async def is_kept() -> bool:  # with the narrowed scopes; signals of before may still come
        return await by_token(key.reveal()) is await by_token(key.reveal())

    assert await eventually(is_kept, 5)
    assert (await by_token(key.reveal())).actor.scopes == READING_SCOPES


async def test_the_list_of_keys_says_what_a_key_may_now(services: Services, ada: Actor) -> None:
    cleo = await add(services, ada, Role.OWNER)
    await services.keys.create(cleo, "laptop", ALL_SCOPES)
    await services.people.change_role(ada, str(cleo.user_id), Role.VIEWER)

    keys = {view.name: set(view.scopes) for view in await services.keys.list(ada)}

    assert keys == {"laptop": READING_SCOPES, "Master key": ALL_SCOPES}
