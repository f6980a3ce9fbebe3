"""Builds every service from the settings, once, and gives them to the entry points.

Read this after the README. Each property says what a service is made of: engines.py has the
engines, of which those with two forms (memory or sqlite, sandbox or Order Desk) are chosen there
alone; people.py has accounts, keys and sessions; services.py has stores, orders and tools.

To add a service, add one property. For tools to use it, name it in `tool_services` too.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from orderdesk_app.config import Settings
from orderdesk_app.database_engines import PostgresLimits
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.services.health import check_pages_at_start
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.wiring.engines import SANDBOX_API
from orderdesk_app.wiring.services import Services

__all__ = ["SANDBOX_API", "Services", "current", "open_services"]

_current: Services | None = None


def current() -> Services:
    """The services of this process. Only entry points ask for them: Reflex builds its states
    itself, so that they cannot get them as an argument.
    """
    assert _current is not None, "open_services() comes first"
    return _current


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    http: httpx.AsyncClient | None = None,
    passwords: Passwords | None = None,
    buckets: Callable[[Database], Buckets] = Buckets,
    reauthentication: Callable[[Database], Reauthentication] = Reauthentication,
    waits_for_check: bool = True,
) -> AsyncIterator[Services]:
    """Build, start and, at the end, stop everything. Without `waits_for_check` the database's file
    is checked beside the work that begins.

    A test may pass its own way to Order Desk, hashes that are quick to make, buckets that are never
    empty, and actors of its own who need no session.
    """
    global _current
    async with AsyncExitStack() as closing:
        services = await _start(
            settings,
            closing,
            http,
            passwords or Passwords(),
            buckets,
            reauthentication,
            waits_for_check=waits_for_check,
        )
        before = _current
        _current = services
        try:
            yield services
        finally:
            _current = before


async def _start(
    settings: Settings,
    closing: AsyncExitStack,
    http: httpx.AsyncClient | None,
    passwords: Passwords,
    buckets: Callable[[Database], Buckets],
    reauthentication: Callable[[Database], Reauthentication],
    *,
    waits_for_check: bool,
) -> Services:
    """Build and start everything; `closing` stops it in the reverse order."""
    database = Database(
        settings.database_url.get_secret_value(),
        PostgresLimits(
            connections=settings.database_pool_size,
            more_connections=settings.database_pool_overflow,
            wait_seconds=settings.database_pool_timeout,
            statement_seconds=settings.database_statement_timeout,
            lock_seconds=settings.database_lock_timeout,
        ),
    )
    closing.push_async_callback(database.close)
    closing.callback(await check_pages_at_start(database, waits=waits_for_check))
    keyring = await Keyring.open(
        KeyRows(database),
        kms_key=settings.mcp_kms_key.get_secret_value(),
        data_dir=settings.data_dir,
        previous=settings.mcp_kms_key_previous.get_secret_value(),
    )
    services = Services(settings, database, keyring, http=http, passwords=passwords)
    services.buckets = buckets(database)
    services.reauthentication = reauthentication(database)
    closing.push_async_callback(services.cache.close)
    if http is None:
        closing.push_async_callback(services.http.aclose)
    closing.callback(passwords.close)
    closing.callback(services.names.close)
    closing.push_async_callback(services.public_fetch.close)
    services.build()
    await services.key_rotation.warn_of_unreadable()
    await services.signals.start()
    closing.push_async_callback(services.signals.stop)
    await services.user_activity.start()
    closing.push_async_callback(services.user_activity.stop)
    await services.key_uses.start()
    closing.push_async_callback(services.key_uses.stop)
    await services.audit.start()
    closing.push_async_callback(services.audit.stop)
    await services.retention.start()
    closing.push_async_callback(services.retention.stop)
    await services.saturation.start()
    closing.push_async_callback(services.saturation.stop)
    closing.push_async_callback(services.unfinished.drain)
    return services
