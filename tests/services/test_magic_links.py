"""A link proves one thing, once, to the first who uses it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.errors import LinkExpired, LinkUsed, NotFound
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.magic_links import Link, LinkPurpose, MagicLinks, end_links

SIGN_UP = LinkPurpose.SIGN_UP
ADDRESS = "ada.lovelace@example.net"


@dataclass
class Desk:
    """Links of one process, each act in a transaction of its own."""

    database: Database
    links: MagicLinks
    clock: "Clock"

    async def make(self, purpose: LinkPurpose = SIGN_UP, **values: Any) -> str:
        async with self.database.write() as session:
            token = await self.links.make(session, purpose, **{"works_for": 900.0, **values})
        return token.reveal()

    async def look(self, token: str, purpose: LinkPurpose = SIGN_UP) -> Link:
        async with self.database.read() as session:
            return await self.links.look(session, token, purpose)

    async def use(self, token: str, purpose: LinkPurpose = SIGN_UP) -> Link:
        async with self.database.write() as session:
            return await self.links.use(session, token, purpose)


@dataclass
class Clock:
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def desk(database: Database, keyring: Keyring, sealer: Sealer) -> Desk:
    clock = Clock()
    return Desk(database, MagicLinks(keyring, sealer, clock=clock), clock)


@pytest.fixture
async def elsewhere(database_url: str, desk: Desk) -> AsyncIterator[Desk]:
    """Another process, with connections of its own."""
    database = Database(database_url)
    yield Desk(database, desk.links, desk.clock)
    await database.close()


async def test_a_link_gives_back_what_it_was_made_with_once(desk: Desk, tenant: Any) -> None:
    token = await desk.make(tenant_id=tenant.view.id, payload={"email": ADDRESS})

    looked = [await desk.look(token) for _ in range(3)]
    used = await desk.use(token)

    assert used == looked[0] == looked[2]
    assert (used.tenant_id, used.user_id, used.payload) == (
        tenant.view.id,
        None,
        {"email": ADDRESS},
    )
    kept = await desk.database.query("SELECT count(*) FROM magic_links WHERE payload IS NULL", {})
    assert [tuple(row) for row in kept] == [(1,)]  # what is personal went with the use
    for again in (desk.look, desk.use):
        with pytest.raises(LinkUsed, match=r"each works once\. If you used it"):
            await again(token)


async def test_of_twenty_uses_at_once_one_wins(desk: Desk, elsewhere: Desk) -> None:
    token = await desk.make(payload={"email": ADDRESS})

    results = await asyncio.gather(
        *(process.use(token) for process in (desk, elsewhere) for _ in range(10)),
        return_exceptions=True,
    )

    assert sorted(type(result).__name__ for result in results) == ["Link"] + ["LinkUsed"] * 19


async def test_a_use_whose_transaction_fails_uses_nothing_up(desk: Desk) -> None:
    token = await desk.make()

    with contextlib.suppress(LookupError):
        async with desk.database.write() as session:
            await desk.links.use(session, token, SIGN_UP)
            raise LookupError

    assert await desk.use(token)


async def test_who_waits_for_a_use_that_fails_may_use_the_link(desk: Desk, elsewhere: Desk) -> None:
    token = await desk.make()

    with contextlib.suppress(LookupError):
        async with desk.database.write() as session:
            await desk.links.use(session, token, SIGN_UP)
            waiting = asyncio.create_task(elsewhere.use(token))
            await asyncio.sleep(0.05)
            raise LookupError

    assert await waiting


@pytest.mark.parametrize("other", [purpose for purpose in LinkPurpose if purpose != SIGN_UP])
async def test_a_link_serves_no_other_purpose(desk: Desk, other: LinkPurpose) -> None:
    token = await desk.make(payload={"email": ADDRESS})

    for way in (desk.look, desk.use):
        with pytest.raises(NotFound, match="not known here"):
            await way(token, other)

    assert await desk.use(token)


async def test_a_link_works_as_long_as_it_says(desk: Desk) -> None:
    early, late = await desk.make(works_for=3600.0), await desk.make(works_for=3600.0)

    desk.clock.time += timedelta(minutes=59, seconds=59)
    assert await desk.use(early)
    desk.clock.time += timedelta(seconds=1)
    for way in (desk.look, desk.use):
        with pytest.raises(LinkExpired, match="too old; each works for 60 minutes"):
            await way(late)


async def test_a_link_works_after_a_restart(desk: Desk, data_dir: Path) -> None:
    token = await desk.make(payload={"email": ADDRESS})

    keyring = await Keyring.open(KeyRows(desk.database), kms_key="", data_dir=data_dir)
    restarted = Desk(desk.database, MagicLinks(keyring, Sealer(keyring)), desk.clock)

    assert (await restarted.use(token)).payload == {"email": ADDRESS}


async def test_links_that_expired_long_ago_are_swept_and_still_explain_themselves(
    desk: Desk,
) -> None:
    token = await desk.make(payload={"email": ADDRESS})
    desk.clock.time += timedelta(days=1, minutes=16)

    await desk.make()

    rows = await desk.database.execute("SELECT count(*) FROM magic_links", {})
    assert [*map(tuple, rows)] == [(1,)]
    with pytest.raises(LinkExpired, match="too old"):
        await desk.use(token)


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "\x00é", "x" * 50_000])
async def test_what_was_never_signed_here_is_not_known(desk: Desk, forged: str) -> None:
    with pytest.raises(NotFound):
        await desk.use(forged)


async def test_the_database_holds_neither_token_nor_address(desk: Desk, everything_in: Any) -> None:
    token = await desk.make(payload={"email": ADDRESS})

    held = await everything_in(desk.database)

    assert token.encode() not in held
    assert token.split(".")[0].encode() not in held
    assert ADDRESS.encode() not in held


async def test_links_that_are_ended_are_of_one_account_and_purpose(
    desk: Desk, two_tenants: Any
) -> None:
    ada, bert = two_tenants
    ended = await desk.make(
        LinkPurpose.SIGN_IN,
        tenant_id=ada.view.id,
        user_id=ada.view.owner_id,
        payload={"email": ADDRESS},
    )
    invited = await desk.make(LinkPurpose.INVITATION, tenant_id=ada.view.id)
    of_bert = await desk.make(LinkPurpose.SIGN_IN, tenant_id=bert.view.id)

    async with desk.database.write() as session:
        await end_links(session, ada.view.id, [LinkPurpose.SIGN_IN], desk.clock())

    kept = await desk.database.query("SELECT count(*) FROM magic_links WHERE payload IS NULL", {})
    assert [tuple(row) for row in kept] == [(3,)]  # what is personal went with the end
    with pytest.raises(LinkUsed):
        await desk.use(ended, LinkPurpose.SIGN_IN)
    assert await desk.use(invited, LinkPurpose.INVITATION)
    assert await desk.use(of_bert, LinkPurpose.SIGN_IN)
