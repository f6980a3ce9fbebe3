"""Who belongs to the account, and who is invited to it. Every change is a plain form
(routes/people.py).
"""

from datetime import timedelta
from math import ceil
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import Actor, Role, now
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.invitations import InvitationView
from orderdesk_app.services.people import PersonView
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, stamp

_TONES = {Role.OWNER: "blue", Role.MEMBER: "gray", Role.VIEWER: "gray"}


class PersonRow(TypedDict):
    """A member for the screen."""

    id: str
    name: str
    email: str
    role: str  # as forms send it
    role_words: str
    tone: str
    is_you: bool
    is_disabled: bool
    since: str
    since_at: str
    seen: str
    seen_at: str


class InvitationRow(TypedDict):
    """An invitation that waits."""

    id: str
    email: str
    role_words: str
    by: str
    until: str
    until_at: str
    is_expired: bool


class PeopleState(SignedInState):
    loaded: bool = False
    people: list[PersonRow] = []
    invitations: list[InvitationRow] = []
    account: str = ""
    is_last_owner: bool = False  # the one who looks, who cannot leave
    are_mailed: bool = True  # invitations; else their owner passes the link on

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        await self._read()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """Runs when something happens in the account."""
        await self._read()

    async def _read(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        people = await services.people.list(actor)
        self.people = [_person(person, actor) for person in people]
        owners = [one.id for one in people if one.role is Role.OWNER and not one.is_disabled]
        self.is_last_owner = owners == [actor.user_id]
        self.invitations = [_invitation(one) for one in await services.invitations.list(actor)]
        self.account = (await services.tenants.get(actor)).name
        self.are_mailed = services.invitations.are_mailed
        self.loaded = True


def _person(person: PersonView, actor: Actor) -> PersonRow:
    return PersonRow(
        id=person.id,
        name=person.name,
        email=person.email or "",
        role=person.role.value,
        role_words=person.role.words,
        tone=_TONES[person.role],
        is_you=person.id == actor.user_id,
        is_disabled=person.is_disabled,
        since=ago(person.since, now()),
        since_at=stamp(person.since),
        seen=ago(person.last_sign_in_at, now()) or "Never",
        seen_at=stamp(person.last_sign_in_at),
    )


def _invitation(invitation: InvitationView) -> InvitationRow:
    days = ceil((invitation.expires_at - now()) / timedelta(days=1))
    left = f"in {days} days" if days > 1 else "within a day"
    return InvitationRow(
        id=invitation.id,
        email=invitation.email,
        role_words=invitation.role.words,
        by=invitation.by,
        until="Expired" if invitation.is_expired else left,
        until_at=stamp(invitation.expires_at),
        is_expired=invitation.is_expired,
    )
