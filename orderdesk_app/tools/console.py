"""A person runs a tool: the same runner as for agents, a limit of its own, and a memory of the last calls."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orderdesk_app.context import Actor, StoreRowId, Via
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.services.access import Access
from orderdesk_app.services.console import ConsoleHistory, PastCall
from orderdesk_app.services.limits import Limits
from orderdesk_app.tools.runner import Runner


class Console:
    """Runs, keeps and shows."""

    def __init__(self, runner: Runner, access: Access, history: ConsoleHistory, limits: Limits) -> None:
        self._runner, self._access, self._limits = runner, access, limits
        self.history = history

    async def run(self, actor: Actor, name: str, arguments: Mapping[str, Any], *, active_store_id: StoreRowId | None = None) -> PastCall:
        """The call as it is kept, an error as `{"error": {...}}`. Raises RateLimited of the console itself, which is not kept."""
        self._limits.console.spend(actor.tenant_id)
        principal = await self._access.of_actor(replace(actor, via=Via.CONSOLE), active_store_id=active_store_id)
        outcome = await self._runner.run(principal, name, dict(arguments))
        return await self.history.keep(
            actor,
            tool=outcome.tool.name if outcome.tool else "unknown",
            arguments=outcome.arguments,
            result=outcome.result if outcome.error is None and outcome.result is not None else {"error": error_facts(outcome.error)},
            outcome=outcome.error.code if outcome.error else "ok",
            duration_ms=outcome.duration_ms,
            cached=outcome.is_cached,
        )


def error_facts(error: OrderDeskAgentsError | None) -> dict[str, Any]:
    """What an error says, as agents get it in `_meta`."""
    if error is None:
        return {"code": "ok"}
    facts = {"code": error.code, "message": error.message, "field": error.field, "retry_after": error.retry_after, "outcome": error.outcome, **error.details}
    return {name: value for name, value in facts.items() if value is not None}
