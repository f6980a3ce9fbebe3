"""Signing in with a passkey: it says who somebody is, so nothing is typed."""

from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, TenantId, UserId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.errors import SignInFailed
from orderdesk_app.observability import SIGN_INS
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.members import member_of
from orderdesk_app.services.passkeys import PasskeyQuestion, Passkeys
from orderdesk_app.services.sessions import Sessions, SignInMethod
from orderdesk_app.services.sign_in import (
    NO_TENANT,
    SignInDelays,
    accounts_by_last_use,
    sign_in_key,
)


class PasskeySignIn:
    """Every attempt is in the audit log; a wrong one counts against the network address."""

    def __init__(
        self,
        database: Database,
        passkeys: Passkeys,
        keys: Keys,
        sessions: Sessions,
        audit: AuditTrail,
        *,
        limit: SignInDelays,
        sign_ins: Limit,
    ) -> None:
        self._database = database
        self._passkeys = passkeys
        self._keys = keys
        self._sessions = sessions
        self._audit = audit
        self._delays = limit
        self._sign_ins = sign_ins

    async def ask(self) -> PasskeyQuestion:
        """What the browser of somebody who is not signed in yet asks the authenticator."""
        return await self._passkeys.ask_to_sign_in()

    async def with_passkey(
        self,
        answer: str,
        question_cookie: str | None,
        *,
        address: str,
        user_agent: str,
        replaces: str | None = None,
        device: str = "",
    ) -> str:
        """Signs in; returns the session cookie's value, and ends the session that the browser held
        so far. Only an attempt that fails counts, so that a stranger locks nobody out.

        Raises SignInFailed, also for a disabled user, or RateLimited.
        """
        stranger = Actor(NO_TENANT, via=Via.WEB, address=address)
        try:
            named = await self._passkeys.user_named_in(answer)
            if named is not None:
                await self._sign_ins.spend(sign_in_key(named, address))
            async with self._database.write() as session:
                user_id = await self._passkeys.use_to_sign_in(session, answer, question_cookie)
                actor = await _account_of(session, user_id, address)
                await self._keys.lock(session, actor.tenant_id)
                cookie = await self._sessions.begin(
                    session,
                    actor.tenant_id,
                    user_id,
                    credential_id=None,
                    address=address,
                    user_agent=user_agent,
                    method=SignInMethod.PASSKEY,
                    replaces=replaces,
                    device=device,
                )
        except SignInFailed as error:
            await self._delays.check(address)
            await self._record(stranger, error.code)
            raise
        await self._record(actor)
        return cookie

    async def _record(self, actor: Actor, outcome: str = "ok") -> None:
        SIGN_INS.labels("passkey", outcome).inc()
        await self._audit.write(Entry(actor=actor, action="sign_in.passkey", outcome=outcome))


async def _account_of(session: AsyncSession, user_id: UserId, address: str) -> Actor:
    """The user in the account that they used last. Raises SignInFailed for a disabled user, and for
    one without an account.
    """
    found = (await session.exec(accounts_by_last_use(user_id).limit(1))).one_or_none()
    if found is None:
        raise SignInFailed("This passkey does not sign in here any more. Ask your administrator.")
    _, membership, user = found
    member = member_of(membership, user)
    return Actor(
        TenantId(membership.tenant_id),
        member.user_id,
        role=member.role,
        is_operator=member.is_operator,
        via=Via.WEB,
        address=address,
    )
