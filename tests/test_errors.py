"""Every error that a user can meet: it has its code and status, says the next step, and is met here
through an entry point.
"""

import ast
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import update

from orderdesk_app import errors
from orderdesk_app.context import Via, now
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.mcp.server import call_tool_result
from orderdesk_app.server import create_app
from orderdesk_app.services.magic_links import MagicLinks
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.states.activity_text import is_store_at_fault, outcome_label
from orderdesk_app.token_bucket import TokenBucket
from orderdesk_app.tools.runner import Outcome
from tests.mcp_server import living
from tests.worlds import (
    FIRST_ORDER,
    MINIMAL_ORDER,
    SandboxServer,
    World,
    open_world,
    sandbox_server,
    settings_for,
)

__all__ = ["sandbox_server"]

CODES = {
    "VALIDATION_ERROR",
    "NOT_FOUND",
    "AUTH_ERROR",
    "CONFLICT_ERROR",
    "RATE_LIMIT_EXCEEDED",
    "ORDERDESK_API_ERROR",
    "INTERNAL_ERROR",
    "PERMISSION_DENIED",
}


def every_class(
    root: type[OrderDeskAgentsError] = OrderDeskAgentsError,
) -> list[type[OrderDeskAgentsError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_class(child))]


@pytest.fixture
async def world(sqlite_url: str, sandbox_server: SandboxServer) -> AsyncIterator[World]:
    sandbox_server.reset()
    quick = {
        "HTTP_TIMEOUT": "1",
        "HTTP_MAX_RETRIES": "0",
        "MUTATION_MAX_RETRIES": "0",
        "CACHE_TTL_ORDERS": "0",
    }
    async with open_world(
        settings_for(sqlite_url, ORDERDESK_API_URL=sandbox_server.url, **quick), sandbox_server
    ) as world:
        world.extra = {"sandbox": sandbox_server}
        yield world


Meeting = Callable[[World], Awaitable[Outcome]]


def asking(tool: str, **arguments: Any) -> Meeting:
    return lambda world: world.owner.call(tool, arguments)


def after(kind: str, meeting: Meeting, **fault: Any) -> Meeting:
    async def meet(world: World) -> Outcome:
        world.extra["sandbox"].fault(kind, **fault)
        return await meeting(world)

    return meet


async def with_few_scopes(world: World) -> Outcome:
    principal = await world.owner.principal()
    return await world.services.runner.run(
        replace(principal, actor=replace(principal.actor, scopes=frozenset())), "stores_list", {}
    )


async def with_an_old_sign_in(world: World) -> Outcome:
    """In the console, by somebody who signed in an hour ago."""
    services, principal = world.services, await world.owner.principal()
    owner = principal.actor
    assert owner.user_id is not None
    cookie = await services.sessions.start(
        owner.tenant_id, owner.user_id, credential_id=None, address="", user_agent=""
    )
    user = await services.sessions.resume(cookie)
    assert user is not None
    async with services.database.write() as session:
        await session.exec(update(Session).values(proved_at=now() - timedelta(hours=1)))
    console = replace(principal, actor=replace(user.actor, via=Via.CONSOLE))
    return await services.runner.run(console, "stores_delete", {"store_id": world.store_id})


async def too_often(world: World) -> Outcome:
    world.services.limits.tools.rules = TokenBucket(1, 1 / 10)
    await world.owner.call("stores_list")
    return await world.owner.call("stores_list")


async def with_a_database_that_another_program_holds(world: World) -> Outcome:
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY

    async def refuse(*_: Any) -> None:
        raise locked

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.services.signals, "publish", refuse)  # inside of the write
        return await world.owner.call("stores_use_store", {"identifier": world.store_id})


async def with_a_fault_of_ours(world: World) -> Outcome:
    principal = await world.owner.principal()
    return await world.services.runner.run(replace(principal, account=None), "stores_list", {})  # type: ignore[arg-type]


async def twice(world: World) -> Outcome:
    order = {**MINIMAL_ORDER, "source_id": "W-1"}
    await world.owner.get("orders_create", order_data=order)
    return await world.owner.call("orders_create", {"order_data": order})


async def after_somebody_else(world: World) -> Outcome:
    return await world.owner.call(
        "orders_update",
        {
            "order_id": FIRST_ORDER,
            "changes": {"email": "new@example.com"},
            "expected_date_updated": "2020-01-01 00:00:00",
        },
    )


async def with_a_lock_that_was_lost(world: World) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderdesk_app.orderdesk.locks.Lock.still_held", lambda _: False)
        return await UPDATE(world)


