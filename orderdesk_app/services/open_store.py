"""A connected store as services pass it on: its row with the key sealed, and opened for a call."""

from dataclasses import dataclass

from orderdesk_app.context import Sealed, StoreId, StoreRowId, TenantId
from orderdesk_app.orderdesk.access import StoreAccess


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """One row of `stores`, still sealed.

    `folders` are (id, name) in Order Desk's order; the first is the default folder.
    """

    id: StoreRowId
    tenant_id: TenantId
    store_id: StoreId
    name: str
    label: str
    api_url: str
    api_key: Sealed
    folders: tuple[tuple[str, str], ...]
    timezone: str
    is_sandbox: bool

    @property
    def upstream_id(self) -> str:
        """The name of the bucket, the locks and the cache tag of this Order Desk store, the same
        for every tenant that has it.
        """
        return f"{self.api_url}|{self.store_id}"

    @property
    def title(self) -> str:
        """Name and id, for results: with two stores, the wrong one is easily written."""
        return f"{self.name} ({self.store_id})"


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store whose key has been opened for the length of one call."""

    record: StoreRecord
    access: StoreAccess
