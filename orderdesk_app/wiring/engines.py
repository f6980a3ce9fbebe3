"""Engines and what stands on them alone: database, secrets, cache, audit, limits, mail, the way to
Order Desk.
"""

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable
from functools import cached_property

import httpx

from orderdesk_app.cache.sqlite import SqliteCache
from orderdesk_app.cache.store import Cache, MemoryCache
from orderdesk_app.config import Settings
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
from orderdesk_app.db.jobs import JobRows
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.db.signals import Signals
from orderdesk_app.demo.app import BASE, SANDBOX_URL, SandboxApp, sandbox_app
from orderdesk_app.mail.sender import MailSender
from orderdesk_app.observability import UPSTREAM_REQUESTS, UPSTREAM_SECONDS
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.outbound.public_fetch import Names, PublicFetch
from orderdesk_app.security.audit_links import PURPOSE, AuditKey
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.audit_chains import AuditChains
from orderdesk_app.services.health import Health
from orderdesk_app.services.jobs import Handler, Jobs
from orderdesk_app.services.key_rotation import KeyRotation
from orderdesk_app.services.key_uses import KeyUses
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.mailer import MAIL, Mailer, deliver_with, has_mail, sender_of
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.retention import Retention
from orderdesk_app.services.sandbox import DatabaseRows, SandboxKeys
from orderdesk_app.services.user_activity import UserActivity

SANDBOX_API = SANDBOX_URL + BASE


class Engines:
    """The foundation of Services.

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
    def user_activity(self) -> UserActivity:
        return UserActivity(self.database)

    @cached_property
    def key_uses(self) -> KeyUses:
        return KeyUses(self.database, self.signals)

    @cached_property
    def audit(self) -> AuditLog:
        return AuditLog(
            self.database,
            self.sealer,
            enabled=self.settings.enable_audit_log,
            signals=self.signals,
            note=self._note,
        )

    def _note(self, entry: Entry) -> None:
        self.user_activity.note(entry)
        self.key_uses.note(entry)

    @cached_property
    def audit_key(self) -> AuditKey:
        return AuditKey(self.keyring.purpose(PURPOSE))

    @cached_property
    def audit_chains(self) -> AuditChains:
        return AuditChains(self.audit_key)

    @cached_property
    def retention(self) -> Retention:
        return Retention(
            self.database,
            Leases(self.database),
            self.audit_chains,
            audit_days=self.settings.audit_log_retention_days,
            journal_days=self.settings.journal_retention_days,
        )

    @cached_property
    def limits(self) -> Limits:
        return Limits(
            rpm=self.settings.rate_limit_rpm,
            login=self.settings.webui_rate_limit_login,
            console=self.settings.webui_rate_limit_api_console,
            accounts_an_hour=self.settings.signup_rate_limit_per_hour,
            sign_ups_a_minute=self.settings.webui_rate_limit_signup,
        )

    @cached_property
    def key_rotation(self) -> KeyRotation:
        rows = KeyRows(self.database)
        return KeyRotation(self.database, rows, self.keyring, self.signals, self.audit)

    @cached_property
    def health(self) -> Health:
        return Health(self.database, self.cache, known_revisions())

    # ------------------------------------------------------------------ mail

    @cached_property
    def mail_sender(self) -> MailSender:
        return sender_of(self.settings)

    @cached_property
    def job_handlers(self) -> dict[str, Handler]:
        """What runs the jobs of each kind."""
        return {MAIL: deliver_with(self.mail_sender)}

    @cached_property
    def jobs(self) -> Jobs:
        handlers = self.job_handlers
        return Jobs(JobRows(self.database, handlers), self.sealer, handlers)

    @cached_property
    def mailer(self) -> Mailer:
        return Mailer(self.jobs, self.settings.public_url, is_set_up=has_mail(self.settings))

    # ------------------------------------------------------------------ addresses of strangers

    @cached_property
    def names(self) -> Names:
        return Names()

    @cached_property
    def public_fetch(self) -> PublicFetch:
        return PublicFetch(self.names.resolve)

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


def _observe(method: str, outcome: str, seconds: float) -> None:
    UPSTREAM_REQUESTS.labels(method, outcome).inc()
    UPSTREAM_SECONDS.labels(method).observe(seconds)
