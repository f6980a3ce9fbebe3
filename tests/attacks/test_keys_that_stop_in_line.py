"""A key that stops or is narrowed while its call waits in line at Order Desk's bucket: whoever has
stolen it has sent a hundred calls at once, and its person revokes it meanwhile.

Guard: the caller is asked for again after the last wait before a request that changes something
(orderdesk/transport.py), and before what was read is told (_Standing of tools/runner.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlmodel import col, func, select

from orderdesk_app.context import ALL_SCOPES
from orderdesk_app.db.changes import Change
from orderdesk_app.services.key_choices import KeyChoice
from orderdesk_app.tools.catalogue import every_tool
from orderdesk_app.tools.runner import Runner
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.attacks.test_keys_that_stop import Act, Held, call, tool_named

IN_LINE = [tool for tool in every_tool() if tool.takes_store]
REFUSED = ("AUTH_ERROR", "PERMISSION_DENIED", "NOT_FOUND")


@contextmanager
def while_in_line(held: Held, act: Act) -> Iterator[list[str]]:
    """`act` runs when a call is next in line at the bucket of its store."""
    take = held.services.buckets.take
    waited: list[str] = []

    async def take_then(key: str) -> float:
        if not waited:
            waited.append(key)
            await act()
        return await take(key)

    with switched_off(held.services.buckets, "take", take_then):
        yield waited


async def written(held: Held) -> int:
    """Changes that were sent to Order Desk."""
    sent = select(func.count()).where(col(Change.state) != "not_done")
    async with held.services.database.read() as session:
        return (await session.exec(sent)).one()


def ways(held: Held, tool: Any, store_id: str) -> dict[str, Act]:
    elsewhere = KeyChoice("till", ALL_SCOPES, [store_id])
    return {
        "revoke": held.revoke,
        "expire": held.expire,
        "narrow": partial(held.narrow_to, tool),
        "store": partial(held.services.key_changes.edit, held.actor, held.view.id, elsewhere),
    }


@pytest.mark.parametrize("way", ["revoke", "expire", "narrow", "store"])
def test_what_waits_in_line_does_nothing_and_tells_nothing(cast: Cast, way: str) -> None:
    owner = cast[OWNER]
    here, elsewhere = (
        owner.web.do(owner.web.services.stores.add_sandbox, owner.actor) for _ in range(2)
    )
    wrong = []

    for tool in IN_LINE:
        held = Held(owner)
        before = owner.web.do(written, held)
        with while_in_line(held, ways(held, tool, elsewhere.id)[way]) as waited:
            answer = held.send(call(tool, store_identifier=here.id))
        is_refused = any(code in answer for code in REFUSED)
        if not (waited and is_refused and owner.web.do(written, held) == before):
            wrong.append(f"{tool.name}: {waited} {answer[:200]}")

    assert wrong == []


def test_without_the_question_the_call_would_go_on(cast: Cast) -> None:
    owner = cast[OWNER]
    store = owner.web.do(owner.web.services.stores.add_sandbox, owner.actor)
    held = Held(owner)
    run = Runner.run

    async def without_question(runner: Runner, *given: Any, **named: Any) -> Any:
        return await run(runner, *given, **{**named, "ask_again": None})

    with switched_off(Runner, "run", without_question), while_in_line(held, held.revoke):
        answer = held.send(call(tool_named("orders_get"), store_identifier=store.id))

    assert not any(code in answer for code in REFUSED)
