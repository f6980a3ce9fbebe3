"""What a sandbox store changed in its copy of the seeded Order Desk."""

from sqlalchemy import LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import Sealed, StoreRowId
from orderdesk_app.db.rows import Row


class SandboxRow(Row, table=True):
    __tablename__ = "sandbox_rows"

    store_row_id: StoreRowId = Field(
        sa_type=String, foreign_key="stores.id", ondelete="CASCADE", primary_key=True
    )
    kind: str = Field(primary_key=True)
    object_id: str = Field(primary_key=True)
    body: Sealed | None = Field(default=None, sa_type=LargeBinary)  # None: deleted
    version: int = 1
