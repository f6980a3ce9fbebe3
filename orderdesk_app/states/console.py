"""Any tool by hand: loading the page, choosing a tool, running it.

The form is in console_form.py, the result in console_result.py, the last ten calls in
console_history.py. Tools with secret arguments are posted plainly (routes/console.py).
"""

from collections.abc import Mapping
from typing import Any

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.errors import Conflict, NotFound, OrderDeskAgentsError
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.console_form import ToolForm, errors_of, is_confirmed, shown_store
from orderdesk_app.states.console_history import ConsoleHistory
from orderdesk_app.states.console_result import ConsoleResult
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.tools.catalogue import Tool, find_tool
from orderdesk_app.tools.console import Question
from orderdesk_app.tools.form import arguments_from


class ConsoleState(ToolForm, ConsoleResult, ConsoleHistory, SignedInState):
    # The parts are mixins of one state: one handler works on all of them without asking Reflex for
    # other states. SignedInState is named again, as a class of mixins alone is a mixin.
    loaded: bool = False

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        await self._load_page()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh_history(self) -> None:
        """The last calls, those of other tabs too, and what the person may run now. Runs when
        something happens in the account.
        """
        self._show_refusals()
        await self._load_history()

    async def _load_page(self) -> None:
        self._start_form()
        # The address says what is on the screen, so a page that is loaded again (a connection that
        # was lost does it too) asks for nothing new.
        query = self.router.url.query_parameters
        try:
            await self._follow_address(str(query.get("call") or ""), str(query.get("tool") or ""))
        except OrderDeskAgentsError as error:  # a link to a deleted call or tool
            self._notify(error.message, "red")
        if not self.tool:
            self._fill_form(find_tool("orders_list"))
        await self._load_history()
        self.loaded = True

    async def _follow_address(self, call: str, tool: str) -> None:
        """Shows what the address asks for, or the plain form that was refused; what is on the
        screen already stays as it is. Raises NotFound.
        """
        if call and call != self.call:
            await self._open(call)
        elif self.problem_form == "console" and self.typed.get("tool"):
            self._show_refused_form()
        elif tool and tool != self.tool:
            if tool not in {row["name"] for row in self.tools}:
                raise NotFound(f"There is no tool named {tool[:40]}. Choose one from the list.")
            self._choose(tool)

    def _show_refused_form(self) -> None:
        values = {name: value for name, value in self.typed.items() if name != "tool"}
        self._fill_form(find_tool(self.typed["tool"]), values)
        if self.problem_field:
            self._refuse({self.problem_field: self.problem})
        elif self.problem:
            self._notify(self.problem, "red")

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def choose(self, name: str) -> None:
        self._choose(name)

    def _choose(self, name: str) -> None:
        """The last result stays: what it shows is often what the next tool is asked for."""
        self._fill_form(find_tool(name))
        self.running = False

    @rx.event(background=True)
    @handler
    @open_to(Permission.RUN_READING_TOOLS)
    async def run(self, form: dict[str, Any]) -> None:
        """Runs the tool without the state's lock, so that the tab stays responsive while Order Desk
        takes its time.
        """
        async with self:
            if not self.loaded:
                await self._load_page()
                raise Conflict(
                    "Nothing was run: the server lost the state of this page, as it started "
                    "again or the page stood idle. Look at the form and run it again."
                )
            tool, asked = find_tool(self.tool), self._asked
            arguments = self._begin(tool, form)
            if arguments is None:
                return
            if tool.deletes and tool.preview is None and not is_confirmed(form):
                await self._open_confirmation(tool, arguments)
                return
            self.running = True
            token = self._spent_token
            actor, active_store = self._require_actor(), self._active_store
        try:
            if tool.preview and not await self._is_agreed(tool, arguments, form, asked, token):
                return
            call = await wiring.current().console.run(
                actor,
                tool.name,
                arguments,
                active_store_id=active_store,
                shown_store_id=shown_store(tool, arguments, form),
            )
        except Exception:
            async with self:
                self._end(token)
                if await self._is_still_signed_in():
                    await self._load_stores()
            raise
        async with self:
            if not await self._is_still_signed_in():
                return
            if self._end(token):
                await self._show_result(call)
                self._set_errors(errors_of(tool, call))
            if not tool.reads:
                # the active store may be another one now, and a store may be new or gone
                await self._load_stores()
            await self._load_history()

    async def _is_agreed(
        self,
        tool: Tool,
        arguments: Mapping[str, Any],
        form: Mapping[str, Any],
        asked: str,
        token: str,
    ) -> bool:
        """Whether a write may be sent. Where it has to be asked for first, this opens the dialog;
        where it would be refused, this says so at its field. Raises Conflict like the run itself.
        """
        actor, console = self._require_actor(), wiring.current().console
        active, answers = self._active_store, is_confirmed(form)
        if answers and (shown := shown_store(tool, arguments, form)) is not None:
            await console.check_shown_store(
                actor, tool.name, arguments, shown, active_store_id=active
            )
        question: Question | None = None
        refusal: OrderDeskAgentsError | None = None
        try:
            question = await console.question(actor, tool.name, arguments, active_store_id=active)
        except OrderDeskAgentsError as error:
            refusal = error
        if refusal is None and (question is None or (answers and question.id == asked)):
            return True
        async with self:
            if await self._is_still_signed_in() and self._end(token):
                await self._load_stores()
                if refusal is not None:
                    self._refuse_for(tool, refusal)
                elif question is not None:
                    self._open_question(tool, arguments, question, is_again=answers)
        return False

    def _begin(self, tool: Tool, form: Mapping[str, Any]) -> dict[str, Any] | None:
        """The arguments that the tool runs with now; None when it does not run.

        Raises Conflict for a form that is not the one on the screen.
        """
        if tool.secrets:
            raise NotFound(
                "This tool takes a secret; its form is sent by the browser itself. Reload the page."
            )
        if self.running or not self._spend_token(form):  # one run at a time
            return None
        self._close_confirmation()
        arguments, errors = arguments_from(tool, form)
        self._set_errors({})
        if errors:
            self._refuse(errors)
            return None
        self._require_confirmed(tool, form, arguments)
        self._keep_typed(form)
        return arguments

    def _end(self, token: str) -> bool:
        """Ends the run of that token. False when the screen no longer waits for it: another tool
        was chosen meanwhile, or another session has the tab.
        """
        if not self.running or self._spent_token != token:
            return False
        self.running = False
        return True

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def open_call(self, call_id: str) -> None:
        """A past call: its result, and its arguments in the form to run again."""
        await self._open(call_id)

    async def _open(self, call_id: str) -> None:
        call = await wiring.current().console.history.get(self._require_actor(), call_id)
        try:
            tool = find_tool(call.tool)
            self._fill_form(tool, call.arguments)
            self._set_errors(errors_of(tool, call))
        except OrderDeskAgentsError:
            pass  # a tool of an older release
        await self._show_result(call)
