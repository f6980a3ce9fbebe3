"""The mailer of a development machine: it prints each mail and keeps the last ones."""

import sys
from collections import deque

from orderdesk_app.mail.addresses import readable
from orderdesk_app.mail.message import Mail

KEPT = 100


class OutboxSender:
    """EMAIL_PROVIDER=console. `mails` are the last ones of this process, the newest last."""

    def __init__(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT)

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)
        # Never the log: a mail holds links that sign in.
        sys.stdout.write(
            f"\n--- Mail to {readable(mail.to)}\nSubject: {mail.subject}\n\n{mail.text}\n---\n"
        )
        sys.stdout.flush()
