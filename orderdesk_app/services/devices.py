"""New devices: a person is told by mail when somebody signs in as them in a browser in which they
have not signed in before.

A device is a browser that keeps a cookie of ours: 256 random bits, of which the database has a
digest for each person. Address and User-Agent change by themselves, and anybody can send them.
"""

import re
import secrets
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import JsonObject, UserId
from orderdesk_app.db.devices import Device
from orderdesk_app.db.engine import Database
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.users import User
from orderdesk_app.errors import RateLimited
from orderdesk_app.mail.letters import NewDevice
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.user_agents import device_name

DEVICE_MAIL = "device_mail"  # the kind of its jobs
MOST_DEVICES = 100  # of a person; the one that was seen least lately goes
KEPT_DAYS = 400  # as long as browsers keep a cookie (RFC 6265bis, 5.5)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_device_token() -> str:
    """What a browser keeps in its cookie, 256 bits."""
    return secrets.token_urlsafe(32)


def is_device_token(text: str | None) -> bool:
    return text is not None and _TOKEN.fullmatch(text) is not None


class AddsJobs(Protocol):
    """What `Jobs.add` does."""

    async def add(
        self, session: AsyncSession, kind: str, payload: JsonObject, *, user_id: UserId | None
    ) -> str: ...


class Devices:
    """The browsers of each person."""

    def __init__(self, keyring: Keyring, mailer: Mailer, jobs: AddsJobs) -> None:
        self._keyring = keyring
        self._mailer = mailer
        self._jobs = jobs

    async def meet(self, session: AsyncSession, begun: Session, device: str) -> None:
        """Inside the write that begins a session, after its row: notes the browser for its user,
        and mails them where it is new. The first sign-in of a user, which is their sign-up, is no
        news to them. `device` is the token of the browser's cookie.
        """
        found = await session.exec(
            update(Device)
            .where(col(Device.user_id) == begun.user_id, col(Device.digest) == self._digest(device))
            .values(seen_at=begun.created_at)
            .returning(col(Device.id))
        )
        if found.scalar_one_or_none() is not None:
            return
        has_signed_in_before = await _has_signed_in_before(session, begun)
        if not await self._add(session, begun.user_id, device, begun.created_at):
            return  # another sign-in of this browser was first
        if has_signed_in_before:
            await self._tell(session, begun)

    async def _add(
        self, session: AsyncSession, user_id: UserId, device: str, moment: datetime
    ) -> bool:
        mine = col(Device.user_id) == user_id
        latest = select(Device.id).where(mine).order_by(col(Device.seen_at).desc())
        too_many = col(Device.id).in_(latest.offset(MOST_DEVICES - 1))
        too_old = col(Device.seen_at) < moment - timedelta(days=KEPT_DAYS)
        await session.exec(delete(Device).where(mine, or_(too_old, too_many)))
        try:
            async with session.begin_nested():
                session.add(
                    Device(
                        user_id=user_id,
                        digest=self._digest(device),
                        created_at=moment,
                        seen_at=moment,
                    )
                )
        except IntegrityError:
            return False
        return True

    async def _tell(self, session: AsyncSession, begun: Session) -> None:
        """Whether a mail is sent is asked later: the store of a limit may be slow or away, and
        nobody waits for it inside a write.
        """
        user = await session.get(User, begun.user_id)
        if user is None or user.email is None or not self._mailer.is_set_up:
            return
        payload: JsonObject = {
            "user_id": begun.user_id,
            "device": device_name(begun.user_agent),
            "address": begun.address,
            "at": begun.created_at.isoformat(),
        }
        await self._jobs.add(session, DEVICE_MAIL, payload, user_id=begun.user_id)

    def _digest(self, device: str) -> bytes:
        return digest(self._keyring.digest_key, f"device {device}")


async def _has_signed_in_before(session: AsyncSession, begun: Session) -> bool:
    """Devices are known since this release, and sessions since before it."""
    device = select(Device.id).where(col(Device.user_id) == begun.user_id).exists()
    other = (
        select(Session.id)
        .where(col(Session.user_id) == begun.user_id, col(Session.id) != begun.id)
        .exists()
    )
    return bool((await session.exec(select(or_(device, other)))).one())


class DeviceMails:
    """Tells people of their new devices."""

    def __init__(self, database: Database, mailer: Mailer, limit: GrowingDelays) -> None:
        self._database = database
        self._mailer = mailer
        self._limit = limit

    async def deliver(self, payload: JsonObject) -> None:
        """Runs the job of a sign-in on a new device."""
        user_id = UserId(str(payload["user_id"]))
        try:
            await self._limit.check(user_id)
        except RateLimited:
            return  # a program without cookies signs in again and again: the first mails said so
        async with self._database.write() as session:
            user = await session.get(User, user_id)
            if user is None or user.email is None:
                return
            at = datetime.fromisoformat(str(payload["at"]))
            letter = NewDevice(str(payload["device"]), str(payload["address"]), at)
            await self._mailer.send(session, letter, to=user.email, user_id=user_id)
