"""A tenant with a key and some stores at the benchmark's own Order Desk, in a database of its own;
everything is switched on.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orderdesk_app import wiring
from orderdesk_app.context import Secret, Via
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.settings_reader import load_settings

FIRST_STORE = 20_001


@dataclass(frozen=True, slots=True)
class World:
    """`environment` is what the server is started with."""

    environment: Mapping[str, str]
    port: int
    token: str
    store_ids: tuple[str, ...]


def environment(
    folder: Path, *, port: int, upstream_port: int, database_url: str | None, has_webui: bool
) -> dict[str, str]:
    """Settings as a customer has them; only the limit is raised, as the load is one tenant's."""
    return {
        "PORT": str(port),
        "DATABASE_URL": database_url or f"sqlite:///{folder / 'app.db'}",
        "ORDERDESK_API_URL": f"http://127.0.0.1:{upstream_port}/api/v2",
        "RATE_LIMIT_RPM": "1000000",
        "ENABLE_WEBUI": str(has_webui).lower(),
        "ADMIN_MASTER_KEY": secrets.token_urlsafe(48),
        "MCP_KMS_KEY": secrets.token_urlsafe(32),
        "LOG_LEVEL": "WARNING",
    }


async def build(given: Mapping[str, str], *, stores: int) -> World:
    """Migrate, then make the tenant and connect its stores through the services themselves."""
    settings = load_settings(given)
    upgrade(settings.database_url.get_secret_value())
    async with wiring.open_services(settings) as services:
        await services.tenants.ensure_admin(
            master_key=Secret(given["ADMIN_MASTER_KEY"]), has_webui=settings.enable_webui
        )
        _, key = await services.tenants.make_tenant("Benchmark")
        actor = (await services.access.by_token(key.reveal(), via=Via.SYSTEM)).actor
        store_ids = tuple(str(FIRST_STORE + number) for number in range(stores))
        for store_id in store_ids:
            await services.registration.add_store(
                actor,
                store_id,
                Secret("the-key-of-a-store"),
                name=f"Shop {store_id}",
                label=None,
                budget=WaitBudget(30),
            )
    return World(given, settings.port, key.reveal(), store_ids)
