"""An Order Desk that answers less than there is, writes otherwise than it is told, or refuses in
words of its own: nothing is done twice, and the truth is told.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.db.engine import Database
from orderdesk_app.demo.app import SandboxApp
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    OrderDeskAgentsError,
    StoreKeyRefused,
    UpstreamFailed,
    ValidationFailed,
    VersionConflict,
)
from orderdesk_app.orderdesk import json_text
from tests.services.conftest import A_NEW_ORDER, OrderWorld, a_process, connect, sandbox

ONE = "100000001"
Body = dict[str, Any]
Rule = Callable[[str, str, Body], Body | None]


class RewritingProxy:
    """A proxy in front of the sandbox that rewrites requests and answers. A rule that returns None
    changes nothing.
    """

    def __init__(self, app: SandboxApp) -> None:
        self.app = app
        self.rewrite_request: Rule = lambda method, path, body: None
        self.rewrite_answer: Rule = lambda method, path, body: None
        # answers a request that then does not reach the sandbox
        self.answer_instead: Callable[[str, str], tuple[int, Body] | None] = lambda method, path: (
            None
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"].partition("/api/v2")[2]
        heard = b""
        while True:
            message = await receive()
            heard += message.get("body", b"")
            if not message.get("more_body"):
                break
        instead = self.answer_instead(method, path)
        if instead is not None:
            status, said = instead
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [(b"content-type", b"application/json")],
                }
            )
            return await send({"type": "http.response.body", "body": json.dumps(said).encode()})
        rewritten = self.rewrite_request(method, path, json.loads(heard)) if heard else None
        body = heard if rewritten is None else json.dumps(rewritten).encode()
        parts: list[Message] = []

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(part: Message) -> None:
            parts.append(part)

        headers = [
            (name, str(len(body)).encode() if name == b"content-length" else value)
            for name, value in scope["headers"]
        ]
        await self.app({**scope, "headers": headers}, again, keep)
        said_bytes = b"".join(part.get("body", b"") for part in parts)
        other = self.rewrite_answer(method, path, json.loads(said_bytes))
        if other is not None:
            said_bytes = json.dumps(other).encode()
        kept = [(name, value) for name, value in parts[0]["headers"] if name != b"content-length"]
        await send({**parts[0], "headers": kept})
        await send({"type": "http.response.body", "body": said_bytes})


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One engine is enough: the tests are about Order Desk's answers."""
    return sqlite_url


@pytest.fixture
def proxy() -> RewritingProxy:
    return RewritingProxy(sandbox())


@pytest.fixture
async def world(
    proxy: RewritingProxy,
    sqlite_url: str,
    data_dir: Any,
    database: Database,
    keyring: Any,
    tenant: Any,
) -> OrderWorld:
    return await a_process(
        database, keyring, tenant.actor, await connect(database, tenant.actor), proxy, repeats=5
    )  # type: ignore[arg-type]  # stands in for it


def on(method: str, change: Callable[[Body], Body | None]) -> Rule:
    return lambda asked, path, body: change(body) if asked == method else None


async def refused(write: Any) -> OrderDeskAgentsError:
    with pytest.raises(OrderDeskAgentsError) as error:
        await write
    return error.value


# ------------------------------------------------------------------ answers that tell less than the

SHORT_ANSWERS: dict[str, Callable[[Body], Body]] = {
    "its id alone": lambda said: {"status": "success", "order": {"id": said["order"]["id"]}},
    "no items": lambda said: {
        **said,
        "order": {name: value for name, value in said["order"].items() if name != "order_items"},
    },
    "no notes and no addresses": lambda said: {
        "status": "success",
        "order": {name: said["order"][name] for name in ("id", "email", "order_items")},
    },
}


@pytest.mark.parametrize("answer", [*SHORT_ANSWERS, "the order as it was"])
async def test_an_update_whose_answer_tells_less_is_done_once(
    world: OrderWorld, proxy: RewritingProxy, answer: str
) -> None:
    before = await world.upstream()
    proxy.rewrite_answer = on(
        "PUT", SHORT_ANSWERS.get(answer, lambda said: {**said, "order": before})
    )

    written = await world.update(
        {
            "email": "new@example.com",
            "order_items": [{"name": "Cup", "code": "CUP", "price": 3.5}],
            "order_notes": ["Once"],
        }
    )

    order = await world.upstream()
    assert sorted(written.changed) == ["email", "order_items[+1]", "order_notes"]
    assert json_text.dumps(written.order["order_items"]) == json_text.dumps(order["order_items"])
    assert [item["code"] for item in order["order_items"]].count("CUP") == 1
    assert [note["content"] for note in order["order_notes"]].count("Once") == 1
    assert len(world.requests("PUT")) == 1
    assert [row.state for row in await world.rows()] == ["done"]


