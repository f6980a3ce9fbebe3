"""One way to a tenant's rows, and a look for a second one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import orderdesk_app
from orderdesk_app.context import Sealed, StoreId
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.rows import Row
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.stores import Store
from orderdesk_app.db.users import User
from orderdesk_app.services.members import users_of
from tests.db.ownership import belonging_to

PACKAGE = Path(orderdesk_app.__file__).parent
# Who may ask about a tenant's rows without an actor, and why.
WITHOUT_AN_ACTOR = {
    "services/access.py:_read_account": (
        "reads the account of the key that was found, its stores through owned()"
    ),
    "services/audit_rows.py:_found": "which of the rows being written are there already, by id",
    "services/keys.py:find": "a key is how an actor begins; it is found by its digest",
    "services/former_keys.py:find": (
        "a key that no longer works names the account that sees its refusal"
    ),
    "services/connections.py:_stranger": (
        "rows of no account, from the network that the person signed in from"
    ),
    "services/keys.py:is_taken": "whether anybody has that key; it is found by its digest",
    "services/devices.py:meet": "whoever signs in is known by now, and has no account of their own",
    "services/devices.py:_add": "a device belongs to a user, not to an account",
    "services/devices.py:_tell": "the user who signs in",
    "services/devices.py:deliver": "the user who has signed in, whom the job names",
    "services/devices.py:_has_signed_in_before": "the user who signs in",
    "services/connected_apps.py:_require_still": "the account that a code names",
    "services/connected_apps.py:_tell": "the account that a code names",
    "services/oauth_tokens.py:_code": "a code is how an app begins; it is found by its digest",
    "services/oauth_tokens.py:_next_pair": "tokens of the family of the row found by its digest",
    "services/oauth_tokens.py:_by_refresh": "a token is found by its digest",
    "services/oauth_tokens.py:_by_either": "a token is found by its digest",
    "services/oauth_tokens.py:find": "a token is how an actor begins; it is found by its digest",
    "services/own_sessions.py:_sessions_of": "a person sees their own sessions in all accounts",
    "services/own_sessions.py:_end": "the rows were just found by _sessions_of",
    "services/own_sessions.py:_names_of": "the accounts of rows that _sessions_of found",
    "services/key_letters.py:tell_owners_of_rotation": "the actor's own account, by its id",
    "services/passkeys.py:_of": "a passkey is a person's, in all of their accounts",
    "services/passkeys.py:user_named_in": "a passkey is how an actor begins; it is found by its id",
    "services/passkeys.py:_use": "a passkey is how an actor begins; it is found by its id",
    "services/passkeys.py:remove": "the row was just found by _of",
    "services/sessions.py:resume": "a signed cookie is how an actor begins",
    "services/sessions.py:_make_room": "sessions of the user who signs in, in all accounts",
    "services/sessions.py:_note_at_user": "somebody has signed in as that user",
    "services/sessions.py:_note_use": "the signed cookie names the row",
    "services/sessions.py:move": "the session of the user who is signed in, by its id",
    "services/account_switch.py:list": "the actor's own accounts, whichever they are in",
    "services/sessions.py:_end": "the signed cookie names the row",
    "services/members.py:users_of": "the one way to the people of an account",
    "services/members.py:find_user_by_email": "a proved address is how an actor begins",
    "services/members.py:find_first_membership": "the accounts of the user that was just found",
    "services/members.py:_members": "who may act for an account is how an actor begins",
    "services/account_deletion.py:_find": "the actor's own account, by its id",
    "services/data_export.py:_person": "the actor's own user, with their accounts",
    "services/data_export.py:_passkeys": "those of the actor's own user",
    "services/deletions.py:memberships_of": "a user is deleted with all accounts of theirs",
    "services/deletions.py:has_other_owner": "whether an account goes with the user",
    "services/user_deletion.py:_find": "operators delete anybody, others themselves",
    "services/user_deletion.py:_described": "an account of the user who is deleted",
    "services/journal.py:require_all_there": (
        "asks for the actor's own account and user, before anything is written"
    ),
    "services/activity_entries.py:names_of_people": (
        "rows of the actor's own account name these users, some of whom have left"
    ),
    "services/people.py:_has_another_account": "whether the member has an account beside this one",
    "services/invitations.py:_find": "a link is how an actor begins; it was found by its digest",
    "services/invitations.py:who_may_accept": "the user who is signed in, by their own id",
    "services/invitations.py:_send": "the actor's own account, by its id",
    "services/operators.py:require_operator_left": "operators are those of all accounts",
    "services/operators.py:is_operator_now": "a user is an operator of all accounts",
    "services/tenants.py:_admin": "the first start asks whether an operator owns an account",
    "services/tenants.py:get": "the actor's own account, by its id",
    "services/sign_in.py:accounts_by_last_use": "of the user whom a link or a passkey names",
    "services/sign_in_links.py:_may_sign_in": "a mailbox is how an actor begins, by its link",
    "services/magic_links.py:_find": "a link is how an actor begins; it is found by its digest",
    "services/magic_links.py:use": "the row was just found by its digest",
    **dict.fromkeys(
        [
            "services/user_list.py:_with_counts",
            "services/users.py:find",
            "services/users.py:_begin",
            "services/users.py:_signal",
            "services/users.py:_is_operator",
            "services/users.py:_end_sessions",
            "services/users.py:_calls_of",
            "services/users.py:_accounts_of",
            "services/users.py:_stores_of",
            "services/users.py:_keys_of",
            "services/users.py:_sessions_of",
        ],
        "operators see the users of all accounts, and each way begins with that question",
    ),
    "services/store_registration.py:locked_stores": "locks the actor's own account, by its id",
    "services/sandbox.py:_owner": (
        "the sandbox is an Order Desk of its own and knows stores by its own keys"
    ),
    "services/sandbox.py:get": "rows of the store that the sandbox was asked for with its key",
    "services/sandbox.py:all": "rows of the store that the sandbox was asked for with its key",
    "services/sandbox.py:write": "rows of the store that the sandbox was asked for with its key",
}
QUESTIONS = ("select", "select_from", "get")
WRITES = ("insert", "update", "delete")
# Users have no tenant of their own: they are reached through its memberships.
GUARDED_TABLES = {"tenants", "users"} | belonging_to("tenants") | belonging_to("users")
# What outlives its tenant without naming it (SET NULL): the signed end of a chain.
GUARDED_TABLES |= {"audit_chains"}
MODELS = {model.__name__: str(model.__tablename__) for model in Row.__subclasses__()}
GUARDED = {name for name, table in MODELS.items() if table in GUARDED_TABLES}
NAMES_THE_TENANT = re.compile(r"\btenant_id(\)? == |=)(actor\.|write\.actor\.)?tenant_id\b")


def second_ways(source: str, file: str) -> Iterator[tuple[str, str]]:
    """Where a tenant's rows are touched past owned(), with the words for it.

    That is each question that names their table, and each write that names no tenant.
    """
    tree = ast.parse(source)
    around = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    renamed = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        verb = ast.unparse(call.func).rsplit(".", 1)[-1]
        given = (node for part in (*call.args, *call.keywords) for node in ast.walk(part))
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in given
            if isinstance(node, ast.Name | ast.Attribute)
        }
        touched = {renamed.get(name, name) for name in names} & GUARDED
        if not touched or verb not in QUESTIONS + WRITES:
            continue
        function, expression = surroundings(call, around)
        if verb in WRITES and NAMES_THE_TENANT.search(ast.unparse(expression)):
            continue
        place = f"{file}:{function}"
        yield place, f"{place} line {call.lineno}: {verb}({', '.join(sorted(touched))})"


def surroundings(call: ast.Call, around: dict[ast.AST, ast.AST]) -> tuple[str, ast.AST]:
    """The name of the innermost function around a call, and the whole expression it is part of."""
    expression: ast.AST = call
    while not isinstance(around[expression], ast.stmt):
        expression = around[expression]
    node = expression
    while node in around and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = around[node]
    return getattr(node, "name", ""), expression


def guarded_files() -> list[Path]:
    """All of the app but its tables: db/ is what owned() is made of."""
    files = sorted(PACKAGE.rglob("*.py"))
    return [path for path in files if path.relative_to(PACKAGE).parts[0] != "db"]


@pytest.fixture(scope="module")
def found() -> list[tuple[str, str]]:
    return [
        way
        for path in guarded_files()
        for way in second_ways(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE)))
    ]


def test_there_is_no_second_way_to_a_tenants_rows(found):
    ways = [words for place, words in found if place not in WITHOUT_AN_ACTOR]

    assert not ways, (
        "Read these rows with owned(actor, Table), and name tenant_id == actor.tenant_id in each "
        f"write: {ways}"
    )


def test_an_exception_that_is_no_longer_needed_goes(found):
    stale = sorted(set(WITHOUT_AN_ACTOR) - {place for place, _ in found})

    assert not stale, f"Take these out of WITHOUT_AN_ACTOR, as nothing needs them now: {stale}"


@pytest.mark.parametrize(
    "line",
    [
        "rows = await session.exec(select(Store).where(Store.id == given))",
        "rows = await session.exec(select(Store).where(col(Store.tenant_id) == actor.tenant_id))",
        "row = await session.get(Store, given)",
        "row = await session.get(entity=Store, ident=given)",
        "row = await session.get(stores.Store, given)",
        "from orderdesk_app.db.stores import Store as S\nrow = await session.get(S, given)",
        "n = await session.exec(select(func.count()).select_from(Store))",
        "await session.exec(update(Store).where(col(Store.id) == given).values(name='x'))",
        "await session.exec(delete(Change).where(col(Change.id) == given))",
        "await session.exec(delete(Change).where(col(Change.tenant_id) == given))",
        "await session.exec(delete(Change).where(col(Change.tenant_id) != actor.tenant_id))",
        "await session.exec(insert(Store).values(tenant_id=given))",
        "await session.exec(insert(SandboxRow).values(values))",
        "return [row for row in await session.exec(select(AuditEntry))]",
        "async with a as b:\n    return await b.get(Credential, given)",
        "if await session.get(Store, given):\n    pass",
        "if await b.exec(delete(Change)):\n    return [r.tenant_id == actor.tenant_id for r in c]",
        "owned(actor, Store)\nawait session.exec(update(Change).values(state='open'))",
        "user = await session.get(User, given)",
        "users = await session.exec(select(User).where(User.email == given))",
        "account = await session.get(Tenant, given)",
        "key = await session.get(MasterKeyMetadata, given)",
    ],
)
def test_a_second_way_would_be_seen(line):
    body = "\n".join(f"    {part}" for part in line.split("\n"))

    ways = list(second_ways(f"async def f(session, actor, given):\n{body}\n", "services/new.py"))

    assert [place for place, _ in ways] == ["services/new.py:f"]


def test_a_second_way_outside_of_functions_would_be_seen():
    assert [*second_ways("ALL = select(Store)\n", "pages/a.py")] == [
        ("pages/a.py:", "pages/a.py: line 1: select(Store)")
    ]


@pytest.mark.parametrize(
    "line",
    [
        "rows = await session.exec(owned(actor, Store).where(col(Store.id) == given))",
        "await session.exec(delete(Change).where(col(Change.tenant_id) == actor.tenant_id))",
        "await session.exec(delete(Change).where(col(Change.tenant_id) == write.actor.tenant_id))",
        "await session.exec(delete(Session).where(col(Session.tenant_id) == tenant_id))",
        "await session.exec(insert(Store).values(tenant_id=actor.tenant_id, name='x'))",
        "row = await session.get(Signal, given)",
        "kept = self._kept.get(store.id)",
    ],
)
def test_the_one_way_is_free(line):
    assert not [*second_ways(f"async def f(session, actor):\n    {line}\n", "services/new.py")]


def test_every_folder_but_the_tables_own_is_looked_at():
    folders = {path.relative_to(PACKAGE).parts[0] for path in guarded_files()}

    assert folders >= {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"db"}
    assert folders >= {"demo", "orderdesk", "security", "cache", "services", "wiring"}


def test_every_table_that_names_a_tenant_is_guarded():
    naming = {
        name
        for name, table in METADATA.tables.items()
        if {"tenant_id", "user_id", "store_row_id"} & set(table.c.keys())
    }

    unguarded = sorted(naming - GUARDED_TABLES)
    assert not unguarded, (
        "Give these tables a foreign key with ondelete='CASCADE' to the tenant, user or store that "
        f"they name, as in db/sessions.py: {unguarded}"
    )
    assert set(MODELS.values()) == set(METADATA.tables)
    assert {
        "Tenant",
        "User",
        "Membership",
        "Credential",
        "Store",
        "Session",
        "MagicLink",
        "AuditEntry",
        "Change",
        "ConsoleCall",
        "SandboxRow",
        "MasterKeyMetadata",
    } <= GUARDED


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
