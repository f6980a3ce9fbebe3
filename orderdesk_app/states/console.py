"""Any tool by hand: its form, the run, the result, and the last ten calls.

Tools with secret arguments are posted plainly (routes/console.py).
"""

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import new_id, now
from orderdesk_app.errors import Conflict, NotFound, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.services.access import Principal
from orderdesk_app.services.console import PastCall
from orderdesk_app.services.stores import Stores
from orderdesk_app.states.signed_in import SignedInState, handler, store_in_words
from orderdesk_app.states.times import ago, duration, exact
from orderdesk_app.tools.catalogue import Tool, every_tool, find_tool, tools_for
from orderdesk_app.tools.form import Field, argument_at, arguments_from, fields_of

_SHOWN = 200_000  # characters of a result that a screen gets; the download has all
_CELL = 80


class ToolRow(TypedDict):
    name: str
    title: str
    toolset: str
    words: str  # for the search
    tone: str
    does: str


class FieldRow(TypedDict):
    name: str
    kind: str
    words: str
    required: bool
    is_secret: bool
    value: str
    hint: str
    options: list[str]
    note: str


class Column(TypedDict):
    name: str
    is_number: bool


class CallRow(TypedDict):
    id: str
    tool: str
    arguments: str
    outcome: str
    tone: str
    duration: str
    ago: str
    exact: str


