"""Signing in with the master key, or by a link that works once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from orderdesk_app.context import Role, Secret
from orderdesk_app.errors import LinkExpired, LinkUsed, NotFound, RateLimited, SignInFailed
from orderdesk_app.security.tokens import new_master_key
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.magic_links import LinkPurpose, MagicLinks
from orderdesk_app.services.sessions import Sessions
from orderdesk_app.services.sign_in import SignIn

BROWSER = {"address": "192.0.2.7", "user_agent": "Firefox"}


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


class AttemptLimit:
    """A limit of `left` attempts in all."""

    def __init__(self, left: int = 1000) -> None:
        self.left = left

    async def check(self, key: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise RateLimited("Too many.", retry_after=60)

    async def give_back(self, key: str) -> None:
        self.left += 1


class AuditTrail:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attempts():
    return AttemptLimit()


@pytest.fixture
def trail():
    return AuditTrail()


@pytest.fixture
def sessions(database, keyring, clock):
    return Sessions(
        database,
        keyring,
        SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp()),
        timeout=3600,
        clock=clock,
    )


@pytest.fixture
def sign_in(database, keyring, sealer, keys, sessions, attempts, trail, clock):
    links = MagicLinks(keyring, sealer, clock=clock)
    sign_ins = Limits(rpm=120, login=5, console=60).sign_ins
    return SignIn(database, links, keys, sessions, limit=attempts, sign_ins=sign_ins, audit=trail)


async def test_the_master_key_signs_in(sign_in, sessions, two_tenants, trail):
    ada, _ = two_tenants

    cookie = await sign_in.with_key(ada.master_key, **BROWSER)

    user = await sessions.resume(cookie)
    assert user is not None
    assert (user.name, user.actor.tenant_id) == ("Ada's Teas", ada.view.id)
    assert [(entry.action, entry.outcome, entry.actor.tenant_id) for entry in trail.entries] == [
        ("sign_in.key", "ok", ada.view.id)
    ]


async def test_a_key_copied_with_spaces_around_it_signs_in(sign_in, tenant):
    assert await sign_in.with_key(Secret(f"  {tenant.master_key.reveal()}\n"), **BROWSER)


@pytest.mark.parametrize("text", ["", "x", "é" * 64, "a" * 100_000, "' OR 1=1 --" * 5, "\x00" * 64])
async def test_what_is_no_key_does_not_sign_in(sign_in, trail, text):
    with pytest.raises(SignInFailed, match="not known here"):
        await sign_in.with_key(Secret(text), **BROWSER)

    assert [(entry.outcome, entry.actor.address) for entry in trail.entries] == [
        ("AUTH_ERROR", "192.0.2.7")
    ]


async def test_an_unknown_key_does_not_sign_in_and_its_text_is_not_repeated(sign_in, tenant):
    wrong = new_master_key()

    with pytest.raises(SignInFailed) as caught:
        await sign_in.with_key(wrong, **BROWSER)

    assert wrong.reveal() not in str(caught.value)


async def test_an_access_key_does_not_sign_in_to_the_web_app(sign_in, keys, tenant):
    _, key = await keys.create(tenant.actor, "laptop")

    with pytest.raises(SignInFailed, match="master key"):
        await sign_in.with_key(key, **BROWSER)


async def test_a_stranger_who_sends_wrong_keys_and_links_locks_nobody_out(
    sign_in, attempts, tenant, trail
):
    attempts.left = 1
    with pytest.raises(SignInFailed):
        await sign_in.with_key(new_master_key(), **BROWSER)

    with pytest.raises(RateLimited):
        await sign_in.with_key(new_master_key(), **BROWSER)
    with pytest.raises(RateLimited):
        await sign_in.use_link("forged", **BROWSER)

    # from the very same address
    assert await sign_in.with_key(tenant.master_key, **BROWSER)
    assert await sign_in.use_link((await sign_in.make_link(tenant.view.id)).reveal(), **BROWSER)
    assert [entry.outcome for entry in trail.entries] == ["AUTH_ERROR", "ok", "ok"]


async def test_the_right_key_and_a_good_link_use_no_tries_up(sign_in, attempts, tenant):
    attempts.left = 1

    for _ in range(6):
        await sign_in.with_key(tenant.master_key, **BROWSER)
        await sign_in.use_link((await sign_in.make_link(tenant.view.id)).reveal(), **BROWSER)

    assert attempts.left == 1


async def test_of_many_guesses_at_once_each_counts_and_the_right_key_gets_in(
    sign_in, attempts, tenant, trail
):
    attempts.left = 3

    guesses = [sign_in.with_key(new_master_key(), **BROWSER) for _ in range(20)]
    *wrong, right = await asyncio.gather(
        *guesses, sign_in.with_key(tenant.master_key, **BROWSER), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in wrong) == (
        ["RateLimited"] * 17 + ["SignInFailed"] * 3
    )
    assert isinstance(right, str)
    assert sorted(entry.outcome for entry in trail.entries) == ["AUTH_ERROR"] * 3 + ["ok"]


async def test_a_key_that_is_rotated_while_it_is_checked_opens_no_session(
    sign_in, keys, tenant, trail, monkeypatch
):
    check = sign_in.check_key

    async def check_slowly(key, *, by):
        found = await check(key, by=by)
        await keys.rotate_master(tenant.actor)
        return found

    monkeypatch.setattr(sign_in, "check_key", check_slowly)

    with pytest.raises(SignInFailed, match="not known here"):
        await sign_in.with_key(tenant.master_key, **BROWSER)

    assert [entry.outcome for entry in trail.entries] == ["AUTH_ERROR"]


async def test_nobody_is_signed_in_by_an_old_key_or_link_after_a_rotation(
    sign_in, sessions, keys, tenant
):
    link = (await sign_in.make_link(tenant.view.id)).reveal()

    *cookies, _ = await asyncio.gather(
        *(sign_in.with_key(tenant.master_key, **BROWSER) for _ in range(5)),
        sign_in.use_link(link, **BROWSER),
        keys.rotate_master(tenant.actor),
        return_exceptions=True,
    )

    alive = [await sessions.resume(cookie) for cookie in cookies if isinstance(cookie, str)]
    assert [user for user in alive if user is not None] == []


async def test_a_link_tells_whose_it_is_and_works_once(sign_in, sessions, two_tenants, trail):
    _, bert = two_tenants
    token = (await sign_in.make_link(bert.view.id)).reveal()

    for _ in range(2):
        [account] = (await sign_in.look_at_link(token)).accounts
        assert account.name == "Bert's Bikes"
    user = await sessions.resume(await sign_in.use_link(token, **BROWSER))
    assert user is not None
    assert user.actor.tenant_id == bert.view.id
    with pytest.raises(LinkUsed):
        await sign_in.use_link(token, **BROWSER)
    with pytest.raises(LinkUsed):
        await sign_in.look_at_link(token)
    assert [entry.outcome for entry in trail.entries] == ["ok", "AUTH_ERROR"]


async def test_a_sign_in_is_written_down_with_the_user(sign_in, tenant, trail):
    await sign_in.with_key(tenant.master_key, **BROWSER)
    await sign_in.use_link((await sign_in.make_link(tenant.view.id)).reveal(), **BROWSER)

    assert [(entry.action, entry.actor.user_id, entry.actor.role) for entry in trail.entries] == [
        ("sign_in.key", tenant.view.owner_id, Role.OWNER),
        ("sign_in.link", tenant.view.owner_id, Role.OWNER),
    ]


async def test_the_link_of_a_disabled_user_opens_nothing(sign_in, database, tenant):
    token = (await sign_in.make_link(tenant.view.id)).reveal()
    await database.execute(
        "UPDATE users SET disabled_at = created_at WHERE id = :user",
        {"user": tenant.view.owner_id},
    )

    with pytest.raises(LinkExpired):
        await sign_in.use_link(token, **BROWSER)
    with pytest.raises(NotFound):
        await sign_in.make_link(tenant.view.id)


async def test_the_link_of_a_disabled_user_reads_as_one_that_expired(
    sign_in, database, keyring, sealer, tenant, clock
):
    """A link that a sign-up mails to somebody with an account works as long as its setting says."""
    links = MagicLinks(keyring, sealer, clock=clock)
    async with database.write() as session:
        token = await links.make(
            session, LinkPurpose.SIGN_IN, works_for=7200, user_id=tenant.view.owner_id
        )
    await database.execute("UPDATE users SET disabled_at = created_at", {})

    words = []
    for hours in (0, 2):
        clock.time += timedelta(hours=hours)
        with pytest.raises(LinkExpired) as refused:
            await sign_in.look_at_link(token.reveal())
        words.append(refused.value.message)

    assert words[0] == words[1]
    assert "2 hours" in words[0]


async def test_a_link_made_for_something_else_signs_nobody_in(sign_in, database, tenant):
    token = (await sign_in.make_link(tenant.view.id)).reveal()
    await database.execute("UPDATE magic_links SET purpose = 'verify'", {})

    with pytest.raises(NotFound):
        await sign_in.use_link(token, **BROWSER)


async def test_of_twenty_who_use_a_link_at_once_one_gets_in(sign_in, tenant):
    token = (await sign_in.make_link(tenant.view.id)).reveal()

    results = await asyncio.gather(
        *(sign_in.use_link(token, **BROWSER) for _ in range(20)), return_exceptions=True
    )

    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, LinkUsed) for result in results) == 19


async def test_a_link_works_for_fifteen_minutes(sign_in, clock, tenant):
    token = (await sign_in.make_link(tenant.view.id)).reveal()
    other = (await sign_in.make_link(tenant.view.id)).reveal()

    clock.time += timedelta(minutes=14, seconds=59)
    assert await sign_in.use_link(token, **BROWSER)
    clock.time += timedelta(seconds=2)
    with pytest.raises(LinkExpired):
        await sign_in.look_at_link(other)
    with pytest.raises(LinkExpired):
        await sign_in.use_link(other, **BROWSER)


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t[:-1],
        lambda t: "A" + t,
        lambda t: "",
        lambda t: "x" * 50_000,
        lambda t: t.split(".")[0] + ".AAAA",
        lambda t: "\x00é",
    ],
)
async def test_a_damaged_link_is_not_known(sign_in, tenant, damage):
    token = damage((await sign_in.make_link(tenant.view.id)).reveal())

    with pytest.raises(NotFound):
        await sign_in.look_at_link(token)
    with pytest.raises(NotFound):
        await sign_in.use_link(token, **BROWSER)


async def test_the_database_knows_no_link(sign_in, database, tenant, everything_in):
    token = (await sign_in.make_link(tenant.view.id)).reveal()

    assert token.encode() not in await everything_in(database)


async def test_a_new_master_key_makes_older_links_useless(sign_in, keys, tenant):
    token = (await sign_in.make_link(tenant.view.id)).reveal()

    await keys.rotate_master(tenant.actor)

    with pytest.raises(LinkUsed):
        await sign_in.use_link(token, **BROWSER)
