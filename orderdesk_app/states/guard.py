"""Default-deny for every event that a browser can send: each handler is callable from outside,
whatever the page shows.

Why, and what an attack did: docs/decisions/0014-reflex-guard.md. The session's row is read at every
event, so a sign-out ends open tabs at once.
"""

from collections import Counter
from typing import Any, Final

import reflex as rx
from reflex.event import Event
from reflex.istate.manager.memory import StateManagerMemory
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState, State, StateUpdate
from reflex_base.registry import RegistrationContext

from orderdesk_app import wiring
from orderdesk_app.context import new_id
from orderdesk_app.observability import ERRORS, WEB_EVENTS, log
from orderdesk_app.security.web import sign_in_address
from orderdesk_app.services.callers import allowed_callers, may_call
from orderdesk_app.services.roles import Permission, permissions_of, refusal_of
from orderdesk_app.services.sessions import WebUser
from orderdesk_app.states.payloads import fits
from orderdesk_app.states.signed_in import HANDLER, SignedInState

_LOG = log(__name__)
_STATE: Final = "reflex___state____state"
HYDRATE: Final = frozenset({f"{_STATE}.hydrate", f"{_STATE}.hydrate_and_load"})

# The framework's own handlers that a page needs before anybody has signed in; by exact name,
# because the framework has others.
FRAMEWORK: Final = HYDRATE | {
    f"{_STATE}.set_is_hydrated",
    f"{_STATE}.reflex___state____on_load_internal_state.on_load_internal",
    f"{_STATE}.reflex___state____on_load_internal_state.set_is_hydrated",
    f"{_STATE}.reflex___state____update_vars_internal_state.update_vars_internal",
    f"{_STATE}.reflex___state____frontend_event_exception_state.handle_frontend_exception",
}
# Of closed tabs whose states are kept, for people who come back to them.
MOST_CLOSED_TABS: Final = 100
MOST_CLOSED_TABS_OF_ONE: Final = 20  # of one session
_SIGNED_IN_STATE: Final = SignedInState.get_full_name().split(".")[1:]


class Guard(Middleware):
    """Runs before every handler, on_load and chained ones included, under the state's lock."""

    async def preprocess(self, app: Any, state: BaseState, event: Event) -> StateUpdate | None:
        """None lets the handler run; an update is sent instead of running it."""
        event.payload.update(without_zeros(event.payload))
        root = state._get_root_state()
        try:
            sessions = wiring.current().sessions
            user = await sessions.resume(sessions.cookie_in(root.router.headers.cookie))
        except Exception as error:  # the database is away
            return await _sessions_unreachable(root, error)
        person = await self._bind(root, user)
        if event.name in HYDRATE:
            # A page that is loaded again shows nothing old: no notice, and no refused form, whose
            # dialog would open again.
            person.notices = []
            person._set_form_problem(None)
            # some forms may be sent once
            person.form_token = wiring.current().form_tokens.issue(user.session_id) if user else ""
        registered = RegistrationContext.get().event_handlers.get(event.name)
        if event.name in FRAMEWORK:
            # a page of ours keeps no variables in the browser, so none has any to send
            if event.payload.get("vars") or (
                registered is not None
                and event.name not in HYDRATE
                and not fits(registered.handler.fn, event.payload)
            ):
                WEB_EVENTS.labels("bad_payload").inc()
                return _no_update()
            WEB_EVENTS.labels("framework").inc()
            return None
        # Only methods with @handler are meant for pages. A public method of a state is callable
        # too, and <State>.setvar runs set_<name> past its own marks.
        if (
            registered is None
            or event.name.endswith(".setvar")
            or not getattr(registered.handler.fn, HANDLER, False)
        ):
            WEB_EVENTS.labels("no_handler").inc()
            return _no_update()
        if user is None:
            WEB_EVENTS.labels("signed_out").inc()
            return StateUpdate(
                delta={}, events=Event.from_event_type(rx.redirect(_back_by_signing_in(root)))
            )
        allowed = allowed_callers(registered.handler.fn)
        if not may_call(allowed, user.actor):
            WEB_EVENTS.labels("wrong_role").inc()
            wiring.current().audit.refuse_act(user.actor, str(allowed or ""))
            if not isinstance(allowed, Permission):
                return _no_update()
            person._notify(refusal_of(allowed), "red")
            return await _changes_of(root)
        if not fits(registered.handler.fn, event.payload):
            WEB_EVENTS.labels("bad_payload").inc()
            return _no_update()
        WEB_EVENTS.labels("allowed").inc()
        return None

    async def _bind(self, root: BaseState, user: WebUser | None) -> SignedInState:
        """The states belong to the tab, not to the person: wipe them when another session holds the
        tab.
        """
        person = await root.get_state(SignedInState)
        session = user.session_id if user else ""
        if person._session != session:
            (await root.get_state(State)).reset()
            person._session = session
        person._actor = user.actor if user else None
        person._active_store = user.active_store_id if user else None
        name, is_operator = (user.name, user.actor.is_operator) if user else ("", False)
        # an assignment is sent to the browser, so only when it changes
        if (person.name, person.is_operator) != (name, is_operator):
            person.name = name
            person.is_operator = is_operator
        permissions = sorted(map(str, permissions_of(user.actor.role))) if user else []
        if person.permissions != permissions:
            person.permissions = permissions
        if bool(person.form_token) != (user is not None):
            person.form_token = wiring.current().form_tokens.issue(session) if user else ""
        return person


