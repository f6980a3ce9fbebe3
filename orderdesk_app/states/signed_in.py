"""Who is signed in and which notices they see: the base of every state."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypedDict, TypeVar, cast

import reflex as rx
from reflex.istate.proxy import StateProxy

from orderdesk_app import wiring
from orderdesk_app.context import Actor, RequestContext, StoreRowId, new_id, now, serving
from orderdesk_app.errors import (
    AuthFailed,
    OrderDeskAgentsError,
    PermissionDenied,
    ReauthenticationRequired,
)
from orderdesk_app.observability import ERRORS, log
from orderdesk_app.security.web import confirm_address
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.flash_messages import FlashMessage, message_of
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.states.live import LIVE
from orderdesk_app.states.times import stamp

_LOG = log(__name__)
_MOST_NOTICES = 3
HANDLER = "__orderdesk_act__"
operators_only = open_to(Callers.OPERATORS)


class Notice(TypedDict):
    """One sentence at the bottom right.

    Green ones leave by themselves, others stay until they are closed.
    """

    id: str
    text: str
    tone: str


class StoreChoice(TypedDict):
    """A store for the switcher."""

    id: str
    name: str


class AccountOption(TypedDict):
    """An account that the person may go to."""

    id: str
    name: str


class SignedInState(rx.State):
    """Set by the guard before every event, for nobody else to set.

    Others inherit it, so each handler knows who acts.
    """

    name: str = ""
    is_operator: bool = False
    permissions: list[str] = []  # what their role may do; services ask again
    # proves that a form of ours was sent by this session; not the session's secret
    form_token: str = ""
    notices: list[Notice] = []
    # what a form that was refused says, at which field of which form, and what stood in it
    problem: str = ""
    problem_form: str = ""
    problem_field: str = ""
    typed: dict[str, str] = {}
    server_time: str = ""  # when the page was loaded, so that times run right on any computer
    # of a person with several, those that they may go to; and the one that they are in
    account_choices: list[AccountOption] = []
    account_id: str = ""
    store_choices: list[StoreChoice] = []
    active_store: str = ""  # of this session, for calls that name no store
    # in words, the store of a call that names none; empty where there is no telling
    default_store: str = ""
    default_store_id: str = ""
    default_is_sandbox: bool = False  # or one of several, all of them sandboxes

    _session: str = ""  # the session that this tree of states belongs to
    _actor: Actor | None = None
    _active_store: StoreRowId | None = None

    def _require_actor(self) -> Actor:
        """The actor of this event. Raises AuthFailed without a signed-in user."""
        if self._actor is None:
            raise AuthFailed("Your session has ended. Sign in again.")
        return self._actor

    async def _is_still_signed_in(self) -> bool:
        """For background events, which the guard looked at when they began: whether their session
        lives, and which store it has chosen since.
        """
        sessions = wiring.current().sessions
        user = await sessions.resume(sessions.cookie_in(self.router.headers.cookie))
        if user is None or user.session_id != self._session:
            return False
        self._actor = user.actor
        self._active_store = user.active_store_id
        return True

    def _notify(self, text: str, tone: str = "green") -> None:
        """Say what was done, or what went wrong.

        A sentence that is shown already is shown again as the newest, not twice.
        """
        others = [
            notice for notice in self.notices if (notice["text"], notice["tone"]) != (text, tone)
        ]
        self.notices = [*others, Notice(id=new_id(), text=text, tone=tone)][-_MOST_NOTICES:]

    def _set_form_problem(self, flash: FlashMessage | None) -> None:
        """The form that was refused, or none. One whose person has confirmed who they are since
        comes back without a problem.
        """
        self.problem = flash.text if flash and flash.tone == "red" else ""
        self.problem_form = flash.form if flash else ""
        self.problem_field = flash.field if flash else ""
        self.typed = dict(flash.typed) if flash else {}

    def _look_again(self, seconds: float) -> None:
        """Has the page of this tab read its data again in that time, without anything happening."""
        LIVE.look_again(self.router.session.client_token, seconds)

    async def _load_stores(self) -> None:
        """Reads the account's stores for the switcher."""
        services, actor = wiring.current(), self._require_actor()
        principal = await services.access.of_actor(actor, active_store_id=self._active_store)
        records = principal.account.stores
        default = services.stores.default_store(principal)
        self.store_choices = [StoreChoice(id=record.id, name=record.name) for record in records]
        self.active_store = next(
            (record.id for record in records if record.id == self._active_store), ""
        )
        self.default_store = store_label(default)
        self.default_store_id = default.id if default else ""
        meant = records if default is None else (default,)
        self.default_is_sandbox = bool(meant) and all(record.is_sandbox for record in meant)