UPDATE = asking("orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"})
GET = asking("orders_get", order_id=FIRST_ORDER)
MET: list[tuple[type[OrderDeskAgentsError], Meeting]] = [
    (errors.ValidationFailed, asking("orders_get", order_id="abc")),
    (errors.UnknownTool, asking("orders_fetch")),
    (errors.AuthFailed, lambda world: world.services.runner.run(None, "stores_list", {})),
    (errors.SignInFailed, asking("tenant_use_master_key", master_key="x" * 64)),
    (errors.StoreKeyRefused, asking("stores_register", store_id="10005", api_key="wrong")),
    (errors.PermissionDenied, with_few_scopes),
    (errors.ReauthenticationRequired, with_an_old_sign_in),
    (errors.NotFound, asking("orders_get", order_id="99")),
    (errors.Conflict, twice),
    (errors.RateLimited, too_often),
    (errors.RateLimited, after("rate_limited", GET, times=9)),
    (errors.UpstreamFailed, after("error_in_200", GET, message="The moon is in the wrong house")),
    (errors.UpstreamUnreachable, after("dropped", GET, times=9)),
    (errors.UpstreamUnreachable, after("bad_gateway", GET, times=9)),
    (errors.UpstreamUnreachable, after("broken_json", GET, times=9)),
    (
        errors.OutcomeUnknown,
        lambda world: after(
            "dropped",
            after("dropped", UPDATE, method="PUT", effect="done"),
            method="GET",
            skip=1,
            times=99,
        )(world),
    ),
    (errors.VersionConflict, after_somebody_else),
    (errors.LockLost, with_a_lock_that_was_lost),
    (errors.DatabaseBusy, with_a_database_that_another_program_holds),
    (errors.Unexpected, with_a_fault_of_ours),
]
AT_OTHER_ENTRY_POINTS = {
    OrderDeskAgentsError: "the root, never raised itself",
    errors.InternalError: "what they have in common, never raised itself",
    errors.BodyTooLarge: "test_a_body_that_is_too_large_is_refused",
    errors.BodyTooSlow: "test_a_form_that_comes_in_drops_is_not_waited_for, of tests/web",
    errors.BodyEncoded: "test_a_packed_form_is_refused_and_not_unpacked, of tests/web",
    errors.WeakKey: "test_a_weak_key_is_refused_in_words, of tests/services",
    errors.ReplacedKey: "test_a_replaced_master_key_works_for_agents_and_proves_nobody",
    errors.LinkExpired: "test_an_expired_link_says_so",
    errors.LinkUsed: "test_a_used_link_says_so",
    errors.StorageFailed: "test_on_a_full_disk_no_call_says_that_something_may_have_been_written",
}


@pytest.mark.parametrize(
    ("kind", "meeting"),
    MET,
    ids=[f"{number}-{kind.__name__}" for number, (kind, _) in enumerate(MET)],
)
async def test_an_error_is_met_as_a_result_that_says_what_to_do(
    world: World, kind: type[OrderDeskAgentsError], meeting: Meeting
) -> None:
    outcome = await meeting(world)

    assert outcome.error is not None
    assert type(outcome.error) is kind, f"{type(outcome.error).__name__}: {outcome.error.message}"
    told = call_tool_result(outcome)
    text = told.content[0].text  # type: ignore[union-attr]
    assert told.is_error is True
    assert text.startswith(f"{kind.code}: ")
    assert (
        len(text.split(". ")) >= 2
        or ":" in text.split(": ", 1)[1]
        or kind is errors.ValidationFailed
    ), f"it says what to do next: {text}"
    assert text.rstrip().endswith((".", ")", "”"))
    assert not re.search(
        r"Traceback|Error\(|httpx|psycopg|sqlalchemy|pydantic|0x[0-9a-f]{6}|<html|\.py\b|site-packages",
        text,
        re.IGNORECASE,
    )
    about = told.meta["orderdesk/error"]  # type: ignore[index]
    assert about["code"] == kind.code
    assert {"code", "field", "retry_after", "outcome"} <= set(about)


def test_every_class_is_met() -> None:
    met = {kind.__name__ for kind in [*(kind for kind, _ in MET), *AT_OTHER_ENTRY_POINTS]}

    assert {kind.__name__ for kind in every_class()} == met, (
        "say in MET how a user meets it, or name its test in AT_OTHER_ENTRY_POINTS"
    )


