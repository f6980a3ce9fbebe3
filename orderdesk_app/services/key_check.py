"""How many wrong keys a network address may try at `/mcp` and `/health/detailed`, and their audit
rows.
"""

import time
from typing import NamedTuple

from orderdesk_app.context import Actor, Secret, TenantId, Via
from orderdesk_app.errors import AuthFailed, RateLimited
from orderdesk_app.security.tokens import OAUTH_ACCESS, OAUTH_REFRESH
from orderdesk_app.services.access import APP, Access, FoundKey, Principal
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.former_keys import FormerKeys
from orderdesk_app.services.limits import Limit, network_of
from orderdesk_app.services.provisioning import Provisioning

ACTION = "key.check"
# As long as other processes may take to tell of a change. Then the cache is asked again, which in
# its turn asks the database now and then.
_MOMENT_SECONDS = 1.0
NOBODY = TenantId("")


class Look(NamedTuple):
    """When the cache of keys was asked, and how much had changed in it by then."""

    changes: int
    at: float


class KeyCheck:
    """Finds the principal of a key that somebody sent.

    Only wrong keys cost tokens. A key that this process has met works even for a network that has
    none left, so that one broken program does not lock out its neighbours.
    """

    def __init__(
        self,
        access: Access,
        limit: Limit,
        audit: AuditLog,
        *,
        provisioning: Provisioning | None = None,
        former_keys: FormerKeys | None = None,
    ) -> None:
        self._access = access
        self._limit = limit
        self._audit = audit
        self._provisioning = provisioning
        self._former_keys = former_keys
        self._being_checked: set[str] = set()

    async def principal(
        self,
        token: str,
        *,
        address: str,
        kind: str | None = None,
        opens_accounts: bool = False,
    ) -> Principal:
        """The principal of a key (of that kind: "master" or "access"). `opens_accounts`: for a
        strong one that is new an account opens, where AUTO_PROVISION_TENANT is on.

        Raises AuthFailed for a wrong one, RateLimited for a network that sent too many of them.
        """
        if met := self._access.met(token):
            try:
                return await self._access.by_token(token, kind=kind, met=met)
            except AuthFailed as error:
                self._record_met(met, address, error)
                raise
        # Taken first and given back, so that many keys at once are all counted. The same key at
        # once is one try until it proves wrong: after a start, a hundred requests with a key that
        # works arrive before it was found.
        if is_first := token not in self._being_checked:
            await self._limit.spend(address)
            self._being_checked.add(token)
        try:
            found = await self._find(token, address, kind, opens_accounts=opens_accounts)
        except AuthFailed as error:
            if met := self._access.met(token):  # nobody is taken for a guesser for it
                if is_first:
                    await self._limit.give_back(address)
                self._record_met(met, address, error)
                raise
            if not is_first:
                await self._limit.spend(address)
            await self._record(token, address, error)
            raise
        except RateLimited:  # too many new accounts: the try counts
            raise
        except BaseException:
            if is_first:
                await self._limit.give_back(address)
            raise
        finally:
            if is_first:
                self._being_checked.discard(token)
        if is_first:
            await self._limit.give_back(address)
        return found

    def look(self) -> Look:
        """What `principal_now` has to know of the moment before `principal` is asked."""
        return Look(self._access.changes, time.monotonic())

    async def principal_now(self, token: str, known: Principal, look: Look) -> Principal:
        """The principal of a key that was let in before, `known` at that look, as it is by now.
        Raises AuthFailed where it works no more; nobody is counted for that.
        """
        is_as_it_was = (
            self._access.changes == look.changes and time.monotonic() - look.at < _MOMENT_SECONDS
        )
        if is_as_it_was and not self._access.has_expired(known.expires_at):
            return known
        return await self._access.by_token(token)

    async def _find(
        self, token: str, address: str, kind: str | None, *, opens_accounts: bool
    ) -> Principal:
        try:
            return await self._access.by_token(token, kind=kind)
        except AuthFailed:
            is_app = token.startswith((OAUTH_ACCESS, OAUTH_REFRESH))
            if is_app or not opens_accounts or self._provisioning is None:
                raise
            if not await self._provisioning.open_account(
                Secret(token), via=Via.MCP, address=address
            ):
                raise
        return await self._access.by_token(token, kind=kind)

    async def _record(self, token: str, address: str, error: AuthFailed) -> None:
        """The row is that of the account whose key it was: a person sees why a client of theirs
        does not get in.
        """
        former = await self._former_keys.find(token) if self._former_keys else None
        actor = Actor(
            former.tenant_id if former else NOBODY,
            via=Via.MCP,
            credential_id=former.credential_id if former else None,
            address=address,
        )
        self._write_down(actor, error)

    def _record_met(self, met: FoundKey, address: str, error: AuthFailed) -> None:
        """The same for a key that was found and has expired, or was sent in a way that it may not
        be. The tokens of an app expire each hour, and it gets new ones by itself: no row says so.
        """
        if met.kind != APP:
            actor = Actor(
                met.tenant_id, via=Via.MCP, credential_id=met.credential_id, address=address
            )
            self._write_down(actor, error)

    def _write_down(self, actor: Actor, error: AuthFailed) -> None:
        entry = Entry(actor=actor, action=ACTION, outcome=error.code)
        self._audit.refuse_key(entry, network_of(actor.address))
