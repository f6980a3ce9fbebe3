"""How many wrong keys a network address may try at `/mcp` and `/health/detailed`, and their audit
rows.
"""

from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.errors import AuthFailed
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.limits import Limit, network_of

ACTION = "key.check"
NOBODY = TenantId("")


class KeyCheck:
    """Finds the principal of a key that somebody sent.

    Only wrong keys cost tokens. A key that this process has met works even for a network that has
    none left, so that one broken program does not lock out its neighbours.
    """

    def __init__(self, access: Access, limit: Limit, audit: AuditLog) -> None:
        self._access = access
        self._limit = limit
        self._audit = audit
        self._being_checked: set[str] = set()

    async def principal(self, token: str, *, address: str, kind: str | None = None) -> Principal:
        """The principal of a key (of that kind: "master" or "access").

        Raises AuthFailed for a wrong one, RateLimited for a network that sent too many of them.
        """
        if met := self._access.met(token):
            return await self._access.by_token(token, kind=kind, met=met)
        # Taken first and given back, so that many keys at once are all counted. The same key at
        # once is one try until it proves wrong: after a start, a hundred requests with a key that
        # works arrive before it was found.
        if is_first := token not in self._being_checked:
            self._limit.spend(address)
            self._being_checked.add(token)
        try:
            found = await self._access.by_token(token, kind=kind)
        except AuthFailed as error:
            if not is_first:
                self._limit.spend(address)
            self._record(address, error)
            raise
        except BaseException:
            if is_first:
                self._limit.give_back(address)
            raise
        finally:
            if is_first:
                self._being_checked.discard(token)
        if is_first:
            self._limit.give_back(address)
        return found

    def _record(self, address: str, error: AuthFailed) -> None:
        stranger = Actor(NOBODY, via=Via.MCP, address=address)
        entry = Entry(actor=stranger, action=ACTION, outcome=error.code)
        self._audit.refuse_key(entry, network_of(address))