def test_every_code_has_words_for_people_and_stands_in_the_readme() -> None:
    page = (Path(errors.__file__).parents[1] / "README.md").read_text(encoding="utf-8")

    assert {kind.code for kind in every_class()} == CODES, "name it in CODES"
    assert [code for code in CODES if outcome_label(code) == code] == [], (
        "name it in _OUTCOMES in states/activity_text.py"
    )
    assert [code for code in CODES if f"`{code}`" not in page] == []


@pytest.mark.parametrize(
    "kind",
    [kind for kind in every_class() if kind is not OrderDeskAgentsError],
    ids=lambda kind: kind.__name__,
)
def test_every_class_has_a_public_code_a_status_and_its_line_in_the_tree(
    kind: type[OrderDeskAgentsError],
) -> None:
    assert kind.code in CODES
    assert 400 <= kind.http_status < 600
    lines = [
        line
        for line in (errors.__doc__ or "").splitlines()
        if re.search(rf"\b{kind.__name__}\b", line)
    ]
    assert len(lines) == 1, f"draw {kind.__name__} in the tree at the head of errors.py"
    assert kind.code in lines[0]
    assert str(kind.http_status) in lines[0]


def test_no_error_is_raised_that_the_tree_does_not_know() -> None:
    """What rises to a user is ours; a `raise Exception` or a library's class would come out as a
    fault of ours.
    """
    for path in Path(errors.__file__).parent.glob("tools/**/*.py"):
        raised = set(re.findall(r"raise ([A-Z]\w+)", path.read_text(encoding="utf-8")))
        assert raised <= {kind.__name__ for kind in every_class()} | {"ValueError"}, path.name


OURS = every_class(errors.InternalError)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_a_fault_of_ours_is_no_failure_of_order_desk(kind: type[OrderDeskAgentsError]) -> None:
    assert not issubclass(kind, errors.UpstreamFailed)
    assert kind.code == "INTERNAL_ERROR"
    assert kind.http_status in (500, 503)


def test_only_what_order_desk_did_has_its_code() -> None:
    has_it = {kind for kind in every_class() if kind.code == "ORDERDESK_API_ERROR"}

    assert has_it == set(every_class(errors.UpstreamFailed))


@pytest.mark.parametrize(
    "meeting", [with_a_database_that_another_program_holds, with_a_fault_of_ours]
)
async def test_an_agent_never_reads_of_order_desk_where_the_fault_is_ours(
    world: World, meeting: Meeting
) -> None:
    told = call_tool_result(await meeting(world))

    text = told.content[0].text  # type: ignore[union-attr]
    assert text.startswith("INTERNAL_ERROR: ")
    assert "Order Desk" not in text
    assert told.meta["orderdesk/error"]["code"] == "INTERNAL_ERROR"  # type: ignore[index]


@pytest.mark.parametrize(
    "meeting",
    [
        with_a_database_that_another_program_holds,
        with_a_fault_of_ours,
        with_a_lock_that_was_lost,
    ],
)
async def test_a_fault_of_ours_turns_no_store_red(world: World, meeting: Meeting) -> None:
    error = (await meeting(world)).error

    assert error is not None
    assert not is_store_at_fault(error.code)
    assert "Order Desk" not in outcome_label(error.code)
    assert outcome_label(error.code) != error.code


def test_an_error_is_reworded_without_losing_what_is_known() -> None:
    known = errors.UpstreamUnreachable(
        "No answer.",
        field="order_id",
        retry_after=3,
        outcome="unknown",
        fault=errors.Fault.TIMED_OUT,
        status=504,
        said="Busy",
        details={"upstream_status": 504},
    )

    said = known.reworded("Half done.", outcome="partly_done", details={"changed": ["email"]})

    assert type(said) is errors.UpstreamUnreachable
    assert (str(said), said.message, said.outcome) == ("Half done.", "Half done.", "partly_done")
    assert (said.field, said.retry_after) == ("order_id", 3)
    assert (said.fault, said.status, said.said) == (errors.Fault.TIMED_OUT, 504, "Busy")
    assert said.details == {"upstream_status": 504, "changed": ["email"]}
    assert (known.message, known.outcome) == ("No answer.", "unknown")
    assert known.details == {"upstream_status": 504}


def test_a_reworded_error_of_every_class_keeps_its_class() -> None:
    moved = errors.VersionConflict("Moved.", order={"id": "1"}, found="b", expected="a")

    said = moved.reworded("Moved on.", details={"order": {}})

    assert type(said) is errors.VersionConflict
    assert (said.order, said.found, said.expected) == ({"id": "1"}, "b", "a")
    for kind in set(every_class()) - {errors.VersionConflict}:
        assert type(kind("Once.").reworded("Again.")) is kind


