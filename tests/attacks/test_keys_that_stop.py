"""A key that stops or is narrowed while it is in use: the request is let in with the key as it was,
its body arrives slowly, and meanwhile the key is revoked, expires, or loses permissions or a store.
And a key of one store that asks for another.

Guards: a request asks again who its caller is when the tool begins (HttpCaller.principal); and
stores that a key does not reach are not in the account of its principal (Account.reached_by).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from orderdesk_app.context import ALL_SCOPES, Secret, now
from orderdesk_app.db.keys import Credential
from orderdesk_app.mcp.endpoint import HttpCaller
from orderdesk_app.services.access import Account, Principal
from orderdesk_app.services.key_choices import KeyChoice
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.attacks.test_tools_as_everybody import arguments_of
from tests.web.browser_session import BrowserSession

REFUSED = ("AUTH_ERROR", "PERMISSION_DENIED")
Act = Callable[[], Awaitable[object]]


class Held:
    """A key of the owner, and what can be done to it while a request of it is under way."""

    def __init__(self, owner: BrowserSession, **chosen: Any) -> None:
        self.owner = owner
        self.actor = owner.actor
        self.services = owner.web.services
        key: Secret
        self.view, key = owner.web.do(
            self.services.keys.create, self.actor, "till", ALL_SCOPES, **chosen
        )
        self.key = key.reveal()

    async def revoke(self) -> None:
        await self.services.keys.revoke(self.actor, self.view.id)

    async def expire(self) -> None:
        async with self.services.database.write() as session:
            row = await session.get(Credential, self.view.id)
            assert row is not None
            row.expires_at = now() - timedelta(microseconds=1)
            session.add(row)
            await self.services.signals.publish(session, f"tenant:{self.actor.tenant_id}")

    async def narrow_to(self, tool: Tool) -> None:
        """It loses the permission for that tool."""
        left = ALL_SCOPES - {tool.scope}
        await self.services.key_changes.edit(self.actor, self.view.id, KeyChoice("till", left))

    def send(self, body: Any, meanwhile: Act | None = None) -> str:
        """What `/mcp` answers; `meanwhile` runs after the key was let in, before the body comes."""
        text: str = self.owner.web.do(self._send, json.dumps(body).encode(), meanwhile)
        return text

    async def _send(self, body: bytes, meanwhile: Act | None) -> str:
        parts = [body]
        heard: list[bytes] = []

        async def receive() -> Any:
            if not parts:
                await asyncio.Event().wait()  # the caller stays
            if meanwhile is not None:
                await meanwhile()
            return {"type": "http.request", "body": parts.pop(), "more_body": False}

        async def send(message: Any) -> None:
            heard.append(message.get("body", b""))

        headers = {
            "host": "localhost:8080",
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "accept": "application/json, text/event-stream",
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1234),
            "server": ("localhost", 8080),
            "state": {},
        }
        await self.owner.web.client.app(scope, receive, send)
        return b"".join(heard).decode()


def call(tool: Tool, number: int = 1, **arguments: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": {"name": tool.name, "arguments": {**arguments_of(tool), **arguments}},
    }


def tool_named(name: str) -> Tool:
    return next(tool for tool in every_tool() if tool.name == name)


@pytest.mark.parametrize("way", ["revoke", "expire", "narrow"])
def test_no_tool_begins_with_a_key_that_stopped_while_the_body_arrived(
    cast: Cast, way: str
) -> None:
    ran = []

    for tool in every_tool():
        held = Held(cast[OWNER])
        acts: dict[str, Act] = {
            "revoke": held.revoke,
            "expire": held.expire,
            "narrow": partial(held.narrow_to, tool),
        }
        answer = held.send(call(tool), acts[way])
        if not any(code in answer for code in REFUSED):
            ran.append(f"{tool.name}: {answer[:200]}")
        if way == "narrow":
            cast[OWNER].web.do(held.revoke)

    assert ran == []


def test_without_the_second_question_a_revoked_key_would_still_act(cast: Cast) -> None:
    async def as_it_was(caller: HttpCaller) -> Principal | None:
        return caller.signed_in

    held = Held(cast[OWNER])
    with switched_off(HttpCaller, "principal", as_it_was):
        answer = held.send(call(tool_named("stores_list")), held.revoke)

    assert not any(code in answer for code in REFUSED)


def test_the_rest_of_a_batch_is_refused_once_its_key_is_revoked(cast: Cast) -> None:
    held = Held(cast[OWNER])
    runner = held.services.runner
    run = runner.run

    async def run_and_revoke(*arguments: Any, **named: Any) -> Any:
        outcome = await run(*arguments, **named)
        await held.revoke()
        return outcome

    tool = tool_named("stores_list")
    with switched_off(runner, "run", run_and_revoke):
        first, second = json.loads(held.send([call(tool, 1), call(tool, 2)]))

    assert not first["result"].get("isError")
    assert second["result"]["content"][0]["text"].startswith("AUTH_ERROR")


def test_a_key_of_one_store_is_told_of_no_other(cast: Cast) -> None:
    owner = cast[OWNER]
    records = [owner.web.do(owner.web.services.stores.add_sandbox, owner.actor) for _ in range(2)]
    mine, other = records
    held = Held(owner, store_ids=[mine.id])
    told = []

    for tool in every_tool():
        for means in (other.id, other.store_id, other.name):
            names = {"identifier", "store_id"} & set(arguments_of(tool))
            given = dict.fromkeys(names, means)
            if tool.takes_store:
                given["store_identifier"] = means
            answer = held.send(call(tool, **given))
            is_done = bool(names) and 'isError":false' in answer
            if is_done or other.store_id in answer.replace(means, ""):
                told.append(f"{tool.name} {given}: {answer[:200]}")

    assert told == []
    with switched_off(Account, "reached_by", lambda account, _: account):
        unguarded = Held(owner, store_ids=[mine.id])
        assert other.store_id in unguarded.send(call(tool_named("stores_list")))
