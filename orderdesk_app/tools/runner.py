"""The only way to run a tool, for agents, console and tests: rate limit, scope, arguments, store,
call, audit and metrics, error mapping, in this order.

What is refused costs its caller first: the token is taken before anything else is done.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from orderdesk_app.context import Actor, Secret, StoreRowId, current_request
from orderdesk_app.errors import (
    AuthFailed,
    DatabaseBusy,
    NotFound,
    OrderDeskAgentsError,
    PermissionDenied,
    RateLimit,
    RateLimited,
    Unexpected,
    ValidationFailed,
)
from orderdesk_app.observability import ERRORS, TOOL_CALLS, TOOL_SECONDS, TOOLS_RUNNING, log
from orderdesk_app.orderdesk.quoted_json import unquoted
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Principal
from orderdesk_app.services.audit import UNKNOWN_TOOL, AuditLog, Entry
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.roles import require_scope
from orderdesk_app.services.stores import Stores
from orderdesk_app.services.tool_call_log import ToolCallLog
from orderdesk_app.services.unfinished import UnfinishedWork, has_begun
from orderdesk_app.services.writes import Preview
from orderdesk_app.tools.arguments import Arguments, parse
from orderdesk_app.tools.catalogue import Tool, ToolCall, find_tool
from orderdesk_app.tools.tool_services import ToolServices

_LOG = log(__name__)
AskAgain = Callable[[], Awaitable[Principal | None]]
# the outcome of a call whose caller disconnected before its end, or before a write had begun
GIVEN_UP = "CANCELLED"
_NO_SUCH_STORE = "The store of this call is no longer connected. Ask for the list with stores_list."
SIGN_IN_FIRST = (
    "Not signed in, or the key has expired or was revoked. Call tenant_use_master_key with your "
    "master key first, or start with a key that works in ORDERDESK_MCP_KEY."
)


@dataclass(slots=True)
class Outcome:
    """How a call ended: with a result or an error, never both."""

    tool: Tool | None
    result: Mapping[str, object] | None = None
    error: OrderDeskAgentsError | None = None
    duration_ms: float = 0.0
    arguments: Mapping[str, object] = field(default_factory=dict)  # as given, secrets removed

    @property
    def is_ok(self) -> bool:
        return self.error is None

    @property
    def is_cached(self) -> bool:
        return bool(self.result and self.result.get("cached"))


@dataclass(slots=True)
class _Standing:
    """Whether the caller of a call that runs may still make it: its key may have ended meanwhile,
    or been narrowed.
    """

    tool: Tool
    ask_again: AskAgain | None
    store_row_id: StoreRowId | None = None

    async def require(self) -> None:
        """Raises AuthFailed, PermissionDenied, or NotFound for a store that it reaches no more."""
        if self.ask_again is None:
            return
        try:
            principal = await self.ask_again()
            if principal is None:
                raise AuthFailed(SIGN_IN_FIRST)
            actor = principal.actor
            require_scope(actor, self.tool.scope, self.tool.legacy_scope)
            if actor.store_ids is not None and self.store_row_id not in (None, *actor.store_ids):
                raise NotFound(_NO_SUCH_STORE, field="store_identifier")
        except OrderDeskAgentsError as error:
            error.outcome = None if self.tool.reads else "not_done"
            raise


class Runner:
    """Runs tools for a principal. Errors are in the outcome: only cancellation is raised."""

    def __init__(
        self,
        services: ToolServices,
        limits: Limits,
        audit: AuditLog,
        unfinished: UnfinishedWork,
        call_log: ToolCallLog,
        *,
        wait_seconds: float,
    ) -> None:
        self._services = services
        self._limits = limits
        self._audit = audit
        self._call_log = call_log
        self._wait_seconds = wait_seconds
        self._unfinished = unfinished

    async def run(
        self,
        principal: Principal | None,
        name: str,
        given: object,
        *,
        sign_in: Callable[[Secret], None] | None = None,
        ask_again: AskAgain | None = None,
    ) -> Outcome:
        """Run a tool and return its outcome.

        `principal` is None before a stdio session has signed in, which `sign_in` does with a key.
        `ask_again` tells the caller as it is by now, or raises AuthFailed: while a call waits in
        line, its key may end. Then nothing is written, and nothing that was read is told.
        """
        try:
            tool = find_tool(name)
        except OrderDeskAgentsError as error:
            return self._refuse(principal, None, await self._spend(principal, 1) or error)
        if limited := await self._spend(principal, tool.weight):
            return self._refuse(principal, tool, limited)
        work = self._run(principal, tool, given, sign_in, _Standing(tool, ask_again))
        if tool.reads:
            return await work
        # A write that has begun goes on to its end, audit row included, when the caller hangs up.
        return await self._unfinished.run(work)

    def note_use(self, principal: Principal) -> None:
        """A client has opened the protocol, or listed the tools: it is connected, though it has
        called none yet.
        """
        self._audit.note_use(principal.actor)

    async def preview(self, principal: Principal, name: str, given: object) -> Preview | None:
        """What this call would write now, without writing it; None for a tool that cannot tell.

        Checks what a run checks, and raises what a run would put into its outcome. It costs as much
        at the rate limit as a read.
        """
        tool = find_tool(name)
        if tool.preview is None:
            return None
        if limited := await self._spend(principal, 1):
            raise limited
        try:
            call = self._prepare(principal, tool, WaitBudget(self._wait_seconds), None)
            arguments = parse(tool.arguments, given)
            call.opened = await self._services[Stores].open(
                principal, getattr(arguments, "store_identifier", None)
            )
            return await tool.preview(call, arguments)
        except OrderDeskAgentsError as error:
            error.outcome = "not_done"
            raise
        except Exception as error:
            raise _fault_of_ours(error, tool) from error

    async def rate_limit(self, principal: Principal) -> RateLimit:
        """What this caller has left now."""
        actor = principal.actor
        return await self._limits.tools.level(actor.tenant_id, caller=_caller(actor))

    async def _spend(self, principal: Principal | None, cost: int) -> RateLimited | None:
        """Take the tokens of a call; the error where there are too few."""
        if principal is None:
            return None
        actor = principal.actor
        request = current_request()
        try:
            request.rate_limit = await self._limits.tools.spend(
                actor.tenant_id, cost, caller=_caller(actor)
            )
        except RateLimited as error:
            request.rate_limit = error.limit
            # of a batch, the call that has to wait longest
            request.retry_after = max(request.retry_after or 0.0, error.retry_after or 0.0)
            return error
        return None

    def _refuse(
        self, principal: Principal | None, tool: Tool | None, error: OrderDeskAgentsError
    ) -> Outcome:
        """The outcome of a call whose arguments were not looked at."""
        name = tool.name if tool is not None else UNKNOWN_TOOL
        via = str(principal.actor.via) if principal else "stdio"
        TOOL_CALLS.labels(name, error.code, via).inc()
        actor = principal.actor if principal else None
        self._call_log.record_refusal(actor, name, error.code, 0.0, via=via)
        if principal is not None:
            self._audit.refuse_call(
                Entry(actor=principal.actor, action="tool", tool=name, outcome=error.code)
            )
        return Outcome(tool, error=error)

    async def _run(
        self,
        principal: Principal | None,
        tool: Tool,
        given: object,
        sign_in: Callable[[Secret], None] | None,
        standing: _Standing,
    ) -> Outcome:
        started = time.perf_counter()
        outcome = Outcome(tool, arguments=without_secrets(tool, given))
        budget = WaitBudget(self._wait_seconds, check=standing.require)
        call: ToolCall | None = None
        TOOLS_RUNNING.inc()
        if not tool.reads and not tool.takes_store:
            has_begun()  # a change of our own records is short: it is never interrupted
        try:
            call = self._prepare(principal, tool, budget, sign_in)
            arguments = parse(tool.arguments, given)
            if tool.takes_store:
                call.opened = await self._services[Stores].open(
                    call.principal, getattr(arguments, "store_identifier", None)
                )
                standing.store_row_id = call.opened.record.id
            result = await tool.run(call, arguments)
            if tool.reads:
                await standing.require()
            outcome.result = (
                {"store": call.opened.record.title, **result} if call.opened else result
            )
        except OrderDeskAgentsError as error:
            outcome.error = error
            if error.outcome is None and not tool.reads:
                # A write that has begun sets its outcome; what fails before that wrote nothing.
                error.outcome = "not_done"
        except Exception as error:
            outcome.error = _fault_of_ours(error, tool)
        except asyncio.CancelledError:
            # The caller has disconnected before anything was written. This task is cancelled and
            # may not wait, so another one writes the audit row.
            row = self._entry(principal, call, outcome, GIVEN_UP, budget, started)
            if row is not None:
                self._unfinished.keep(self._audit.queue(row))
            raise
        finally:
            TOOLS_RUNNING.dec()
        row = self._entry(
            principal,
            call,
            outcome,
            outcome.error.code if outcome.error else "ok",
            budget,
            started,
        )
        has_begun()  # the audit row is written even if the caller has disconnected
        if row is not None:
            await self._record(row, tool, outcome)
        return outcome

    async def _record(self, row: Entry, tool: Tool, outcome: Outcome) -> None:
        if _is_refusal(outcome.error):
            self._audit.refuse_call(row)
        elif not tool.reads:
            await self._audit.write_or_queue(row)  # a change itself is in the journal
        else:
            try:
                await self._audit.queue(row)
            except DatabaseBusy as error:  # no read goes unrecorded either
                outcome.result = None
                outcome.error = error

    def _prepare(
        self,
        principal: Principal | None,
        tool: Tool,
        budget: WaitBudget,
        sign_in: Callable[[Secret], None] | None,
    ) -> ToolCall:
        if principal is None and not tool.works_signed_out:
            raise AuthFailed(SIGN_IN_FIRST)
        if principal is not None:
            require_scope(principal.actor, tool.scope, tool.legacy_scope)
        return ToolCall(
            services=self._services, budget=budget, signed_in=principal, sign_in=sign_in
        )

    def _entry(
        self,
        principal: Principal | None,
        call: ToolCall | None,
        outcome: Outcome,
        code: str,
        budget: WaitBudget,
        started: float,
    ) -> Entry | None:
        """Count the call, write its line in the log, and return its audit row; None before a stdio
        session has signed in.
        """
        assert outcome.tool is not None, "what is not a tool was refused before"
        seconds = time.perf_counter() - started
        outcome.duration_ms = seconds * 1000
        via = str(principal.actor.via) if principal else "stdio"
        TOOL_CALLS.labels(outcome.tool.name, code, via).inc()
        TOOL_SECONDS.labels(outcome.tool.name).observe(seconds)
        who = call.signed_in if call is not None else principal
        record = (
            self._call_log.record_refusal if _is_refusal(outcome.error) else self._call_log.record
        )
        record(who.actor if who else None, outcome.tool.name, code, seconds, via=via)
        if who is None:
            return None
        change_id = (
            outcome.error.change_id if outcome.error else (outcome.result or {}).get("change_id")
        )
        return Entry(
            actor=who.actor,
            action="tool",
            tool=outcome.tool.name,
            outcome=code,
            store_row_id=call.opened.record.id if call is not None and call.opened else None,
            arguments=outcome.arguments,
            duration_ms=outcome.duration_ms,
            cached=outcome.is_cached,
            upstream_requests=budget.requests,
            change_id=str(change_id) if change_id else None,
        )


def _caller(actor: Actor) -> str:
    """The row of the key, app or session that calls."""
    return actor.session_id or actor.credential_id or ""


def _fault_of_ours(error: Exception, tool: Tool) -> Unexpected:
    """The error for an unexpected exception, which the log has."""
    reference = current_request().request_id
    _LOG.error("a tool failed", exc_info=error, tool=tool.name)
    ERRORS.labels("tool").inc()
    return Unexpected(
        "Something went wrong on our side. Try again; if it stays, tell your "
        f"administrator this reference: {reference}.",
        outcome="not_done" if tool.reads else "unknown",
    )


def _is_refusal(error: OrderDeskAgentsError | None) -> bool:
    """Whether the call was refused for what it asked, and no write began."""
    return isinstance(error, ValidationFailed | PermissionDenied) and error.change_id is None


def without_secrets(tool: Tool, given: object) -> dict[str, object]:
    """Arguments as they may be kept: a secret as ***, and so is the value of an unknown name."""
    if isinstance(given, Arguments):
        given = given.model_dump(exclude_none=True)
    if isinstance(given, str):
        with suppress(ValidationFailed):
            given = unquoted(given, "arguments")
    if not isinstance(given, Mapping):
        return {}
    known = tool.arguments.model_fields
    return {
        str(name)[:80]: ("***" if name in tool.secrets or name not in known else value)
        for name, value in given.items()
    }
