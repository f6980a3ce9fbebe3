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

from orderdesk_app import wiring
from orderdesk_app.context import new_id
from orderdesk_app.errors import Conflict, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.services.console import PastCall
from orderdesk_app.states.signed_in import SignedInState, store_label
from orderdesk_app.tools.catalogue import Tool, tools_for
from orderdesk_app.tools.form import Field, argument_at, fields_of


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


class ToolForm(SignedInState, mixin=True):
    tools: list[ToolRow] = []
    tool: str = ""
    title: str = ""
    description: str = ""
    has_secret: bool = False
    changes_orders: bool = False
    deletes: str = ""  # the argument whose value is typed again before the tool runs
    # what has to be typed again now, and the store that would be changed, by its name and its id
    confirm_text: str = ""
    confirm_store: str = ""
    confirm_store_id: str = ""
    fields: list[FieldRow] = []  # required ones, and those that are filled
    more: list[FieldRow] = []
    errors: dict[str, str] = {}  # by argument
    error_focus: str = ""  # changes whenever the focus should go to the first field with an error

    page_id: str = ""  # "<account>.<id>"; another one when the server had forgotten the page
    form_id: str = ""
    run_token: str = ""

    _spent_token: str = ""  # the run token before

    def _start_form(self) -> None:
        """What every load of the page begins with; a form that is filled stays as it is."""
        actor = self._require_actor()
        self.page_id = self.page_id or f"{actor.tenant_id}.{new_id()}"
        self.tools = [_tool_row(tool) for tool in tools_for(actor.scopes)]
        # The browser frees its button when it sees another token: a click that was lost with the
        # connection keeps no button busy.
        self.run_token = new_id()
        self._close_confirmation()

    def _fill_form(self, tool: Tool, values: Mapping[str, Any] | None = None) -> None:
        """Fills the form of that tool with `values`, else with the tool's example."""
        fields = fields_of(tool, values)
        self.tool = tool.name
        self.title = tool.title
        self.description = tool.description.replace("`", "")  # models read it as Markdown
        self.has_secret = bool(tool.secrets)
        self.changes_orders = tool.takes_store and not tool.reads
        self.deletes = tool.deletes
        self.fields = [_field_row(field) for field in fields if field.required or field.value]
        self.more = [_field_row(field) for field in fields if not (field.required or field.value)]
        self.form_id = f"{tool.name}-{new_id()}"
        self.run_token = new_id()
        self._set_errors({})
        self._close_confirmation()

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
            self._set_errors({name: error.message})
            return
        self.confirm_text = arguments[tool.deletes]
        self.confirm_store = store_label(store)
        self.confirm_store_id = store.id if store else ""

    def _close_confirmation(self) -> None:
        self.confirm_text = self.confirm_store = self.confirm_store_id = ""

    def _set_errors(self, errors: dict[str, str]) -> None:
        self.errors = errors
        self.error_focus = new_id() if errors else ""


def shown_store(tool: Tool, arguments: Mapping[str, Any], form: Mapping[str, Any]) -> str | None:
    """The id of the store that the page named for this run, as its form tells; None where the
    person named it, or the tool has none.
    """
    if tool.deletes:
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
