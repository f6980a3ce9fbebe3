"""Passkeys: a person adds, sees and removes their own, and signs in or confirms with one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from orderdesk_app.context import Actor, UserId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.passkeys import Passkey
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, Conflict, NotFound, SignInFailed, ValidationFailed
from orderdesk_app.security.passkeys import PasskeyRules
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.members import require_person, users_of
from orderdesk_app.services.names import is_visible, without_idle_half_spaces
from orderdesk_app.services.passkey_challenges import (
    Challenge,
    ChallengePurpose,
    PasskeyChallenges,
)
from orderdesk_app.services.reauthentication import Reauthentication

MOST_PASSKEYS = 20  # of one person
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class PasskeyView:
    """A passkey as its person sees it."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class PasskeyQuestion:
    """What the browser asks the authenticator (JSON), and the cookie that binds the answer."""

    options: str
    cookie: str


class Passkeys:
    """Of the actor alone. Every change leaves a row in the audit log."""

    def __init__(
        self,
        database: Database,
        rules: PasskeyRules,
        challenges: PasskeyChallenges,
        reauthentication: Reauthentication,
        signals: Signals,
        audit: AuditTrail,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._rules = rules
        self._challenges = challenges
        self._reauthentication = reauthentication
        self._signals = signals
        self._audit = audit
        self._clock = clock

    @property
    def is_available(self) -> bool:
        """Whether browsers make passkeys for the address of this installation."""
        return self._rules.is_available

    async def list(self, actor: Actor) -> list[PasskeyView]:
        """The newest first."""
        question = _of(actor).order_by(col(Passkey.created_at).desc(), col(Passkey.id).desc())
        async with self._database.read() as session:
            rows = (await session.exec(question)).all()
        return [PasskeyView(row.id, row.name, row.created_at, row.last_used_at) for row in rows]

    # ------------------------------------------------------------------ adding and removing

    async def ask_for_new(self, actor: Actor) -> PasskeyQuestion:
        """Raises ReauthenticationRequired, Conflict for a person who has too many, and
        PermissionDenied for a session that a key began which others may have.
        """
        await self._reauthentication.require_recent(actor)
        async with self._database.read() as session:
            await require_person(session, actor)
            user = (
                await session.exec(users_of(actor).where(col(User.id) == actor.user_id))
            ).one_or_none()
            rows = (await session.exec(_of(actor))).all()
        if user is None:
            raise AuthFailed("You no longer belong to this account. Sign in again.")
        _require_room(len(rows))
        await self._rules.load()
        challenge = self._challenges.issue(ChallengePurpose.ADD, actor.session_id)
        options = self._rules.creation_options(
            challenge.value,
            user_handle=user.id.encode(),
            name=user.email or user.name,
            known=[row.credential_id for row in rows],
        )
        return PasskeyQuestion(options, challenge.cookie)

    async def add(self, actor: Actor, answer: str, cookie: str | None, name: str) -> PasskeyView:
        """Keeps the passkey that the browser made for this session's question.

        Raises ReauthenticationRequired, ValidationFailed, SignInFailed for an answer that proves
        nothing, and Conflict.
        """
        name = without_idle_half_spaces(" ".join(name.split()))
        if not 1 <= len(name) <= LONGEST_NAME or not is_visible(name):
            raise ValidationFailed(
                f"A passkey's name has 1 to {LONGEST_NAME} characters, all of them visible. Type "
                "another.",
                field="name",
            )
        await self._reauthentication.require_recent(actor)
        challenge = self._challenges.read(cookie, ChallengePurpose.ADD, actor.session_id)
        await self._rules.load()
        made = self._rules.verify_new(answer, challenge.value)
        if actor.user_id is None:
            raise AuthFailed("A passkey is a person's. Sign in again.")
        row = Passkey(
            user_id=actor.user_id,
            name=name,
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            transports=list(made.transports),
            created_at=self._clock(),
        )
        async with self._database.write() as session:
            await require_person(session, actor)
            await self._database.advisory_lock(session, f"passkeys:{actor.user_id}")
            counted = select(func.count()).select_from(_of(actor).subquery())
            _require_room((await session.exec(counted)).one())
            await self._challenges.spend(session, challenge)
            session.add(row)
            try:
                await session.flush()
            except IntegrityError:
                raise Conflict("This passkey is in use already. Make another.") from None
            await self._signals.publish(session, f"user:{actor.user_id}")
            view = PasskeyView(row.id, row.name, row.created_at, None)
        await self._audit_change(actor, "passkey.add", name)
        return view

    async def remove(self, actor: Actor, passkey_id: str) -> PasskeyView:
        """The passkey does not sign in any more, from now on. A device may be lost, so no recent
        proof is asked for. Raises NotFound.
        """
        async with self._database.write() as session:
            await require_person(session, actor)
            found = await session.exec(_of(actor).where(col(Passkey.id) == passkey_id))
            row = found.one_or_none()
            if row is None:
                raise NotFound("You have no such passkey. Reload the page.", field="passkey_id")
            view = PasskeyView(row.id, row.name, row.created_at, row.last_used_at)
            await session.exec(
                delete(Passkey).where(
                    col(Passkey.id) == passkey_id, col(Passkey.user_id) == actor.user_id
                )
            )
            await self._signals.publish(session, f"user:{actor.user_id}")
        await self._audit_change(actor, "passkey.remove", view.name)
        return view

    # ------------------------------------------------------------------ using one

    async def ask_to_sign_in(self) -> PasskeyQuestion:
        """For a stranger: the browser offers the passkeys that it has for this address."""
        await self._rules.load()
        challenge = self._challenges.issue(ChallengePurpose.SIGN_IN)
        return PasskeyQuestion(self._rules.request_options(challenge.value), challenge.cookie)

    async def ask_to_confirm(self, actor: Actor) -> PasskeyQuestion:
        """For somebody who is signed in: one of their own passkeys."""
        async with self._database.read() as session:
            rows = (await session.exec(_of(actor))).all()
        await self._rules.load()
        challenge = self._challenges.issue(ChallengePurpose.CONFIRM, actor.session_id)
        options = self._rules.request_options(
            challenge.value, known=[row.credential_id for row in rows]
        )
        return PasskeyQuestion(options, challenge.cookie)

    async def user_named_in(self, answer: str) -> UserId | None:
        """Whose passkey the answer names; nothing of it is verified yet. None for an unknown one.
        Raises SignInFailed for what is no answer.
        """
        await self._rules.load()
        named = self._rules.read(answer).credential_id
        async with self._database.read() as session:
            question = select(Passkey).where(Passkey.credential_id == named)
            row = (await session.exec(question)).one_or_none()
        return row.user_id if row else None

    async def use_to_sign_in(
        self, session: AsyncSession, answer: str, cookie: str | None
    ) -> UserId:
        """Inside a write: whose passkey it is. Raises SignInFailed."""
        challenge = self._challenges.read(cookie, ChallengePurpose.SIGN_IN)
        return await self._use(session, answer, challenge, needs_user_handle=True)

    async def use_to_confirm(
        self, session: AsyncSession, actor: Actor, answer: str, cookie: str | None
    ) -> None:
        """Inside a write. Raises SignInFailed, also for a passkey of somebody else."""
        challenge = self._challenges.read(cookie, ChallengePurpose.CONFIRM, actor.session_id)
        user_id = await self._use(session, answer, challenge, needs_user_handle=False)
        if user_id != actor.user_id:
            raise SignInFailed(_NOT_VERIFIED)

    async def _use(
        self, session: AsyncSession, answer: str, challenge: Challenge, *, needs_user_handle: bool
    ) -> UserId:
        await self._rules.load()
        read = self._rules.read(answer)
        question = select(Passkey).where(Passkey.credential_id == read.credential_id)
        row = (await session.exec(question)).one_or_none()
        if row is None:
            raise SignInFailed(_NOT_VERIFIED)
        # WebAuthn level 3, section 7.2: the authenticator says whose passkey it is, and has to
        # where nobody has said so before
        if read.user_handle != row.user_id.encode() and (needs_user_handle or read.user_handle):
            raise SignInFailed(_NOT_VERIFIED)
        count = self._rules.verify_use(read, challenge.value, row.public_key)
        if (count or row.sign_count) and count <= row.sign_count:
            raise SignInFailed(_WENT_BACK)
        await self._challenges.spend(session, challenge)
        # another use at the same moment may have counted on: then this one is out of order
        used = await session.exec(
            update(Passkey)
            .where(col(Passkey.id) == row.id, col(Passkey.sign_count) == row.sign_count)
            .values(sign_count=count, last_used_at=self._clock())
            .returning(col(Passkey.id))
        )
        if used.scalar_one_or_none() is None:
            raise SignInFailed(_NOT_VERIFIED)
        return row.user_id

    async def _audit_change(self, actor: Actor, action: str, name: str) -> None:
        await self._audit.write_or_queue(
            Entry(actor=actor, action=action, arguments={"name": name})
        )


def _of(actor: Actor) -> SelectOfScalar[Passkey]:
    """The actor's own, in whichever account they are signed in."""
    return select(Passkey).where(col(Passkey.user_id) == actor.user_id)


def _require_room(count: int) -> None:
    if count >= MOST_PASSKEYS:
        raise Conflict(
            f"You have {MOST_PASSKEYS} passkeys, which is the most. Remove one that you do not use."
        )


_NOT_VERIFIED = "This passkey could not be verified. Try again, or use another way."
# The authenticator counts its uses, and this count was seen before: there may be a copy.
_WENT_BACK = (
    "This passkey counts fewer uses than we have seen, as a copy of it would. Sign in in another "
    "way, and remove it under Your account."
)
