"""A database of the release before this one is brought along whole, with what was done in it."""

import itertools
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, inspect, text
from sqlmodel import col, select

from orderdesk_app.context import Actor, Role, Scope, Secret, TenantId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.migrate import exclusive, upgrade
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.signals import Signals
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.security.tokens import new_access_key, new_link_secret, new_master_key
from orderdesk_app.security.web import SessionCookies, SignedText
from orderdesk_app.services.activity import Activity
from orderdesk_app.services.activity_entries import ActivityEntries
from orderdesk_app.services.audit import AuditLog
from orderdesk_app.services.key_views import legacy_scopes_of_key, scopes_of_key
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.magic_links import MagicLinks
from orderdesk_app.services.members import Member
from orderdesk_app.services.sessions import Sessions
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.tools.catalogue import every_tool
from tests.db.ownership import add_missing_rows, belonging_to
from tests.worlds import MadeUpActors

LATELY = datetime.now(UTC) - timedelta(minutes=5)
NEXT_HOUR = datetime.now(UTC) + timedelta(hours=1)
ADMIN, ADA, CLOSED = "01ADMIN", "01ADA", "01CLOSED"
NO_TENANT = ""


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    return (
        f"sqlite:///{data_dir / 'old.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("empty_postgres_url"))
    )


@pytest.fixture
def old_url(empty_url: str) -> str:
    """A database of release 0001 with rows in every table."""
    upgrade(empty_url, to="0001")
    with exclusive(empty_url) as connection:
        fill(connection)
    return empty_url


