"""Every handler and every route, called raw by everybody. Who may is declared beside each
(services/callers.py) and settled by the one table of roles (services/roles.py). Whoever it is,
nothing of a neighbour is seen or changed.

Guards: the guard of events and the checks of forms, and behind them the services.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from reflex_base.registry import RegistrationContext

from orderdesk_app.services.callers import Callers, allowed_callers, may_call
from orderdesk_app.states import guard
from orderdesk_app.states.signed_in import HANDLER
from tests.attacks.cast import (
    ANONYMOUS,
    MEMBER,
    NEIGHBOUR,
    OPERATOR,
    OWNER,
    VIEWER,
    Cast,
    every_method,
    switched_off,
)
from tests.web.browser_session import Tab, handler_named, our_handlers
from tests.worlds import counted

# The neighbour is the one whom they attack, and whom nobody may see.
ATTACKERS = (ANONYMOUS, VIEWER, MEMBER, OWNER, OPERATOR)


def function_of(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = RegistrationContext.get().event_handlers[name].handler.fn
    return function


def handlers() -> list[str]:
    """Those that are meant to be called; test_guard.py shows that no other runs."""
    return [
        name
        for name in our_handlers()
        if getattr(function_of(name), HANDLER, False) and "probe_state" not in name
    ]


def expected(allowed: Any, cast: Cast, who: str) -> bool:
    """What the declaration and the table of roles say."""
    return may_call(allowed, None if who == ANONYMOUS else cast[who].actor)


@pytest.mark.usefixtures("served")
def test_each_handler_and_route_declares_who_may_call_it() -> None:
    silent = [name for name in handlers() if allowed_callers(function_of(name)) is None]
    silent += [
        f"{method} {address}"
        for method, address, route in every_method()
        if allowed_callers(route.endpoint) is None
    ]

    assert allowed_callers(lambda: None) is None  # so that such a one is found
    assert not silent, f"Declare it with @open_to (services/callers.py): {silent}"


def test_what_is_for_anybody_changes_nothing_of_an_account(cast: Cast) -> None:
    """A handler is never for anybody: strangers get no websocket."""
    for name in handlers():
        assert allowed_callers(function_of(name)) is not Callers.ANYBODY, name


# ------------------------------------------------------------------ events


@pytest.mark.usefixtures("sockets_for_strangers")
@pytest.mark.parametrize("who", [*ATTACKERS, NEIGHBOUR])
def test_an_event_runs_for_those_who_may(cast: Cast, who: str) -> None:
    tab = Tab(cast.web, cast[who].cookie, f"walk-{who}-{id(cast)}")
    wrong = []
    with tab:
        for name in handlers():
            allowed = allowed_callers(function_of(name))
            said = outcome_of(tab, name)
            if who == ANONYMOUS:
                is_right = said == "signed_out"
            else:
                is_right = said == ("allowed" if expected(allowed, cast, who) else "wrong_role")
            if not is_right:
                wrong.append(f"{name} ({allowed}): {said}")

    assert wrong == []


def test_without_the_check_of_roles_the_guard_would_let_a_viewer_through(cast: Cast) -> None:
    with switched_off(guard, "may_call", lambda *_: True), cast[VIEWER].tab() as tab:
        assert outcome_of(tab, handler_named("stores_state.add_sandbox")) == "allowed"


def outcome_of(tab: Tab, name: str) -> str:
    """What the guard said to an event: "allowed", "wrong_role", "signed_out" and so on."""
    outcomes = ("allowed", "wrong_role", "signed_out", "no_handler", "bad_payload", "database")
    before = {outcome: counted("web_events", outcome=outcome) for outcome in outcomes}
    # without its own page: LIVE sends no event for it meanwhile
    tab.send(name, payload_of(name), waits=False)
    said = [
        outcome for outcome in outcomes if counted("web_events", outcome=outcome) > before[outcome]
    ]
    return said[0] if said else "nothing"


def payload_of(name: str, value: str = "x") -> dict[str, Any]:
    """What a page could send with that event; the value in each place that takes a text."""
    made: dict[str, Any] = {}
    for parameter in list(inspect.signature(function_of(name)).parameters.values())[1:]:
        kind = str(parameter.annotation)
        made[parameter.name] = (
            dict.fromkeys(fields_read_by(function_of(name)), value)
            if "dict" in kind
            else next((example for part, example in _EXAMPLES.items() if part in kind), value)
        )
    return made


_EXAMPLES: dict[str, Any] = {"bool": True, "int": 1}
_FIELD = re.compile(r"""(?:form|fields|query_params|query)(?:\.get\(|\[)\s*["'](\w+)["']""")


def fields_read_by(function: Callable[..., Any]) -> set[str]:
    """The names of a form's fields that stand in its module: none is known here."""
    module = inspect.getmodule(inspect.unwrap(function))
    return set(_FIELD.findall(inspect.getsource(module))) if module else set()
