"""The sealer as services use it: a tenant's secret or personal data is sealed for one place, and
opens there alone.
"""

from typing import Protocol

from orderdesk_app.context import Sealed


class Seals(Protocol):
    """security.sealing. Each place is a tenant, a table, a column and a row."""

    def seal(
        self, tenant_id: str, table: str, column: str, row_id: str, value: bytes
    ) -> Sealed: ...

    async def seal_for(
        self, tenant_id: str, table: str, column: str, row_id: str, value: bytes
    ) -> Sealed: ...

    async def open_for(
        self, tenant_id: str, table: str, column: str, row_id: str, sealed: Sealed
    ) -> bytes: ...

    def purpose(self, name: str) -> bytes: ...
