"""Deleting a user with everything of theirs: an operator deletes anybody, a person themselves."""

from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, TenantId, UserId, Via
from orderdesk_app.db.deletions import Doomed
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import NotFound, ValidationFailed
from orderdesk_app.services.deletions import (
    BEING_DELETED,
    Count,
    Deletions,
    has_other_owner,
    in_words,
    memberships_of,
)
from orderdesk_app.services.members import lock_members, require_person, users_of
from orderdesk_app.services.operators import is_operator_now, require_operator_left
from orderdesk_app.services.reauthentication import Reauthentication

ACTION = "user.delete"
_MOST_NAMED = 20  # people of an account that the dialog names


@dataclass(frozen=True, slots=True)
class AffectedAccount:
    """An account that the user is in. `others` are the names of its other people, at most twenty of
    `other_count`: of an account that goes they lose it too.
    """

    name: str
    others: tuple[str, ...]
    other_count: int


@dataclass(frozen=True, slots=True)
class UserPreview:
    """What the deletion of a user does. `to_type` is their e-mail, or their name without one."""

    user_id: UserId
    name: str
    to_type: str
    goes: tuple[AffectedAccount, ...]
    stays: tuple[AffectedAccount, ...]
    counts: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted. Without `is_finished` the rest goes within minutes."""

    counts: tuple[Count, ...]
    is_finished: bool


class UserDeletion:
    """Only a person in the web app deletes; others than operators find nobody but themselves."""

    def __init__(
        self, database: Database, deletions: Deletions, reauthentication: Reauthentication
    ) -> None:
        self._database = database
        self._deletions = deletions
        self._reauthentication = reauthentication

    async def preview(self, actor: Actor, user_id: UserId) -> UserPreview:
        """What would go, and who else would lose an account. Raises NotFound, and PermissionDenied
        for a person who signed in with a key that others may have.
        """
        _require_person(actor, user_id)
        async with self._database.read() as session:
            user, goes, stays = await _look(session, actor, user_id)
            accounts = [await _described(session, user_id, tenant) for tenant in (*goes, *stays)]
        counts = await self._deletions.count(Doomed(user_id, goes))
        return UserPreview(
            user_id,
            user.name,
            _to_type(user),
            tuple(accounts[: len(goes)]),
            tuple(accounts[len(goes) :]),
            tuple(in_words(counts)),
        )

    async def delete(self, actor: Actor, user_id: UserId, typed: str) -> Deleted:
        """Delete the user, the accounts of which nobody else is an owner, and what is in them.

        Raises NotFound, ValidationFailed unless their e-mail (or name) was typed, Conflict for the
        last operator, PermissionDenied for a person who signed in with a key that others may have,
        ReauthenticationRequired.
        """
        _require_person(actor, user_id)
        await self._reauthentication.require_recent(actor)
        async with self._database.read() as session:
            user, goes, _ = await _look(session, actor, user_id)
        _require_typed(typed, _to_type(user))
        counts = await self._deletions.count(Doomed(user_id, goes))
        async with self._database.write() as session:
            memberships = await memberships_of(session, user_id)
            await lock_members(self._database, session, [each.tenant_id for each in memberships])
            goes, _ = await _accounts(session, user_id)
            await require_operator_left(
                self._database, session, without_user=user_id, without_tenants=goes
            )
            user = await _find(session, user_id, is_locked=True)
            _require_typed(typed, _to_type(user))
            await _require_right(session, actor, user_id)
            by = None if actor.user_id == user_id else actor
            deletion = await self._deletions.begin(
                session, ACTION, Doomed(user_id, goes), counts, by=by
            )
        is_finished = await self._deletions.run(deletion)
        return Deleted(tuple(in_words(counts)), is_finished)


def _require_person(actor: Actor, user_id: UserId) -> None:
    if actor.via != Via.WEB or not (actor.is_operator or actor.user_id == user_id):
        raise NotFound(_UNKNOWN)


async def _require_right(session: AsyncSession, actor: Actor, user_id: UserId) -> None:
    if actor.user_id == user_id:
        await require_person(session, actor)
    elif not await is_operator_now(session, actor.user_id):
        raise NotFound(_UNKNOWN)


async def _look(
    session: AsyncSession, actor: Actor, user_id: UserId
) -> tuple[User, list[TenantId], list[TenantId]]:
    """The user, and their accounts that go and that stay."""
    await _require_right(session, actor, user_id)
    user = await _find(session, user_id)
    goes, stays = await _accounts(session, user_id)
    return user, goes, stays


async def _find(session: AsyncSession, user_id: UserId, *, is_locked: bool = False) -> User:
    question = select(User).where(User.id == user_id)
    user = (await session.exec(question.with_for_update() if is_locked else question)).one_or_none()
    if user is None or user.name == BEING_DELETED:
        raise NotFound(_UNKNOWN)
    return user


async def _accounts(
    session: AsyncSession, user_id: UserId
) -> tuple[list[TenantId], list[TenantId]]:
    """The user's accounts: those of which nobody else is an owner, and those that stay."""
    goes: list[TenantId] = []
    stays: list[TenantId] = []
    for membership in await memberships_of(session, user_id):
        tenant_id = membership.tenant_id
        (stays if await has_other_owner(session, tenant_id, user_id) else goes).append(tenant_id)
    return goes, stays


async def _described(
    session: AsyncSession, user_id: UserId, tenant_id: TenantId
) -> AffectedAccount:
    name = (await session.exec(select(Tenant.name).where(Tenant.id == tenant_id))).one()
    people = users_of(Actor(tenant_id)).where(col(User.id) != user_id)
    others = (await session.exec(people.order_by(col(Membership.created_at)))).all()
    names = [user.name for user in others]
    return AffectedAccount(name, tuple(names[:_MOST_NAMED]), len(names))


def _to_type(user: User) -> str:
    return user.email or user.name


def _require_typed(typed: str, expected: str) -> None:
    if typed.strip().casefold() != expected.casefold():
        raise ValidationFailed(f"Type {expected} to delete this user.", field="confirm")


_UNKNOWN = "There is no such user here. Reload the page."