def insert(connection: Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


def insert_audit(
    connection: Connection, row_id: str, tenant_id: str, via: str, **more: Any
) -> None:
    values = {
        "id": row_id,
        "at": LATELY,
        "tenant_id": tenant_id,
        "role": "admin" if tenant_id == ADMIN else "member",
        "via": via,
        "client_name": "Claude",
        "client_version": "2",
        "address": "192.0.2.7",
        "action": "tool",
        "outcome": "ok",
        "duration_ms": 12.5,
        "cached": False,
        "upstream_requests": 1,
        "request_id": "01REQUEST",
    }
    insert(connection, "audit_entries", **(values | more))


def fill(connection: Connection) -> None:
    """Tenants of both roles, one of them disabled, and something in every table."""
    for tenant_id, name, role, email, disabled_at in (
        (ADMIN, "Admin", "admin", "admin@example.com", None),
        (ADA, "Ada's Teas", "member", None, None),
        (CLOSED, "Closed", "member", None, LATELY),
    ):
        insert(
            connection,
            "tenants",
            id=tenant_id,
            name=name,
            role=role,
            email=email,
            created_at=LATELY,
            disabled_at=disabled_at,
        )
        insert(
            connection,
            "stores",
            id=f"{tenant_id}-store",
            tenant_id=tenant_id,
            store_id="4711",
            name="Teas",
            label="eu",
            api_url="https://app.example/api/v2",
            api_key=b"sealed",
            is_sandbox=False,
            timezone="Europe/Berlin",
            folders='[["1", "New"]]',
            settings='{"a": 1}',
            created_at=LATELY,
            updated_at=LATELY,
        )
        insert(
            connection,
            "sandbox_rows",
            store_row_id=f"{tenant_id}-store",
            kind="order",
            object_id="1",
            body=b"sealed",
            version=3,
        )
        for kind in ("master", "access"):
            insert(
                connection,
                "credentials",
                id=f"{tenant_id}-{kind}",
                tenant_id=tenant_id,
                kind=kind,
                name=f"A {kind} key",
                digest=f"{tenant_id} {kind}".encode(),
                bcrypt=b"hash" if kind == "master" else None,
                hint="abcd",
                scopes='["orders:read"]',
                active_store_id=f"{tenant_id}-store",
                created_at=LATELY,
                last_used_at=LATELY,
                revoked_at=None,
            )
        insert(
            connection,
            "sessions",
            id=f"{tenant_id}-session",
            tenant_id=tenant_id,
            credential_id=f"{tenant_id}-master",
            active_store_id=f"{tenant_id}-store",
            created_at=LATELY,
            seen_at=LATELY,
            expires_at=NEXT_HOUR,
            ended_at=None,
            address="192.0.2.7",
            user_agent="Firefox",
        )
        insert(
            connection,
            "signin_links",
            id=f"{tenant_id}-link",
            tenant_id=tenant_id,
            digest=f"{tenant_id} link".encode(),
            created_at=LATELY,
            expires_at=NEXT_HOUR,
            used_at=LATELY,
        )
        insert(
            connection,
            "changes",
            id=f"{tenant_id}-change",
            at=LATELY,
            tenant_id=tenant_id,
            store_row_id=f"{tenant_id}-store",
            order_id="100000001",
            action="update",
            state="open",
            before=b"before",
            meant=b"meant",
            after=None,
            paths='["email"]',
            via="mcp",
            credential_id=f"{tenant_id}-access",
            session_id=None,
            client_name="Claude",
            request_id="01REQUEST",
            closed_at=None,
        )
        insert(
            connection,
            "console_calls",
            id=f"{tenant_id}-call",
            at=LATELY,
            tenant_id=tenant_id,
            tool="orders_get",
            arguments=b"sealed",
            result=b"sealed",
            outcome="ok",
            duration_ms=3.5,
            cached=True,
        )
        insert(
            connection,
            "master_key_metadata",
            id=f"tenant:{tenant_id}",
            purpose="tenant",
            tenant_id=tenant_id,
            salt=b"salt",
            wrapped=b"wrapped",
            key_id="k",
            created_at=LATELY,
        )
        insert_audit(
            connection,
            f"{tenant_id}-by-agent",
            tenant_id,
            "mcp",
            credential_id=f"{tenant_id}-access",
            arguments=b"sealed",
            store_row_id=f"{tenant_id}-store",
            change_id=f"{tenant_id}-change",
        )
        insert_audit(
            connection,
            f"{tenant_id}-by-person",
            tenant_id,
            "web",
            session_id=f"{tenant_id}-session",
        )
    insert_audit(connection, "by-nobody", NO_TENANT, "web", action="sign_in.key", outcome="REFUSED")
    insert_audit(connection, "of-a-tenant-that-is-gone", "01GONE", "mcp")
    insert(connection, "buckets", key="a", tokens=1.5, updated_at=2.5)
    insert(connection, "leases", name="a", holder="b", expires_at=1.5)
    insert(connection, "signals", topic="tenant:a", origin="b", at=LATELY)


def rows(connection: Connection, table: str) -> dict[str, dict[str, Any]]:
    found = connection.execute(text(f"SELECT * FROM {table}")).mappings()
    return {str(row.get("id", row.get("key", row.get("name")))): dict(row) for row in found}


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


FORMER = {"audit_log": "audit_entries", "magic_links": "signin_links"}
GONE = {"tenants": {"role", "email"}, "changes": {"order_id"}}
NEW = {"user_id", "purpose", "kind", "object_id"}


def test_every_row_is_brought_along(old_url: str) -> None:
    with exclusive(old_url) as connection:
        before = {table: rows(connection, table) for table in tables(connection)}
    assert all(before.values()), "each table of the old release has rows"

    upgrade(old_url, to="0002")

    with exclusive(old_url) as connection:
        after = {table: rows(connection, table) for table in tables(connection)}
        violations = (
            connection.execute(text("PRAGMA foreign_key_check")).all()
            if connection.dialect.name == "sqlite"
            else []
        )
    assert violations == []
    assert set(after) <= set(METADATA.tables)  # later migrations add tables
    for table in set(after) - {"users", "memberships"}:
        old_rows = before[FORMER.get(table, table)]
        assert after[table].keys() == old_rows.keys(), table
        for row_id, row in old_rows.items():
            kept = {name: value for name, value in row.items() if name not in GONE.get(table, ())}
            now_there = {name: after[table][row_id][name] for name in kept}
            if table == "audit_log":
                del kept["role"], kept["tenant_id"], now_there["role"], now_there["tenant_id"]
            assert now_there == kept, (table, row_id)
            assert set(after[table][row_id]) - set(kept) <= NEW | {"role", "tenant_id"}
    assert {row["object_id"] for row in after["changes"].values()} == {"100000001"}
    assert {row["kind"] for row in after["changes"].values()} == {"order"}
    assert {row["purpose"] for row in after["magic_links"].values()} == {"sign_in"}


def test_rows_from_before_the_chains_are_counted(old_url: str) -> None:
    upgrade(old_url)

    with exclusive(old_url) as connection:
        found = connection.execute(text("SELECT tenant_id, unchained, signature FROM audit_chains"))
        chains = {tenant_id: (unchained, signed) for tenant_id, unchained, signed in found}
        numbered = connection.execute(text("SELECT count(sequence) FROM audit_log")).scalar()
    # those of nobody: a sign-in that was refused, and a tenant that is gone
    counts = dict.fromkeys((ADA, ADMIN, CLOSED, None), (2, None))
    assert (chains, numbered) == (counts, 0)


def test_each_tenant_gets_one_owner_and_the_admins_is_an_operator(old_url: str) -> None:
    upgrade(old_url)

    with exclusive(old_url) as connection:
        found = connection.execute(
            text(
                "SELECT m.tenant_id, m.role, u.email, u.name, u.is_operator, u.disabled_at "
                "FROM memberships m JOIN users u ON u.id = m.user_id ORDER BY m.tenant_id"
            )
        ).all()
        users = connection.execute(text("SELECT count(*) FROM users")).scalar()
    assert users == 3
    assert [(*row[:4], bool(row[4]), row[5]) for row in found] == [
        (ADA, "owner", None, "Ada's Teas", False, None),
        (ADMIN, "owner", "admin@example.com", "Admin", True, None),
        (CLOSED, "owner", None, "Closed", False, None),
    ]


def test_what_users_did_before_is_in_their_lists(old_url: str) -> None:
    upgrade(old_url)

    with exclusive(old_url) as connection:
        found = connection.execute(
            text(
                "SELECT m.tenant_id, u.state, u.top_role, u.name_key, u.email_key, "
                "u.last_sign_in_at IS NULL, u.last_active_at IS NULL, "
                "(SELECT sum(calls) FROM user_days d WHERE d.user_id = u.id) "
                "FROM memberships m JOIN users u ON u.id = m.user_id ORDER BY m.tenant_id"
            )
        ).all()
    assert [tuple(row) for row in found] == [
        (ADA, "active", "owner", "ada's teas", None, False, False, 2),
        (ADMIN, "operator", "owner", "admin", "admin@example.com", False, False, 2),
        (CLOSED, "active", "owner", "closed", None, False, False, 2),
    ]


@pytest.mark.parametrize(
    "table", ["sessions", "credentials", "changes", "magic_links", "audit_log"]
)
def test_what_was_done_was_done_by_the_owner(old_url: str, table: str) -> None:
    upgrade(old_url)

    with exclusive(old_url) as connection:
        owners = {
            row["tenant_id"]: row["user_id"]
            for row in connection.execute(text("SELECT * FROM memberships")).mappings()
        }
        found = rows(connection, table).values()
    assert len(owners) == 3
    assert {row["tenant_id"] for row in found} >= set(owners)
    for row in found:
        assert row["user_id"] == owners.get(row["tenant_id"])
    if table == "audit_log":
        strangers = {row["id"] for row in found if row["tenant_id"] is None}
        assert strangers == {"by-nobody", "of-a-tenant-that-is-gone"}
        assert {row["role"] for row in found} == {"owner", ""}


def test_a_migration_that_fails_leaves_the_old_database(old_url: str) -> None:
    with exclusive(old_url) as connection:
        before = {table: rows(connection, table) for table in tables(connection)}
        # a view of somebody's own, which holds the table that is to go
        connection.execute(text("CREATE VIEW theirs AS SELECT digest FROM signin_links"))

    with pytest.raises(Exception, match="theirs"):
        upgrade(old_url)

    with exclusive(old_url) as connection:
        assert {table: rows(connection, table) for table in tables(connection)} == before
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
        )
        connection.execute(text("DROP VIEW theirs"))
    upgrade(old_url)


