"""Somebody to delete: a person with an account of their own and a share in another one, who has
left something in every place that remembers people; and a walk over all that is remembered.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import col, update

from orderdesk_app.context import (
    ALL_SCOPES,
    Actor,
    Role,
    Secret,
    TenantId,
    UserId,
    Via,
    new_id,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.invitations import Invitation
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.users import User
from orderdesk_app.mail.letters import Trial
from orderdesk_app.wiring import Services
from tests.db.ownership import add_missing_rows
from tests.worlds import FIRST_ORDER, TenantClient, World

NAME = "Adelheid Quintessa"
EMAIL = "adelheid.quintessa@example.com"
ADDRESS = "203.0.113.77"
PROGRAM = "Quintessas own program"
ORDER_TEXT = "Leave it with the neighbour Zebedaeus"
VALUES = (NAME, EMAIL, "quintessa", ADDRESS, PROGRAM, ORDER_TEXT, "Zebedaeus")


@dataclass
class Person:
    """Ada. `own` is her account, of which Cleo is a viewer; `shared` she owns together with Bert,
    who is the neighbour.
    """

    world: World
    user_id: UserId
    own: Actor
    shared: Actor
    bert: Actor
    cleo: UserId
    key: Secret  # of hers, in the shared account

    @property
    def services(self) -> Services:
        return self.world.services


async def make_person(world: World) -> Person:
    """Ada's tracks are in the journal, the activity, the console, the cache and a waiting mail."""
    services = world.services
    own = replace((await world.owner.principal()).actor, via=Via.WEB, credential_id=None)
    bert = replace((await world.neighbour.principal()).actor, via=Via.WEB, credential_id=None)
    assert own.user_id is not None
    shared_account, _ = await services.tenants.make_tenant("Shared shop")
    cleo = UserId(new_id())
    async with services.database.write() as session:
        await session.exec(
            update(User).where(col(User.id) == own.user_id).values(name=NAME, email=EMAIL)
        )
        session.add(User(id=cleo, name="Cleo"))
        await session.flush()
        await session.exec(
            update(Membership)
            .where(col(Membership.tenant_id) == shared_account.id)
            .values(user_id=bert.user_id)
        )
        session.add(_member(shared_account.id, own.user_id, Role.OWNER))
        session.add(_member(own.tenant_id, cleo, Role.VIEWER))
        session.add(
            Invitation(
                tenant_id=bert.tenant_id,
                invited_by=bert.user_id,
                email=EMAIL.capitalize(),
                email_key=EMAIL,
                role=Role.VIEWER.value,
                expires_at=now(),
            )
        )
        await services.mailer.send(session, Trial(), to=EMAIL, user_id=own.user_id)
        await services.signals.publish(session, f"user:{own.user_id}")
        await services.signals.publish(session, f"tenant:{own.tenant_id}")
    await services.database.execute(
        "DELETE FROM users WHERE id = :id", {"id": shared_account.owner_id}
    )
    shared = replace(own, tenant_id=shared_account.id)
    person = Person(world, own.user_id, own, shared, bert, cleo, Secret(""))
    await services.stores.add_sandbox(shared)
    _, person.key = await services.keys.create(shared, "Quintessa's key", ALL_SCOPES)
    for key in (world.owner.key, person.key):
        await _leave_tracks(person, TenantClient(services, NAME, key))
    bike_shop = TenantClient(services, "Bert's Bikes", world.neighbour.key)
    await _leave_tracks(person, bike_shop, is_ada=False)
    for actor in (own, shared):
        await services.sessions.start(
            actor.tenant_id,
            person.user_id,
            credential_id=None,
            address=ADDRESS,
            user_agent=PROGRAM,
        )
    await services.console.run(
        replace(own, session_id="01SESSION"), "orders_get", {"order_id": FIRST_ORDER}
    )
    await services.audit.flush()
    await services.user_activity.flush()
    return person


async def add_made_up_rows(person: Person) -> None:
    """So that each table has one of hers, whatever else is in it."""
    async with person.services.database.write() as session:
        ids = {"tenants": str(person.own.tenant_id), "users": str(person.user_id)}
        connection = await session.connection()
        await connection.run_sync(lambda sync: add_missing_rows(sync, ids))


async def _leave_tracks(person: Person, client: TenantClient, *, is_ada: bool = True) -> None:
    services = person.services
    principal = await client.principal()
    text = ORDER_TEXT if is_ada else "By Bert"
    if is_ada:
        principal = principal.with_client(PROGRAM, "1.0", ADDRESS)
    for tool, arguments in (
        ("orders_get", {"order_id": FIRST_ORDER}),
        ("orders_list", {"search": text}),
        ("orders_update", {"order_id": FIRST_ORDER, "changes": {"order_notes": [text]}}),
        ("orders_get", {"order_id": FIRST_ORDER}),
        ("orders_get", {"order_id": FIRST_ORDER, "nonsense": text}),
    ):
        await services.runner.run(principal, tool, arguments)


def _member(tenant_id: TenantId, user_id: UserId, role: Role) -> Membership:
    return Membership(tenant_id=tenant_id, user_id=user_id, role=role.value, created_at=now())


async def all_rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in the order of the primary keys."""
    async with database.read() as session:
        connection = await session.connection()
        found = {}
        for table in METADATA.sorted_tables:
            rows = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name] = [dict(row) for row in rows.mappings()]
        return found


def places_of(rows: dict[str, list[dict[str, Any]]], *values: str) -> list[str]:
    """The columns in which one of the values is found, in any spelling of capitals."""
    return sorted(
        {
            f"{table}.{column}: {value}"
            for table, found in rows.items()
            for row in found
            for column, cell in row.items()
            for value in values
            if value.casefold() in _text(cell)
        }
    )


def _text(cell: Any) -> str:
    text = cell.decode("latin-1") if isinstance(cell, bytes) else json.dumps(cell, default=str)
    return text.casefold()


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
