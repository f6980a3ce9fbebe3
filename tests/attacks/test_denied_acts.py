"""Somebody tries out what they may not do, and nobody sees that they did; or tries so often that
the audit log is full of it. Guards: what the guard of events, the checks of forms or a service
denies leaves a row, ten of a kind and address in a minute, then a count (AuditLog.refuse_act).
"""

from collections import defaultdict
from typing import Any

from sqlmodel import col, select

from orderdesk_app.context import Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.services.audit import DENIED, AuditLog
from orderdesk_app.services.callers import Callers, allowed_callers, may_call
from orderdesk_app.services.refusal_sampling import OWN_ROWS
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.activity_text import action_labels
from tests.attacks.cast import (
    MEMBER,
    NEIGHBOUR,
    OWNER,
    VIEWER,
    Cast,
    ask,
    every_method,
    post,
    switched_off,
)
from tests.attacks.test_everything_as_everybody import function_of, handlers, payload_of


def rows_of(cast: Cast, who: str) -> dict[str, list[AuditEntry]]:
    """The rows of what was denied to them, by their action."""
    services, actor = cast.web.services, cast[who].actor

    async def read() -> list[AuditEntry]:
        await services.audit.flush()
        async with services.database.read() as session:
            question = select(AuditEntry).where(col(AuditEntry.user_id) == actor.user_id)
            question = question.where(col(AuditEntry.action).startswith(DENIED))
            return list((await session.exec(question)).all())

    found: dict[str, list[AuditEntry]] = defaultdict(list)
    for row in cast.web.do(read):
        found[row.action].append(row)
    return dict(found)


def denied_to(cast: Cast, who: str, declared: list[Any]) -> set[str]:
    return {f"{DENIED}{allowed}" for allowed in declared if not may_call(allowed, cast[who].actor)}


def test_every_event_that_is_denied_leaves_a_row(cast: Cast) -> None:
    expected = denied_to(cast, VIEWER, [allowed_callers(function_of(name)) for name in handlers()])
    with cast[VIEWER].tab() as tab:
        for name in handlers():
            if not may_call(allowed_callers(function_of(name)), cast[VIEWER].actor):
                tab.send(name, payload_of(name), waits=False)

    rows = rows_of(cast, VIEWER)

    assert expected >= {f"{DENIED}{Permission.MANAGE_STORES}", f"{DENIED}{Callers.OPERATORS}"}
    assert set(rows) >= expected
    for [row, *_] in rows.values():
        assert (row.outcome, row.via) == ("PERMISSION_DENIED", str(Via.WEB))


def test_every_form_that_is_denied_leaves_a_row(cast: Cast) -> None:
    routes = [(method, route) for method, _, route in every_method() if method in ("GET", "POST")]
    declared = [
        allowed_callers(route.endpoint)
        for _, route in routes
        if isinstance(allowed_callers(route.endpoint), Permission)
    ]
    for method, route in routes:
        if allowed_callers(route.endpoint) in declared:
            ask(cast, VIEWER, method, route)

    assert set(rows_of(cast, VIEWER)) >= denied_to(cast, VIEWER, declared)


def test_a_forged_form_leaves_a_row(cast: Cast) -> None:
    answer = post(cast[OWNER], "/settings/keys/rotate-master", "form_token=forged")

    assert answer.status_code == 403
    assert set(rows_of(cast, OWNER)) == {f"{DENIED}other"}


def test_without_the_guard_nobody_sees_it(cast: Cast) -> None:
    with switched_off(AuditLog, "refuse_act", lambda *_: None):
        assert post(cast[MEMBER], "/settings/keys/rotate-master").status_code == 403

    assert rows_of(cast, MEMBER) == {}


def test_many_of_them_are_few_rows(cast: Cast) -> None:
    audit, actor = cast.web.services.audit, cast[NEIGHBOUR].actor

    async def many() -> None:
        for _ in range(500):
            audit.refuse_act(actor, "delete_account")

    cast.web.do(many)

    assert len(rows_of(cast, NEIGHBOUR)[f"{DENIED}delete_account"]) == OWN_ROWS


def test_each_has_its_words() -> None:
    words = action_labels()

    for lacking in (*Permission, Callers.OPERATORS, "other"):
        assert words[f"{DENIED}{lacking}"].startswith("was refused")