@pytest.mark.parametrize("owner", ["tenants", "users"])
async def test_what_belongs_to_a_row_goes_with_it(old_url: str, owner: str) -> None:
    """Foreign keys are in force here, as they are for the program itself."""
    upgrade(old_url)
    with exclusive(old_url) as connection:
        user_id = connection.execute(
            text("SELECT user_id FROM memberships WHERE tenant_id = :tenant"), {"tenant": ADA}
        ).scalar_one()
        ids = {"tenants": ADA, "users": str(user_id)}
        add_missing_rows(connection, ids)
    database = Database(old_url)
    before = await counts(database)

    await database.execute(f"DELETE FROM {owner} WHERE id = :id", {"id": ids[owner]})

    after = await counts(database)
    strays = {
        str(key.parent): await database.execute(
            f"SELECT count(*) FROM {key.parent.table.name} WHERE {key.parent.name} = :id",
            {"id": ids[owner]},
        )
        for table in METADATA.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == owner
    }
    await database.close()
    assert {name for name in before if after[name] < before[name]} == {owner, *belonging_to(owner)}
    # where signals are rows, each of these deletions is signalled
    assert {name for name in before if after[name] > before[name]} <= {"signals"}
    assert set(strays) >= {f"{name}.{owner[:-1]}_id" for name in ("audit_log", "sessions")}
    assert {name: number for name, [(number,)] in strays.items() if number} == {}


