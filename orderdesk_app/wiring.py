"""Names everything there is: reads the settings once, builds every service, and hands them to the
entry points.

Read this after the README. Each line says what a thing is made of. Engines with two forms (memory
or sqlite, sandbox or Order Desk) are chosen here alone.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx

from orderdesk_app.cache.sqlite import SqliteCache
from orderdesk_app.cache.store import Cache, MemoryCache
from orderdesk_app.config import Settings
from orderdesk_app.context import Actor
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.signals import Signals
from orderdesk_app.demo.app import BASE, SANDBOX_URL, sandbox_app
from orderdesk_app.errors import AuthFailed
from orderdesk_app.observability import UPSTREAM_REQUESTS, UPSTREAM_SECONDS
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.locks import OrderLocks
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.security.web import SessionCookies, cookie_in
from orderdesk_app.services.access import Access
from orderdesk_app.services.activity import Activity
from orderdesk_app.services.audit import AuditLog
from orderdesk_app.services.console import ConsoleHistory
from orderdesk_app.services.flash_messages import FlashMessages
from orderdesk_app.services.folders import Folders
from orderdesk_app.services.health import Health
from orderdesk_app.services.journal import Journal
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.products import Products
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.sandbox import DatabaseRows, SandboxKeys
from orderdesk_app.services.sessions import COOKIE, FormTokens, Sessions
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.services.store_registration import StoreRegistration
from orderdesk_app.services.stores import Stores
from orderdesk_app.services.tenants import Tenants
from orderdesk_app.services.unfinished import UnfinishedWork
from orderdesk_app.services.writes import Writes
from orderdesk_app.tools import catalogue
from orderdesk_app.tools.console import Console
from orderdesk_app.tools.runner import Runner
from orderdesk_app.tools.tool_services import ToolServices

SANDBOX_API = SANDBOX_URL + BASE


@dataclass(frozen=True, slots=True)
class Services:
    """Every service, built. Entry points ask for what they need; nothing below them knows it."""

    settings: Settings
    database: Database
    signals: Signals
    keyring: Keyring
    cache: Cache
    access: Access
    audit: AuditLog
    activity: Activity
    console: Console
    form_tokens: FormTokens
    health: Health
    keys: Keys
    limits: Limits
    orders: Orders
    products: Products
    flash_messages: FlashMessages
    runner: Runner
    sessions: Sessions
    sign_in: SignIn
    stores: Stores
    tenants: Tenants
    unfinished: UnfinishedWork

    async def actor_of_request(self, authorization: str, cookie: str) -> Actor | None:
        """The actor of a plain request: by bearer key, else by session cookie; None for nobody."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            try:
                return (await self.access.by_token(token.strip())).actor
            except AuthFailed:
                return None
        user = await self.sessions.resume(cookie_in(cookie, COOKIE))
        return user.actor if user else None


_current: Services | None = None


def current() -> Services:
    """The services of this process; for the entry points alone, as Reflex builds its states itself
    and nobody can hand it to them.
    """
    assert _current is not None, "open_services() comes first"
    return _current


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    http: httpx.AsyncClient | None = None,
    passwords: Passwords | None = None,
) -> AsyncIterator[Services]:
    """Build, start and, at the end, stop everything.

    A test may pass its own way to Order Desk and hashes that are quick to make.
    """
    global _current
    async with AsyncExitStack() as closing:
        services = await _build(settings, closing, http, passwords or Passwords())
        before = _current
        _current = services
        try:
            yield services
        finally:
            _current = before


