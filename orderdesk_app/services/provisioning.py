"""Accounts that open by themselves: for a strong master key that nobody has used, where
AUTO_PROVISION_TENANT is on.
"""

from dataclasses import replace

from orderdesk_app.context import Secret, Via
from orderdesk_app.errors import Conflict, WeakKey
from orderdesk_app.security.key_strength import is_simple
from orderdesk_app.security.tokens import ACCESS_PREFIX, LONGEST, SHORTEST, could_be_key, hint
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.tenants import Tenants

OPENED = "account.open"


class Provisioning:
    """Asked with a key that opens nothing, before it is refused."""

    def __init__(
        self, tenants: Tenants, keys: Keys, limit: Limit, audit: AuditTrail, *, is_on: bool
    ) -> None:
        self._tenants = tenants
        self._keys = keys
        self._limit = limit
        self._audit = audit
        self._is_on = is_on

    async def open_account(self, key: Secret, *, via: Via, address: str) -> bool:
        """Opens an account with an owner for this master key; True where the key is known here now,
        so that the caller looks it up again.

        False where that is turned off, and for what looks like an access key. A key that was ever
        used here opens no new account: one that was rotated, or whose account is disabled, still
        opens nothing. Raises WeakKey, and RateLimited for the network of the address.
        """
        text = key.reveal().strip()
        if not self._is_on or text.casefold().startswith(ACCESS_PREFIX):
            return False
        if not could_be_key(text):
            raise WeakKey(_TOO_SHORT, field="master_key", is_short=True)
        if is_simple(text):
            raise WeakKey(_TOO_SIMPLE, field="master_key")
        if await self._keys.is_taken(text):
            return True
        await self._limit.spend(address)  # before bcrypt, so that parallel keys all count
        master_key = Secret(text)
        try:
            account, _ = await self._tenants.make_tenant(
                f"Account {hint(master_key)}", master_key=master_key
            )
        except Conflict:
            await self._limit.give_back(address)
            return True  # another call with this key was first
        owner = replace(account.owner(via), address=address)
        await self._audit.write_or_queue(Entry(actor=owner, action=OPENED))
        return True


_ADVICE = "Make one with: openssl rand -base64 48 | tr +/ -_"
_TOO_SHORT = (
    f"This key is too short to open an account: a master key has {SHORTEST} to {LONGEST} "
    f"characters without spaces. {_ADVICE}"
)
_TOO_SIMPLE = (
    "This key is too simple to open an account: somebody could guess it, or choose it too. Use a "
    f"random one. {_ADVICE}"
)
