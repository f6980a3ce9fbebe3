"""Operators see all users, page by page, and decide who may go on."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from orderdesk_app.context import Actor, Role, Sealed, Secret, StoreId, TenantId, UserId, Via, now
from orderdesk_app.db.audit import NAMELESS
from orderdesk_app.db.deletions import Doomed, RowDeletion
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.schema import METADATA
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.user_days import UserDay
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.services import user_list
from orderdesk_app.services.access import Access
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.tenants import Tenants
from orderdesk_app.services.user_filter import (
    SORTS,
    UserFilter,
    UserPlace,
    read_user_filter,
    read_user_place,
)
from orderdesk_app.services.users import Users
from tests.conftest import TenantAccount

DAY = datetime(2026, 11, 1, tzinfo=UTC)


class Written:
    """An audit log that remembers what it was given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        self.entries.append(entry)

    async def write_or_queue(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def users(database: Database, signals: Signals, written: Written) -> Users:
    return Users(database, signals, Reauthentication(database), written)


@pytest.fixture
async def operator(tenants: Tenants) -> Actor:
    account, _ = await tenants.make_tenant("The house", is_operator=True)
    return account.owner(Via.SYSTEM)


async def fill(database: Database, count: int = 36) -> None:
    """Users of every kind: with ties, without values, disabled, operators, of each role."""
    roles = (Role.OWNER, Role.MEMBER, Role.VIEWER)
    async with database.write() as session:
        for number in range(count):
            user = User(
                id=UserId(f"u{number * 7919 % 1000:03}"),
                name=f"{'Ada' if number % 2 else 'bert'} {number // 6}",
                email=f"{'ada' if number % 4 else 'Zed'}{number}@example.com"
                if number % 3
                else None,
                is_operator=number % 20 == 1,
                disabled_at=DAY if number % 5 == 2 else None,
                created_at=DAY + timedelta(hours=number // 4),
                last_sign_in_at=DAY + timedelta(days=number % 7) if number % 3 == 1 else None,
                last_active_at=DAY + timedelta(microseconds=number // 5) if number % 2 else None,
            )
            session.add(user)
            await session.flush()
            if number % 4 < 3:
                tenant = TenantId(f"t{number}")
                session.add(Tenant(id=tenant, name="T"))
                await session.flush()
                session.add(
                    Membership(tenant_id=tenant, user_id=user.id, role=roles[number % 4].value)
                )


async def everybody(database: Database) -> Sequence[User]:
    async with database.read() as session:
        return (await session.exec(select(User))).all()


def in_order(people: Sequence[User], wanted: UserFilter) -> list[str]:
    """What the list has to be, told in Python."""

    def fits(user: User) -> bool:
        begins = wanted.search.lower()
        return (
            (not wanted.state or user.state in wanted.states)
            and (not wanted.role or user.top_role == wanted.role)
            and (
                not begins
                or user.name.lower().startswith(begins)
                or (user.email or "").lower().startswith(begins)
            )
        )

    values = [(getattr(user, SORTS[wanted.sort]), str(user.id)) for user in people if fits(user)]
    full = sorted([each for each in values if each[0] is not None], reverse=wanted.is_descending)
    empty = sorted([each for each in values if each[0] is None], key=lambda each: each[1])
    return [key for _, key in [*full, *(empty[::-1] if wanted.is_descending else empty)]]


async def walked(users: Users, actor: Actor, wanted: UserFilter) -> tuple[list[str], list[str]]:
    """The ids of all pages, forwards to the end and back to the beginning."""
    forwards: list[str] = []
    place: UserPlace | None = None
    page = await users.page(actor, wanted, count=9)
    pages = [page]
    while page.next is not None:
        place = read_user_place({"after": str(page.next)}, "after", wanted.sort)
        page = await users.page(actor, wanted, count=9, after=place)
        pages.append(page)
        assert len(pages) < 200
    forwards = [row.id for page in pages for row in page.rows]
    back = [page]
    while page.previous is not None:
        place = read_user_place({"before": str(page.previous)}, "before", wanted.sort)
        page = await users.page(actor, wanted, count=9, before=place)
        back.append(page)
        assert len(back) < 200
    return forwards, [row.id for page in reversed(back) for row in page.rows]


FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "active": {"state": "active"},
    "members": {"role": "member"},
    "a name": {"search": "aDA"},
    "an address": {"search": "zed"},
    "both": {"search": "bert 1", "state": "active", "role": "viewer"},
    "nobody": {"search": "nobody"},
}


@pytest.fixture(params=["few", "many"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Searches that find few, or too many to sort."""
    if request.param == "many":
        monkeypatch.setattr(user_list, "FOUND_MOST", 0)
        monkeypatch.setattr(user_list, "LOOKED_THROUGH", 11)
    return str(request.param)


async def test_each_page_follows_the_one_before_it(
    database: Database, users: Users, operator: Actor, small: str
) -> None:
    """With every filter and sort, in both directions, with ties and with rows without a value."""
    await fill(database)
    people = await everybody(database)
    orders = list(itertools.product(SORTS, (False, True)))
    for given, (sort, is_descending) in [
        *[(FILTERS["all" if small == "few" else "a name"], order) for order in orders],
        *itertools.product(FILTERS.values(), [("name", False), ("active", True)]),
    ]:
        wanted = UserFilter(**given, sort=sort, is_descending=is_descending)
        if small == "many" and not wanted.search:
            continue

        forwards, backwards = await walked(users, operator, wanted)

        assert forwards == in_order(people, wanted), wanted
        if small == "few":
            assert backwards == forwards, wanted
        else:  # the first page is whole, where the way back may end in the middle of it
            assert set(backwards) <= set(forwards), wanted


async def test_a_letter_beyond_a_to_z_is_found_small_and_large(
    database: Database, users: Users, operator: Actor
) -> None:
    async with database.write() as session:
        session.add_all([User(name="Émile Zola"), User(name="Émilie"), User(name="emil")])

    for typed in ("émil", "Émil", "ÉMIL"):
        page = await users.page(operator, UserFilter(search=typed))
        assert [row.name for row in page.rows] == ["Émile Zola", "Émilie"], typed


async def test_a_row_counts_stores_and_calls_of_thirty_days(
    database: Database, users: Users, operator: Actor, tenant: TenantAccount
) -> None:
    owner, today = tenant.view.owner_id, now().date()
    async with database.write() as session:
        for back, calls in ((0, 3), (29, 4), (30, 100)):
            session.add(UserDay(user_id=owner, day=today - timedelta(days=back), calls=calls))
        session.add(
            Store(
                tenant_id=tenant.view.id,
                store_id=StoreId("1"),
                name="Teas",
                api_url="x",
                api_key=Sealed(b"x"),
            )
        )

        ended = now() - timedelta(seconds=1)  # a replaced one, after its overlap
        session.add(
            Credential(
                tenant_id=tenant.view.id,
                user_id=owner,
                kind="access",
                name="till",
                digest=b"till",
                hint="till",
                expires_at=ended,
            )
        )

    [row] = (await users.page(operator, UserFilter(search="Ada's"))).rows
    detail = await users.get(operator, owner)

    assert (row.stores, row.calls, row.role, row.state) == (1, 7, "owner", "active")
    assert detail.user == row
    assert detail.calls_by_day == [4, *[0] * 28, 3]
    assert [account.name for account in detail.accounts] == ["Ada's Teas"]
    assert [store.name for store in detail.stores] == ["Teas"]
    assert [(key.kind, key.account) for key in detail.keys] == [("master", "Ada's Teas")]


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize(
    ("sort", "text"),
    [
        ("name", "x"),
        ("name", "n-u1-"),
        ("name", "m-u1-5"),
        ("created", "v-u1-a"),
        ("created", "m-u1-99999999999999999999"),
        ("created", "m-u1--99999999999999999"),
        ("active", "m-u1-x"),
        ("name", "v-u1-\ud800"),
        ("email", "v-" + "u" * 500),
    ],
)
def test_what_is_no_place_is_refused(name: str, sort: str, text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_user_place({name: text}, name, sort)

    assert refused.value.field == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("state", "x"),
        ("role", "king"),
        ("sort", "id"),
        ("order", "up"),
        ("search", "x" * 101),
        ("search", "a\0b"),
    ],
)
def test_what_is_no_filter_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_user_filter({name: text})

    assert refused.value.field == name


def test_a_filter_is_an_address() -> None:
    wanted = UserFilter("Ada", "owner", "active", "created", is_descending=True)

    assert wanted.query() == "search=Ada&role=owner&state=active&sort=created&order=descending"
    assert read_user_filter(dict(part.split("=") for part in wanted.query().split("&"))) == wanted


# ------------------------------------------------------------------ who may ask


async def every_act(users: Users, actor: Actor, user_id: UserId) -> list[str]:
    """The answers to everything that can be asked."""
    answers = []
    for act in (
        lambda: users.page(actor, UserFilter()),
        lambda: users.get(actor, user_id),
        lambda: users.disable(actor, user_id),
        lambda: users.enable(actor, user_id),
        lambda: users.set_operator(actor, user_id, is_operator=True),
        lambda: users.set_operator(actor, user_id, is_operator=False),
    ):
        with pytest.raises(NotFound) as refused:
            await act()
        answers.append(refused.value.message)
    return answers


@pytest.mark.parametrize("role", Role)
async def test_nobody_else_learns_whether_a_user_exists(
    database: Database,
    users: Users,
    written: Written,
    two_tenants: tuple[TenantAccount, TenantAccount],
    role: Role,
) -> None:
    ada, bert = two_tenants
    # what the actor says of itself counts for nothing
    actor = Actor(ada.view.id, ada.view.owner_id, role=role, is_operator=True, via=Via.WEB)

    known = await every_act(users, actor, bert.view.owner_id)
    unknown = await every_act(users, actor, UserId("nobody"))

    assert known == unknown == ["There is no such page."] * 6
    assert written.entries == []


async def test_a_master_key_that_makes_nobody_an_operator_opens_nothing(
    users: Users, operator: Actor, tenant: TenantAccount
) -> None:
    by_key = replace(operator, is_operator=False, via=Via.WEB)

    assert len(await every_act(users, by_key, tenant.view.owner_id)) == 6


async def test_who_was_an_operator_is_none_at_the_next_act(
    database: Database, users: Users, operator: Actor, tenant: TenantAccount
) -> None:
    await users.page(operator, UserFilter())
    await database.execute(
        "UPDATE users SET is_operator = false WHERE id = :id", {"id": operator.user_id}
    )

    assert len(await every_act(users, operator, tenant.view.owner_id)) == 6


# ------------------------------------------------------------------ disable, enable, operators


async def test_who_is_disabled_stops_and_who_is_enabled_goes_on(
    database: Database,
    users: Users,
    keys: Keys,
    signals: Signals,
    operator: Actor,
    tenant: TenantAccount,
    written: Written,
) -> None:
    access = Access(database, keys, signals)
    _, key = await keys.create(tenant.actor, "an agent")
    tokens = [tenant.master_key.reveal(), key.reveal()]
    for token in tokens:
        await access.by_token(token)
    async with database.write() as session:
        session.add(
            Session(
                id="s1",
                method="key",
                tenant_id=tenant.view.id,
                user_id=tenant.view.owner_id,
                expires_at=now() + timedelta(hours=1),
            )
        )

    name = await users.disable(operator, tenant.view.owner_id)
    refused = []
    for token in tokens:
        with pytest.raises(AuthFailed):
            await access.by_token(token)
        refused.append(token)
    await users.disable(operator, tenant.view.owner_id)
    state = (await users.get(operator, tenant.view.owner_id)).user.state
    await users.enable(operator, tenant.view.owner_id)
    works = [(await access.by_token(token)).actor.user_id for token in tokens]

    assert (name, refused, state) == ("Ada's Teas", tokens, "disabled")
    assert works == [tenant.view.owner_id] * 2
    async with database.read() as session:
        ended = await session.get(Session, "s1")
    assert ended is not None
    assert ended.ended_at is not None
    assert [(entry.action, entry.arguments) for entry in written.entries] == [
        (action, {"user_id": tenant.view.owner_id})
        for action in ("user.disable", "user.disable", "user.enable")
    ]


async def test_who_is_being_deleted_is_not_let_in_again(
    database: Database, users: Users, operator: Actor, tenant: TenantAccount
) -> None:
    owner = tenant.view.owner_id
    rows = RowDeletion(database, METADATA, nameless=NAMELESS, erasure=bytes)
    async with database.write() as session:
        await rows.close(session, Doomed(owner, [tenant.view.id]), now())

    for act in (
        lambda: users.get(operator, owner),
        lambda: users.enable(operator, owner),
        lambda: users.set_operator(operator, owner, is_operator=True),
    ):
        with pytest.raises(NotFound, match="deleted"):
            await act()

    async with database.read() as session:
        user = await session.get(User, owner)
    assert user is not None
    assert (user.state, user.is_operator) == ("disabled", False)


async def colleague_of(database: Database, account: TenantAccount) -> UserId:
    user = User(name="Second owner", created_at=now())
    async with database.write() as session:
        session.add(user)
        await session.flush()
        session.add(
            Membership(tenant_id=account.view.id, user_id=user.id, role="owner", created_at=now())
        )
    return user.id


async def test_a_master_key_stops_with_the_person_who_made_it(
    database: Database, users: Users, keys: Keys, operator: Actor, tenant: TenantAccount
) -> None:
    """They have seen it. Another owner makes a new one, which acts as that owner."""
    second = await colleague_of(database, tenant)
    await users.disable(operator, tenant.view.owner_id)
    former = await keys.find(tenant.master_key.reveal())
    by_second = Actor(tenant.view.id, second, role=Role.OWNER, via=Via.SYSTEM)
    rotated = await keys.rotate_master(by_second)

    found = await keys.find(rotated.reveal())

    assert former is None
    assert found is not None
    assert found.member.user_id == second


async def test_a_master_key_that_a_disabled_colleague_made_stops_in_every_cache(
    database: Database,
    users: Users,
    keys: Keys,
    signals: Signals,
    operator: Actor,
    tenant: TenantAccount,
) -> None:
    access = Access(database, keys, signals)
    second = await colleague_of(database, tenant)
    rotated: Secret = await keys.rotate_master(
        Actor(tenant.view.id, second, role=Role.OWNER, via=Via.SYSTEM)
    )
    before = await access.by_token(rotated.reveal())

    await users.disable(operator, second)

    assert before.actor.user_id == tenant.view.owner_id
    with pytest.raises(AuthFailed):
        await access.by_token(rotated.reveal())


async def test_an_operator_is_made_with_a_fresh_proof_alone(
    database: Database, users: Users, operator: Actor, tenant: TenantAccount
) -> None:
    by_browser = replace(operator, via=Via.WEB, session_id="none")

    with pytest.raises(ReauthenticationRequired):
        await users.set_operator(by_browser, tenant.view.owner_id, is_operator=True)
    await users.set_operator(operator, tenant.view.owner_id, is_operator=True)

    assert (await users.get(operator, tenant.view.owner_id)).user.state == "operator"
    await users.set_operator(operator, tenant.view.owner_id, is_operator=False)
    assert (await users.get(operator, tenant.view.owner_id)).user.state == "active"


async def test_the_shell_of_the_server_is_an_operator(users: Users, tenant: TenantAccount) -> None:
    page = await users.page(Actor(TenantId(""), via=Via.SHELL), UserFilter())

    assert [row.name for row in page.rows] == ["Ada's Teas"]


async def test_the_last_operator_stays(
    database: Database, users: Users, operator: Actor, written: Written
) -> None:
    assert operator.user_id is not None
    for act in (users.disable, lambda *given: users.set_operator(*given, is_operator=False)):
        with pytest.raises(Conflict, match="last operator"):
            await act(operator, operator.user_id)

    assert written.entries == []
    assert (await users.get(operator, operator.user_id)).user.state == "operator"
