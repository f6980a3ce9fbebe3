"""One way to a tenant's rows, and a look for a second one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import orderdesk_app
from orderdesk_app.context import Sealed, StoreId
from orderdesk_app.db import schema
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.rows import Row
from orderdesk_app.db.stores import Store
from orderdesk_app.db.users import User
from orderdesk_app.services.members import users_of

# Who may ask about a tenant's rows without an actor, and why.
WITHOUT_AN_ACTOR = {
    "services/keys.py:find": "a key is how an actor begins",
    "services/keys.py:_note_use": "the row was just found by its key",
    "services/sessions.py:resume": "a cookie is how an actor begins",
    "services/sessions.py:end": "the cookie names the row",
    "services/members.py:users_of": "the one way to the people of an account",
    "services/members.py:_members": "who may act for an account is how an actor begins",
    "services/tenants.py:_admin": "the first start asks whether an operator owns an account",
    "services/sign_in.py:_use_up": "a link is how an actor begins",
    "services/sign_in.py:_good_link": "a link is how an actor begins",
    "services/sandbox.py:_owner": (
        "the sandbox is an Order Desk of its own and knows stores by its own keys"
    ),
}
TABLES = {mapper.class_.__name__: mapper.class_ for mapper in Row._sa_registry.mappers}
# Users have no tenant of their own: they are reached through its memberships.
TENANT_TABLES = {
    name for name, table in TABLES.items() if "tenant_id" in table.__table__.columns
} | {"User"}


def questions(tree: ast.Module) -> Iterator[tuple[str, ast.Call, ast.stmt]]:
    """Each call, with the innermost function and the innermost statement around it."""
    around = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        function, statement, node = "", None, around[call]
        while node is not tree:
            if statement is None and isinstance(node, ast.stmt):
                statement = node
            if not function and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function = node.name
            node = around[node]
        if statement is not None:
            yield function, call, statement


def second_ways(source: str, name: str) -> list[str]:
    """Questions about a tenant's rows that do not go through owned(): selects at all, writes that
    do not name the tenant.
    """
    found = []
    for function, call, statement in questions(ast.parse(source)):
        verb = (
            call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        )
        if (
            verb not in ("select", "select_from", "get", "update", "delete")
            or f"{name}:{function}" in WITHOUT_AN_ACTOR
        ):
            continue
        asked = {
            node.id
            for argument in call.args
            for node in ast.walk(argument)
            if isinstance(node, ast.Name)
        } & TENANT_TABLES
        names_tenant = verb in ("update", "delete") and "tenant_id ==" in ast.unparse(
            statement
        ).replace(") ==", " ==")
        if asked and not names_tenant:
            found.append(f"{name}:{call.lineno} {function}: {verb}({', '.join(sorted(asked))})")
    return found


def test_nobody_knows_a_second_way_to_a_tenants_rows():
    root = Path(orderdesk_app.__file__).parent
    sources = [
        path
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in ("db", "demo", "orderdesk", "security", "cache")
    ]

    found = [
        way
        for path in sources
        for way in second_ways(path.read_text(), str(path.relative_to(root)))
    ]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "rows = await session.exec(select(Store).where(Store.id == given))",
        "row = await session.get(Store, given)",
        "await session.exec(update(Store).where(col(Store.id) == given).values(name='x'))",
        "await session.exec(delete(Change).where(col(Change.id) == given))",
        "return [row for row in await session.exec(select(AuditEntry))]",
        "async with a as b:\n    return await b.get(Credential, given)",
        "if await session.get(Store, given):\n    pass",
        "user = await session.get(User, given)",
        "users = await session.exec(select(User).where(User.email == given))",
    ],
)
def test_a_second_way_would_be_seen(line):
    body = "\n".join(f"    {part}" for part in line.split("\n"))

    assert second_ways(f"async def f(session, given):\n{body}\n", "services/new.py")


def test_every_table_is_looked_at():
    assert {
        "Store",
        "Credential",
        "Session",
        "MagicLink",
        "AuditEntry",
        "Change",
        "ConsoleCall",
        "Membership",
        "User",
    } <= TENANT_TABLES
    assert len(TABLES) == len(schema.METADATA.tables)


async def test_a_neighbours_rows_are_not_there(database, two_tenants):
    ada, bert = two_tenants
    async with database.write() as session:
        for owner in two_tenants:
            session.add(
                Store(
                    tenant_id=owner.view.id,
                    store_id=StoreId("77"),
                    name=owner.view.name,
                    api_url="https://app.example",
                    api_key=Sealed(b"x"),
                )
            )

    async with database.read() as session:
        adas = (await session.exec(owned(ada.actor, Store))).all()
        adas_keys = (await session.exec(owned(ada.actor, Credential))).all()
        row_of_bert = (await session.exec(owned(bert.actor, Store))).one()
        found = (
            await session.exec(owned(ada.actor, Store).where(Store.id == row_of_bert.id))
        ).all()

    assert [row.name for row in adas] == ["Ada's Teas"]
    assert {row.tenant_id for row in adas_keys} == {ada.view.id}
    assert found == []


async def test_a_neighbours_user_is_not_there(database, two_tenants):
    ada, bert = two_tenants

    async with database.read() as session:
        adas = (await session.exec(users_of(ada.actor))).all()
        of_bert = users_of(ada.actor).where(User.id == bert.view.owner_id)
        found = (await session.exec(of_bert)).all()

    assert [user.id for user in adas] == [ada.view.owner_id]
    assert found == []