class ConsoleState(SignedInState):
    loaded: bool = False
    memory: str = ""  # is another one when the server had forgotten the page
    whose: str = ""  # the account that the form belongs to
    tools: list[ToolRow] = []
    tool: str = ""
    title: str = ""
    description: str = ""
    has_secret: bool = False
    changes_orders: bool = False
    deletes: str = ""  # the argument whose value is typed again before the tool runs
    # what is to be typed again now, and the store that would be met, in words and by its id
    asked: str = ""
    asked_store: str = ""
    asked_store_id: str = ""
    fields: list[FieldRow] = []  # required ones, and those that are filled
    more: list[FieldRow] = []
    errors: dict[str, str] = {}  # by argument
    fault: str = ""  # is another one whenever the focus should go to the first field at fault
    form_key: str = ""  # changes when the fields are filled anew

    run_key: str = ""  # stands in the form, and serves one run
    running: bool = False
    call: str = ""
    ok: bool = True
    code: str = ""
    message: str = ""
    took: str = ""
    cached: bool = False
    reads: bool = True  # only a read can come from the cache
    size: str = ""
    is_cut: bool = False  # it was too large to keep, so there is nothing to download
    is_whole: bool = False  # the screen has it from end to end: it can be copied, and is a tree
    rest: str = ""  # where the rest of it is
    result: str = ""
    request: str = ""
    columns: list[Column] = []
    rows: list[list[str]] = []
    sorted_by: str = ""
    is_descending: bool = False
    view: str = "raw"
    history: list[CallRow] = []

    _spent: str = ""  # the run key before
    _awaited: str = ""  # the run key of the call whose result is to be shown
    _unkept: str = ""  # the result on the screen from end to end, where the history has none of it

    @rx.event
    @handler
    async def load(self) -> None:
        await self._arrive()

    async def _arrive(self) -> None:
        actor = self._who()
        self.memory, self.whose = self.memory or new_id(), actor.tenant_id
        self.tools = [_tool_row(tool) for tool in tools_for(actor.scopes)]
        self.run_key = new_id()  # a click that was lost with the connection keeps no button busy
        self._ask_no_more()
        # The address keeps in step with the screen, so a page that is loaded again (a connection
        # that was lost does it too) asks for nothing new.
        query = self.router.url.query_parameters
        try:
            await self._follow(str(query.get("call") or ""), str(query.get("tool") or ""))
        except OrderDeskAgentsError as error:  # a link to what is no longer there
            self._tell(error.message, "red")
        if not self.tool:
            self._choose(find_tool("orders_list"))
        await self._remember()
        self.loaded = True

    async def _follow(self, call: str, tool: str) -> None:
        """Shows what the address asks for, or the form that was refused; what is on the screen
        already stays as it is. Raises NotFound.
        """
        if call and call != self.call:
            await self._open(call)
            self._mark(self.errors)
        elif self.problem_form == "console" and self.typed.get(
            "tool"
        ):  # a plain form that was refused
            self._choose(
                find_tool(self.typed["tool"]),
                {name: value for name, value in self.typed.items() if name != "tool"},
            )
            self._forget_result()
            if self.problem_field:
                self._mark({self.problem_field: self.problem})
            else:
                self._tell(self.problem, "red")
        elif tool and tool != self.tool:
            if tool not in {row["name"] for row in self.tools}:
                raise NotFound(f"There is no tool named {tool[:40]}. Choose one from the list.")
            self._choose(find_tool(tool))
            self._forget_result()

    @rx.event
    @handler
    async def look_again(self) -> None:
        """How long ago the last calls were, and those of other tabs."""
        await self._remember()

    @rx.event
    @handler
    async def choose(self, name: str) -> None:
        self._choose(find_tool(name))
        self._forget_result()

    @rx.event
    @handler
    async def show(self, view: str) -> None:
        self.view = view if view in ("raw", "tree", "table", "request") else "raw"

    @rx.event
    @handler
    async def sort(self, column: str) -> None:
        """The table by that column; the same column again turns it round.

        Empty cells stand last.
        """
        place = next(
            (place for place, entry in enumerate(self.columns) if entry["name"] == column), None
        )
        if place is None:
            return
        self.is_descending = self.sorted_by == column and not self.is_descending
        self.sorted_by = column
        of = (
            (lambda row: float(row[place]))
            if self.columns[place]["is_number"]
            else (lambda row: row[place].casefold())
        )
        filled = sorted(
            (row for row in self.rows if row[place]), key=of, reverse=self.is_descending
        )
        self.rows = [*filled, *(row for row in self.rows if not row[place])]

    @rx.event(background=True)
    @handler
    async def run(self, form: dict[str, Any]) -> None:
        """Order Desk may take its time, so it is asked without the state's lock; the tab goes on
        living.
        """
        async with self:
            if not self.loaded:
                await self._arrive()
                raise Conflict(
                    "Nothing was run: the server has forgotten this page, as it started "
                    "again or the page stood idle. Look at the form and run it again."
                )
            tool = find_tool(self.tool)
            arguments = self._begin(tool, form)
            if arguments is None:
                return
            if tool.deletes and not form.get("confirm"):
                await self._ask(tool, arguments)
                return
            self.running, self._awaited = True, self._spent
            actor, active_store, run_key = self._who(), self._active_store, self._spent
        try:
            call = await wiring.current().console.run(
                actor,
                tool.name,
                arguments,
                active_store_id=active_store,
                shown_store_id=_shown_store(tool, arguments, form),
            )
        except Exception:
            async with self:
                self._end(run_key)
                if await self._is_still_signed_in():
                    await self._know_stores()
            raise
        async with self:
            if not await self._is_still_signed_in():
                return
            if self._end(run_key):
                self._show_result(call)
                self._mark(_errors(tool, call))
            if not tool.reads:
                # another may be the active one now, or one more or less be there
                await self._know_stores()
            await self._remember()

    def _begin(self, tool: Tool, form: Mapping[str, Any]) -> dict[str, Any] | None:
        """The arguments that the tool runs with now; None when it does not run.

        Raises Conflict for a form that is not the one on the screen.
        """
        if tool.secrets:
            raise NotFound(
                "This tool takes a secret; its form is sent by the browser itself. Reload the page."
            )
        if self._awaited or not self._spend(form):  # one run at a time
            return None
        self._ask_no_more()
        if (
            form.get("tool") != tool.name
        ):  # sent before the browser had drawn the tool that was chosen last
            raise Conflict(
                f"Nothing was run: that form was for another tool than “{tool.title}”, "
                "which is chosen now. Look at the form and run it again."
            )
        arguments, errors = arguments_from(tool, form)
        self._mark(errors)
        if errors:
            self._forget_result()  # it is none of this form's
            return None
        if (
            tool.deletes
            and str(form.get("confirm") or arguments[tool.deletes]).strip()
            != arguments[tool.deletes]
        ):
            raise ValidationFailed(
                f"Nothing was deleted: type {arguments[tool.deletes]} to confirm it."
            )
        # for when the page is loaded again
        self.fields, self.more = (
            _as_typed(self.fields, form),
            _as_typed(self.more, form),
        )
        return arguments

    async def _ask(self, tool: Tool, arguments: Mapping[str, Any]) -> None:
        """Opens the dialog that names the store which would be met now, or says at its field why
        there is none.
        """
        await self._know_stores()
        try:
            store = await wiring.current().console.store_of(
                self._who(), tool.name, arguments, active_store_id=self._active_store
            )
        except OrderDeskAgentsError as error:
            name = argument_at(tool, error.field or "")
            if not name:
                raise
            self._mark({name: error.message})
            return
        self.asked, self.asked_store, self.asked_store_id = (
            arguments[tool.deletes],
            store_in_words(store),
            store.id if store else "",
        )

    def _ask_no_more(self) -> None:
        self.asked = self.asked_store = self.asked_store_id = ""

    def _end(self, run_key: str) -> bool:
        """Whether this run is the one that the screen waits for: another tool may have been chosen
        meanwhile, or somebody else sits here.
        """
        if self._awaited != run_key:
            return False
        self.running, self._awaited = False, ""
        return True

    def _spend(self, form: Mapping[str, Any]) -> bool:
        """Uses up the key that the form was drawn with.

        False for what was sent twice, which is no fault of anybody's. Raises Conflict for a form of
        long ago.
        """
        given, expected = form.get("run_key"), self.run_key
        if given == self._spent:
            return False
        # the browser frees its button when it sees another key
        self._spent, self.run_key = (
            expected,
            new_id(),
        )
        if given != expected:
            raise Conflict(
                "Nothing was run: this form is out of date. Look at it and run it again."
            )
        return True

    @rx.event
    @handler
    async def open_call(self, call_id: str) -> None:
        """A past call: its result, and its arguments in the form to run again."""
        await self._open(call_id)

    @rx.event
    @handler
    async def download(self) -> Any:
        call = await wiring.current().console.history.get(self._who(), self.call)
        return rx.download(data=self._unkept or _shown(call.result), filename=f"{call.tool}.json")

    async def _open(self, call_id: str) -> None:
        call = await wiring.current().console.history.get(self._who(), call_id)
        try:
            tool = find_tool(call.tool)
            self._choose(tool, call.arguments)
            self.errors = _errors(tool, call)
        except OrderDeskAgentsError:
            self._forget_result()  # a tool of an older release
        self._show_result(call)

    def _choose(self, tool: Tool, values: Mapping[str, Any] | None = None) -> None:
        fields = fields_of(tool, values)
        # models read it as Markdown
        self.tool, self.title, self.description = (
            tool.name,
            tool.title,
            tool.description.replace("`", ""),
        )
        self.has_secret, self.changes_orders, self.deletes, self.errors = (
            bool(tool.secrets),
            tool.takes_store and not tool.reads,
            tool.deletes,
            {},
        )
        self.fault = ""
        self._ask_no_more()
        self.fields = [_field_row(field) for field in fields if field.required or field.value]
        self.more = [_field_row(field) for field in fields if not (field.required or field.value)]
        self.form_key = f"{tool.name}-{now().timestamp()}"
        self.run_key = new_id()

    def _mark(self, errors: dict[str, str]) -> None:
        self.errors, self.fault = errors, new_id() if errors else ""

    def _forget_result(self) -> None:
        self.running, self._awaited = False, ""
        self.call = self.result = self.request = self.code = self.message = ""
        self.rest = self._unkept = ""
        self.columns, self.rows, self.view = [], [], "raw"

    def _show_result(self, call: PastCall) -> None:
        self.running, self._awaited = False, ""
        text = _shown(call.result)
        self.call, self.ok, self.cached = call.id, call.outcome == "ok", call.cached
        self.reads = any(tool.name == call.tool and tool.reads for tool in every_tool())
        self.code = "Done" if self.ok else call.outcome
        self.message = "" if self.ok else str(call.result.get("error", {}).get("message", ""))
        self.took, self.size = duration(call.duration_ms), _size(len(text.encode()))
        self.is_cut, self.is_whole = (
            call.is_cut and list(call.result) == ["cut"],
            len(text) <= _SHOWN,
        )
        self._unkept = text if call.is_cut and not self.is_cut else ""
        unkept = "; it is too large to stay in the history, so take it now" if self._unkept else ""
        self.rest = (
            "" if self.is_whole else f"This is the first part. The download has all of it{unkept}."
        )
        self.result = text[:_SHOWN]
        self.request = _shown(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": call.tool, "arguments": call.arguments},
            }
        )
        self.columns, self.rows = _table(call.result)
        self.sorted_by, self.is_descending = "", False
        if (self.view == "table" and not self.rows) or (self.view == "tree" and not self.is_whole):
            self.view = "raw"

    async def _remember(self) -> None:
        services, actor = wiring.current(), self._who()
        principal = await services.access.of_actor(actor)
        self.history = [
            _call_row(call, _zone(services.stores, principal, call))
            for call in await services.console.history.list(actor)
        ]


