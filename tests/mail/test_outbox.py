"""The outbox of a development machine keeps the last mails, and no more."""

from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import KEPT, OutboxSender
from tests.mail.test_letters import AT


async def test_the_last_mails_are_kept() -> None:
    outbox = OutboxSender()
    for number in range(KEPT + 3):
        await outbox.send(Mail(str(number), AT, "ada@example.net", "s", "t", "h"))

    assert [mail.id for mail in outbox.mails] == [str(number) for number in range(3, KEPT + 3)]
    assert "ada" not in repr(outbox.mails)
