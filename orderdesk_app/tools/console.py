"""A person runs a tool: by the runner that agents use, with a limit and a history of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from orderdesk_app.context import Actor, Json, StoreRowId, Via
from orderdesk_app.errors import Conflict, OrderDeskAgentsError, ReauthenticationRequired
from orderdesk_app.orderdesk import json_text
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.services.console import ConsoleHistory, PastCall
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.stores import Stores
from orderdesk_app.services.writes import Preview
from orderdesk_app.tools.catalogue import find_tool
from orderdesk_app.tools.runner import Runner, without_secrets


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a write: what it would do now, and in which store. `id` is
    another one when the arguments, the store or the order as read are others.
    """

    id: str
    store: StoreRecord
    preview: Preview


class Console:
    """Runs a person's calls and keeps their history."""

    def __init__(
        self,
        runner: Runner,
        access: Access,
        stores: Stores,
        history: ConsoleHistory,
        limits: Limits,
    ) -> None:
        self._runner = runner
        self._access = access
        self._stores = stores
        self._limits = limits
        self.history = history

    async def run(
        self,
        actor: Actor,
        name: str,
        arguments: Mapping[str, Json],
        *,
        active_store_id: StoreRowId | None = None,
        shown_store_id: str | None = None,
    ) -> PastCall:
        """Run the call and return it as the history keeps it, an error as `{"error": {...}}`.

        `shown_store_id` is the store that the page showed, empty for none. Raises Conflict when the
        call would use another store, RateLimited by the console's own limit, and
        ReauthenticationRequired; the history keeps none of these.
        """
        principal = await self._principal(actor, active_store_id)
        if shown_store_id is not None:
            self._check_shown_store(shown_store_id, principal, name, arguments)
        await self._limits.console.spend(actor.user_id or actor.tenant_id)
        outcome = await self._runner.run(
            principal,
            name,
            dict(arguments),
            ask_again=partial(self._access.of_actor, principal.actor),
        )
        if isinstance(outcome.error, ReauthenticationRequired):
            raise outcome.error
        return await self.history.keep(
            actor,
            tool=outcome.tool.name if outcome.tool else "unknown",
            arguments=without_secrets(outcome.tool, arguments) if outcome.tool else {},
            result=dict(outcome.result)
            if outcome.error is None and outcome.result is not None
            else {"error": error_facts(outcome.error)},
            outcome=outcome.error.code if outcome.error else "ok",
            duration_ms=outcome.duration_ms,
            cached=outcome.is_cached,
        )

    async def question(
        self,
        actor: Actor,
        name: str,
        arguments: Mapping[str, Json],
        *,
        active_store_id: StoreRowId | None = None,
    ) -> Question | None:
        """What to ask before this call writes; None where nothing needs to be asked: it writes to
        no store, to a sandbox without deleting anything, or would change nothing.

        Raises what would refuse the call.
        """
        tool = find_tool(name)
        principal = await self._principal(actor, active_store_id)
        store = self._store_of(principal, name, arguments)
        if store is None or tool.preview is None or (store.is_sandbox and not tool.deletes):
            return None
        await self._limits.console.spend(actor.user_id or actor.tenant_id)
        preview = await self._runner.preview(principal, name, dict(arguments))
        if preview is None or not (preview.changes or preview.meant is None):
            return None
        asked = {"tool": name, "arguments": arguments, "store": store.id, "before": preview.before}
        digest = hashlib.sha256(json_text.dumps(asked)).hexdigest()
        return Question(digest, store, preview)

    async def check_shown_store(
        self,
        actor: Actor,
        name: str,
        arguments: Mapping[str, Json],
        shown_store_id: str,
        *,
        active_store_id: StoreRowId | None = None,
    ) -> None:
        """Raises Conflict when the call would use another store than the page showed."""
        principal = await self._principal(actor, active_store_id)
        self._check_shown_store(shown_store_id, principal, name, arguments)

    async def store_of(
        self,
        actor: Actor,
        name: str,
        arguments: Mapping[str, Json],
        *,
        active_store_id: StoreRowId | None = None,
    ) -> StoreRecord | None:
        """The store that this call would use now; None when its tool uses none.

        Raises NotFound, or ValidationFailed where several stores are meant.
        """
        return self._store_of(await self._principal(actor, active_store_id), name, arguments)

    async def _principal(self, actor: Actor, active_store_id: StoreRowId | None) -> Principal:
        return await self._access.of_actor(
            replace(actor, via=Via.CONSOLE), active_store_id=active_store_id
        )

    def _check_shown_store(
        self, shown_store_id: str, principal: Principal, name: str, arguments: Mapping[str, Json]
    ) -> None:
        try:
            store = self._store_of(principal, name, arguments)
        except OrderDeskAgentsError:
            store = None
        if shown_store_id != (store.id if store else ""):
            now = (
                f"This page now shows {store.name}. Look, and run again."
                if store
                else "Choose a store, and run again."
            )
            raise Conflict(
                f"Nothing was run: the chosen store changed in another tab. {now}",
                outcome="not_done",
            )

    def _store_of(
        self, principal: Principal, name: str, arguments: Mapping[str, Json]
    ) -> StoreRecord | None:
        tool = find_tool(name)
        if tool.takes_store:
            identifier = arguments.get("store_identifier")
            return self._stores.of_call(principal, str(identifier) if identifier else None)
        if tool.deletes == "store_id":
            store_id = str(arguments["store_id"])
            return self._stores.resolve(principal, store_id, field="store_id")[0]
        return None


def error_facts(error: OrderDeskAgentsError | None) -> dict[str, object]:
    """What an error says, in the form in which agents get it in `_meta`."""
    if error is None:
        return {"code": "ok"}
    facts = {
        "code": error.code,
        "message": error.message,
        "field": error.field,
        "retry_after": error.retry_after,
        "outcome": error.outcome,
        **error.details,
    }
    return {name: value for name, value in facts.items() if value is not None}