async def test_a_create_whose_answer_is_an_id_shows_the_order_as_it_stands(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    proxy.rewrite_answer = on(
        "POST", lambda said: {"status": "success", "order": {"id": int(said["order"]["id"])}}
    )

    written = await world.create(A_NEW_ORDER)

    assert written.differing == ()
    assert written.order["shipping"]["first_name"] == "Ada"
    assert len(await world.upstream_ids()) == 501


# ------------------------------------------------------------------ words that Order Desk writes in


def rewritten_note(body: Body) -> Body:
    return {
        **body,
        "order_notes": [
            {**note, "content": note["content"].replace("&", "&amp;")}
            for note in body["order_notes"]
        ],
    }


async def test_a_note_in_other_signs_is_added_once(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    count = len((await world.upstream())["order_notes"])
    proxy.rewrite_request = on("PUT", rewritten_note)

    error = await refused(
        world.update({"order_notes": ["Cups & mugs"], "email": "new@example.com"})
    )

    assert len((await world.upstream())["order_notes"]) == count + 1
    assert (error.outcome, error.details["changed"], error.details["differing"]) == (
        "partly_done",
        ["email"],
        ["order_notes"],
    )


async def test_a_field_in_other_words_is_sent_twice_at_most_and_is_no_undone_change(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    proxy.rewrite_request = on(
        "PUT",
        lambda body: {
            **body,
            "shipping": {
                **body["shipping"],
                "country": {"DE": "Germany"}.get(body["shipping"]["country"], "Norway"),
            },
        },
    )

    error = await refused(world.update({"shipping": {"country": "DE"}, "email": "new@example.com"}))

    assert (await world.upstream())["shipping"]["country"] == "Germany"
    assert (error.outcome, error.details["changed"], error.details["differing"]) == (
        "partly_done",
        ["email"],
        ["shipping.country"],
    )
    assert len(world.requests("PUT")) <= 2
    [row] = await world.rows()
    assert (row.state, row.paths) == ("done", ["email", "shipping.country"])


@pytest.mark.parametrize("other", [{"quantity": 1}, {"price": 3.33}, {"name": "", "code": ""}])
async def test_a_new_item_that_is_written_otherwise_is_no_success_and_stands_once(
    world: OrderWorld, proxy: RewritingProxy, other: Body
) -> None:
    count = len((await world.upstream())["order_items"])

    def twist(body: Body) -> Body:
        return {
            **body,
            "order_items": [
                item if item.get("id") else {**item, **other} for item in body["order_items"]
            ],
        }

    proxy.rewrite_request = on("PUT", twist)

    error = await refused(
        world.update(
            {"order_items": [{"name": "Cup", "code": "CUP", "price": 3.333, "quantity": 5}]}
        )
    )

    assert (error.outcome, error.details["differing"]) == ("partly_done", ["order_items[+1]"])
    assert len((await world.upstream())["order_items"]) == count + 1


async def test_a_second_new_item_keeps_its_name_when_the_first_came_through(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    def forget_the_second(body: Body) -> Body:
        fresh = [item for item in body["order_items"] if not item.get("id")]
        return {
            **body,
            "order_items": [
                item
                for item in body["order_items"]
                if item is not (fresh[1] if len(fresh) > 1 else None)
            ],
        }

    proxy.rewrite_request = on("PUT", forget_the_second)

    written = await world.update(
        {"order_items": [{"name": "A", "code": "A-1"}, {"name": "B", "code": "B-1"}]}
    )

    codes = [item["code"] for item in (await world.upstream())["order_items"]]
    assert written.changed == ("order_items[+1]", "order_items[+2]")
    assert (codes.count("A-1"), codes.count("B-1"), len(world.requests("PUT"))) == (1, 1, 2)


async def test_lists_that_php_wrote_as_maps_lose_nothing(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    before = await world.upstream()

    def as_maps(said: Body) -> Body:
        order = said["order"]
        return {
            **said,
            "order": {
                **order,
                **{
                    name: {str(2 * at): row for at, row in enumerate(order[name])}
                    for name in ("order_items", "order_notes")
                },
            },
        }

    proxy.rewrite_answer = lambda method, path, said: (
        as_maps(said) if path == f"/orders/{ONE}" and said.get("order") else None
    )

    await world.update(
        {"order_items": [{"name": "Cup", "code": "CUP"}], "order_notes": ["Another"]}
    )

    after = await world.upstream()
    assert [item["id"] for item in after["order_items"]][:-1] == [
        item["id"] for item in before["order_items"]
    ]
    assert [note["content"] for note in after["order_notes"]] == [
        *(note["content"] for note in before["order_notes"]),
        "Another",
    ]


async def test_a_source_id_with_spaces_around_it_is_found_again(world: OrderWorld) -> None:
    world.fault("dropped", method="POST", effect="done")

    written = await world.create({**A_NEW_ORDER, "source_id": " T1 ", "source_name": "My Shop "})

    assert (written.order["source_id"], written.order["source_name"]) == ("T1", "My Shop")
    assert len(await world.upstream_ids()) == 501


# ------------------------------------------------------------------ refusals


def refusing(
    method: str, words: str, status: int = 200
) -> Callable[[str, str], tuple[int, Body] | None]:
    return lambda asked, path: (
        (status, {"status": "error", "message": words}) if asked == method else None
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("Item not found", 200),
        ("Item not found", 400),
        ("Item not found", 404),
        ("Payment gateway: authentication required", 200),
        ("The store id of the shipping method is unknown", 400),
        ("Access denied to change shipped order", 200),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_refused_write_is_asked_once_and_told_in_order_desks_words(
    world: OrderWorld, proxy: RewritingProxy, method: str, words: str, status: int
) -> None:
    proxy.answer_instead = refusing(method, words, status)

    error = await refused(
        world.update({"email": "new@example.com"}) if method == "PUT" else world.delete()
    )

    assert type(error) is (
        NotFound if method == "DELETE" and "not found" in words else UpstreamFailed
    )
    assert error.outcome == "not_done"
    assert words in error.message or isinstance(error, NotFound)
    assert "deleted by somebody else" not in error.message
    assert [row.state for row in await world.rows()] == ["not_done"]


async def test_a_key_that_is_refused_in_a_200_is_a_refused_key_for_writes_too(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    proxy.answer_instead = lambda method, path: (
        200,
        {"status": "error", "message": "Invalid Store ID or API Key"},
    )

    for write in (
        world.create(A_NEW_ORDER),
        world.update({"email": "new@example.com"}),
        world.delete(),
    ):
        error = await refused(write)

        assert type(error) is StoreKeyRefused
        assert error.outcome in ("not_done", None)


async def test_a_change_that_was_taken_is_not_called_undone_when_the_key_is_refused_right_after(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    proxy.rewrite_answer = on("PUT", SHORT_ANSWERS["its id alone"])
    reads = iter([None])  # the read before the write
    proxy.answer_instead = lambda method, path: (
        next(reads, (401, {"status": "error", "message": "Invalid API Key"}))
        if method == "GET"
        else None
    )

    error = await refused(world.update({"email": "new@example.com"}))

    assert error.outcome == "unknown"
    assert (await world.upstream())["email"] == "new@example.com"


@pytest.mark.parametrize(
    "words",
    [
        f"Order {ONE} already exists (source id 98765432)",
        f"Duplicate order {ONE} found, added 2026-11-20 10:00:00",
        f"This order was already imported as order ID {ONE}",
        f"Order exists with ID {ONE}",
    ],
)
async def test_a_duplicate_is_a_conflict_that_names_the_order_that_exists(
    world: OrderWorld, proxy: RewritingProxy, words: str
) -> None:
    proxy.answer_instead = refusing("POST", words, 400)

    error = await refused(world.create({**A_NEW_ORDER, "source_id": "98765432"}))

    assert type(error) is Conflict
    assert error.details["order_id"] == ONE
    assert len(world.requests("POST")) == 0  # nothing reached it


@pytest.mark.parametrize(
    "words",
    ["Shipping method does not exist", "The customer doesn't exist", "Item 12 is not allowed"],
)
async def test_another_refusal_of_a_create_is_no_duplicate(
    world: OrderWorld, proxy: RewritingProxy, words: str
) -> None:
    proxy.answer_instead = refusing("POST", words, 400)

    error = await refused(world.create({**A_NEW_ORDER, "source_id": "98765432"}))

    assert type(error) is UpstreamFailed
    assert words in error.message


async def test_of_creates_with_one_source_id_at_once_one_is_done(world: OrderWorld) -> None:
    told = await asyncio.gather(
        *(world.create({**A_NEW_ORDER, "source_id": "CC-9"}) for _ in range(4)),
        return_exceptions=True,
    )

    conflicts = [error for error in told if isinstance(error, Conflict)]
    assert (len(conflicts), len(await world.upstream_ids())) == (3, 501)
    assert {error.details["order_id"] for error in conflicts} <= set(await world.upstream_ids())
    assert [row.state for row in await world.rows()] == ["done"]


async def test_a_move_that_did_not_happen_is_no_success(
    world: OrderWorld, proxy: RewritingProxy
) -> None:
    folder = (await world.upstream())["folder_id"]
    proxy.answer_instead = lambda method, path: (
        (
            200,
            {
                "status": "success",
                "results": [{"order_id": int(ONE), "message": "Order Not Moved"}],
            },
        )
        if path == "/move-orders"
        else None
    )

    error = await refused(world.update({"folder_name": "Canceled"}))

    assert error.outcome == "not_done"
    assert (await world.upstream())["folder_id"] == folder


async def test_a_repeat_minds_the_version_that_was_expected(world: OrderWorld) -> None:
    seen = (await world.upstream())["date_updated"]
    world.fault(
        "edit",
        method="GET",
        path=f"/orders/{ONE}",
        order_id=ONE,
        patch={"shipping": {"city": "Salem"}},
    )
    world.fault("server_error", method="PUT", effect="not_done")

    error = await refused(world.update({"email": "new@example.com"}, expected_date_updated=seen))

    order = await world.upstream()
    assert type(error) is VersionConflict
    assert (order["shipping"]["city"], order["email"] == "new@example.com") == ("Salem", False)


async def test_an_empty_expectation_is_refused(world: OrderWorld) -> None:
    error = await refused(world.update({"email": "new@example.com"}, expected_date_updated=""))

    assert (type(error), error.field) == (ValidationFailed, "expected_date_updated")
    assert world.requests("PUT") == []