def _tool_row(tool: Tool) -> ToolRow:
    does, tone = (
        ("Reads", "gray")
        if tool.reads
        else ("Deletes", "red")
        if tool.deletes
        else ("Changes", "amber")
    )
    return ToolRow(
        name=tool.name,
        title=tool.title,
        toolset=tool.toolset.capitalize(),
        words=f"{tool.name} {tool.title} {tool.toolset}",
        tone=tone,
        does=does,
    )


def _shown_store(tool: Tool, arguments: Mapping[str, Any], form: Mapping[str, Any]) -> str | None:
    """The store that the page named for this run, as its form tells; None where the person named
    it, or none is met.
    """
    if tool.deletes:
        return str(form.get("asked_store_id") or "")
    return (
        str(form.get("meant_store_id") or "")
        if tool.takes_store and "store_identifier" not in arguments
        else None
    )


def _errors(tool: Tool, call: PastCall) -> dict[str, str]:
    """What a call that failed says at its argument, where that is told."""
    error = call.result.get("error", {}) if call.outcome != "ok" else {}
    name = argument_at(tool, str(error.get("field", "")))
    return {name: str(error.get("message", ""))} if name else {}


def _field_row(field: Field) -> FieldRow:
    notes = {
        "integer": "Whole number",
        "number": "Number",
        "boolean": "True or false",
        "json": f"JSON: {field.shape}",
        "choice": "",
        "text": "",
    }
    return FieldRow(
        name=field.name,
        kind=field.kind,
        words=field.words,
        required=field.required,
        is_secret=field.is_secret,
        value=field.value,
        hint=field.hint,
        options=list(field.options),
        note=notes[field.kind],
    )


