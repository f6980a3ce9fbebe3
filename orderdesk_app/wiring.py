"""Builds every service from the settings, once, and gives them to the entry points.

Read this after the README. Each property says what a service is made of. Engines with two forms
(memory or sqlite, sandbox or Order Desk) are chosen here alone.

To add a service, add one property. For tools to use it, name it in `tool_services` too.
"""

import asyncio
import random as chance
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property

import httpx

from orderdesk_app.cache.sqlite import SqliteCache
from orderdesk_app.cache.store import Cache, MemoryCache
from orderdesk_app.config import Settings
from orderdesk_app.context import Actor
from orderdesk_app.database_engines import PostgresLimits
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
from orderdesk_app.db.jobs import JobRows
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.db.signals import Signals
from orderdesk_app.demo.app import BASE, SANDBOX_URL, SandboxApp, sandbox_app
from orderdesk_app.errors import AuthFailed
from orderdesk_app.mail.sender import MailSender
from orderdesk_app.observability import UPSTREAM_REQUESTS, UPSTREAM_SECONDS
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.locks import WriteLocks
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.access import Access
from orderdesk_app.services.activity import Activity
from orderdesk_app.services.activity_entries import ActivityEntries
from orderdesk_app.services.activity_export import ActivityExport
from orderdesk_app.services.activity_log import ActivityLog
from orderdesk_app.services.audit import AuditLog
from orderdesk_app.services.changes import Changes
from orderdesk_app.services.console import ConsoleHistory
from orderdesk_app.services.flash_messages import FlashMessages
from orderdesk_app.services.folders import Folders
from orderdesk_app.services.health import Health, check_pages_at_start
from orderdesk_app.services.jobs import Jobs
from orderdesk_app.services.journal import Journal
from orderdesk_app.services.key_check import KeyCheck
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.mailer import MAIL, Mailer, deliver_with, has_mail, sender_of
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.products import Products
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.retention import Retention
from orderdesk_app.services.sandbox import DatabaseRows, SandboxKeys
from orderdesk_app.services.saturation import Saturation
from orderdesk_app.services.sessions import FormTokens, Sessions
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.services.store_registration import StoreRegistration
from orderdesk_app.services.stores import Stores
from orderdesk_app.services.tenants import Tenants
from orderdesk_app.services.tool_call_log import ToolCallLog
from orderdesk_app.services.unfinished import UnfinishedWork
from orderdesk_app.services.writes import Writes
from orderdesk_app.tools.console import Console
from orderdesk_app.tools.runner import Runner
from orderdesk_app.tools.tool_services import ToolServices

SANDBOX_API = SANDBOX_URL + BASE