async def _build(
    settings: Settings,
    closing: AsyncExitStack,
    http: httpx.AsyncClient | None,
    passwords: Passwords,
) -> Services:
    database = Database(settings.database_url.get_secret_value())
    closing.push_async_callback(database.close)
    signals = Signals(database)
    keyring = await Keyring.open(
        KeyRows(database),
        kms_key=settings.mcp_kms_key.get_secret_value(),
        data_dir=settings.data_dir,
    )
    sealer = Sealer(keyring)
    cache: Cache = (
        SqliteCache(settings.data_dir / "cache.db", secret=keyring.purpose("cache"))
        if settings.cache_backend == "sqlite"
        else MemoryCache()
    )
    closing.push_async_callback(cache.close)
    audit = AuditLog(database, sealer, enabled=settings.enable_audit_log)
    limits = Limits(
        rpm=settings.rate_limit_rpm,
        login=settings.webui_rate_limit_login,
        console=settings.webui_rate_limit_api_console,
    )

    sandbox_keys = SandboxKeys(keyring.purpose("sandbox"))
    sandbox = sandbox_app(
        sandbox_keys.account, DatabaseRows(database, sealer, sandbox_url=SANDBOX_API)
    )
    if http is None:
        http = open_http(mounts={SANDBOX_URL: httpx.ASGITransport(sandbox)})
        closing.push_async_callback(http.aclose)
    buckets = Buckets(database)
    client = OrderDeskClient(
        Transport(
            http,
            buckets,
            timeout=settings.http_timeout,
            max_retries=settings.http_max_retries,
            observe=_observe,
        )
    )

    closing.callback(passwords.close)
    keys = Keys(database, keyring, signals, passwords, audit=audit)
    tenants = Tenants(database, keys)
    access = Access(database, keys, signals)
    cookies = SessionCookies(
        settings.jwt_secret_key.get_secret_value().encode() or keyring.purpose("jwt")
    )
    sessions = Sessions(database, keyring, cookies, timeout=settings.session_timeout)
    sign_in = SignIn(database, keyring, keys, sessions, limit=limits.sign_in, audit=audit)
    reads = Reads(cache, signals, sealer, seal=settings.cache_backend != "memory")
    registration = StoreRegistration(
        database,
        signals,
        access,
        sealer,
        client,
        sandbox_keys,
        api_url=settings.orderdesk_api_url,
        sandbox_url=SANDBOX_API,
    )
    stores = Stores(
        database,
        signals,
        access,
        sealer,
        registration,
        audit,
        buckets,
        wait_seconds=settings.http_timeout,
    )
    journal = Journal(database, signals, sealer, audit)
    folders = Folders(client, reads, cache_seconds=settings.cache_ttl_store_settings)
    unfinished = UnfinishedWork()
    writes = Writes(
        OrderLocks(Leases(database)),
        journal,
        reads,
        unfinished,
        repeats=settings.mutation_max_retries,
        timeout=settings.http_timeout,
    )
    orders = Orders(
        client, reads, journal, writes, folders, cache_seconds=settings.cache_ttl_orders
    )
    products = Products(client, reads, cache_seconds=settings.cache_ttl_products)
    runner = Runner(
        ToolServices(access, sign_in, stores, orders, products),
        limits,
        audit,
        unfinished,
        wait_seconds=settings.http_timeout,
    )

    await signals.start()
    closing.push_async_callback(signals.stop)
    await audit.start()
    closing.push_async_callback(audit.stop)
    closing.push_async_callback(unfinished.drain)
    return Services(
        settings=settings,
        database=database,
        signals=signals,
        keyring=keyring,
        cache=cache,
        access=access,
        audit=audit,
        activity=Activity(database, sealer, audit),
        console=Console(runner, access, stores, ConsoleHistory(database, sealer), limits),
        form_tokens=FormTokens(
            settings.csrf_secret_key.get_secret_value().encode() or keyring.purpose("csrf")
        ),
        health=Health(database, cache),
        keys=keys,
        limits=limits,
        orders=orders,
        products=products,
        flash_messages=FlashMessages(),
        runner=runner,
        sessions=sessions,
        sign_in=sign_in,
        stores=stores,
        tenants=tenants,
        unfinished=unfinished,
    )


def _observe(method: str, outcome: str, seconds: float) -> None:
    UPSTREAM_REQUESTS.labels(method, outcome).inc()
    UPSTREAM_SECONDS.labels(method).observe(seconds)


def tools() -> list[catalogue.Tool]:
    """The whole catalogue, for the command line and the documents."""
    return catalogue.every_tool()
