"""A stranger proves an address, and gets an account with its key: once, whole, or not at all."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Role, UserId
from orderdesk_app.db.engine import Database, after_commit
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    LinkExpired,
    LinkUsed,
    NotFound,
    PermissionDenied,
    RateLimited,
    ValidationFailed,
)
from orderdesk_app.mail.letters import AlreadyRegistered, Content, Verify, Welcome
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.magic_links import MagicLinks
from orderdesk_app.services.sessions import Sessions
from orderdesk_app.services.sign_up import Browser, OpenedAccount, SignUp, SignUpRules
from orderdesk_app.services.tenants import Tenants
from tests.worlds import on_sqlite

ADDRESS = "198.51.100.7"
BROWSER = Browser(ADDRESS, "Firefox")
ADA = "ada@example.net"
OPEN = SignUpRules(is_open=True, needs_proof=True, works_for=900.0)


@dataclass
class Post:
    """The mails that were committed, as (address, letter)."""

    sent: list[tuple[str, Content]] = field(default_factory=list)
    is_broken: bool = False

    async def send(self, session: AsyncSession, content: Content, *, to: str, **_: Any) -> bool:
        if self.is_broken:
            raise OSError("no jobs today")
        after_commit(session, lambda: self.sent.append((to, content)))
        return True

    def token(self) -> str:
        letter = self.sent[-1][1]
        assert isinstance(letter, Verify | AlreadyRegistered)
        return letter.token.reveal()


@dataclass
class Trail:
    entries: list[Entry] = field(default_factory=list)

    async def write_or_queue(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def sessions(database: Database, keyring: Keyring) -> Sessions:
    cookies = SessionCookies(keyring.purpose("jwt"))
    return Sessions(database, keyring, cookies, timeout=3600)


@pytest.fixture
def limits() -> Limits:
    return Limits(rpm=9, login=1000, console=9, accounts_an_hour=1000, sign_ups_a_minute=1000)


@pytest.fixture
def sign_up(
    database: Database,
    tenants: Tenants,
    keys: Keys,
    keyring: Keyring,
    sealer: Sealer,
    sessions: Sessions,
    limits: Limits,
    post: Any,
    trail: Any,
) -> SignUp:
    return SignUp(
        database,
        tenants,
        keys,
        MagicLinks(keyring, sealer),
        post,
        sessions,
        OPEN,
        limits=limits.sign_up,
        audit=trail,
    )


async def counts(database: Database) -> dict[str, int]:
    tables = ("tenants", "users", "memberships", "credentials", "sessions")
    return {
        table: (await database.execute(f"SELECT count(*) FROM {table}", {}))[0][0]
        for table in tables
    }


async def opened(sign_up: SignUp, post: Post, email: str = ADA, name: str = "") -> OpenedAccount:
    await sign_up.send_link(email, address=ADDRESS)
    return await sign_up.verify(post.token(), name, browser=BROWSER)


async def test_a_link_opens_an_account_with_owner_key_and_session(
    sign_up: SignUp, post: Post, keys: Keys, sessions: Sessions, database: Database, trail: Trail
) -> None:
    assert await sign_up.send_link(f"  {ADA} ", address=ADDRESS) == ADA
    assert await counts(database) == dict.fromkeys(await counts(database), 0)
    assert await sign_up.look(post.token()) == ADA

    made = await sign_up.verify(post.token(), "Ada's Teas", browser=BROWSER)

    assert set((await counts(database)).values()) == {1}
    found = await keys.find(made.master_key.reveal())
    assert found is not None
    assert (found.tenant_id, found.member.role) == (made.account.id, Role.OWNER)
    user = await sessions.resume(made.cookie)
    assert user is not None
    assert (user.name, user.actor.user_id) == ("Ada's Teas", made.account.owner_id)
    async with database.read() as session:
        owner = (await session.exec(select(User))).one()
    assert (owner.email, owner.unverified_email, owner.is_operator) == (ADA, None, False)
    assert [(entry.action, entry.actor.user_id) for entry in trail.entries] == [
        ("sign_up", owner.id)
    ]
    assert post.sent[-1] == (ADA, Welcome("Ada's Teas"))
    assert len(made.master_key.reveal()) == 64


async def test_of_two_who_use_a_link_at_once_one_opens_an_account(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    await sign_up.send_link(ADA, address=ADDRESS)

    results = await asyncio.gather(
        *(sign_up.verify(post.token(), "", browser=BROWSER) for _ in range(5)),
        return_exceptions=True,
    )

    assert sorted(type(result).__name__ for result in results) == ["LinkUsed"] * 4 + [
        "OpenedAccount"
    ]
    assert set((await counts(database)).values()) == {1}


async def test_of_two_links_to_one_address_used_at_once_one_opens_an_account(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    tokens = []
    for address in (ADA, "Ada@example.net"):
        await sign_up.send_link(address, address=ADDRESS)
        tokens.append(post.token())

    results = await asyncio.gather(
        *(sign_up.verify(token, "", browser=BROWSER) for token in tokens), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["Conflict", "OpenedAccount"]
    assert set((await counts(database)).values()) == {1}


async def test_what_fails_half_way_leaves_nothing_and_the_link_works(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    await sign_up.send_link(ADA, address=ADDRESS)
    token = post.token()
    post.is_broken = True
    with pytest.raises(OSError, match="no jobs today"):
        await sign_up.verify(token, "", browser=BROWSER)
    nothing = await counts(database)
    post.is_broken = False

    assert await sign_up.verify(token, "", browser=BROWSER)
    assert set(nothing.values()) == {0}


@on_sqlite
async def test_the_session_that_the_browser_held_so_far_ends(
    sign_up: SignUp, post: Post, sessions: Sessions, tenant: Any
) -> None:
    planted = await sessions.start(
        tenant.view.id, tenant.view.owner_id, credential_id=None, address="", user_agent=""
    )
    await sign_up.send_link(ADA, address=ADDRESS)

    made = await sign_up.verify(post.token(), "", browser=replace(BROWSER, replaces=planted))

    assert made.cookie != planted
    assert await sessions.resume(planted) is None
    assert await sessions.resume(made.cookie) is not None


@on_sqlite
async def test_a_replayed_link_explains_itself(sign_up: SignUp, post: Post) -> None:
    await sign_up.send_link(ADA, address=ADDRESS)
    token = post.token()
    await sign_up.verify(token, "", browser=BROWSER)

    with pytest.raises(LinkUsed, match="have a link mailed to you"):
        await sign_up.look(token)
    with pytest.raises(LinkUsed):
        await sign_up.verify(token, "", browser=BROWSER)


@on_sqlite
@pytest.mark.parametrize("typed", [ADA, "ADA@Example.NET", " ada@example.net\n"])
async def test_an_address_with_an_account_gets_a_link_that_signs_in(
    sign_up: SignUp, post: Post, database: Database, typed: str
) -> None:
    await opened(sign_up, post)
    before = await counts(database)

    await sign_up.send_link(typed, address=ADDRESS)

    assert isinstance(post.sent[-1][1], AlreadyRegistered)
    assert await counts(database) == before
    with pytest.raises(NotFound):  # it opens no account
        await sign_up.verify(post.token(), "", browser=BROWSER)


@on_sqlite
async def test_known_and_unknown_addresses_leave_rows_of_the_same_size(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    await opened(sign_up, post)
    await database.execute("DELETE FROM magic_links", {})

    for address in (ADA, "bob@example.net"):
        await sign_up.send_link(address, address=ADDRESS)

    rows = await database.execute("SELECT length(payload), length(digest) FROM magic_links", {})
    assert len(rows) == 2
    assert tuple(rows[0]) == tuple(rows[1])


@on_sqlite
async def test_somebody_whose_accounts_are_gone_opens_another_as_the_same_user(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    first = await opened(sign_up, post)
    await database.execute("DELETE FROM tenants", {})

    second = await opened(sign_up, post, ADA.upper())

    assert second.account.owner_id == first.account.owner_id
    assert (await counts(database))["users"] == 1
    # Mail goes to the address as they proved it, in whichever case it was typed now.
    assert {to for to, _ in post.sent} == {ADA}


@on_sqlite
async def test_a_disabled_user_opens_nothing(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    await sign_up.send_link(ADA, address=ADDRESS)
    token = post.token()
    async with database.write() as session:
        session.add(User(id=UserId("gone"), name="Ada", email=ADA))
    await database.execute("UPDATE users SET disabled_at = created_at", {})

    with pytest.raises(PermissionDenied):
        await sign_up.verify(token, "", browser=BROWSER)
    await sign_up.send_link(ADA, address=ADDRESS)
    assert isinstance(post.sent[-1][1], AlreadyRegistered)


@on_sqlite
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.net",
        "ada@example.net, eve@example.net",
        "ada@example.net\r\nBcc: eve@example.net",
        "ada@example.net\nBcc: eve@example.net",
        "Ada <ada@example.net>",
        "ada@localhost",
        "a" * 400 + "@example.net",
    ],
)
async def test_what_is_no_address_is_refused_at_its_field_and_costs_no_attempt(
    sign_up: SignUp, post: Post, typed: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await sign_up.send_link(typed, address=ADDRESS)

    assert refused.value.field == "email"
    assert post.sent == []


@on_sqlite
async def test_a_network_signs_up_twice_a_minute_and_three_times_an_hour(
    sign_up: SignUp, post: Post
) -> None:
    time = [0.0]
    limits = Limits(rpm=9, login=9, console=9, clock=lambda: time[0])
    sign_up.limits = limits.sign_up

    async def attempt(address: str) -> float:
        try:
            await sign_up.send_link(f"a{len(post.sent)}@example.net", address=address)
        except RateLimited as error:
            return error.retry_after or 0.0
        return 0.0

    waits = [await attempt("2001:db8::1") for _ in range(3)]
    time[0] += 30
    waits += [await attempt(f"2001:db8::{host}") for host in (2, 3)]
    elsewhere = await attempt("2001:db8:0:1::1")
    time[0] += 20 * 60
    later = [await attempt("2001:db8::9") for _ in range(2)]

    assert [wait > 0 for wait in waits] == [False, False, True, False, True]
    assert 0 < waits[2] <= 30
    assert 19 * 60 < waits[4] <= 20 * 60
    assert elsewhere == 0
    assert [wait > 0 for wait in later] == [False, True]


@on_sqlite
async def test_nobody_is_flooded_with_mail_and_the_answer_is_the_same(
    sign_up: SignUp, post: Post
) -> None:
    answers = [await sign_up.send_link(ADA, address=f"198.51.100.{host}") for host in range(9)]

    assert set(answers) == {ADA}
    assert len(post.sent) == 5


@on_sqlite
async def test_one_good_link_sent_many_times_does_not_buy_as_many_hashes(
    sign_up: SignUp, post: Post, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up.limits = Limits(rpm=9, login=2, console=9).sign_up
    await sign_up.send_link(ADA, address=ADDRESS)
    hashed = []
    plain = keys.hash_key

    async def hash_key(key: Any, **named: Any) -> Any:
        hashed.append(key)
        return await plain(key, **named)

    monkeypatch.setattr(keys, "hash_key", hash_key)

    results = await asyncio.gather(
        *(sign_up.verify(post.token(), "", browser=BROWSER) for _ in range(20)),
        return_exceptions=True,
    )

    assert len(hashed) == 2
    assert sum(isinstance(result, OpenedAccount) for result in results) == 1


@on_sqlite
async def test_a_name_is_checked_and_made_from_the_address_where_there_is_none(
    sign_up: SignUp, post: Post
) -> None:
    await sign_up.send_link("ada.lovelace@example.net", address=ADDRESS)
    token = post.token()
    for wrong in ("x" * 81, "two\nlines", "in\u200bvisible"):
        with pytest.raises(ValidationFailed) as refused:
            await sign_up.verify(token, wrong, browser=BROWSER)
        assert refused.value.field == "name"

    made = await sign_up.verify(token, " ", browser=BROWSER)

    assert made.account.name == "ada.lovelace"


@on_sqlite
async def test_closed_sign_up_does_nothing_also_with_a_link_that_is_still_good(
    sign_up: SignUp, post: Post, database: Database
) -> None:
    await sign_up.send_link(ADA, address=ADDRESS)
    sign_up.rules = replace(OPEN, is_open=False)

    for act in (
        sign_up.send_link("bob@example.net", address=ADDRESS),
        sign_up.verify(post.token(), "", browser=BROWSER),
        sign_up.open_without_proof("bob@example.net", "", browser=BROWSER),
    ):
        with pytest.raises(PermissionDenied, match="closed"):
            await act
    assert set((await counts(database)).values()) == {0}
    assert len(post.sent) == 1


@on_sqlite
async def test_without_proof_an_address_is_a_label_and_nothing_else(
    sign_up: SignUp, post: Post, database: Database, keys: Keys
) -> None:
    sign_up.rules = replace(OPEN, needs_proof=False)

    made = [await sign_up.open_without_proof(ADA, "", browser=BROWSER) for _ in range(2)]

    async with database.read() as session:
        users = (await session.exec(select(User))).all()
        roles = (await session.exec(select(Membership.role))).all()
    assert [(user.email, user.unverified_email) for user in users] == [(None, ADA)] * 2
    assert list(roles) == ["owner", "owner"]
    assert post.sent == []
    assert await keys.find(made[1].master_key.reveal())
    with pytest.raises(PermissionDenied):
        await sign_up.send_link(ADA, address=ADDRESS)
    assert post.sent == []
    # the real owner of the address is a newcomer still
    sign_up.rules = OPEN
    await sign_up.send_link(ADA, address=ADDRESS)
    assert isinstance(post.sent[-1][1], Verify)


@on_sqlite
async def test_no_account_is_opened_without_proof_where_it_is_needed(sign_up: SignUp) -> None:
    with pytest.raises(PermissionDenied):
        await sign_up.open_without_proof(ADA, "", browser=BROWSER)


@on_sqlite
async def test_a_sign_up_link_works_for_as_long_as_the_setting_says(
    sign_up: SignUp, post: Post
) -> None:
    sign_up.rules = replace(OPEN, works_for=-1.0)
    await sign_up.send_link(ADA, address=ADDRESS)

    with pytest.raises(LinkExpired, match="Sign up again"):
        await sign_up.look(post.token())


@on_sqlite
async def test_the_key_is_kept_nowhere(
    sign_up: SignUp, post: Post, database: Database, everything_in: Any
) -> None:
    made = await opened(sign_up, post, "ada.of.the.teas@example.net")

    held = await everything_in(database)

    assert made.master_key.reveal().encode() not in held
    assert made.master_key.reveal() not in repr(made)
    assert made.master_key.reveal() not in repr(post.sent)
