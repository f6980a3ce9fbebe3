"""The mails of an attack, as the mailer is asked for them: nobody waits for a mail server."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from orderdesk_app.mail.letters import Content
from orderdesk_app.wiring import Services


@dataclass
class Letters:
    """What was sent to whom, the oldest first."""

    sent: list[tuple[str, Content]] = field(default_factory=list)

    def token_for(self, email: str) -> str:
        """The token of the last letter to that address."""
        letter: Any = next(content for to, content in reversed(self.sent) if to == email)
        return str(letter.token.reveal())


def record_letters(services: Services, patched: pytest.MonkeyPatch) -> Letters:
    """The letters from now on; they are queued all the same."""
    letters, send = Letters(), services.mailer.send

    async def recorded(session: Any, content: Content, *, to: str, **given: Any) -> bool:
        letters.sent.append((to, content))
        return await send(session, content, to=to, **given)

    patched.setattr(services.mailer, "send", recorded)
    return letters
