"""Challenges for passkeys: each is bound to one browser and one purpose, works for five minutes,
and counts once.

The browser holds its challenge in a signed, HttpOnly cookie, so that strangers who ask for one
write nothing. An accepted answer spends it, in the transaction of what the answer allows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import now
from orderdesk_app.db.passkeys import SpentChallenge
from orderdesk_app.errors import SignInFailed
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.tokens import new_link_secret
from orderdesk_app.security.web import SignedText

CHALLENGE_SECONDS = 300
_KEPT = timedelta(hours=1)  # longer than they work: the clock of another process may be behind


class ChallengePurpose(StrEnum):
    """What the answer allows; an answer to a challenge of another purpose proves nothing."""

    SIGN_IN = "sign_in"
    CONFIRM = "confirm"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Challenge:
    """`cookie` is what the browser keeps until it answers."""

    value: bytes
    expires_at: datetime
    cookie: str


class PasskeyChallenges:
    """Makes challenges, and accepts the answer to each once."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], datetime] = now) -> None:
        self._keyring = keyring
        self._signed = SignedText(keyring.purpose("passkeys"), "passkey challenge")
        self._clock = clock

    def issue(self, purpose: ChallengePurpose, session_id: str | None = None) -> Challenge:
        """A new challenge; with a session id only that session can answer it."""
        expires_at = self._clock() + timedelta(seconds=CHALLENGE_SECONDS)
        secret = new_link_secret()
        parts = (purpose.value, session_id or "-", expires_at.isoformat(), secret)
        return Challenge(secret.encode(), expires_at, self._signed.sign(" ".join(parts)))

    def read(
        self, cookie: str | None, purpose: ChallengePurpose, session_id: str | None = None
    ) -> Challenge:
        """The challenge of this browser. Raises SignInFailed for none, for one that is too old, and
        for one of another purpose or session.
        """
        parts = (self._signed.read(cookie or "") or "").split(" ")
        if len(parts) != 4 or parts[:2] != [purpose.value, session_id or "-"]:
            raise SignInFailed(_TOO_OLD)
        expires_at = datetime.fromisoformat(parts[2])
        if self._clock() >= expires_at:
            raise SignInFailed(_TOO_OLD)
        return Challenge(parts[3].encode(), expires_at, cookie or "")

    async def spend(self, session: AsyncSession, challenge: Challenge) -> None:
        """Inside the write of what its answer allows. Raises SignInFailed when it was spent."""
        old = col(SpentChallenge.expires_at) < self._clock() - _KEPT
        await session.exec(delete(SpentChallenge).where(old))
        spent = digest(self._keyring.digest_key, challenge.value.decode())
        session.add(SpentChallenge(digest=spent, expires_at=challenge.expires_at))
        try:
            await session.flush()
        except IntegrityError:
            raise SignInFailed(_TOO_OLD) from None


_TOO_OLD = "That took too long, or was done before. Use the passkey again."
