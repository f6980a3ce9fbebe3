"""Services of stores, orders, products, activity and tools: with them Services is complete."""

from functools import cached_property

from orderdesk_app.context import Actor
from orderdesk_app.db.leases import Leases
from orderdesk_app.errors import AuthFailed
from orderdesk_app.orderdesk.locks import WriteLocks
from orderdesk_app.services.activity import Activity
from orderdesk_app.services.activity_entries import ActivityEntries
from orderdesk_app.services.activity_export import ActivityExport
from orderdesk_app.services.activity_log import ActivityLog
from orderdesk_app.services.audit_verification import AuditVerification
from orderdesk_app.services.changes import Changes
from orderdesk_app.services.connections import Connections
from orderdesk_app.services.console import ConsoleHistory
from orderdesk_app.services.folders import Folders
from orderdesk_app.services.journal import Journal
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.products import Products
from orderdesk_app.services.saturation import Saturation
from orderdesk_app.services.store_registration import StoreRegistration
from orderdesk_app.services.stores import Stores
from orderdesk_app.services.tool_call_log import ToolCallLog
from orderdesk_app.services.unfinished import UnfinishedWork
from orderdesk_app.services.writes import Writes
from orderdesk_app.tools.console import Console
from orderdesk_app.tools.runner import Runner
from orderdesk_app.tools.tool_services import ToolServices
from orderdesk_app.wiring.engines import SANDBOX_API
from orderdesk_app.wiring.people import People


class Services(People):
    """Every service. Entry points ask for what they need; nothing below them knows this class."""

    def build(self) -> None:
        """Build every service now: a mistake stops the start, and no first call waits for it."""
        for name in dir(Services):
            if isinstance(getattr(Services, name), cached_property):
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
                principal = await self.key_check.principal(token.strip(), address=address)
            except AuthFailed:
                return None
            if principal.is_app:
                return None  # its tokens are for /mcp alone
            actor = principal.with_client("", "", address).actor
            self.audit.note_use(actor)
            return actor
        user = await self.sessions.resume(self.sessions.cookie_in(cookie))
        return user.actor if user else None

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
            self.reauthentication,
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

    # ------------------------------------------------------------------ activity

    @cached_property
    def activity_entries(self) -> ActivityEntries:
        return ActivityEntries(self.sealer)

    @cached_property
    def activity(self) -> Activity:
        return Activity(self.database, self.activity_entries, self.audit)

    @cached_property
    def activity_log(self) -> ActivityLog:
        return ActivityLog(self.database, self.activity_entries, self.audit)

    @property
    def offers_oauth(self) -> bool:
        """Whether clients can sign in by OAuth here: a person has to allow it in the web app."""
        return self.settings.enable_webui

    @cached_property
    def connections(self) -> Connections:
        return Connections(self.database, self.audit)

    @cached_property
    def activity_export(self) -> ActivityExport:
        return ActivityExport(self.activity_log, self.stores, self.audit)

    @cached_property
    def audit_verification(self) -> AuditVerification:
        return AuditVerification(self.database, self.audit_key)

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
