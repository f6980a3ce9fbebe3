"""What every way to send mail has in common."""

from typing import Protocol

from orderdesk_app.mail.message import Mail


class MailFailed(Exception):
    """A mail was not taken. `words` say why and what to do, for operators, and name no recipient;
    `said` are the server's own words, which may.

    `is_permanent`: the server will not take this mail at another time either. `status` is its
    answer's number, None where it did not answer.
    """

    def __init__(
        self,
        words: str,
        *,
        is_permanent: bool = False,
        status: int | None = None,
        said: str = "",
    ) -> None:
        super().__init__(words)
        self.words = words
        self.is_permanent = is_permanent
        self.status = status
        self.said = said


class MailSender(Protocol):
    """OutboxSender or SmtpSender; wiring chooses."""

    async def send(self, mail: Mail) -> None:
        """Returns once the mail was taken. Raises MailFailed."""