class Services:
    """Every service. Entry points ask for what they need; nothing below them knows this class.

    Clock and random numbers are arguments, and a service can be replaced by assigning another
    before its first use: so tests build the real services around their fakes.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keyring: Keyring,
        *,
        http: httpx.AsyncClient | None,
        passwords: Passwords,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.settings = settings
        self.database = database
        self.keyring = keyring
        self.passwords = passwords
        self.clock = clock
        self.sleep = sleep
        self.random = random
        self._given_http = http

    def build(self) -> None:
        """Build every service now: a mistake stops the start, and no first call waits for it."""
        for name, value in vars(Services).items():
            if isinstance(value, cached_property):
                getattr(self, name)

    async def actor_of_request(
        self, authorization: str, cookie: str, *, address: str
    ) -> Actor | None:
        """The actor of a plain request: by bearer key, else by session cookie, else None.

        Raises RateLimited for a network address that sent too many wrong keys.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            try:
                return (await self.key_check.principal(token.strip(), address=address)).actor
            except AuthFailed:
                return None
        user = await self.sessions.resume(self.sessions.cookie_in(cookie))
        return user.actor if user else None

    # ------------------------------------------------------------------ database, secrets, cache

    @cached_property
    def signals(self) -> Signals:
        return Signals(self.database)

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.keyring)

    @cached_property
    def cache(self) -> Cache:
        if self.settings.cache_backend == "sqlite":
            file = self.settings.data_dir / "cache.db"
            return SqliteCache(file, secret=self.keyring.purpose("cache"))
        return MemoryCache(clock=self.clock)

    @cached_property
    def reads(self) -> Reads:
        is_sealed = self.settings.cache_backend != "memory"
        return Reads(self.cache, self.signals, self.sealer, seal=is_sealed)

    @cached_property
    def audit(self) -> AuditLog:
        return AuditLog(
            self.database,
            self.sealer,
            enabled=self.settings.enable_audit_log,
            signals=self.signals,
        )

    @cached_property
    def retention(self) -> Retention:
        return Retention(
            self.database,
            Leases(self.database),
            audit_days=self.settings.audit_log_retention_days,
            journal_days=self.settings.journal_retention_days,
        )

    @cached_property
    def limits(self) -> Limits:
        return Limits(
            rpm=self.settings.rate_limit_rpm,
            login=self.settings.webui_rate_limit_login,
            console=self.settings.webui_rate_limit_api_console,
        )

    @cached_property
    def health(self) -> Health:
        return Health(self.database, self.cache, known_revisions())

    # ------------------------------------------------------------------ mail

    @cached_property
    def mail_sender(self) -> MailSender:
        return sender_of(self.settings)

    @cached_property
    def jobs(self) -> Jobs:
        handlers = {MAIL: deliver_with(self.mail_sender)}
        return Jobs(JobRows(self.database, handlers), self.sealer, handlers)

    @cached_property
    def mailer(self) -> Mailer:
        return Mailer(self.jobs, self.settings.public_url, is_set_up=has_mail(self.settings))

    # ------------------------------------------------------------------ Order Desk

    @cached_property
    def sandbox_keys(self) -> SandboxKeys:
        return SandboxKeys(self.keyring.purpose("sandbox"))

    @cached_property
    def sandbox(self) -> SandboxApp:
        rows = DatabaseRows(self.database, self.sealer, sandbox_url=SANDBOX_API)
        return sandbox_app(self.sandbox_keys.account, rows)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        if self._given_http is not None:
            return self._given_http
        return open_http(mounts={SANDBOX_URL: httpx.ASGITransport(self.sandbox)})

    @cached_property
    def buckets(self) -> Buckets:
        return Buckets(self.database)

    @cached_property
    def client(self) -> OrderDeskClient:
        return OrderDeskClient(
            Transport(
                self.http,
                self.buckets,
                timeout=self.settings.http_timeout,
                max_retries=self.settings.http_max_retries,
                sleep=self.sleep,
                clock=self.clock,
                random=self.random,
                observe=_observe,
            )
        )

    # ------------------------------------------------------------------ tenants, keys, sessions

    @cached_property
    def keys(self) -> Keys:
        return Keys(
            self.database,
            self.keyring,
            self.signals,
            self.passwords,
            audit=self.audit,
            rotations=self.limits.rotations,
        )

    @cached_property
    def tenants(self) -> Tenants:
        return Tenants(self.database, self.keys)

    @cached_property
    def access(self) -> Access:
        return Access(self.database, self.keys, self.signals)

    @cached_property
    def key_check(self) -> KeyCheck:
        return KeyCheck(self.access, self.limits.wrong_keys, self.audit)

    @cached_property
    def sessions(self) -> Sessions:
        secret = self.settings.jwt_secret_key.get_secret_value().encode()
        cookies = SessionCookies(secret or self.keyring.purpose("jwt"))
        timeout = self.settings.session_timeout
        is_secure = self.settings.cookie_secure
        return Sessions(self.database, self.keyring, cookies, timeout=timeout, is_secure=is_secure)

    @cached_property
    def sign_in(self) -> SignIn:
        return SignIn(
            self.database,
            self.keyring,
            self.keys,
            self.sessions,
            limit=self.limits.sign_in,
            audit=self.audit,
        )

    @cached_property
    def form_tokens(self) -> FormTokens:
        secret = self.settings.csrf_secret_key.get_secret_value().encode()
        return FormTokens(secret or self.keyring.purpose("csrf"))

    @cached_property
    def flash_messages(self) -> FlashMessages:
        return FlashMessages()

    @cached_property
    def activity_entries(self) -> ActivityEntries:
        return ActivityEntries(self.sealer)

    @cached_property
    def activity(self) -> Activity:
        return Activity(self.database, self.activity_entries, self.audit)

    @cached_property
    def activity_log(self) -> ActivityLog:
        return ActivityLog(self.database, self.activity_entries, self.audit)

    @cached_property
    def activity_export(self) -> ActivityExport:
        return ActivityExport(self.activity_log, self.stores, self.audit)

    # ------------------------------------------------------------------ stores, orders, products

    @cached_property
    def registration(self) -> StoreRegistration:
        return StoreRegistration(
            self.database,
            self.signals,
            self.access,
            self.sealer,
            self.client,
            self.sandbox_keys,
            api_url=self.settings.orderdesk_api_url,
            sandbox_url=SANDBOX_API,
        )

    @cached_property
    def stores(self) -> Stores:
        return Stores(
            self.database,
            self.signals,
            self.access,
            self.sealer,
            self.registration,
            self.audit,
            self.buckets,
            wait_seconds=self.settings.http_timeout,
        )

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.database, self.signals, self.sealer, self.audit)

    @cached_property
    def changes(self) -> Changes:
        return Changes(self.journal)

    @cached_property
    def folders(self) -> Folders:
        seconds = self.settings.cache_ttl_store_settings
        return Folders(self.client, self.reads, cache_seconds=seconds)

    @cached_property
    def unfinished(self) -> UnfinishedWork:
        return UnfinishedWork()

    @cached_property
    def locks(self) -> WriteLocks:
        return WriteLocks(Leases(self.database))

    @cached_property
    def writes(self) -> Writes:
        return Writes(
            self.locks,
            self.journal,
            self.reads,
            self.unfinished,
            repeats=self.settings.mutation_max_retries,
            timeout=self.settings.http_timeout,
            sleep=self.sleep,
        )

    @cached_property
    def orders(self) -> Orders:
        return Orders(
            self.client,
            self.reads,
            self.journal,
            self.writes,
            self.folders,
            cache_seconds=self.settings.cache_ttl_orders,
        )

    @cached_property
    def products(self) -> Products:
        seconds = self.settings.cache_ttl_products
        return Products(self.client, self.reads, cache_seconds=seconds)

    # ------------------------------------------------------------------ tools

    @cached_property
    def tool_services(self) -> ToolServices:
        return ToolServices(
            self.access,
            self.sign_in,
            self.registration,
            self.stores,
            self.orders,
            self.products,
        )

    @cached_property
    def runner(self) -> Runner:
        return Runner(
            self.tool_services,
            self.limits,
            self.audit,
            self.unfinished,
            self.call_log,
            wait_seconds=self.settings.http_timeout,
        )

    @cached_property
    def saturation(self) -> Saturation:
        return Saturation(self.database)

    @cached_property
    def call_log(self) -> ToolCallLog:
        return ToolCallLog(sample_rate=self.settings.tool_call_log_sample_rate)

    @cached_property
    def console(self) -> Console:
        history = ConsoleHistory(self.database, self.sealer)
        return Console(self.runner, self.access, self.stores, history, self.limits)


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
) -> AsyncIterator[Services]:
    """Build, start and, at the end, stop everything.

    A test may pass its own way to Order Desk, hashes that are quick to make, and buckets that are
    never empty.
    """
    global _current
    async with AsyncExitStack() as closing:
        services = await _start(settings, closing, http, passwords or Passwords(), buckets)
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
    closing.callback(await check_pages_at_start(database))
    keyring = await Keyring.open(
        KeyRows(database),
        kms_key=settings.mcp_kms_key.get_secret_value(),
        data_dir=settings.data_dir,
    )
    services = Services(settings, database, keyring, http=http, passwords=passwords)
    services.buckets = buckets(database)
    closing.push_async_callback(services.cache.close)
    if http is None:
        closing.push_async_callback(services.http.aclose)
    closing.callback(passwords.close)
    services.build()
    await services.signals.start()
    closing.push_async_callback(services.signals.stop)
    await services.audit.start()
    closing.push_async_callback(services.audit.stop)
    await services.retention.start()
    closing.push_async_callback(services.retention.stop)
    await services.saturation.start()
    closing.push_async_callback(services.saturation.stop)
    closing.push_async_callback(services.unfinished.drain)
    return services


def _observe(method: str, outcome: str, seconds: float) -> None:
    UPSTREAM_REQUESTS.labels(method, outcome).inc()
    UPSTREAM_SECONDS.labels(method).observe(seconds)