def store_label(record: StoreRecord | None) -> str:
    """Its name, and that it is a sandbox if it is one; empty for none."""
    return (
        ""
        if record is None
        else f"{record.name} (a sandbox: nothing in it is real)"
        if record.is_sandbox
        else record.name
    )


F = TypeVar("F", bound=Callable[..., Any])


def _words_of(error: OrderDeskAgentsError, state: "SignedInState") -> str:
    """What the notice says. What the person may not do leaves a row of the audit log."""
    if isinstance(error, PermissionDenied) and state._actor is not None:
        wiring.current().audit.refuse_act(state._actor, error.permission)
    return message_of(error)


def handler(function: F) -> F:
    """Every handler has this decorator, below @rx.event: an error becomes a notice with a next
    step, never a stack trace.
    """

    async def refuse(state: SignedInState, error: Exception) -> Any:
        """What the browser does next, if anything."""
        if isinstance(error, ReauthenticationRequired):
            wiring.current().held_forms.hold(state._session)
            return rx.redirect(confirm_address(_address_of(state)))
        if isinstance(error, OrderDeskAgentsError):
            text = _words_of(error, state)
        else:
            request = new_id()
            _LOG.error(
                "a handler failed", exc_info=error, handler=function.__qualname__, reference=request
            )
            ERRORS.labels("web").inc()
            text = (
                "Something went wrong on our side. Try again; if it stays, tell your "
                f"administrator this reference: {request}."
            )
        if isinstance(state, StateProxy):
            async with state:
                state._notify(text, "red")
        else:
            state._notify(text, "red")
        return None

    wrapped: Callable[..., Any]
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def stream(
            self: SignedInState, *args: Any, **kwargs: Any
        ) -> AsyncGenerator[Any, None]:
            with serving(RequestContext()):
                try:
                    async for event in cast(
                        AsyncGenerator[Any, None], function(self, *args, **kwargs)
                    ):
                        yield event
                except Exception as error:
                    if (next_event := await refuse(self, error)) is not None:
                        yield next_event

        wrapped = stream
    else:

        @functools.wraps(function)
        async def run(self: SignedInState, *args: Any, **kwargs: Any) -> Any:
            with serving(RequestContext()):
                try:
                    return await cast(Coroutine[Any, Any, Any], function(self, *args, **kwargs))
                except Exception as error:
                    return await refuse(self, error)

        wrapped = run
    setattr(wrapped, HANDLER, True)
    return cast(F, wrapped)


def _address_of(state: SignedInState) -> str:
    """The page that the tab shows, with its query."""
    url = state.router.url
    return f"{url.path}?{url.query}" if url.query else url.path


class PageLoad(SignedInState):
    """Runs first on every page."""

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def load_page(self) -> None:
        self.server_time = stamp(now())
        root, actor = self._get_root_state(), self._require_actor()
        LIVE.show(
            self.router.session.client_token,
            actor.tenant_id,
            self.router.url.path,
            root.router_data,
            user_id=actor.user_id or "",
        )
        flash = wiring.current().flash_messages.pop(self._session)
        if flash is not None and (not flash.form or flash.tone == "green"):
            self._notify(flash.text, flash.tone)
        self._set_form_problem(flash if flash is not None and flash.form else None)
        await self._load_stores()
        accounts = await wiring.current().account_switch.list(actor)
        self.account_choices = [AccountOption(id=one.id, name=one.name) for one in accounts]
        self.account_id = actor.tenant_id

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def check_session(self) -> None:
        """Does nothing itself: the guard comes first, and signs out a page whose session has
        ended.
        """


class Notices(SignedInState):
    """What a person may do with notices."""

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def dismiss(self, notice_id: str) -> None:
        self.notices = [notice for notice in self.notices if notice["id"] != notice_id]