def test_a_user_leaves_behind_what_was_done() -> None:
    assert not belonging_to("users") & {"tenants", "stores", "changes", "audit_log", "credentials"}
    assert "users" not in belonging_to("tenants")


def test_a_row_of_each_table_can_be_made_up(empty_url: str) -> None:
    """A new table of tenants or users needs no rows by hand in these tests."""
    upgrade(empty_url)

    with exclusive(empty_url) as connection:
        add_missing_rows(connection, {})
        made = {table: len(rows(connection, table)) for table in tables(connection)}

    assert made == dict.fromkeys(METADATA.tables, 1)


async def counts(database: Database) -> dict[str, int]:
    return {
        name: (await database.execute(f"SELECT count(*) FROM {name}", {}))[0][0]
        for name in METADATA.tables
    }


@dataclass
class Past:
    """What people hold of an account that the release before this one made."""

    url: str
    keyring: Keyring
    master_key: Secret
    access_key: Secret
    cookie: str
    link: str


@pytest.fixture
async def past(empty_url: str, data_dir: Path) -> Past:
    upgrade(empty_url, to="0001")
    with exclusive(empty_url) as connection:
        insert(connection, "tenants", id=ADA, name="Ada's Teas", role="member", created_at=LATELY)
    database = Database(empty_url)
    keyring = await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir)
    arguments = await Sealer(keyring).seal_for(
        ADA, "audit_entries", "arguments", "01ROW", b'{"order_id": "7"}'
    )
    master_key, access_key, link = new_master_key(), new_access_key(), new_link_secret()
    hashed = await Passwords(rounds=4).hash(master_key)
    await database.close()
    with exclusive(empty_url) as connection:
        for kind, key in (("master", master_key), ("access", access_key)):
            insert(
                connection,
                "credentials",
                id=f"01{kind}",
                tenant_id=ADA,
                kind=kind,
                name=kind,
                digest=digest(keyring.digest_key, key.reveal()),
                bcrypt=hashed if kind == "master" else None,
                hint="abcd",
                scopes='["orders:read"]',
                created_at=LATELY,
            )
        insert(
            connection,
            "sessions",
            id="01SESSION",
            tenant_id=ADA,
            created_at=LATELY,
            seen_at=LATELY,
            expires_at=NEXT_HOUR,
            address="",
            user_agent="",
        )
        insert(
            connection,
            "signin_links",
            id="01LINK",
            tenant_id=ADA,
            digest=digest(keyring.digest_key, link),
            created_at=LATELY,
            expires_at=NEXT_HOUR,
        )
        insert_audit(connection, "01ROW", ADA, "mcp", arguments=arguments)
    return Past(
        empty_url,
        keyring,
        master_key,
        access_key,
        SessionCookies(keyring.purpose("jwt")).sign("01SESSION", expires_at=NEXT_HOUR.timestamp()),
        SignedText(keyring.purpose("links"), "sign-in link").sign(link),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["orders:read"], ["orders:read"]),
        (["orders:write"], ["orders:delete", "orders:write"]),
        (["stores:read", "stores:write"], ["stores:manage", "stores:read"]),
        (
            ["orders:read", "orders:write", "products:read", "stores:read", "stores:write"],
            sorted(set(Scope) - {Scope.PRODUCTS_WRITE, Scope.REPORTS_READ}),
        ),
        ([], []),
    ],
)
async def test_a_key_may_do_what_it_could_deleting_included(
    past: Past, before: list[str], after: list[str]
) -> None:
    with exclusive(past.url) as connection:
        connection.execute(
            text("UPDATE credentials SET scopes = :scopes WHERE kind = 'access'"),
            {"scopes": json.dumps(before)},
        )

    upgrade(past.url)

    database = Database(past.url)
    keys = Keys(
        database, past.keyring, Signals(database), Passwords(rounds=4), MadeUpActors(database)
    )
    found = await keys.find(past.access_key.reveal())
    await database.close()
    assert found is not None
    assert sorted(found.scopes) == after


