"""Links that prove something once: signed, for one purpose, used up by the first who uses them.

Looking (GET) uses nothing up, as mail scanners open links; using (POST) does. A token says nothing
about whom it is for, and the database keeps its digest alone.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import JsonObject, Secret, TenantId, UserId, new_id, now
from orderdesk_app.db.magic_links import MagicLink, delete_old_links
from orderdesk_app.errors import LinkExpired, LinkUsed, NotFound
from orderdesk_app.mail.letters import minutes
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import INSTALLATION, Keyring
from orderdesk_app.security.tokens import new_link_secret
from orderdesk_app.security.web import SignedText
from orderdesk_app.services.sealed import Seals


class LinkPurpose(StrEnum):
    """What a link is for; one that was made for another purpose is not known."""

    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"
    INVITATION = "invitation"
    CONFIRM = "confirm"  # the identity of somebody who is signed in


@dataclass(frozen=True, slots=True)
class _Words:
    noun: str
    next_step: str
    after_use: str = ""  # the next step of somebody whose link was used before, if another


_WORDS = {
    LinkPurpose.SIGN_IN: _Words(
        "sign-in link",
        "Ask for a new one on the sign-in page; whoever runs this installation makes one too, with "
        "the command orderdesk signin-link.",
    ),
    LinkPurpose.SIGN_UP: _Words(
        "link",
        "Sign up again: a new one is sent to you.",
        "If you used it, your account is open. Without its key, have a link mailed to you on the "
        "sign-in page, and make a new key under Settings.",
    ),
    LinkPurpose.INVITATION: _Words("invitation", "Ask the person who invited you for a new one."),
    LinkPurpose.CONFIRM: _Words(
        "link", "Go back to the page that you came from, and ask for a new one."
    ),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link that may be used, with what was given when it was made."""

    id: str
    purpose: LinkPurpose
    tenant_id: TenantId | None
    user_id: UserId | None
    payload: JsonObject
    works_for: timedelta  # since it was made


