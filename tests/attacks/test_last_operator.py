"""Operators who stop each other, or themselves, at the same moment: one who can sign in is left."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import Conflict, NotFound
from orderdesk_app.services import users as module
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.tenants import Tenants
from orderdesk_app.services.users import Users

Act = Callable[[Users, Actor, Actor], Awaitable[str]]


class NoAudit:
    async def write(self, entry: object) -> None: ...

    async def write_or_queue(self, entry: object) -> None: ...


async def disable(users: Users, actor: Actor, target: Actor) -> str:
    assert target.user_id is not None
    return await users.disable(actor, target.user_id)


async def demote(users: Users, actor: Actor, target: Actor) -> str:
    assert target.user_id is not None
    return await users.set_operator(actor, target.user_id, is_operator=False)


@pytest.fixture
def users(database: Database, signals: Signals) -> Users:
    return Users(database, signals, Reauthentication(database), NoAudit())


@pytest.fixture
async def operators(tenants: Tenants) -> list[Actor]:
    # by key, so that no proof is asked for
    return [
        (await tenants.make_tenant(name, is_operator=True))[0].owner(Via.MCP)
        for name in ("First", "Second", "Third")
    ]


async def left(database: Database) -> int:
    [(count,)] = await database.execute(
        "SELECT count(*) FROM users WHERE is_operator AND disabled_at IS NULL", {}
    )
    return int(count)


async def everybody_at_once(users: Users, operators: list[Actor], act: Act) -> list[BaseException]:
    """Each operator stops each, themselves included; what was raised."""
    found = await asyncio.gather(
        *[act(users, actor, target) for actor, target in itertools.product(operators, repeat=2)],
        return_exceptions=True,
    )
    return [answer for answer in found if isinstance(answer, BaseException)]


@pytest.mark.parametrize("act", [disable, demote])
async def test_operators_who_stop_each_other_at_once_leave_one(
    database: Database, users: Users, operators: list[Actor], act: Act
) -> None:
    refused = await everybody_at_once(users, operators, act)

    assert await left(database) == 1
    assert {type(error) for error in refused} <= {Conflict, NotFound}


@pytest.mark.parametrize("act", [disable, demote])
async def test_without_the_guard_they_would_leave_none(
    database: Database,
    users: Users,
    operators: list[Actor],
    act: Act,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_guard(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(module, "require_operator_left", no_guard)

    for operator in operators:
        await act(users, operator, operator)

    assert await left(database) == 0


async def test_one_who_was_stopped_meanwhile_stops_nobody(
    database: Database, users: Users, operators: list[Actor]
) -> None:
    first, second, _ = operators
    await disable(users, first, second)

    for act in (disable, demote):
        with pytest.raises(NotFound):
            await act(users, second, first)

    assert await left(database) == 2