def _as_typed(rows: list[FieldRow], form: Mapping[str, Any]) -> list[FieldRow]:
    return [FieldRow(**{**row, "value": str(form.get(row["name"]) or "")}) for row in rows]


def _zone(stores: Stores, principal: Principal, call: PastCall) -> str:
    """The zone of the store that a past call was about, where that is certain: it was named, or
    there is only one.
    """
    try:
        if not find_tool(call.tool).takes_store:
            return ""
        named = call.arguments.get("store_identifier")
        if named:
            return stores.resolve(principal, str(named))[0].timezone
    except OrderDeskAgentsError:  # the tool or the store is gone
        return ""
    return principal.account.stores[0].timezone if len(principal.account.stores) == 1 else ""


def _call_row(call: PastCall, zone: str) -> CallRow:
    return CallRow(
        id=call.id,
        tool=call.tool,
        arguments=_sendable(json.dumps(call.arguments, ensure_ascii=False)[:200]),
        outcome="Done" if call.outcome == "ok" else call.outcome,
        tone="green" if call.outcome == "ok" else "red",
        duration=duration(call.duration_ms),
        ago=ago(call.at, now(), zone),
        exact=exact(call.at, zone),
    )


def _table(result: Mapping[str, Any]) -> tuple[list[Column], list[list[str]]]:
    """The first list of objects in a result as a table of its plain values; nothing where there is
    none.
    """
    for value in result.values():
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            held = {
                name: [entry[name] for entry in value if entry.get(name) is not None]
                for name in dict.fromkeys(name for entry in value for name in entry)
            }
            columns = {
                name: _are_numbers(cells)
                for name, cells in held.items()
                if not any(isinstance(cell, (list, Mapping)) for cell in cells)
            }
            return [
                Column(name=name, is_number=is_number) for name, is_number in columns.items()
            ], [
                [
                    "" if entry.get(name) is None else _sendable(str(entry.get(name, ""))[:_CELL])
                    for name in columns
                ]
                for entry in value
            ]
    return [], []


def _are_numbers(cells: list[Any]) -> bool:
    return bool(cells) and all(
        isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells
    )


def _shown(value: Any) -> str:
    return _sendable(json.dumps(value, indent=2, ensure_ascii=False))


def _sendable(text: str) -> str:
    """Half a surrogate pair, which Order Desk may tell, cannot be sent to a browser: it is written
    as JSON writes it.
    """
    return text.encode(errors="backslashreplace").decode()


def _size(count: int) -> str:
    return f"{count} B" if count < 1000 else f"{count / 1000:.1f} kB"
