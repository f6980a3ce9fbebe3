"""Every handler and every route, called raw by everybody. Who may is declared beside each
(services/callers.py) and settled by the one table of roles (services/roles.py). Whoever it is,
nothing of a neighbour is seen or changed.

Guards: the guard of events and the checks of forms, and behind them the services.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from reflex_base.registry import RegistrationContext

from orderdesk_app.context import Actor
from orderdesk_app.routes import forms
from orderdesk_app.services import keys
from orderdesk_app.services.callers import Callers, allowed_callers, may_call
from orderdesk_app.services.keys import Keys
from orderdesk_app.states import guard
from orderdesk_app.states.signed_in import HANDLER
from tests.attacks.cast import (
    ANONYMOUS,
    MARK,
    MEMBER,
    NEIGHBOUR,
    OPERATOR,
    OWNER,
    VIEWER,
    Belongings,
    Cast,
    ask,
    every_method,
    fields_read_by,
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

    assert not wrong, wrong


def test_without_the_check_of_roles_the_guard_would_let_a_viewer_through(cast: Cast) -> None:
    with switched_off(guard, "may_call", lambda *_: True), cast[VIEWER].tab() as tab:
        assert outcome_of(tab, handler_named("stores_state.add_sandbox")) == "allowed"


def outcome_of(tab: Tab, name: str) -> str:
    """What the guard said to an event: "allowed", "wrong_role", "signed_out" and so on."""
    # "allowed" last: pages that go on by themselves send events too (states/live.py)
    outcomes = ("wrong_role", "signed_out", "no_handler", "bad_payload", "database", "allowed")
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


# ------------------------------------------------------------------ routes


@pytest.mark.parametrize("who", [*ATTACKERS, NEIGHBOUR])
def test_a_route_answers_those_who_may(cast: Cast, who: str) -> None:
    wrong = []
    for method, address, route in every_method():
        allowed = allowed_callers(route.endpoint)
        answer = ask(cast, who, method, route)
        was_refused = is_refusal(answer)
        if allowed is not Callers.ANYBODY and was_refused == expected(allowed, cast, who):
            wrong.append(f"{method} {address} ({allowed}): {answer.status_code}")
        if answer.status_code >= 500:
            wrong.append(f"{method} {address}: {answer.status_code}")

    assert not wrong, wrong


def test_without_the_check_of_roles_a_form_would_let_a_viewer_through(cast: Cast) -> None:
    [route] = [each[2] for each in every_method() if each[1] == "/settings/keys/rotate-master"]
    assert is_refusal(ask(cast, VIEWER, "POST", route))

    with switched_off(forms, "may_call", lambda *_: True):
        assert not is_refusal(ask(cast, VIEWER, "POST", route))


def is_refusal(answer: Any) -> bool:
    """Whether the answer is that this caller may not. What is for operators is not there for
    others, which is not the answer to a link or a row that nobody knows.
    """
    location = answer.headers.get("location", "")
    is_sent_to_sign_in = location.startswith("/sign-in") and "out=1" not in location
    is_hidden = answer.status_code == 404 and "Nothing is served at this address" in answer.text
    return answer.status_code in (401, 403) or is_hidden or is_sent_to_sign_in


# ------------------------------------------------------------------ the neighbour


@pytest.mark.usefixtures("sockets_for_strangers")
@pytest.mark.parametrize("who", ATTACKERS)
def test_no_event_shows_or_changes_anything_of_a_neighbour(
    cast: Cast, theirs: Belongings, who: str
) -> None:
    before = theirs.rows()
    tab = Tab(cast.web, cast[who].cookie, f"neighbours-{who}-{id(cast)}")

    with tab:
        for name in handlers():
            if is_for_operators(allowed_callers(function_of(name)), who):
                continue
            for identity in ids_for(who, theirs) if takes_ids(name) else theirs.ids[:1]:
                query = {"call": identity, "tool": identity, "row": identity, "id": identity}
                tab.send(name, payload_of(name, identity), query=query, waits=False)

    assert MARK not in tab.seen
    assert theirs.rows() == before


@pytest.mark.parametrize("who", [VIEWER, MEMBER])
def test_no_colleague_changes_what_is_an_owners(cast: Cast, ours: Belongings, who: str) -> None:
    before = ours.own_rows()

    with cast[who].tab() as tab:
        for name in handlers():
            if payload_of(name):
                for identity in ours.ids:
                    tab.send(name, payload_of(name, identity), waits=False)
    for method, _, route in every_method():
        if method == "POST" and any(each.endswith("id") for each in fields_read_by(route.endpoint)):
            for identity in ours.ids:
                ask(cast, who, method, route, value=identity, confirm=MARK)

    assert ours.own_rows() == before


def ids_for(who: str, theirs: Belongings) -> tuple[str, ...]:
    """All of them for those who may most; the others pass through the same services."""
    return theirs.ids if who in (OWNER, OPERATOR) else theirs.ids[:1]


def takes_ids(name: str) -> bool:
    """Whether the handler takes something, with its event or from the address of the page."""
    function = inspect.unwrap(function_of(name))
    return len(inspect.signature(function).parameters) > 1 or name.endswith(".load")


def is_for_operators(allowed: Any, who: str) -> bool:
    """Operators see and control every user: that is what these are for."""
    return who == OPERATOR and allowed is Callers.OPERATORS


@pytest.mark.parametrize("who", ATTACKERS)
def test_no_request_shows_or_changes_anything_of_a_neighbour(
    cast: Cast, theirs: Belongings, who: str
) -> None:
    before = theirs.rows()
    shown = []

    for method, _, route in every_method():
        if is_for_operators(allowed_callers(route.endpoint), who) or method == "HEAD":
            continue
        reads_ids = any(name.endswith("id") for name in fields_read_by(route.endpoint))
        is_asked = reads_ids or bool(route.param_convertors)
        for identity in ids_for(who, theirs) if is_asked else theirs.ids[:1]:
            answer = ask(cast, who, method, route, value=identity, confirm=MARK)
            if MARK in answer.text:
                shown.append(f"{method} {route.path}")

    assert shown == []
    assert theirs.rows() == before


def test_without_the_bond_to_its_owner_a_neighbours_key_would_be_revoked(
    cast: Cast, theirs: Belongings
) -> None:
    """What the walk looks at does change when it is not guarded."""
    before, revoke, neighbour = theirs.rows(), Keys.revoke, cast[NEIGHBOUR].actor
    [route] = [each[2] for each in every_method() if each[1] == "/settings/keys/revoke"]

    def revoke_theirs(keys: Keys, _: Actor, key_id: str) -> Any:
        return revoke(keys, neighbour, key_id)

    with switched_off(Keys, "revoke", revoke_theirs):
        for identity in theirs.ids:
            ask(cast, OWNER, "POST", route, value=identity)

    assert theirs.rows() != before


def test_without_the_check_of_permissions_an_owners_key_would_be_revoked(cast: Cast) -> None:
    mine = Belongings(cast[OWNER], ())
    key, _ = cast.web.do(cast.web.services.keys.create, cast[OWNER].actor, "Ada's own")
    [route] = [each[2] for each in every_method() if each[1] == "/settings/keys/revoke"]
    before = mine.rows()["credentials"]

    ask(cast, MEMBER, "POST", route, value=key.id)
    assert mine.rows()["credentials"] == before

    with switched_off(keys, "require", lambda *_: None):
        ask(cast, MEMBER, "POST", route, value=key.id)
    assert mine.rows()["credentials"] != before


# ------------------------------------------------------------------ behind the guard


@pytest.mark.parametrize("who", [VIEWER, MEMBER])
def test_services_authorise_again(
    cast: Cast, ours: Belongings, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check in front of them, nothing of the account is changed either."""
    monkeypatch.setattr(guard, "may_call", lambda *_: True)
    monkeypatch.setattr(forms, "may_call", lambda *_: True)
    before = ours.rows_but_the_log()
    wrong = []

    with cast[who].tab() as tab:
        for name in handlers():
            if expected(allowed_callers(function_of(name)), cast, who):
                continue
            for identity in ours.ids:
                tab.send(name, payload_of(name, identity))
            if ours.rows_but_the_log() != before:
                wrong.append(name)
                before = ours.rows_but_the_log()
    for method, address, route in every_method():
        if method == "POST" and not expected(allowed_callers(route.endpoint), cast, who):
            for identity in ours.ids:
                ask(cast, who, method, route, value=identity, confirm="Ada's Teas")
            if ours.rows_but_the_log() != before:
                wrong.append(address)
                before = ours.rows_but_the_log()

    assert not wrong, wrong
