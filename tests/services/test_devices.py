"""A sign-in in a browser that is new to its person is told to them by mail."""

import ast
import asyncio
import json
from datetime import timedelta

import pytest

from orderdesk_app.context import JsonObject
from orderdesk_app.mail.letters import NewDevice
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.devices import (
    DEVICE_MAIL,
    DeviceMails,
    Devices,
    is_device_token,
    new_device_token,
)
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.services.sessions import Sessions
from tests.services.test_sessions import Clock
from tests.worlds import ROOT, on_sqlite

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
ADA = "ada@example.net"


class Mailer:
    is_set_up = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, NewDevice]] = []

    async def send(self, session, content, *, to, **_):
        self.sent.append((to, content))
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mailer():
    return Mailer()


@pytest.fixture
def mails():
    return GrowingDelays("device_mails", DelayRules(100, 600, 600), words="Too many.")


class Jobs:
    """Those that were added, to be run when their transaction is over."""

    def __init__(self) -> None:
        self.waiting: list[JsonObject] = []

    async def add(self, session, kind, payload, *, user_id):
        assert kind == DEVICE_MAIL
        assert payload["user_id"] == user_id
        self.waiting.append(json.loads(json.dumps(payload)))
        return ""


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def devices(keyring, mailer, jobs):
    return Devices(keyring, mailer, jobs)


@pytest.fixture
def sign_in(database, keyring, devices, clock, mailer, mails, jobs):
    telling = DeviceMails(database, mailer, mails)
    cookies = SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp())
    sessions = Sessions(database, keyring, cookies, timeout=4000, devices=devices, clock=clock)

    async def sign_in(account, device, user_agent=FIREFOX):
        async with database.write() as session:
            await sessions.begin(
                session,
                account.view.id,
                account.view.owner_id,
                credential_id=None,
                address="192.0.2.7",
                user_agent=user_agent,
                device=device,
            )
        while jobs.waiting:
            await telling.deliver(jobs.waiting.pop())

    return sign_in


@pytest.fixture
async def ada(database, tenant):
    """She has a verified address."""
    await database.execute(
        "UPDATE users SET email = :email WHERE id = :id",
        {"email": ADA, "id": tenant.view.owner_id},
    )
    return tenant


async def test_the_first_sign_in_is_no_news_and_one_in_another_browser_is(
    sign_in, ada, mailer, clock
):
    laptop, phone = new_device_token(), new_device_token()
    await sign_in(ada, laptop)
    await sign_in(ada, laptop)
    assert mailer.sent == []

    await sign_in(ada, phone)
    await sign_in(ada, phone)
    await sign_in(ada, laptop)

    assert mailer.sent == [(ADA, NewDevice("Firefox on Linux", "192.0.2.7", clock.time))]


@on_sqlite
async def test_who_signed_in_before_devices_were_known_is_told(sign_in, ada, mailer):
    await sign_in(ada, "")  # as the release before did

    await sign_in(ada, new_device_token())

    assert len(mailer.sent) == 1


@on_sqlite
async def test_a_browser_that_another_person_used_is_new_for_this_one(
    sign_in, ada, neighbour, mailer
):
    shared = new_device_token()
    await sign_in(ada, new_device_token())
    await sign_in(neighbour, shared)

    await sign_in(ada, shared)

    assert len(mailer.sent) == 1


@on_sqlite
async def test_nothing_is_mailed_to_somebody_without_a_verified_address(sign_in, tenant, mailer):
    for _ in range(3):
        await sign_in(tenant, new_device_token())

    assert mailer.sent == []


@on_sqlite
async def test_nothing_is_mailed_where_mail_is_not_set_up(sign_in, ada, mailer):
    mailer.is_set_up = False

    for _ in range(3):
        await sign_in(ada, new_device_token())

    assert mailer.sent == []


@on_sqlite
async def test_a_program_that_keeps_no_cookie_does_not_flood_its_person(
    sign_in, ada, mailer, mails
):
    mails.rules = DelayRules(3, 600, 600)

    for _ in range(10):
        await sign_in(ada, new_device_token())

    assert len(mailer.sent) == 3


@on_sqlite
async def test_a_browser_that_was_away_for_very_long_is_new(sign_in, ada, mailer, clock):
    old = new_device_token()
    await sign_in(ada, old)
    clock.time += timedelta(days=401)
    await sign_in(ada, new_device_token())
    mailer.sent.clear()

    await sign_in(ada, old)

    assert len(mailer.sent) == 1


async def test_of_two_sign_ins_of_one_browser_at_once_one_is_told(sign_in, ada, mailer):
    await sign_in(ada, new_device_token())
    phone = new_device_token()

    await asyncio.gather(*(sign_in(ada, phone) for _ in range(5)))

    assert len(mailer.sent) == 1


@on_sqlite
async def test_the_database_has_no_token(sign_in, ada, database, everything_in):
    token = new_device_token()
    await sign_in(ada, token)

    assert token.encode() not in await everything_in(database)


@pytest.mark.parametrize("text", [None, "", "x", "a" * 42, "a" * 44, "é" * 43, "a" * 42 + "\n"])
def test_what_is_no_token_of_ours_is_none(text):
    assert not is_device_token(text)
    assert is_device_token(new_device_token())


def test_the_letter_says_when_where_and_how_to_end_it():
    letter = NewDevice("Firefox on Linux", "192.0.2.7", Clock().time).letter()

    words = " ".join([*letter.paragraphs, *letter.closing])
    assert "Firefox on Linux" in words
    assert "192.0.2.7" in words
    assert "UTC" in words
    assert "end that session" in words
    assert letter.path == "/account"  # no link in it signs in


def test_every_way_of_signing_in_hands_the_browser_on():
    """`begin` takes a sign-in without a browser too: of a test, of a release before this one."""
    forgotten = [
        f"{path.name}:{call.lineno}"
        for path in sorted((ROOT / "orderdesk_app").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith("_sessions.begin")
        and "device" not in {keyword.arg for keyword in call.keywords}
    ]

    assert forgotten == []