FORMER_SCOPES = (
    "orders:delete",
    "orders:read",
    "orders:write",
    "products:read",
    "stores:delete",
    "stores:read",
    "stores:write",
)
FORMER_SCOPE_OF_TOOL = {"stores_register": "stores:write", "stores_delete": "stores:delete"}


async def test_every_key_may_call_the_tools_that_it_could_when_stores_manage_was_two_scopes(
    past: Past,
) -> None:
    upgrade(past.url, to="0023")
    combinations = [
        sorted(chosen)
        for count in range(len(FORMER_SCOPES) + 1)
        for chosen in itertools.combinations(FORMER_SCOPES, count)
    ]
    with exclusive(past.url) as connection:
        for number, chosen in enumerate(combinations):
            insert(
                connection,
                "credentials",
                id=f"02{number:03}",
                tenant_id=ADA,
                kind="access",
                name="till",
                digest=number.to_bytes(32),
                hint="abcd",
                scopes=json.dumps(chosen),
                created_at=LATELY,
            )

    upgrade(past.url)

    database = Database(past.url)
    async with database.read() as session:
        question = select(Credential).where(col(Credential.name) == "till")
        rows = (await session.exec(question.order_by(col(Credential.id)))).all()
    await database.close()
    for row, chosen in zip(rows, combinations, strict=True):
        actor = Actor(
            TenantId(ADA),
            role=Role.OWNER,
            scopes=scopes_of_key(row, Role.OWNER),
            legacy_scopes=legacy_scopes_of_key(row, Role.OWNER),
        )
        could = {
            tool.name
            for tool in every_tool()
            if FORMER_SCOPE_OF_TOOL.get(tool.name, tool.scope.value) in chosen
        }
        assert {tool.name for tool in every_tool() if tool.is_open_to(actor)} == could, chosen
        assert {Scope.PRODUCTS_WRITE, Scope.REPORTS_READ} & actor.scopes == set(), chosen
        is_half = len({"stores:write", "stores:delete"} & set(chosen)) == 1
        assert (Scope.STORES_MANAGE in actor.scopes, bool(actor.legacy_scopes)) == (
            {"stores:write", "stores:delete"} <= set(chosen),
            is_half,
        ), chosen


