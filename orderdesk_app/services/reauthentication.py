"""A fresh proof of identity: what makes keys, rotates or deletes asks for one, so that a browser
left open, or a stolen cookie, cannot do it.

The service that does such an act calls `require_recent` before it changes anything. To revoke is an
emergency and never asks. routes/confirm.py is the way through for people.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmodel import col

from orderdesk_app.context import Actor, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import ReauthenticationRequired

PROOF_MINUTES = 15  # how long a sign-in, or a proof after it, counts
_BY_SESSION = frozenset({Via.WEB, Via.CONSOLE})
_PROOF_LASTS = timedelta(minutes=PROOF_MINUTES)


class Reauthentication:
    """When the person of each session proved who they are."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock

    async def require_recent(self, actor: Actor) -> None:
        """Raises ReauthenticationRequired when the actor's session was proved more than 15 minutes
        ago, has ended, or is not there.

        An actor with a key (at /mcp, over stdio) proves who they are with every call, and whoever
        has the shell may do everything: neither is asked.
        """
        if not await self.is_recent(actor):
            raise ReauthenticationRequired(
                "Confirm that it is you: open /confirm in the web app, then repeat this. Your "
                f"sign-in is more than {PROOF_MINUTES} minutes old."
            )

    async def is_recent(self, actor: Actor) -> bool:
        """Whether `require_recent` lets the actor through now, for a page that asks before somebody
        fills in its form.
        """
        if actor.session_id is None and actor.via not in _BY_SESSION:
            return True
        proved_at = await self.proved_at(actor)
        return proved_at is not None and self._clock() - proved_at <= _PROOF_LASTS

    async def proved_at(self, actor: Actor) -> datetime | None:
        """When the person of the actor's session last proved who they are. None for a session that
        has ended, and for one that is not this actor's.
        """
        question = owned(actor, Session).where(
            col(Session.id) == (actor.session_id or ""), col(Session.ended_at).is_(None)
        )
        async with self._database.read() as session:
            row = (await session.exec(question)).one_or_none()
        return row.proved_at if row else None
