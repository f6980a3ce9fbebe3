"""The last operator: the one rule of every write that may take an operator away."""

import asyncio
from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.context import TenantId, UserId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict
from orderdesk_app.services.operators import require_operator_left


async def _make_operator(database: Database, user_id: UserId, *, is_operator: bool = True) -> None:
    async with database.write() as session:
        await session.exec(
            update(User).where(col(User.id) == user_id).values(is_operator=is_operator)
        )


async def _ask(database: Database, **without: Any) -> None:
    async with database.write() as session:
        await require_operator_left(database, session, **without)


async def test_one_of_two_may_go_and_the_last_may_not(database: Database, two_tenants: Any) -> None:
    ada, bert = two_tenants
    for owner in two_tenants:
        await _make_operator(database, owner.view.owner_id)

    await _ask(database, without_user=ada.view.owner_id)
    await _ask(database, without_tenants=[bert.view.id])
    await _make_operator(database, bert.view.owner_id, is_operator=False)

    with pytest.raises(Conflict, match="last operator"):
        await _ask(database, without_user=ada.view.owner_id)
    with pytest.raises(Conflict, match="last operator"):
        await _ask(database, without_tenants=[ada.view.id])
    await _ask(database, without_user=bert.view.owner_id, without_tenants=[bert.view.id])


@pytest.mark.parametrize("table", [User, Tenant])
async def test_an_operator_who_cannot_sign_in_does_not_count(
    database: Database, two_tenants: Any, table: Any
) -> None:
    ada, bert = two_tenants
    for owner in two_tenants:
        await _make_operator(database, owner.view.owner_id)
    row_id = bert.view.owner_id if table is User else bert.view.id
    async with database.write() as session:
        await session.exec(update(table).where(table.id == row_id).values(disabled_at=now()))

    with pytest.raises(Conflict, match="last operator"):
        await _ask(database, without_user=ada.view.owner_id)


async def test_where_nobody_is_an_operator_nobody_is_the_last(
    database: Database, two_tenants: Any
) -> None:
    await _ask(database, without_user=two_tenants[0].view.owner_id)
    await _ask(database, without_tenants=[TenantId("of nobody")])


async def test_of_two_operators_who_go_at_once_one_stays(
    database: Database, two_tenants: Any
) -> None:
    for owner in two_tenants:
        await _make_operator(database, owner.view.owner_id)

    async def demote(user_id: UserId) -> None:
        async with database.write() as session:
            await require_operator_left(database, session, without_user=user_id)
            await asyncio.sleep(0.05)  # the other one asks meanwhile
            await session.exec(
                update(User).where(col(User.id) == user_id).values(is_operator=False)
            )

    ended = await asyncio.gather(
        *(demote(owner.view.owner_id) for owner in two_tenants), return_exceptions=True
    )

    assert [type(each) for each in ended if each is not None] == [Conflict]
