"""The page Connect: tiles, a key made in the same step and shown once, and the light."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from types import MappingProxyType
from typing import Any

import pytest

from orderdesk_app.context import Role, now
from orderdesk_app.services.client_setups import CLIENTS
from tests.web.browser_session import BrowserSession, Tab, handler_named
from tests.web.colleagues import add_colleague
from tests.web.test_keys import block, keys_of


def call(
    session: BrowserSession,
    key: str,
    tool: str = "stores_list",
    *,
    client: str = "Cursor/1.0",
    path: str = "/mcp",
    method: str = "tools/call",
    headers: Mapping[str, str] = MappingProxyType({}),
    params: Mapping[str, object] = MappingProxyType({}),
    **arguments: str,
) -> Any:
    """A call of an agent with that key."""
    session.web.client.cookies.clear()
    return session.web.client.post(
        path,
        headers={
            "authorization": f"Bearer {key}",
            "accept": "application/json, text/event-stream",
            "user-agent": client,
            **headers,
        },
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": method,
            "params": {"name": tool, "arguments": arguments, **params},
        },
    )


def shown(tab: Tab, name: str) -> Any:
    return tab.vars[f"connect_state.{name}"]


def make_key(
    session: BrowserSession,
    *,
    client: str = "cursor",
    name: str = "Cursor",
    preset: str = "Read only",
    stores: str = "",
    expires: str = "90",
) -> Any:
    return session.post(
        "/connect/keys",
        client=client,
        name=name,
        preset=preset,
        stores=stores,
        expires=expires,
    )


def test_every_client_has_a_tile_and_its_own_steps(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("connect_state.load")
        assert [tile["name"] for tile in shown(tab, "tiles")] == [each.name for each in CLIENTS]
        for client in CLIENTS:
            tab.act("connect_state.choose", client=client.id)
            parts = shown(tab, "key_parts")
            assert shown(tab, "client_name") == client.name
            assert shown(tab, "view") == f"?client={client.id}"
            assert ["YOUR_KEY" in json.dumps(parts)] == [client.by_key is not None]
            # this server runs on localhost
            assert bool(shown(tab, "out_of_reach")) == bool(client.hosted)
        tab.act("connect_state.choose", client="no such client")
        assert shown(tab, "client") == CLIENTS[-1].id


def test_the_address_chooses_a_client(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.send(loading(), path="/connect", query={"client": "codex"})
        assert shown(tab, "client") == "codex"
        tab.send(loading(), path="/connect", query={"client": "<b>"})
        assert shown(tab, "client") == "codex"


@pytest.mark.parametrize("is_on", [True, False])
def test_where_there_is_oauth_it_comes_first(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch, is_on: bool
) -> None:
    if not is_on:
        monkeypatch.setattr(type(ada.web.services), "offers_oauth", property(lambda _: False))
    with ada.tab() as tab:
        tab.act("connect_state.load")
        signs_in = []
        for client in CLIENTS:
            tab.act("connect_state.choose", client=client.id)
            signs_in += [client.id] if shown(tab, "signs_in") else []
        tab.act("connect_state.choose", client="cursor")

    assert signs_in == [client.id for client in CLIENTS if is_on and client.id != "stdio"]
    assert shown(tab, "link").startswith("cursor://")


def test_a_key_is_made_in_the_same_step_and_stands_in_what_is_pasted(ada: BrowserSession) -> None:
    page = make_key(ada)

    key = block(page.text, "new-key")
    server = json.loads(block(page.text, "made-1"))["mcpServers"]["orderdesk"]
    with ada.tab() as tab:
        tab.send(loading(), path="/connect", query={"client": "cursor"})
    principal = ada.web.do(ada.web.services.access.by_token, key)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert server["headers"] == {"Authorization": f"Bearer {key}"}
    assert all(scope.endswith(":read") for scope in principal.actor.scopes)
    assert key not in tab.seen
    assert shown(tab, "light") == "Waiting for the first call with “Cursor”…"


@pytest.mark.parametrize("client", [each for each in CLIENTS if each.by_key], ids=lambda c: c.id)
def test_every_client_that_takes_a_key_gets_it_to_paste(ada: BrowserSession, client: Any) -> None:
    page = make_key(ada, client=client.id, name="A <b>")

    key = block(page.text, "new-key")
    with ada.tab() as tab:  # the same words with a place for the key, which no state holds
        tab.act("connect_state.load")
        tab.act("connect_state.choose", client=client.id)
    assert key not in tab.seen
    [*parts] = client.by_key("http://localhost:8080", key)
    for number, part in enumerate(parts, 1):
        assert block(page.text, f"made-{number}") == part.text
        assert shown(tab, "key_parts")[number - 1]["text"] == part.text.replace(key, "YOUR_KEY")
    assert "A &lt;b&gt;" in page.text
    links = [unescape(link) for link in re.findall(r'(?:href|action)="([^"]*)', page.text)]
    assert links
    assert not any(key in link for link in links)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": ""}, "name"),
        ({"preset": "All of it"}, "scopes"),
        ({"stores": "no-such-store"}, "stores"),
        ({"expires": "1000000"}, "expires"),
    ],
)
def test_a_key_that_cannot_be_made_says_why_at_the_form(
    ada: BrowserSession, form: dict[str, str], field: str
) -> None:
    answer = make_key(ada, client="codex", **form)

    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert answer.headers["location"] == "/connect?client=codex"
    assert tab.vars["signed_in_state.problem_form"] == "connect"
    assert tab.vars["signed_in_state.problem_field"] == field
    assert keys_of(ada) == []


def test_a_key_is_for_chosen_stores_and_ends_when_it_was_said(ada: BrowserSession) -> None:
    services = ada.web.services
    first = ada.web.do(services.stores.add_sandbox, ada.actor)
    second = ada.web.do(services.stores.add_sandbox, ada.actor)

    key = block(make_key(ada, stores=first.id).text, "new-key")
    make_key(ada, name="All", expires="")

    answer = call(ada, key).json()["result"]["structuredContent"]
    lasting, chosen = [each for each in keys_that_are_there(ada) if not each.is_master]
    assert second.id != first.id
    assert [store["store_id"] for store in answer["stores"]] == [first.store_id]
    assert chosen.store_ids == (first.id,)
    assert timedelta(days=89) < chosen.expires_at - now() < timedelta(days=91)
    assert (lasting.store_ids, lasting.expires_at) == (None, None)


def test_a_key_needs_a_recent_proof_and_one_form_makes_one_key(ada: BrowserSession) -> None:
    form = {
        "form_token": ada.form_token(),
        "client": "cursor",
        "name": "One",
        "preset": "Read only",
    }
    first, again = ada.send("/connect/keys", form), ada.send("/connect/keys", form)
    ada.grow_old()
    late = make_key(ada)

    assert first.status_code == 200
    assert again.headers["location"] == "/connect?client=cursor"
    assert late.headers["location"].startswith("/confirm?next=%2Fconnect")
    assert keys_of(ada) == ["One"]


def test_a_viewer_sees_the_page_and_makes_no_key_and_a_member_gives_no_more_than_they_may(
    ada: BrowserSession,
) -> None:
    viewer = add_colleague(ada, Role.VIEWER)
    member = add_colleague(ada, Role.MEMBER)

    refused = make_key(viewer)
    made = make_key(member, preset="Everything")

    assert refused.status_code == 403
    assert "Only owners and members" in unescape(refused.text)
    key = ada.web.do(ada.web.services.access.by_token, block(made.text, "new-key"))
    assert key.actor.scopes == member.actor.scopes
    with viewer.tab() as tab:
        tab.act("connect_state.load")
    assert len(shown(tab, "tiles")) == len(CLIENTS)


def keys_that_are_there(session: BrowserSession) -> Any:
    return session.web.do(session.web.services.keys.list, session.actor)


def loading() -> str:
    return handler_named("connect_state.load")
