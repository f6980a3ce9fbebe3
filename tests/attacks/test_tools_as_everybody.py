"""Every tool, called raw at `/mcp` with a key of everybody: a key may never do more than the role
that its user has now, whatever it was made with.

Guards: the scopes of the role narrow those of the key; and rows of an account are found by its own
key alone.
"""

import json
from typing import Any

import pytest

from orderdesk_app.context import ALL_SCOPES, Role, Secret
from orderdesk_app.services import key_views, roles
from orderdesk_app.services.roles import Permission, scopes_of
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.attacks.cast import MARK, NEIGHBOUR, OWNER, Belongings, Cast, switched_off
from tests.web.browser_session import Web
from tests.web.colleagues import add_colleague, set_role


def call(web: Web, key: Secret | None, tool: Tool, arguments: dict[str, Any]) -> Any:
    """What `/mcp` answers to that key."""
    return ask(web, key, "tools/call", {"name": tool.name, "arguments": arguments})


def ask(web: Web, key: Secret | None, method: str, params: dict[str, Any]) -> Any:
    headers = {"accept": "application/json, text/event-stream"}
    if key is not None:
        headers["authorization"] = f"Bearer {key.reveal()}"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    web.client.cookies.clear()
    return web.client.post("/mcp", json=body, headers=headers)


def arguments_of(tool: Tool) -> dict[str, Any]:
    arguments: dict[str, Any] = tool.example.model_dump(mode="json", exclude_unset=True)
    return arguments


@pytest.fixture(scope="module")
def keys(cast: Cast) -> dict[Role, Secret]:
    """A key of somebody of each role."""
    return {role: key_of_somebody(cast, role) for role in Role}


def key_of_somebody(cast: Cast, role: Role) -> Secret:
    """A key with every scope, made by an owner who has that role now."""
    web = cast.web
    somebody = add_colleague(cast[OWNER], Role.OWNER)
    _, key = web.do(web.services.keys.create, somebody.actor, f"Of a {role}", ALL_SCOPES)
    set_role(cast[OWNER], somebody.user_id, role)
    made: Secret = key
    return made


@pytest.mark.parametrize("role", Role)
def test_a_tool_runs_for_the_roles_that_may(
    cast: Cast, keys: dict[Role, Secret], role: Role
) -> None:
    wrong = []

    for tool in every_tool():
        answer = call(cast.web, keys[role], tool, arguments_of(tool))
        if ("PERMISSION_DENIED" in answer.text) == (tool.scope in scopes_of(role)):
            wrong.append(f"{tool.name}: {answer.text[:200]}")

    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_a_key_is_shown_the_tools_that_it_may_run(
    cast: Cast, keys: dict[Role, Secret], role: Role
) -> None:
    listed = ask(cast.web, keys[role], "tools/list", {}).json()["result"]["tools"]

    assert {tool["name"] for tool in listed} == {
        tool.name for tool in every_tool() if tool.scope in scopes_of(role)
    }


def test_without_the_table_of_roles_a_viewers_key_would_write(cast: Cast) -> None:
    [tool] = [each for each in every_tool() if each.name == "orders_create"]

    with (
        switched_off(key_views, "scopes_of", lambda _: ALL_SCOPES),
        switched_off(roles, "scopes_of", lambda _: ALL_SCOPES),
        switched_off(roles, "permissions_of", lambda _: frozenset(Permission)),
    ):
        key = key_of_somebody(cast, Role.VIEWER)
        answer = call(cast.web, key, tool, arguments_of(tool))

    assert "PERMISSION_DENIED" not in answer.text


def test_without_a_key_no_tool_is_run_and_none_is_listed(cast: Cast) -> None:
    for key in (None, Secret("x" * 64), Secret("odk_" + "x" * 43)):
        for tool in every_tool():
            assert call(cast.web, key, tool, arguments_of(tool)).status_code == 401
        assert ask(cast.web, key, "tools/list", {}).status_code == 401


def test_no_tool_shows_or_changes_anything_of_a_neighbour(cast: Cast, theirs: Belongings) -> None:
    owner = cast[OWNER]
    before = theirs.rows()
    shown = []

    for tool in every_tool():
        for identity in theirs.ids:
            given = {name: identity for name, value in arguments_of(tool).items() if is_text(value)}
            arguments = {**arguments_of(tool), **given}
            if tool.takes_store:
                arguments["store_identifier"] = identity
            if MARK in call(cast.web, owner.key, tool, arguments).text:
                shown.append(f"{tool.name} {json.dumps(given)}")

    assert shown == []
    assert theirs.rows() == before


def is_text(value: object) -> bool:
    return isinstance(value, str)


def test_with_the_key_of_the_neighbour_it_would_be_seen(cast: Cast, theirs: Belongings) -> None:
    """What the walk looks for does stand in an answer that is not guarded."""
    key = cast[NEIGHBOUR].key
    [tool] = [each for each in every_tool() if each.name == "stores_list"]

    assert MARK in call(cast.web, key, tool, {}).text