def test_a_session_was_proved_when_it_began(past: Past) -> None:
    upgrade(past.url)

    with exclusive(past.url) as connection:
        moments = connection.execute(text("SELECT created_at, proved_at FROM sessions")).all()
    assert moments
    assert [began for began, proved in moments if began != proved] == []


async def test_what_people_hold_still_opens_the_account(past: Past) -> None:
    upgrade(past.url)

    database = Database(past.url)
    keys = Keys(
        database, past.keyring, Signals(database), Passwords(rounds=4), MadeUpActors(database)
    )
    sessions = Sessions(
        database, past.keyring, SessionCookies(past.keyring.purpose("jwt")), timeout=43_200
    )
    links = MagicLinks(past.keyring, Sealer(past.keyring))
    limits = Limits(rpm=9, login=9, console=9)
    sign_in = SignIn(
        database, links, keys, sessions, limit=limits.sign_in, sign_ins=limits.sign_ins
    )
    [(owner,)] = await database.execute("SELECT user_id FROM memberships", {})
    member = Member(owner, Role.OWNER, is_operator=False)
    master = await keys.find(past.master_key.reveal())
    access = await keys.find(past.access_key.reveal())
    resumed = await sessions.resume(past.cookie)
    cookie = await sign_in.use_link(past.link, address="", user_agent="")
    by_link = await sessions.resume(cookie)
    sealer = Sealer(past.keyring)
    audit = AuditLog(database, sealer, enabled=True)
    latest = await Activity(database, ActivityEntries(sealer), audit).latest(
        Actor(TenantId(ADA), owner)
    )
    await database.close()

    assert master is not None
    assert access is not None
    assert (master.member, access.member) == (member, member)
    assert [
        (user.name, user.actor.user_id, user.actor.role) for user in (resumed, by_link) if user
    ] == [("Ada's Teas", owner, Role.OWNER)] * 2
    assert [happening.arguments for happening in latest] == [{"order_id": "7"}]


def test_sqlite_copies_each_table_once_at_most(data_dir: Path) -> None:
    """The database is locked meanwhile, and the journal may be gigabytes."""
    url = f"sqlite:///{data_dir / 'old.db'}"
    upgrade(url, to="0001")
    copied: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if found := re.match(r"INSERT INTO _alembic_tmp_(\w+)", statement):
            copied.append(found[1])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        upgrade(url, to="0002")
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert "changes" in copied
    assert len(copied) == len(set(copied))


def test_no_row_is_written_to_a_table_that_was_copied_already(empty_postgres_url: str) -> None:
    """By a server of the old release that still runs. SQLite has one writer at a time anyway."""
    upgrade(empty_postgres_url, to="0001")
    refused: list[str] = []

    def write(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if found := re.match(r"\s*DROP TABLE (\w+)", statement):
            with psycopg.connect(empty_postgres_url, options="-clock_timeout=100") as other:
                try:
                    other.execute(f"DELETE FROM {found[1]}".encode())
                except psycopg.errors.LockNotAvailable:
                    refused.append(found[1])

    event.listen(Engine, "before_cursor_execute", write)
    try:
        upgrade(empty_postgres_url, to="0002")
    finally:
        event.remove(Engine, "before_cursor_execute", write)

    assert refused == ["audit_entries", "signin_links"]
