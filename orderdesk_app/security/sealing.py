"""Sealed values: AES-256-GCM under the tenant's key, bound to one column of one row."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orderdesk_app.context import Sealed, TenantId
from orderdesk_app.errors import Unexpected
from orderdesk_app.security.keyring import Keyring

VERSION = b"\x01"
_NONCE_BYTES = 12
_START = len(VERSION) + _NONCE_BYTES


class Sealer:
    """Seals and opens.

    The place (tenant, table, column, row) is part of the seal: a value that was moved does not
    open.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def seal_for(
        self, tenant_id: TenantId | str, table: str, column: str, row_id: str, value: str | bytes
    ) -> Sealed:
        """Loads the tenant's key where this process does not have it yet."""
        await self._keyring.tenant(tenant_id)
        return self.seal(tenant_id, table, column, row_id, value)

    async def open_for(
        self, tenant_id: TenantId | str, table: str, column: str, row_id: str, sealed: Sealed
    ) -> bytes:
        """The bytes that were sealed. Raises Unexpected when they were changed or moved."""
        await self._keyring.tenant(tenant_id)
        return self.open(tenant_id, table, column, row_id, sealed)

    def seal(
        self, tenant_id: TenantId | str, table: str, column: str, row_id: str, value: str | bytes
    ) -> Sealed:
        """`seal_for` for tenants whose key is loaded (each sign-in and each found key loads it).
        Raises LookupError for others.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = value.encode() if isinstance(value, str) else value
        return Sealed(
            VERSION
            + nonce
            + self._cipher(tenant_id).encrypt(
                nonce, plain, _place(tenant_id, table, column, row_id)
            )
        )

    def open(
        self, tenant_id: TenantId | str, table: str, column: str, row_id: str, sealed: Sealed
    ) -> bytes:
        if sealed[: len(VERSION)] != VERSION:
            raise Unexpected(_BROKEN)
        try:
            return self._cipher(tenant_id).decrypt(
                sealed[len(VERSION) : _START],
                sealed[_START:],
                _place(tenant_id, table, column, row_id),
            )
        except (InvalidTag, ValueError):
            raise Unexpected(_BROKEN) from None

    def purpose(self, name: str) -> bytes:
        """A key of the same keyring, for what is signed and not sealed."""
        return self._keyring.purpose(name)

    def _cipher(self, tenant_id: TenantId | str) -> AESGCM:
        cipher = self._keyring.held(tenant_id)
        if cipher is None:
            raise LookupError("this tenant's key is not loaded: use seal_for and open_for")
        return cipher


def _place(*parts: str) -> bytes:
    """Each part with its length in front, so that no two places read the same."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4) + part for part in encoded)


_BROKEN = (
    "A stored value could not be opened: it was changed, or stands in a place that is not "
    "its own. Nothing was done. Ask whoever runs this installation."
)
