"""The keys of an account: made and shown once, found by digest, revoked at once."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cachetools import TTLCache
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.context import (
    ALL_SCOPES,
    READING_SCOPES,
    Actor,
    Role,
    Scope,
    Secret,
    StoreRowId,
    TenantId,
    UserId,
    Via,
    new_id,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    PermissionDenied,
    ValidationFailed,
)
from orderdesk_app.observability import KEY_CHANGES
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.tokens import (
    could_be_key,
    hint,
    new_access_key,
    new_master_key,
    prefix,
)
from orderdesk_app.services.access import FoundKey
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.key_choices import (
    KeyChoice,
    checked_key_name,
    require_future,
    require_stores,
)
from orderdesk_app.services.key_letters import tell_owners_of_rotation
from orderdesk_app.services.key_rows import end_replaced, found_key, is_listed, is_working
from orderdesk_app.services.key_views import (
    ACCESS,
    MASTER,
    KeyView,
    details_of,
    key_view,
    powerless_view,
)
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.magic_links import LinkPurpose, end_links
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import (
    as_by_master_key,
    find_first_owner,
    has_key_alone,
    member_of,
    require_still,
)
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.roles import Permission, require, require_scopes

MASTER_NAME = "Master key"
VERIFIED_SECONDS = 600.0
_MOST_VERIFIED = 10_000
_MOST_KEYS = 100
_WARNED_FOR = timedelta(days=7)
GRACES = (timedelta(0), timedelta(hours=1), timedelta(hours=24))  # of a replaced master key


@dataclass(frozen=True, slots=True)
class HashedKey:
    """A master key ready to be stored. Hashing is slow: it is done before the transaction."""

    digest: bytes
    bcrypt: bytes
    prefix: str
    hint: str


class Keys:
    """Every change of a key leaves a row in the audit log."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        signals: Signals,
        passwords: Passwords,
        reauthentication: Reauthentication,
        *,
        audit: AuditTrail | None = None,
        rotations: Limit | None = None,
        mailer: Mailer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._signals = signals
        self._passwords = passwords
        self._reauthentication = reauthentication
        self._audit = audit
        self._rotations = rotations
        self._mailer = mailer
        # by digest: the hash that a key was verified against
        self._verified: TTLCache[bytes, bytes] = TTLCache(
            _MOST_VERIFIED, ttl=VERIFIED_SECONDS, timer=clock
        )
        self._flight = SingleFlight()

    async def list(self, actor: Actor) -> list[KeyView]:
        """The account's keys that are not revoked, the newest first, with the scopes that the role
        of their user leaves them. A key that was replaced is among them while it works.
        """
        question = (
            owned(actor, Credential)
            .where(*is_listed())
            .order_by(col(Credential.created_at).desc(), col(Credential.id).desc())
        )
        async with self._database.read() as session:
            rows = (await session.exec(question)).all()
            members = (await session.exec(owned(actor, Membership))).all()
        may = {str(member.user_id): Role(member.role) for member in members}
        return [
            powerless_view(row)
            if row.kind != MASTER and row.user_id not in may
            else key_view(row, None if row.kind == MASTER else may[row.user_id or ""])
            for row in rows
        ]

    async def create(
        self,
        actor: Actor,
        name: str,
        scopes: Collection[Scope] = READING_SCOPES,
        *,
        default_store_id: str | None = None,
        store_ids: Collection[str] | None = None,
        is_read_only: bool = False,
        expires_at: datetime | None = None,
    ) -> tuple[KeyView, Secret]:
        """A new access key, shown once and never again; it only reads unless more is asked for, and
        reaches every store unless some are chosen. Its calls that name no store mean the default
        store. Raises ReauthenticationRequired.
        """
        require_person_at_web(actor)
        require(actor, Permission.MANAGE_OWN_KEYS)
        choice = KeyChoice(
            checked_key_name(name), scopes, store_ids, is_read_only, expires_at, default_store_id
        )
        require_scopes(actor, scopes)
        require_future(expires_at)
        await self._reauthentication.require_recent(actor)
        key = new_access_key()
        row = Credential(
            tenant_id=actor.tenant_id,
            kind=ACCESS,
            name=choice.name,
            digest=self.digest_of(key.reveal()),
            prefix=prefix(key),
            hint=hint(key),
        )
        choice.write_to(row)
        async with self._database.write() as session:
            await self.lock(session, actor.tenant_id)
            row.user_id = actor.user_id or await self._owner(session, actor.tenant_id)
            await self.require_room(session, actor)
            await require_stores(session, actor, choice)
            session.add(row)
        view = key_view(row, actor.role)
        await self.record_change(actor, "made", "key.create", **details_of(view))
        return view, key

    async def require_room(self, session: AsyncSession, actor: Actor) -> None:
        """Inside a write that holds the account's keys: raises Conflict where it has too many."""
        listed = owned(actor, Credential).where(*is_listed())
        count = select(func.count()).select_from(listed.subquery())
        if (await session.exec(count)).one() >= _MOST_KEYS:
            raise Conflict(
                f"An account has at most {_MOST_KEYS} keys. Revoke one that is no longer used."
            )

    async def revoke(self, actor: Actor, key_id: str) -> KeyView:
        """The access key stops working at once, here and in every other process within a second.

        Everybody may revoke a key that they made themselves, whatever their role is by now. Raises
        NotFound, and PermissionDenied for the key of somebody else.
        """
        require_person_at_web(actor)
        async with self._database.write() as session:
            question = owned(actor, Credential).where(
                Credential.id == key_id, col(Credential.revoked_at).is_(None)
            )
            row = (await session.exec(question)).one_or_none()
            if row is None:
                raise NotFound(
                    "This account has no such key, or it was revoked before. Reload the list of "
                    "keys.",
                    field="key_id",
                )
            if row.kind == MASTER and row.replaced_at is None:
                raise ValidationFailed(
                    "The master key cannot be revoked, as nobody could sign in. Rotate it instead.",
                    field="key_id",
                )
            if row.kind == MASTER:
                require(actor, Permission.MANAGE_MASTER_KEY)
            elif row.user_id is None or row.user_id != actor.user_id:
                require(actor, Permission.MANAGE_ALL_KEYS)
            row.revoked_at = now()
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        await self.record_change(actor, "revoked", "key.revoke", name=row.name)
        return key_view(row, actor.role)

    async def rotate_master(self, actor: Actor, *, grace: timedelta = timedelta(0)) -> Secret:
        """A new master key in the place of the old one, shown once; other sessions of the account
        end, unused sign-in links too. For the grace period the old one works at `/mcp`; it signs in
        to the web app no more, and proves nobody's identity. Without one, all former keys stop.

        Raises ReauthenticationRequired or RateLimited.
        """
        require_person_at_web(actor)
        if grace not in GRACES:
            raise ValidationFailed("Choose how long the old key still works.", field="grace")
        require(actor, Permission.MANAGE_MASTER_KEY)  # the key acts as the owner
        await self._reauthentication.require_recent(actor)
        if self._rotations is not None:
            await self._rotations.spend(actor.tenant_id)
        key = new_master_key()
        hashed = await self.hash_key(key, account=actor.tenant_id)
        moment = now()
        async with self._database.write() as session:
            await self.lock(session, actor.tenant_id)
            await require_still(session, actor, Permission.MANAGE_MASTER_KEY)
            # Whoever acts by a key which others may have is not known to be this user.
            is_known = actor.credential_id is None or await has_key_alone(
                session, actor.tenant_id, actor.user_id
            )
            active: StoreRowId | None = None
            question = owned(actor, Credential).where(
                Credential.kind == MASTER, col(Credential.revoked_at).is_(None)
            )
            former = (await session.exec(question)).all()
            for row in former:
                if row.replaced_at is None and row.active_store_id:
                    active = StoreRowId(row.active_store_id)
                end_replaced(row, moment, grace)
                session.add(row)
            await self.add_master(
                session,
                actor.tenant_id,
                hashed,
                user_id=actor.user_id if is_known else None,
                active_store_id=active,
            )
            others = update(Session).where(
                col(Session.tenant_id) == actor.tenant_id,
                col(Session.ended_at).is_(None),
                col(Session.id) != (actor.session_id or ""),
            )
            await session.exec(others.values(ended_at=moment))
            await end_links(session, actor.tenant_id, (LinkPurpose.SIGN_IN,), moment)
            if former and self._mailer is not None:
                await tell_owners_of_rotation(session, self._mailer, actor, moment, grace)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        if former:
            details = {"grace_hours": grace // timedelta(hours=1)} if grace else {}
            await self.record_change(actor, "rotated", "key.rotate_master", **details)
        else:
            await self.record_change(actor, "made", "key.make_master")
        return key

    async def find(self, token: str) -> FoundKey | None:
        """The account and user of a key, by reading one row; None for an unknown, revoked or
        malformed key, and for a disabled account or user.

        A master key acts as the account's first owner who is not disabled, an access key as the
        user who made it, as long as they are a member. A user who is disabled has seen each key
        that they made, so that none of these works, the master key included: another owner signs
        in without it and makes a new one.

        A master key is also checked by bcrypt, the first time in this process and then every ten
        minutes; an unknown key never gets that far.
        """
        if not could_be_key(token):
            return None
        is_master = col(Credential.kind) == MASTER
        acts_as = or_(
            and_(is_master, col(Membership.role) == Role.OWNER.value),
            and_(~is_master, col(Membership.user_id) == col(Credential.user_id)),
        )
        maker = aliased(User)
        question = (
            select(Credential, Membership, User)
            .join(Tenant, col(Tenant.id) == col(Credential.tenant_id))
            .join(Membership, and_(col(Membership.tenant_id) == col(Tenant.id), acts_as))
            .join(User, col(User.id) == col(Membership.user_id))
            .outerjoin(maker, col(maker.id) == col(Credential.user_id))
            .where(
                Credential.digest == self.digest_of(token),
                col(Credential.revoked_at).is_(None),
                col(Tenant.disabled_at).is_(None),
                col(User.disabled_at).is_(None),
                col(maker.disabled_at).is_(None),
            )
            .order_by(col(Membership.created_at), col(Membership.user_id))
            .limit(1)
        )
        async with self._database.read() as session:
            found = (await session.exec(question)).one_or_none()
            if found is None:
                return None
            row, membership, user = found
            member = member_of(membership, user)
            if row.kind == MASTER:
                member = await as_by_master_key(session, row.tenant_id, member)
            if row.replaced_at is not None:  # it proves nobody's identity
                member = replace(member, is_operator=False)
        if row.kind == MASTER and not await self._is_verified(row, Secret(token)):
            return None
        await self._keyring.tenant(row.tenant_id)  # so that the next call may seal without waiting
        return found_key(row, member)

    async def is_taken(self, token: str) -> bool:
        """Whether the key was ever used here, revoked or not."""
        question = select(Credential.id).where(Credential.digest == self.digest_of(token))
        async with self._database.read() as session:
            return (await session.exec(question)).first() is not None

    async def note_address(self, found: FoundKey) -> None:
        """The key stood in an address."""
        actor = Actor(found.tenant_id)
        async with self._database.write() as session:
            await session.exec(
                update(Credential)
                .where(
                    col(Credential.id) == found.credential_id,
                    col(Credential.tenant_id) == actor.tenant_id,
                )
                .values(in_address_at=now())
            )

    async def stood_in_address(self, actor: Actor) -> bool:
        """Whether a key of the account that still works stood in an address within a week."""
        question = owned(actor, Credential).where(
            *is_working(), col(Credential.in_address_at) > now() - _WARNED_FOR
        )
        async with self._database.read() as session:
            return (await session.exec(question.limit(1))).first() is not None

    async def lock(self, session: AsyncSession, tenant_id: TenantId) -> None:
        """Locks the account's keys until the write ends: no other write makes or rotates one, and
        no other sign-in begins.
        """
        await self._database.advisory_lock(session, f"keys:{tenant_id}")

    async def is_working(self, session: AsyncSession, actor: Actor, credential_id: str) -> bool:
        """Whether the actor's key is still in force and was not replaced, inside a write that holds
        the account's keys.
        """
        question = owned(actor, Credential).where(
            col(Credential.id) == credential_id,
            col(Credential.revoked_at).is_(None),
            col(Credential.replaced_at).is_(None),
        )
        return (await session.exec(question)).one_or_none() is not None

    async def hash_key(self, key: Secret, *, account: str = "") -> HashedKey:
        """`account` is whose key it will be, "" for an account that is not made yet."""
        hashed = await self._passwords.hash(key, account=account)
        return HashedKey(self.digest_of(key.reveal()), hashed, prefix(key), hint(key))

    async def add_master(
        self,
        session: AsyncSession,
        tenant_id: TenantId,
        hashed: HashedKey,
        *,
        user_id: UserId | None,
        active_store_id: StoreRowId | None = None,
    ) -> None:
        """Adds a master key inside a write; `user_id` is its maker. Raises Conflict when another
        account has the same key.
        """
        row = Credential(
            id=new_id(),
            tenant_id=tenant_id,
            user_id=user_id,
            kind=MASTER,
            name=MASTER_NAME,
            digest=hashed.digest,
            bcrypt=hashed.bcrypt,
            prefix=hashed.prefix,
            hint=hashed.hint,
            scopes=sorted(scope.value for scope in ALL_SCOPES),
            active_store_id=active_store_id,
        )
        session.add(row)
        try:
            await session.flush()
        except IntegrityError:
            raise Conflict(
                "This key is in use already. Choose another.", field="master_key"
            ) from None

    async def _owner(self, session: AsyncSession, tenant_id: TenantId) -> UserId:
        """The user in whose name the system makes an access key."""
        owner = await find_first_owner(session, tenant_id)
        if owner is None:
            raise PermissionDenied("This account has no owner who could use a key.")
        return owner.user_id

    async def record_change(self, actor: Actor, change: str, action: str, **details: Any) -> None:
        KEY_CHANGES.labels(change).inc()
        if self._audit is not None:
            await self._audit.write_or_queue(
                Entry(actor=actor, action=action, arguments=details or None)
            )

    def digest_of(self, token: str) -> bytes:
        return digest(self._keyring.digest_key, token)

    async def _is_verified(self, row: Credential, key: Secret) -> bool:
        # The row has just been read: a revoked key has no row, and a changed hash is verified
        # again. So no signal has to evict an entry here.
        if row.bcrypt is not None and self._verified.get(row.digest) == row.bcrypt:
            return True
        # Many first calls at once with one key share one check.
        return await self._flight.do(row.digest.hex(), lambda: self._verify(row, key))

    async def _verify(self, row: Credential, key: Secret) -> bool:
        if row.bcrypt is None:
            return False
        if not await self._passwords.is_hash_of(row.bcrypt, key, account=row.tenant_id):
            return False
        self._verified[row.digest] = row.bcrypt
        return True


def require_person_at_web(actor: Actor) -> None:
    """Refuses agents: a key that leaked must not be able to make new keys."""
    if actor.via not in (Via.WEB, Via.SYSTEM):
        raise PermissionDenied(
            "Keys are made, rotated and revoked by a person in the web app. Open Settings there."
        )
