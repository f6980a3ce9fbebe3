"""Connected Order Desk stores; the API key is kept sealed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, String, UniqueConstraint
from sqlmodel import Field

from orderdesk_app.context import Sealed, StoreId, StoreRowId, TenantId, new_id, now
from orderdesk_app.db.rows import Row


class Store(Row, table=True):
    __tablename__ = "stores"
    __table_args__ = (UniqueConstraint("tenant_id", "api_url", "store_id"),)

    id: StoreRowId = Field(
        default_factory=lambda: StoreRowId(new_id()), sa_type=String, primary_key=True
    )
    tenant_id: TenantId = Field(sa_type=String, foreign_key="tenants.id", ondelete="CASCADE")
    store_id: StoreId = Field(sa_type=String)
    name: str
    label: str = ""
    api_url: str
    api_key: Sealed = Field(sa_type=LargeBinary)
    is_sandbox: bool = False
    timezone: str = "UTC"
    folders: list[list[str]] = Field(default_factory=list, sa_type=JSON)  # [[id, name], …]
    settings: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)
