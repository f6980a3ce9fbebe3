"""The keys of this installation: one root for digests and signatures, and a data key for each
tenant, all wrapped by the KMS key.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Protocol

from cachetools import LRUCache
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orderdesk_app.context import TenantId
from orderdesk_app.security.kms import KmsKeys, derive, kms_keys_of, load_kms_key

ROOT = "digest"
# In a tenant's place: what is sealed for this installation, as it belongs to no tenant, or goes
# before anybody could want its key gone.
INSTALLATION = TenantId("installation")
_MOST_TENANTS = 50_000


class WrappedKey(Protocol):
    """The columns of `master_key_metadata` that the keyring reads."""

    id: str
    salt: bytes
    wrapped: bytes
    key_id: str


class WrappedKeys(Protocol):
    """Where wrapped keys are stored (db/keyring.py)."""

    async def find(self, row_id: str) -> WrappedKey | None: ...

    async def add(
        self,
        *,
        row_id: str,
        purpose: str,
        tenant_id: TenantId | None,
        salt: bytes,
        wrapped: bytes,
        key_id: str,
    ) -> WrappedKey:
        """Stores the row, unless another process stored one first; returns the stored row."""


class Keyring:
    """Open for as long as the process runs. Make one with `await Keyring.open(…)`."""

    def __init__(self, rows: WrappedKeys, kms: KmsKeys, root: bytes, salt: bytes) -> None:
        self._rows = rows
        self._kms = kms
        self._root = root
        self._salt = salt
        self._tenants: LRUCache[str, AESGCM] = LRUCache(_MOST_TENANTS)
        self.digest_key = self.purpose("digest")
        self._installation = AESGCM(self.purpose("seal"))

    def __repr__(self) -> str:
        return "Keyring(***)"

    @classmethod
    async def open(
        cls, rows: WrappedKeys, *, kms_key: str, data_dir: Path, previous: str = ""
    ) -> "Keyring":
        """The keyring of this database; the first start makes its root key.

        `kms_key` is MCP_KMS_KEY, empty in development; `previous` is MCP_KMS_KEY_PREVIOUS.

        Raises ConfigurationError naming MCP_KMS_KEY when the key is missing, or is not the one that
        this database was made with.
        """
        row = await rows.find(ROOT)
        current = await asyncio.to_thread(load_kms_key, kms_key, data_dir, may_make=row is None)
        kms = kms_keys_of(current, previous)
        if row is None:
            row = await _add(rows, kms, ROOT, ROOT, None)
        return cls(rows, kms, _unwrap(kms, row), row.salt)

    def purpose(self, name: str) -> bytes:
        """A key of 32 bytes for that purpose alone: "jwt", "csrf", "links", "cache"."""
        return derive(self._root, self._salt, f"root {name}")

    async def tenant(self, tenant_id: TenantId | str) -> AESGCM:
        """The cipher of that tenant's sealed values, made at the first call and kept for `held`."""
        cipher = self.held(tenant_id)
        if cipher is None:
            row_id = f"tenant:{tenant_id}"
            row = await self._rows.find(row_id) or await _add(
                self._rows, self._kms, row_id, "tenant", TenantId(tenant_id)
            )
            cipher = AESGCM(derive(_unwrap(self._kms, row), row.salt, "seal"))
            self._tenants[tenant_id] = cipher
        return cipher

    def held(self, tenant_id: TenantId | str) -> AESGCM | None:
        """The tenant's cipher if this process has loaded it, else None; does not wait."""
        if tenant_id == INSTALLATION:
            return self._installation
        return self._tenants.get(tenant_id)

    @property
    def kms_key_id(self) -> str:
        """Of the key that wraps new rows."""
        return self._kms.current.id

    def opens(self, kms_key_id: str) -> bool:
        """Whether this process can read what that key has wrapped."""
        return self._kms.opens(kms_key_id)

    def rewrapped(self, row: WrappedKey) -> bytes:
        """The row's key, wrapped by the current key. Raises ConfigurationError when none of our
        keys opens it.
        """
        key = _unwrap(self._kms, row)
        wrapped = self._kms.wrap(key, row_id=row.id)
        assert self._kms.current.unwrap(wrapped, row_id=row.id) == key
        return wrapped

    def forget(self, tenant_id: TenantId | str) -> None:
        """The tenant is deleted: this process keeps none of its key."""
        self._tenants.pop(tenant_id, None)


def _unwrap(kms: KmsKeys, row: WrappedKey) -> bytes:
    return kms.unwrap(row.wrapped, row_id=row.id, key_id=row.key_id)


async def _add(
    rows: WrappedKeys, kms: KmsKeys, row_id: str, purpose: str, tenant_id: TenantId | None
) -> WrappedKey:
    wrapped = kms.wrap(secrets.token_bytes(32), row_id=row_id)
    return await rows.add(
        row_id=row_id,
        purpose=purpose,
        tenant_id=tenant_id,
        salt=secrets.token_bytes(32),
        wrapped=wrapped,
        key_id=kms.current.id,
    )
