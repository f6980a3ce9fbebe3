"""Mail is committed with what it is about, and reaches a real server once, however that behaves."""

import asyncio
import contextlib
import functools
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.db.engine import Database
from orderdesk_app.db.jobs import JobCounts, JobRows
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mail.letters import SignInLink, Welcome
from orderdesk_app.mail.outbox import OutboxSender
from orderdesk_app.mail.sender import MailSender
from orderdesk_app.observability import configure_logging
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.jobs import LEASE_SECONDS, Jobs
from orderdesk_app.services.mailer import MAIL, Mailer, deliver_with
from tests.mail_server import DROP, HANG, MailServer, mail_server, sender_to
from tests.worlds import eventually

WELCOME = Welcome("Ada's Teas")
ADA = "ada@example.net"


@dataclass
class Clock:
    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Desk:
    """One process that mails."""

    database: Database
    jobs: Jobs
    mailer: Mailer

    async def send(self, *, to: str = ADA, **values: Any) -> bool:
        async with self.database.write() as session:
            return await self.mailer.send(session, WELCOME, to=to, **values)

    async def is_idle(self) -> bool:
        return (await self.jobs.counts()).waiting == 0

    async def failed(self, attempts: int) -> bool:
        rows = await self.database.execute("SELECT attempts, holder FROM jobs", {})
        return [*map(tuple, rows)] == [(attempts, "")]

    async def reason(self) -> str:
        [(reason,)] = await self.database.execute("SELECT reason FROM jobs", {})
        return str(reason)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.jobs.start()
        try:
            yield
        finally:
            await self.jobs.stop()


MakeDesk = Callable[..., Desk]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(database: Database, sealer: Sealer, clock: Clock) -> MakeDesk:
    def make(sender: MailSender, at: Database = database, *, is_set_up: bool = True) -> Desk:
        jobs = Jobs(JobRows(at, (MAIL,), clock), sealer, {MAIL: deliver_with(sender)}, poll=0.01)
        mailer = Mailer(jobs, "https://desk.example.com", is_set_up=is_set_up)
        return Desk(at, jobs, mailer)

    return make


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


async def test_mail_and_row_are_committed_together(make: MakeDesk, server: MailServer) -> None:
    desk = make(sender_to(server))
    async with desk.running():
        with contextlib.suppress(LookupError):
            async with desk.database.write() as session:
                await desk.mailer.send(session, WELCOME, to="nobody@example.net")
                raise LookupError
        assert await desk.send()
        await eventually(desk.is_idle, 20)

    assert server.recipients == [ADA]
    assert server.subjects() == ["Your account is ready"]
    assert server.was_encrypted == [True]


async def test_a_mail_that_was_put_off_goes_out_after_a_restart(
    make: MakeDesk, server: MailServer, clock: Clock
) -> None:
    server.answers.append("451 4.7.1 come back later")
    server.refusals.append("450 4.2.0 greylisted")
    desk = make(sender_to(server))
    await desk.send()
    for attempt in (1, 2):
        async with desk.running():
            await eventually(functools.partial(desk.failed, attempt), 20)
        clock.seconds += 60
        desk = make(sender_to(server))
    async with desk.running():
        await eventually(desk.is_idle, 20)

    assert server.recipients == [ADA]


async def test_a_refusal_is_final_and_the_log_names_nobody(
    make: MakeDesk, server: MailServer
) -> None:
    root = logging.getLogger()
    before, level, stream = root.handlers[:], root.level, io.StringIO()
    configure_logging("DEBUG", stream)
    server.refusals.append(f"550 5.1.1 no such user {ADA}")
    desk = make(sender_to(server))
    try:
        await desk.send()
        async with desk.running():
            await eventually(desk.is_idle, 20)
    finally:
        root.handlers[:], root.level = before, level

    assert await desk.jobs.counts() == JobCounts(waiting=0, late=0, gave_up=1)
    assert "refused the recipient (550)" in await desk.reason()
    assert "a job gave up" in stream.getvalue()
    assert "ada" not in stream.getvalue()
    assert server.mails == []


async def test_a_server_that_hangs_holds_up_no_mail_for_others(
    make: MakeDesk, server: MailServer
) -> None:
    server.answers.append(HANG)
    desk = make(sender_to(server, seconds=0.5))
    await desk.send(to="first@example.net")
    await desk.send(to="second@example.net")
    async with desk.running():
        await eventually(lambda: desk.failed(1), 20)

    assert server.recipients in (["second@example.net"], ["first@example.net"])


async def test_a_line_that_breaks_after_the_mail_was_taken_sends_a_copy_that_can_be_told(
    make: MakeDesk, server: MailServer, clock: Clock
) -> None:
    """SMTP cannot say whether a mail was taken when its answer is lost: a second copy is better
    than none, and both have one Message-ID.
    """
    server.answers.append(DROP)
    desk = make(sender_to(server))
    await desk.send()
    async with desk.running():
        await eventually(lambda: desk.failed(1), 20)
        clock.seconds += 60
        await eventually(desk.is_idle, 20)

    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


async def test_two_processes_send_each_mail_once(
    make: MakeDesk, server: MailServer, database_url: str
) -> None:
    other = Database(database_url)
    desks = make(sender_to(server)), make(sender_to(server), other)
    addresses = [f"person{number}@example.net" for number in range(24)]
    try:
        async with desks[0].running(), desks[1].running():
            await asyncio.gather(
                *(desks[number % 2].send(to=address) for number, address in enumerate(addresses))
            )
            await eventually(desks[0].is_idle, 30)
    finally:
        await other.close()

    assert sorted(server.recipients) == sorted(addresses)


async def test_a_link_that_has_expired_is_not_mailed(
    make: MakeDesk, server: MailServer, clock: Clock
) -> None:
    desk = make(sender_to(server))
    async with desk.database.write() as session:
        link = SignInLink(Secret("token"), 900)
        await desk.mailer.send(session, link, to=ADA, expires_in=900)
    clock.seconds += 901 + LEASE_SECONDS
    async with desk.running():
        await eventually(desk.is_idle, 20)

    assert server.mails == []
    assert (await desk.jobs.counts()).gave_up == 1


async def test_where_mail_is_not_set_up_nothing_is_kept(make: MakeDesk) -> None:
    desk = make(OutboxSender(), is_set_up=False)

    assert await desk.send() is False
    assert await desk.jobs.counts() == JobCounts(0, 0, 0)


async def test_what_is_no_address_leaves_no_job(make: MakeDesk) -> None:
    desk = make(OutboxSender())

    with pytest.raises(ValidationFailed):
        await desk.send(to="ada@example.net\r\nBcc: bert@example.net")
    assert await desk.jobs.counts() == JobCounts(0, 0, 0)


async def test_the_outbox_prints_mails(make: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    outbox = OutboxSender()
    desk = make(outbox)
    await desk.send(to="ada@bücher.example")
    async with desk.running():
        await eventually(desk.is_idle, 20)

    [mail] = outbox.mails
    assert mail.to == "ada@xn--bcher-kva.example"
    assert capsys.readouterr().out == (
        f"\n--- Mail to ada@bücher.example\nSubject: Your account is ready\n\n{mail.text}\n---\n"
    )