def _back_by_signing_in(root: BaseState) -> str:
    """A tab that sends events had a page, so its session has ended meanwhile."""
    url = root.router.url
    return sign_in_address(f"{url.path}?{url.query}" if url.query else url.path, error="ended")


def without_zeros(value: Any) -> Any:
    """The same with U+FFFD for each zero character, as HTML reads it: Postgres takes none, and
    SQLite would find what another wrote.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {without_zeros(name): without_zeros(part) for name, part in value.items()}
    return [without_zeros(part) for part in value] if isinstance(value, list) else value


def forget_closed_tabs(
    app: rx.App, *, most: int = MOST_CLOSED_TABS, most_of_one: int = MOST_CLOSED_TABS_OF_ONE
) -> None:
    """Drops states of tabs that are closed: those that nobody was signed in on, and of the others
    all but the newest of a session and of all.

    Reflex itself keeps every state for an hour, as tabs of people come back; each takes 200 kB.
    """
    manager, namespace = app.state_manager, app.event_namespace
    assert isinstance(manager, StateManagerMemory), "rxconfig.py says so"
    assert namespace is not None, "it has a state"
    kept: Counter[str] = Counter()
    newest_first = sorted(manager._token_expires_at.items(), key=lambda each: -each[1][0])
    for tab, (_, token) in newest_first:
        state, lock = manager.states.get(tab), manager._states_locks.get(token.lock_key)
        if tab in namespace.token_to_sid or (lock is not None and lock.locked()):
            continue
        session = state and state.get_substate([_STATE, *_SIGNED_IN_STATE])._session
        if session and kept[session] < most_of_one and kept.total() < most:
            kept[session] += 1
        else:
            manager._purge_token(token)


async def _sessions_unreachable(root: BaseState, error: Exception) -> StateUpdate:
    """No event runs while sessions cannot be looked up; a notice says why nothing happens."""
    reference = new_id()
    _LOG.error("a session could not be looked up", exc_info=error, reference=reference)
    ERRORS.labels("web").inc()
    WEB_EVENTS.labels("database").inc()
    person = await root.get_state(SignedInState)
    person.notices = []  # one event after the other fails: the last one's reference is enough
    person._notify(
        (
            "Our own records cannot be reached. Reload the page in a minute; if it stays, "
            f"tell your administrator this reference: {reference}."
        ),
        "red",
    )
    return await _changes_of(root)


async def _changes_of(root: BaseState) -> StateUpdate:
    """What was assigned to variables here, for the browser."""
    delta = await root._get_resolved_delta()
    root._clean()
    return StateUpdate(delta=delta, events=[])


def _no_update() -> StateUpdate:
    return StateUpdate(delta={}, events=[])