class MagicLinks:
    """Makes links, and accepts each once.

        token = await links.make(session, LinkPurpose.SIGN_UP, works_for=900, payload={…})
        link = await links.look(session, token.reveal(), LinkPurpose.SIGN_UP)
        link = await links.use(session, token.reveal(), LinkPurpose.SIGN_UP)

    The caller opens the session, so that a link is made together with the mail that carries it, and
    used up together with what it allows: when that fails, the transaction is rolled back and the
    link still works.

    A link of a disabled account or user is found as any other: whether they may still act is
    decided where they act.
    """

    def __init__(
        self, keyring: Keyring, sealer: Seals, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._keyring = keyring
        self._sealer = sealer
        self._clock = clock
        key = keyring.purpose("links")
        self._signed = {
            purpose: SignedText(key, f"{purpose.replace('_', '-')} link") for purpose in LinkPurpose
        }

    async def make(
        self,
        session: AsyncSession,
        purpose: LinkPurpose,
        *,
        works_for: float,
        tenant_id: TenantId | None = None,
        user_id: UserId | None = None,
        payload: JsonObject | None = None,
    ) -> Secret:
        """Inside a write: the token of a new link that works for so many seconds.

        It goes with its tenant or user. `payload` is kept sealed, for what is personal (an e-mail
        address); `look` and `use` give it back.
        """
        secret = new_link_secret()
        moment = self._clock()
        row_id = new_id()
        sealed = None
        if payload:
            text = json.dumps(payload, ensure_ascii=False).encode()
            sealed = self._sealer.seal(*_place(row_id), text)
        await delete_old_links(session, moment)
        session.add(
            MagicLink(
                id=row_id,
                tenant_id=tenant_id,
                user_id=user_id,
                purpose=purpose.value,
                digest=self._digest(secret),
                payload=sealed,
                created_at=moment,
                expires_at=moment + timedelta(seconds=works_for),
            )
        )
        await session.flush()
        return Secret(self._signed[purpose].sign(secret))

    async def look(self, session: AsyncSession, token: str, purpose: LinkPurpose) -> Link:
        """The link, which stays unused; for a GET, in a read or a write.

        Raises NotFound for what is no link of ours or of another purpose, LinkUsed or LinkExpired.
        Their words say what to do next.
        """
        row = await self._find(session, token, purpose)
        payload: JsonObject = {}
        if row.payload is not None:
            payload = json.loads(await self._sealer.open_for(*_place(row.id), row.payload))
        return Link(row.id, purpose, row.tenant_id, row.user_id, payload, _works_for(row))

    async def use(self, session: AsyncSession, token: str, purpose: LinkPurpose) -> Link:
        """Inside a write, for a POST: the link, which is used up once this write is committed. Of
        many at once one gets it, and the others LinkUsed. Raises what `look` raises.
        """
        link = await self.look(session, token, purpose)
        # One statement finds and marks: of two at once the second finds nothing.
        used = await session.exec(
            update(MagicLink)
            .where(col(MagicLink.id) == link.id, col(MagicLink.used_at).is_(None))
            # what is personal is not needed any more
            .values(used_at=self._clock(), payload=None)
            .returning(col(MagicLink.id))
        )
        if used.scalar_one_or_none() is None:
            raise LinkUsed(used_words(purpose))
        return link

    async def _find(self, session: AsyncSession, token: str, purpose: LinkPurpose) -> MagicLink:
        secret = self._signed[purpose].read(token)
        if secret is None:
            raise NotFound(_unknown_words(purpose))
        question = select(MagicLink).where(MagicLink.digest == self._digest(secret))
        row = (await session.exec(question)).one_or_none()
        if row is None:
            # Its signature is ours: it was swept, or went with its account.
            raise LinkExpired(f"This {_WORDS[purpose].noun} is too old. {_next_step(purpose)}")
        if row.purpose != purpose.value:
            raise NotFound(_unknown_words(purpose))
        if row.used_at is not None:
            raise LinkUsed(used_words(purpose))
        if self._clock() >= row.expires_at:
            raise LinkExpired(expired_words(purpose, _works_for(row)))
        return row

    def _digest(self, secret: str) -> bytes:
        return digest(self._keyring.digest_key, secret)


async def end_links(
    session: AsyncSession,
    tenant_id: TenantId,
    purposes: Collection[LinkPurpose],
    moment: datetime,
    *,
    user_id: UserId | None = None,
) -> None:
    """Inside a write: the account's unused links of these purposes (of one user, or of all) are
    used up, as they were made for what has changed.
    """
    links = update(MagicLink).where(
        col(MagicLink.tenant_id) == tenant_id,
        col(MagicLink.used_at).is_(None),
        col(MagicLink.purpose).in_([purpose.value for purpose in purposes]),
    )
    if user_id is not None:
        links = links.where(col(MagicLink.user_id) == user_id)
    await session.exec(links.values(used_at=moment, payload=None))


def used_words(purpose: LinkPurpose) -> str:
    words = _WORDS[purpose]
    next_step = words.after_use or words.next_step
    return f"This {words.noun} was used before; each works once. {next_step}"


def expired_words(purpose: LinkPurpose, works_for: timedelta) -> str:
    """Also for a link whose account or user is disabled: nobody learns which."""
    return (
        f"This {_WORDS[purpose].noun} is too old; each works for "
        f"{minutes(works_for.total_seconds())}. {_next_step(purpose)}"
    )


def _works_for(row: MagicLink) -> timedelta:
    return row.expires_at - row.created_at


def _unknown_words(purpose: LinkPurpose) -> str:
    noun = _WORDS[purpose].noun
    return f"This {noun} is not known here. Copy it again, whole. {_next_step(purpose)}"


def _next_step(purpose: LinkPurpose) -> str:
    return _WORDS[purpose].next_step


def _place(row_id: str) -> tuple[str, str, str, str]:
    """Of the installation, as there may be no tenant yet."""
    return INSTALLATION, "magic_links", "payload", row_id
