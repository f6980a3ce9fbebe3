"""The console's form: the tool that is chosen, its arguments as fields, what is wrong with them,
and whether a form that arrives may run.

Every form has two tokens. `form_id` changes whenever the server fills the fields. `run_token` is
valid for one run: a form with an older token is out of date, one with the same token again is a
double click, and a result whose token is not the last one used comes too late. Typed text is kept
by the browser alone; a new `page_id` means that the server has lost the page
(assets/ui/restore.js).
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import Actor, new_id
from orderdesk_app.errors import Conflict, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.console import PastCall
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import PERMISSION_OF_SCOPE, Permission, refusal_of
from orderdesk_app.states.difference_text import DifferenceRow, difference_rows, order_label
from orderdesk_app.states.signed_in import SignedInState, handler, store_label
from orderdesk_app.tools.catalogue import Tool, every_tool, find_tool, tools_for
from orderdesk_app.tools.console import Question
from orderdesk_app.tools.form import Field, argument_at, example_of, fields_of


class ToolRow(TypedDict):
    name: str
    title: str
    toolset: str
    words: str  # for the search
    tone: str
    does: str
    refused: str  # why this person may not run it; empty where they may


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


class ToolForm(SignedInState, mixin=True):
    tools: list[ToolRow] = []
    refusals: str = ""  # why some of them are disabled; empty where none is
    tool: str = ""
    title: str = ""
    description: str = ""
    has_secret: bool = False
    changes_orders: bool = False
    deletes: str = ""  # the argument whose value is typed again before the tool runs
    # what is asked before a write: the store that would be changed, by its name and its id; which
    # order that is and what would change in it; and what has to be typed again
    asks: bool = False
    confirm_text: str = ""
    confirm_store: str = ""
    confirm_store_id: str = ""
    confirm_object: str = ""
    confirm_rows: list[DifferenceRow] = []
    confirm_note: str = ""
    is_live: bool = False  # nothing in that store is a trial
    fills_example: bool = False  # there is an example, and it is not in the form
    fields: list[FieldRow] = []  # required ones, and those that are filled
    more: list[FieldRow] = []
    errors: dict[str, str] = {}  # by argument
    error_focus: str = ""  # changes whenever the focus should go to the first field with an error
    refusal: str = ""  # why the form was not run, beside its button
    refused_to: str = ""  # why this person may not run the tool at all; empty where they may

    page_id: str = ""  # "<account>.<id>"; another one when the server had forgotten the page
    form_id: str = ""
    run_token: str = ""

    _spent_token: str = ""  # the run token before
    _asked: str = ""  # the id of the question that the dialog asks
    _is_example: bool = False  # the form was filled with the tool's example, by itself

    def _start_form(self) -> None:
        """What every load of the page begins with; a form that is filled stays as it is."""
        actor = self._require_actor()
        self.page_id = self.page_id or f"{actor.tenant_id}.{new_id()}"
        self._show_refusals()
        # The browser frees its button when it sees another token: a click that was lost with the
        # connection keeps no button busy.
        self.run_token = new_id()
        self._close_confirmation()

    def _show_refusals(self) -> None:
        """Which tools this person may run now, and why not the others."""
        actor = self._require_actor()
        tools = [_tool_row(tool, _refusal_of(tool, actor)) for tool in every_tool()]
        if tools != self.tools:
            self.tools = tools
            self.refusals = " ".join({row["refused"]: None for row in tools if row["refused"]})
        if self.tool:
            self.refused_to = _refusal_of(find_tool(self.tool), actor)

    def _fill_form(self, tool: Tool, values: Mapping[str, Any] | None = None) -> None:
        """Fills the form of that tool with `values`. Without any, its example is filled in only
        while calls mean a sandbox: a live store is never handed an order that nobody has.
        """
        example = example_of(tool)
        self._is_example = values is None and self.default_is_sandbox and bool(example)
        self.fills_example = bool(example) and not self._is_example
        fields = fields_of(tool, example if self._is_example else values)
        self.tool = tool.name
        self.title = tool.title
        self.description = tool.description.replace("`", "")  # models read it as Markdown
        self.has_secret = bool(tool.secrets)
        self.refused_to = _refusal_of(tool, self._require_actor())
        self.changes_orders = tool.takes_store and not tool.reads
        self.deletes = tool.deletes
        shown = [field for field in fields if field.required or field.value or field.in_example]
        self.fields = [_field_row(field) for field in shown]
        self.more = [_field_row(field) for field in fields if field not in shown]
        self.form_id = f"{tool.name}-{new_id()}"
        self.run_token = new_id()
        self._set_errors({})
        self._close_confirmation()

    def _follow_store(self) -> None:
        """Another store is meant now: an example that stands in the form does not stay there for a
        live one.
        """
        if self._is_example and not self.default_is_sandbox:
            self._fill_form(find_tool(self.tool))

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def fill_example(self) -> None:
        """The button that fills in the example."""
        tool = find_tool(self.tool)
        self._fill_form(tool, example_of(tool))
        self.fills_example = False

    def _spend_token(self, form: Mapping[str, Any]) -> bool:
        """Uses up the run token that the form was drawn with.

        False for a form that was sent twice. Raises Conflict for one that is out of date, and for
        one of another tool, as every tool's form has a token of its own.
        """
        given, expected = form.get("run_token"), self.run_token
        if given == self._spent_token:
            return False
        self._spent_token = expected
        self.run_token = new_id()
        if given != expected:
            raise Conflict(
                "Nothing was run: this form is out of date. Look at it and run it again."
            )
        return True

    def _keep_typed(self, form: Mapping[str, Any]) -> None:
        """Keeps what was typed, for a page that is loaded again."""
        self.fields = _as_typed(self.fields, form)
        self.more = _as_typed(self.more, form)

    def _require_confirmed(
        self, tool: Tool, form: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> None:
        """Raises ValidationFailed when the confirmation names another thing than the arguments."""
        if not tool.deletes:
            return
        expected = arguments[tool.deletes]
        if str(form.get("confirm") or expected).strip() != expected:
            raise ValidationFailed(f"Nothing was deleted: type {expected} to confirm it.")

    async def _open_confirmation(self, tool: Tool, arguments: Mapping[str, Any]) -> None:
        """Opens the dialog that names the store which would be changed now, or says at its field
        why there is none.
        """
        await self._load_stores()
        try:
            store = await wiring.current().console.store_of(
                self._require_actor(), tool.name, arguments, active_store_id=self._active_store
            )
        except OrderDeskAgentsError as error:
            name = argument_at(tool, error.field or "")
            if not name:
                raise
            self._refuse({name: error.message})
            return
        self._close_confirmation()
        self.confirm_text = arguments[tool.deletes]
        self._show_store_asked(store)

    def _open_question(
        self, tool: Tool, arguments: Mapping[str, Any], question: Question, *, is_again: bool
    ) -> None:
        """Opens the dialog that shows what would change in which store. `is_again`: something has
        changed between the question and its answer.
        """
        self._close_confirmation()
        before = question.preview.before
        self._asked = question.id
        self.confirm_text = str(arguments[tool.deletes]) if tool.deletes else ""
        self.confirm_object = order_label(before) if before else ""
        self.confirm_rows = difference_rows(question.preview.changes, question.store.folders)
        self.confirm_note = (
            "Something has changed since you were asked. This is what would be written now."
            if is_again
            else ""
        )
        self._show_store_asked(question.store)

    def _show_store_asked(self, store: StoreRecord | None) -> None:
        self.asks = True
        self.confirm_store = store_label(store)
        self.confirm_store_id = store.id if store else ""
        self.is_live = store is not None and not store.is_sandbox

    def _close_confirmation(self) -> None:
        self.confirm_text = self.confirm_store = self.confirm_store_id = ""
        self.confirm_object = self.confirm_note = self._asked = ""
        self.confirm_rows = []
        self.asks = self.is_live = False

    def _set_errors(self, errors: dict[str, str]) -> None:
        self.errors = errors
        self.error_focus = new_id() if errors else ""
        self.refusal = ""

    def _refuse(self, errors: dict[str, str]) -> None:
        """Shows why the form was not run: at its fields, and beside the button."""
        self._set_errors(errors)
        self.refusal = f"Nothing was run. Look at {', '.join(errors)}."

    def _refuse_for(self, tool: Tool, error: OrderDeskAgentsError) -> None:
        """The same for an error that may name no field."""
        name = argument_at(tool, error.field or "")
        self._set_errors({name: error.message} if name else {})
        self.refusal = f"Nothing was run. Look at {name}." if name else error.message


def is_confirmed(form: Mapping[str, Any]) -> bool:
    """Whether the form was sent from the dialog that asks first."""
    return bool(form.get("confirm") or form.get("confirmed"))


def shown_store(tool: Tool, arguments: Mapping[str, Any], form: Mapping[str, Any]) -> str | None:
    """The id of the store that the page named for this run, as its form tells; None where the
    person named it, or the tool has none.
    """
    if tool.deletes or is_confirmed(form):
        return str(form.get("confirm_store_id") or "")
    return (
        str(form.get("default_store_id") or "")
        if tool.takes_store and "store_identifier" not in arguments
        else None
    )


def errors_of(tool: Tool, call: PastCall) -> dict[str, str]:
    """The message of a call that failed, by its argument; empty where it names none."""
    name = argument_at(tool, str(call.error.get("field", "")))
    return {name: str(call.error.get("message", ""))} if name else {}


def _tool_row(tool: Tool, refused: str) -> ToolRow:
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
        refused=refused,
    )


def _refusal_of(tool: Tool, actor: Actor) -> str:
    is_allowed = tool in tools_for(actor.scopes)
    return "" if is_allowed else refusal_of(PERMISSION_OF_SCOPE[tool.scope])


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