async def test_what_order_desk_said_and_how_is_known_by_attributes(world: World) -> None:
    refused = await after("error_in_200", GET, message="The moon is in the wrong house")(world)
    silent = await after("bad_gateway", GET, times=9)(world)

    assert refused.error is not None
    assert (refused.error.fault, refused.error.status) == (errors.Fault.SAID_NO, 200)
    assert refused.error.said == "The moon is in the wrong house"
    assert silent.error is not None
    assert (silent.error.fault, silent.error.status) == (errors.Fault.SERVER_ERROR, 502)


def test_nothing_decides_by_an_errors_details_or_cause() -> None:
    """`details` are for clients, `__cause__` is for tracebacks; attributes are for us."""
    found = []
    for path in sorted(Path(errors.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            reads = (
                (isinstance(node, ast.Attribute) and node.attr == "__cause__")
                or (
                    isinstance(node, ast.Subscript)
                    and isinstance(node.ctx, ast.Load)
                    and _is_details(node.value)
                )
                or (isinstance(node, ast.Attribute) and _is_details(node.value))
                or (
                    isinstance(node, ast.Compare)
                    and any(_is_details(part) for part in (node.left, *node.comparators))
                )
            )
            if reads:
                found.append(f"{path.name}:{getattr(node, 'lineno', 0)}")

    assert found == []


def _is_details(node: ast.expr) -> bool:
    """Whether this is `something.details`."""
    return isinstance(node, ast.Attribute) and node.attr == "details" and not _is_html(node.value)


def _is_html(node: ast.expr) -> bool:
    """`rx.el.details` is an element of a page."""
    return isinstance(node, ast.Attribute) and node.attr == "el"


async def test_a_rate_limit_says_when_to_come_back(world: World) -> None:
    outcome = await too_often(world)

    assert outcome.error is not None
    assert outcome.error.retry_after is not None
    assert 0 < outcome.error.retry_after < 60
    assert outcome.error.outcome == "not_done"


async def test_order_desks_own_sentence_is_told_and_its_page_is_not(world: World) -> None:
    said = await after("error_in_200", GET, message="The moon is in the wrong house")(world)
    page = await after("bad_gateway", GET, times=9)(world)

    assert said.error is not None
    assert "The moon is in the wrong house" in said.error.message
    assert page.error is not None
    assert "<" not in page.error.message


async def test_an_unknown_outcome_tells_to_read_before_repeating(world: World) -> None:
    outcome = await next(meeting for kind, meeting in MET if kind is errors.OutcomeUnknown)(world)

    assert outcome.error is not None
    assert outcome.error.outcome == "unknown"
    assert "orders_get" in outcome.error.message
    assert outcome.error.details["change_id"]


@pytest.fixture
async def plain(sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings_for(sqlite_url, ENABLE_WEBUI="false"))
    async with (
        living(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8080"
        ) as http,
    ):
        yield http


async def test_a_body_that_is_too_large_is_refused(
    plain: httpx.AsyncClient, sqlite_url: str
) -> None:
    async with open_world(settings_for(sqlite_url), None) as world:
        key = world.owner.key.reveal()

        answered = await plain.post(
            "/mcp",
            content=b"[" + b" " * (4 * 1024 * 1024),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )

    assert answered.status_code == errors.BodyTooLarge.http_status == 413


async def test_a_used_link_says_so(world: World) -> None:
    sign_in = world.services.sign_in
    link = await sign_in.make_link((await world.owner.principal()).actor.tenant_id)
    await sign_in.use_link(link.reveal(), address="203.0.113.1", user_agent="tests")

    with pytest.raises(errors.LinkUsed, match="each works once"):
        await sign_in.use_link(link.reveal(), address="203.0.113.1", user_agent="tests")


async def test_an_expired_link_says_so(world: World) -> None:
    services = world.services
    link = await services.sign_in.make_link((await world.owner.principal()).actor.tenant_id)
    later = SignIn(
        services.database,
        MagicLinks(services.keyring, services.sealer, clock=lambda: now() + timedelta(minutes=15)),
        services.keys,
        services.sessions,
        limit=services.limits.sign_in,
        sign_ins=services.limits.sign_ins,
    )

    with pytest.raises(errors.LinkExpired, match="15 minutes"):
        await later.use_link(link.reveal(), address="203.0.113.1", user_agent="tests")
