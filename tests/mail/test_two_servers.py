"""Two server processes with one outbox: each mail is sent once, also when one of them is killed
while it sends.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from orderdesk_app.mail.letters import Welcome
from tests.mail_server import MailServer, mail_server
from tests.worlds import KMS_KEY, Server, eventually, open_services, settings_for, start_server

pytestmark = pytest.mark.slow

PEOPLE = [f"person{number}@example.net" for number in range(8)]  # both have four at once


@dataclass
class HeldMails(MailServer):
    """Each mail waits, by the name that its sender says hello with, until the test lets it go."""

    waiting: dict[str, list[tuple[str, asyncio.Event]]] = field(default_factory=dict)

    async def handle_DATA(  # noqa: N802  aiosmtpd finds it by its name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        is_released = asyncio.Event()
        held = self.waiting.setdefault(str(session.host_name), [])
        held.append((envelope.rcpt_tos[0], is_released))
        await is_released.wait()
        self.keep(server, session, envelope)
        return "250 OK"

    async def has_two_senders(self) -> bool:
        return sorted(map(len, self.waiting.values())) == [4, 4]

    def release(self, hello: str, addresses: list[str]) -> None:
        for address, is_released in self.waiting[hello]:
            if address in addresses:
                is_released.set()


async def test_each_mail_is_sent_once_though_one_of_two_servers_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    servers: dict[str, Server] = {}
    mails = HeldMails()
    async with mail_server(tls="none", state=mails):
        smtp = {
            "EMAIL_PROVIDER": "smtp",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mails.port),
            "SMTP_USE_TLS": "false",
            "SMTP_FROM_EMAIL": "orders@example.com",
        }
        settings = settings_for(database_url, MCP_KMS_KEY=KMS_KEY, **smtp)
        async with open_services(settings) as services:

            async def two_are_lost() -> bool:
                return (await services.jobs.counts()).waiting == 3

            async def two_came_again() -> bool:
                return len(mails.waiting[living]) == 6

            async def all_are_sent() -> bool:
                return (await services.jobs.counts()).waiting == 0

            async with services.database.write() as session:
                for address in PEOPLE:
                    await services.mailer.send(session, Welcome("Ada"), to=address)
            try:
                for hello, host in (("localhost", "localhost"), ("[127.0.0.1]", "127.0.0.1")):
                    servers[hello] = start_server(
                        tmp_path, database_url, PUBLIC_URL=f"http://{host}:8080", **smtp
                    )
                await eventually(mails.has_two_senders, 60)
                dying, living = mails.waiting
                lost, kept = (
                    [address for address, _ in mails.waiting[hello]] for hello in (dying, living)
                )
                mails.release(dying, lost[2:])
                mails.release(living, kept[1:])
                await eventually(two_are_lost, 20)

                servers.pop(dying).kill()
                await services.database.execute(END_LEASES_OF_TWO, {})
                mails.release(living, kept[:1])  # so that it looks for more to do

                await eventually(two_came_again, 20)
                mails.release(living, lost[:2])
                await eventually(all_are_sent, 20)
            finally:
                for server in servers.values():
                    server.kill()

    assert Counter(mails.recipients) == Counter(PEOPLE)


# what passes otherwise after 90 seconds, for the server that has two mails under way
END_LEASES_OF_TWO = (
    "UPDATE jobs SET leased_until = 0 WHERE holder IN "
    "(SELECT holder FROM jobs GROUP BY holder HAVING COUNT(*) = 2)"
)
