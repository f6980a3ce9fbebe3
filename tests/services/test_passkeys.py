"""Passkeys sign in and confirm: their own person alone, at this address alone, and each challenge
once.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select, update

from orderdesk_app.context import Actor, now
from orderdesk_app.db.passkeys import Passkey, SpentChallenge
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    RateLimited,
    ReauthenticationRequired,
    SignInFailed,
    ValidationFailed,
)
from orderdesk_app.security.passkeys import PasskeyRules
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.passkey_challenges import CHALLENGE_SECONDS, PasskeyChallenges
from orderdesk_app.services.passkey_sign_in import PasskeySignIn
from orderdesk_app.services.passkeys import MOST_PASSKEYS, Passkeys
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sessions import Sessions
from tests.authenticator import Authenticator
from tests.worlds import on_sqlite

URL = "http://localhost:8080"


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


class Trail:
    """Remembers what was audited."""

    def __init__(self) -> None:
        self.entries = []

    async def write(self, entry):
        self.entries.append((entry.action, entry.outcome, entry.actor.tenant_id))

    write_or_queue = write


@dataclass
class Desk:
    """The services that passkeys need, and somebody who is signed in."""

    passkeys: Passkeys
    sign_in: PasskeySignIn
    sessions: Sessions
    actor: Actor
    clock: Clock
    trail: Trail

    async def add(self, authenticator: Authenticator, name: str = "My phone", actor=None):
        actor = actor or self.actor
        question = await self.passkeys.ask_for_new(actor)
        answer = authenticator.create(question.options)
        return await self.passkeys.add(actor, answer, question.cookie, name)

    async def use(self, answer: str, cookie: str | None) -> Actor:
        """Signs in with it; returns who that is."""
        session = await self.sign_in.with_passkey(
            answer, cookie, address="192.0.2.7", user_agent="Firefox"
        )
        user = await self.sessions.resume(session)
        assert user is not None
        return user.actor

    async def signed_in(self, authenticator: Authenticator, **changed) -> Actor:
        question = await self.sign_in.ask()
        return await self.use(authenticator.get(question.options, **changed), question.cookie)

    async def person(self, tenant) -> Actor:
        cookie = await self.sessions.start(
            tenant.view.id, tenant.view.owner_id, credential_id=None, address="", user_agent=""
        )
        user = await self.sessions.resume(cookie)
        assert user is not None
        return user.actor


@pytest.fixture
async def desk(database, keyring, keys, signals, tenant):
    clock, trail = Clock(), Trail()
    cookies = SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp())
    sessions = Sessions(database, keyring, cookies, timeout=86_400, clock=clock)
    passkeys = Passkeys(
        database,
        PasskeyRules(URL),
        PasskeyChallenges(keyring, clock=clock),
        Reauthentication(database, clock=clock),
        signals,
        trail,
        clock=clock,
    )
    limits = Limits(rpm=100, login=8, console=100)
    sign_in = PasskeySignIn(
        database,
        passkeys,
        keys,
        sessions,
        trail,
        limit=limits.sign_in,
        sign_ins=limits.sign_ins,
    )
    desk = Desk(passkeys, sign_in, sessions, tenant.actor, clock, trail)
    desk.actor = await desk.person(tenant)
    return desk


async def test_a_passkey_is_added_and_signs_in_without_a_name_or_a_key(desk, tenant):
    phone = Authenticator()
    added = await desk.add(phone, "  My   phone ")
    before = await desk.passkeys.list(desk.actor)

    actor = await desk.signed_in(phone)

    assert (actor.tenant_id, actor.user_id) == (tenant.view.id, tenant.view.owner_id)
    assert actor.session_id != desk.actor.session_id
    assert (added.name, before[0].last_used_at) == ("My phone", None)
    assert (await desk.passkeys.list(actor))[0].last_used_at == desk.clock()
    assert desk.trail.entries == [
        ("passkey.add", "ok", tenant.view.id),
        ("sign_in.passkey", "ok", tenant.view.id),
    ]


@on_sqlite
async def test_the_browser_is_asked_for_a_verified_person_at_our_own_name(desk):
    new = json.loads((await desk.passkeys.ask_for_new(desk.actor)).options)
    use = json.loads((await desk.sign_in.ask()).options)

    assert new["rp"] == {"id": "localhost", "name": "Order Desk agents"}
    assert new["authenticatorSelection"]["userVerification"] == "required"
    assert new["authenticatorSelection"]["residentKey"] == "required"
    assert new["attestation"] == "none"
    assert (use["rpId"], use["userVerification"]) == ("localhost", "required")
    assert use["allowCredentials"] == []
    assert new["challenge"] != use["challenge"]


@on_sqlite
async def test_a_device_is_asked_for_one_passkey_of_a_person(desk):
    phone = Authenticator()
    await desk.add(phone)

    options = json.loads((await desk.passkeys.ask_for_new(desk.actor)).options)

    assert len(options["excludeCredentials"]) == 1


async def test_an_answer_counts_once(desk, database):
    """Of a synced passkey too, whose count of uses never moves."""
    phone = Authenticator(counts=False)
    await desk.add(phone)
    question = await desk.sign_in.ask()
    answer = phone.get(question.options)
    await desk.use(answer, question.cookie)

    with pytest.raises(SignInFailed, match="done before"):
        await desk.use(answer, question.cookie)
    at_once = await desk.sign_in.ask()
    answers = [phone.get(at_once.options) for _ in range(4)]
    done = await asyncio.gather(
        *(desk.use(answer, at_once.cookie) for answer in answers), return_exceptions=True
    )

    assert sum(isinstance(one, Actor) for one in done) == 1
    desk.clock.time += timedelta(hours=2)
    await desk.signed_in(phone)
    async with database.read() as session:
        assert len((await session.exec(select(SpentChallenge))).all()) == 1  # the old ones are gone


@on_sqlite
async def test_an_answer_comes_too_late_after_five_minutes(desk):
    phone = Authenticator()
    await desk.add(phone)
    question = await desk.sign_in.ask()
    answer = phone.get(question.options)
    desk.clock.time += timedelta(seconds=CHALLENGE_SECONDS)

    with pytest.raises(SignInFailed, match="too long"):
        await desk.use(answer, question.cookie)


@on_sqlite
async def test_an_answer_is_taken_from_the_browser_that_was_asked_alone(desk, keyring):
    phone = Authenticator()
    await desk.add(phone)
    question, another = await desk.sign_in.ask(), await desk.sign_in.ask()
    confirming = await desk.passkeys.ask_to_confirm(desk.actor)
    answer = phone.get(question.options)

    for cookie in (None, "", "x", another.cookie, confirming.cookie, question.cookie[:-1]):
        with pytest.raises(SignInFailed):
            await desk.use(answer, cookie)


@on_sqlite
@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://localhost:8080"},
        {"origin": "http://localhost:8081"},
        {"origin": "http://evil.example"},
        {"type": "webauthn.create"},
        {"challenge": "AAAA"},
    ],
)
async def test_another_origin_type_or_challenge_proves_nothing(desk, lie):
    phone = Authenticator()
    await desk.add(phone)

    with pytest.raises(SignInFailed):
        await desk.signed_in(phone, **lie)


@on_sqlite
@pytest.mark.parametrize("changed", [{"rp_id": "evil.example"}, {"is_verified": False}])
async def test_another_site_and_a_person_who_was_not_verified_prove_nothing(desk, changed):
    phone = Authenticator()
    await desk.add(phone)

    with pytest.raises(SignInFailed):
        await desk.signed_in(replace(phone, **changed))
    with pytest.raises(SignInFailed):
        await desk.add(Authenticator(**changed))


@on_sqlite
async def test_another_key_proves_nothing(desk):
    phone = Authenticator()
    await desk.add(phone)
    forged = replace(Authenticator(), credential_id=phone.credential_id)
    forged.user_handle = phone.user_handle

    with pytest.raises(SignInFailed):
        await desk.signed_in(forged)
    with pytest.raises(SignInFailed):
        await desk.signed_in(Authenticator(user_handle=phone.user_handle))


@on_sqlite
@pytest.mark.parametrize("whose", ["the neighbour's", "nobody's"])
async def test_a_passkey_that_says_it_is_somebody_elses_does_not_sign_in(desk, neighbour, whose):
    phone = Authenticator()
    await desk.add(phone)
    phone.user_handle = neighbour.view.owner_id.encode() if whose == "the neighbour's" else None

    with pytest.raises(SignInFailed):
        await desk.signed_in(phone)


@on_sqlite
async def test_a_count_that_went_back_is_refused_as_a_copy_would_be(desk):
    phone = Authenticator()
    await desk.add(phone)
    await desk.signed_in(phone)
    copy = replace(phone, count=0)

    with pytest.raises(SignInFailed, match="as a copy of it would"):
        await desk.signed_in(copy)
    with pytest.raises(SignInFailed, match="as a copy of it would"):
        await desk.signed_in(replace(phone, count=0, counts=False))
    assert await desk.signed_in(phone)


@on_sqlite
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{}",
        "[]",
        "null",
        "\ud800",
        "{" * 5000,
        '{"id":1}',
        "x" * 100_000,
        '{"id":"a","rawId":"é"}',
    ],
)
async def test_what_is_no_answer_is_refused_and_nothing_breaks(desk, answer):
    question = await desk.passkeys.ask_for_new(desk.actor)

    with pytest.raises(SignInFailed):
        await desk.use(answer, (await desk.sign_in.ask()).cookie)
    with pytest.raises(SignInFailed):
        await desk.passkeys.add(desk.actor, answer, question.cookie, "x")


@on_sqlite
async def test_wrong_answers_are_delayed_and_right_ones_are_not(desk):
    phone = Authenticator()
    await desk.add(phone)
    for _ in range(8):
        with pytest.raises(SignInFailed):
            await desk.use("{}", (await desk.sign_in.ask()).cookie)

    with pytest.raises(RateLimited):
        await desk.use("{}", (await desk.sign_in.ask()).cookie)

    assert await desk.signed_in(phone)  # a stranger locks nobody out
    assert ("sign_in.passkey", "AUTH_ERROR", "") in desk.trail.entries


async def test_a_disabled_person_and_one_without_an_account_do_not_sign_in(desk, database, tenant):
    phone = Authenticator()
    await desk.add(phone)

    for model, row_id in ((User, tenant.view.owner_id), (Tenant, tenant.view.id)):
        for value in (now(), None):
            async with database.write() as session:
                row = update(model).where(col(model.id) == row_id)
                await session.exec(row.values(disabled_at=value))
            if value is None:
                assert await desk.signed_in(phone)
            else:
                with pytest.raises(SignInFailed, match="any more"):
                    await desk.signed_in(phone)


@on_sqlite
async def test_a_new_passkey_needs_a_recent_proof_and_a_lost_one_goes_without(desk):
    phone = Authenticator()
    view = await desk.add(phone)
    question = await desk.passkeys.ask_for_new(desk.actor)
    answer = Authenticator().create(question.options)
    desk.clock.time += timedelta(minutes=16)

    with pytest.raises(ReauthenticationRequired):
        await desk.passkeys.ask_for_new(desk.actor)
    with pytest.raises(ReauthenticationRequired):
        await desk.passkeys.add(desk.actor, answer, question.cookie, "x")
    await desk.passkeys.remove(desk.actor, view.id)

    assert await desk.passkeys.list(desk.actor) == []
    with pytest.raises(SignInFailed):
        await desk.signed_in(phone)


async def test_a_neighbours_passkeys_are_not_there(desk, neighbour, database):
    theirs = await desk.person(neighbour)
    phone = Authenticator()
    view = await desk.add(phone, actor=theirs)

    with pytest.raises(NotFound):
        await desk.passkeys.remove(desk.actor, view.id)
    with pytest.raises(Conflict, match="in use already"):
        await desk.add(phone)

    assert await desk.passkeys.list(desk.actor) == []
    assert [one.id for one in await desk.passkeys.list(theirs)] == [view.id]
    question = await desk.passkeys.ask_to_confirm(desk.actor)
    answer = phone.get(question.options)
    async with database.write() as session:
        with pytest.raises(SignInFailed):
            await desk.passkeys.use_to_confirm(session, desk.actor, answer, question.cookie)


@on_sqlite
async def test_a_question_for_a_new_one_is_of_its_session(desk, tenant):
    question = await desk.passkeys.ask_for_new(desk.actor)
    other = await desk.person(tenant)

    with pytest.raises(SignInFailed):
        await desk.passkeys.add(
            other, Authenticator().create(question.options), question.cookie, "x"
        )


@on_sqlite
@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "\u2066x", "a\x00b"])
async def test_a_name_can_be_seen(desk, name):
    with pytest.raises(ValidationFailed):
        await desk.add(Authenticator(), name)


@on_sqlite
async def test_there_is_an_end_to_them(desk, database):
    async with database.write() as session:
        session.add_all(
            Passkey(
                user_id=desk.actor.user_id, name="x", credential_id=bytes([number]), public_key=b""
            )
            for number in range(MOST_PASSKEYS)
        )

    with pytest.raises(Conflict, match="the most"):
        await desk.passkeys.ask_for_new(desk.actor)


@pytest.mark.parametrize(
    ("url", "rp_id", "origin", "is_available"),
    [
        ("https://Desk.Example.com", "desk.example.com", "https://desk.example.com", True),
        ("https://desk.example.com:443", "desk.example.com", "https://desk.example.com", True),
        (
            "https://desk.example.com:8443",
            "desk.example.com",
            "https://desk.example.com:8443",
            True,
        ),
        ("http://localhost:8080", "localhost", "http://localhost:8080", True),
        ("http://desk.example.com", "desk.example.com", "http://desk.example.com", False),
        ("http://127.0.0.1:8080", "127.0.0.1", "http://127.0.0.1:8080", False),
        ("https://[::1]:8080", "::1", "https://::1:8080", False),
    ],
)
def test_name_and_origin_are_those_of_public_url(url, rp_id, origin, is_available):
    rules = PasskeyRules(url)

    assert (rules.rp_id, rules.origin, rules.is_available) == (rp_id, origin, is_available)
