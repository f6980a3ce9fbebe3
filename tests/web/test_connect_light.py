"""The light of the page Connect: green on the first call of a client, whichever message that is, or
the last request that was refused and why.
"""

from datetime import timedelta

import pytest
from sqlmodel import col, desc, select, update

from orderdesk_app.context import Actor, Role, Via, now
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.oauth import OAuthToken
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.connections import Why
from orderdesk_app.services.key_check import ACTION, NOBODY
from orderdesk_app.services.limits import network_of
from orderdesk_app.token_bucket import TokenBucket
from tests.web.browser_session import BrowserSession, Tab, Web
from tests.web.colleagues import add_colleague
from tests.web.oauth_app import App
from tests.web.test_connect import call, keys_that_are_there, loading, make_key, shown
from tests.web.test_keys import block


@pytest.fixture(autouse=True)
def nobody_was_refused_lately(web: Web) -> None:
    """After ten refusals in a minute the others are counted. All tests are one network."""
    web.do(web.services.audit.stop)
    web.do(web.services.audit.start)


def looks(tab: Tab, client: str = "cursor") -> None:
    """Somebody opens the page of that client, and stays."""
    tab.send(loading(), path="/connect", query={"client": client})


def age(session: BrowserSession, **values: object) -> None:
    """Changes the row of the newest key or app of the account."""

    async def write() -> None:
        services = session.web.services
        async with services.database.write() as database:
            of_account = col(Credential.tenant_id) == session.view.id
            newest = select(Credential.id).where(of_account).order_by(desc(Credential.created_at))
            row = update(Credential).where(col(Credential.id).in_(newest.limit(1)))
            await database.exec(row.values(**values))
            await services.signals.publish(database, f"tenant:{session.view.id}")

    session.web.do(write)


def test_it_waits_for_the_client_that_is_chosen_and_names_who_called(ada: BrowserSession) -> None:
    key = block(make_key(ada, client="n8n", name="Night shift").text, "new-key")
    with ada.tab() as tab:
        tab.act("connect_state.load")
        tab.act("connect_state.choose", client="n8n")
        assert not shown(tab, "is_lit")
        assert call(ada, key, client="curl/8").status_code == 200
        tab.act("connect_state.refresh")
        assert shown(tab, "is_lit")
        assert shown(tab, "light") == "Connected: Night shift"
        call(ada, key, client="@n8n/n8n-nodes-langchain.mcpClientTool")
        tab.act("connect_state.refresh")

    assert shown(tab, "light") == "Connected: n8n"
    assert [tile["id"] for tile in shown(tab, "tiles") if tile["ago"]] == ["n8n"]
    assert shown(tab, "refused") == ""


def test_a_neighbours_call_lights_nothing_here(ada: BrowserSession, bert: BrowserSession) -> None:
    call(bert, bert.key.reveal())

    with ada.tab() as tab:
        tab.act("connect_state.load")
    assert not shown(tab, "is_lit")
    assert not any(tile["ago"] for tile in shown(tab, "tiles"))


@pytest.mark.parametrize("method", ["initialize", "server/discover", "tools/list", "tools/call"])
@pytest.mark.parametrize("kind", ["key", "app"])
def test_the_first_message_of_a_client_is_its_first_call(
    ada: BrowserSession, kind: str, method: str
) -> None:
    if kind == "key":
        key = block(make_key(ada).text, "new-key")
    else:
        app = App(ada, f"an-app-for-{method}", name="Cursor")
        key = app.connect(scope="stores:read")["access_token"]
    age(ada, created_at=now() - timedelta(days=3))  # nobody waits for it: it comes back
    params = {"clientInfo": {"name": "cursor-vscode", "version": "2.1"}}
    with ada.tab() as tab:
        looks(tab)
        assert shown(tab, "light") == "Waiting for the first call of Cursor…"

        call(ada, key, client="node", method=method, params=params)
        ada.web.do(ada.web.services.key_uses.flush)
        tab.act("connect_state.refresh")

    assert shown(tab, "is_lit")
    assert shown(tab, "light") == "Connected: Cursor"
    assert [tile["id"] for tile in shown(tab, "tiles") if tile["ago"]] == ["cursor"]
    assert shown(tab, "refused") == ""


def test_an_app_that_nobody_knows_is_waited_for_and_seen_as_a_key_is(ada: BrowserSession) -> None:
    token = App(ada, "an-app-of-nobody", name="Teapot").connect()["access_token"]
    with ada.tab() as tab:
        looks(tab, "mcp-remote")
        assert shown(tab, "light") == "Waiting for the first call with “Teapot”…"

        call(ada, token, client="node", method="initialize")
        ada.web.do(ada.web.services.key_uses.flush)
        tab.act("connect_state.refresh")

    assert shown(tab, "light") == "Connected: Teapot"


def test_a_key_that_was_made_for_another_client_lights_another_tile(ada: BrowserSession) -> None:
    key = block(make_key(ada, client="claude", name="Claude").text, "new-key")
    call(ada, key, client="node")

    with ada.tab() as tab:
        looks(tab, "chatgpt")
        assert shown(tab, "light") == "Waiting for the first call of ChatGPT…"
        tab.act("connect_state.choose", client="claude")

    assert shown(tab, "light") == "Connected: Claude"
    assert [tile["id"] for tile in shown(tab, "tiles") if tile["ago"]] == ["claude"]


def test_a_colleagues_client_is_not_taken_for_ones_own(ada: BrowserSession) -> None:
    member = add_colleague(ada, Role.MEMBER)
    key = block(make_key(member).text, "new-key")
    call(member, key, client="cursor-vscode")
    call(member, key, "no_such_tool", client="cursor-vscode")

    with ada.tab() as tab, member.tab() as theirs:
        looks(tab)
        looks(theirs)

    assert (shown(tab, "is_lit"), shown(tab, "refused")) == (False, "")
    assert not any(tile["ago"] for tile in shown(tab, "tiles"))
    assert shown(theirs, "light") == "Connected: Cursor"
    assert "that this server does not have" in shown(theirs, "refused")


def test_what_a_program_calls_itself_is_shown_as_a_name_alone(ada: BrowserSession) -> None:
    key = block(make_key(ada, client="stdio", name="stdio").text, "new-key")
    age(ada, name="")  # so that the page has no other name

    with ada.tab() as tab:
        call(ada, key, client="\x01<img src=x>\t" + "long " * 60)
        looks(tab, "stdio")

    assert shown(tab, "light").startswith("Connected: <img src=x> long long ")
    assert len(shown(tab, "light")) < 100


def test_no_app_has_our_name_in_the_light(ada: BrowserSession) -> None:
    token = App(ada, "an-app-like-ours", name="0rder Desk \u202eagents").connect()["access_token"]
    call(ada, token, "no_such_tool", client="Order Desk")
    ada.web.do(ada.web.services.key_uses.flush)

    with ada.tab() as tab:
        looks(tab, "codex")

    assert shown(tab, "light") == "Connected: An app without a name"
    assert shown(tab, "refused").startswith("“An app without a name” called a tool")


REFUSALS = {
    "unknown": "not known here",
    "address": "it ends with /mcp",
    "host": "by a host that it does not answer for",
    "origin": "A page of another site",
    "revoked": "“Cursor” was refused: this key is revoked. Make a new one.",
    "expired": "“Cursor” was refused: this key has expired. Make a new one.",
    "expired before": "“Cursor” was refused: this key has expired. Make a new one.",
    "in the address": "“Cursor” was refused. A key goes into the header Authorization",
    "scope": "its key lacks the permission for “Delete an order”. Make a key that has it.",
    "too many": "“Cursor” was refused: too many calls in a minute.",
    "tool": "“Cursor” called a tool that this server does not have.",
}
EVIL = "Call us at evil.example.com <script>"
NEVER_IN = frozenset({"unknown", "address", "host", "origin", "in the address"})


@pytest.mark.parametrize("what", REFUSALS)
def test_the_last_refused_request_and_why(
    ada: BrowserSession, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = block(make_key(ada).text, "new-key")
    with ada.tab() as tab:
        looks(tab)
        ask_for_what_is_refused(ada, key, what, monkeypatch)
        ada.web.do(ada.web.services.key_uses.flush)
        tab.act("connect_state.refresh")
        assert REFUSALS[what] in shown(tab, "refused")
        assert shown(tab, "refused_ago")
        if what in NEVER_IN or what.startswith("expired") or what == "revoked":
            assert not shown(tab, "is_lit")
        monkeypatch.undo()
        call(ada, block(make_key(ada).text, "new-key"))
        tab.act("connect_state.refresh")

    assert key not in tab.seen
    assert "example.com" not in tab.seen, "whoever has no key writes nothing onto the page"
    assert shown(tab, "is_lit")
    assert shown(tab, "refused") == ""  # it works now


def ask_for_what_is_refused(
    ada: BrowserSession, key: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers: dict[str, dict[str, str]] = {
        "host": {"host": "evil.example"},
        "origin": {"origin": "https://evil.example"},
        "in the address": {"authorization": ""},
    }
    if what == "revoked":
        [view] = [each for each in keys_that_are_there(ada) if not each.is_master]
        ada.web.do(ada.web.services.keys.revoke, ada.actor, view.id)
    elif what == "expired":
        assert call(ada, key).status_code == 200
    if what.startswith("expired"):
        age(ada, expires_at=now())
    elif what == "too many":
        monkeypatch.setattr(ada.web.services.limits.tools, "caller_rules", TokenBucket(0.5, 0.001))
    tool = {"scope": "orders_delete", "tool": "<b>no such tool</b>"}.get(what, "stores_list")
    answer = call(
        ada,
        key[:-1] + "~" if what == "unknown" else key,
        tool,
        path={"address": "/mpc", "in the address": f"/mcp?token={key}"}.get(what, "/mcp"),
        client=EVIL,
        headers=headers.get(what, {}),
        order_id="1",
    )
    expected = {"address": 404, "host": 421, "origin": 403}
    is_told_by_tool = what in ("scope", "too many", "tool")
    assert answer.status_code == expected.get(what, 200 if is_told_by_tool else 401)


def test_an_app_that_is_disconnected_or_lacks_a_permission_is_connected_once_more(
    ada: BrowserSession,
) -> None:
    token = App(ada, "an-app-to-cut-off", name="Cursor").connect()["access_token"]
    refused = []
    with ada.tab() as tab:
        looks(tab)
        assert call(ada, token, "orders_delete", order_id="1").status_code == 403
        tab.act("connect_state.refresh")
        refused.append(shown(tab, "refused"))
        [app] = ada.web.do(ada.web.services.connected_apps.list, ada.actor)
        ada.web.do(ada.web.services.connected_apps.disconnect, ada.actor, app.id)
        assert call(ada, token).status_code == 401
        tab.act("connect_state.refresh")
        refused.append(shown(tab, "refused"))

    assert refused == [
        "“Cursor” was refused: it lacks the permission for “Delete an order”. Connect it once more "
        "and allow it.",
        "“Cursor” was refused: this app is disconnected. Connect it once more.",
    ]
    assert not shown(tab, "is_lit")


def test_the_token_of_an_app_that_is_due_for_a_new_one_is_no_refusal(ada: BrowserSession) -> None:
    token = App(ada, "an-app-that-renews", name="Cursor").connect()["access_token"]

    async def expire() -> None:
        async with ada.web.services.database.write() as session:
            await session.exec(update(OAuthToken).values(access_expires_at=now()))

    ada.web.do(expire)
    assert call(ada, token).status_code == 401
    assert call(ada, token).status_code == 401
    with ada.tab() as tab:
        looks(tab)

    assert shown(tab, "refused") == ""


def test_refusals_of_a_neighbour_and_of_another_network_are_not_shown(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    services = ada.web.services
    view, key = ada.web.do(services.keys.create, bert.actor, "Bert's secret plan")
    ada.web.do(services.keys.revoke, bert.actor, view.id)
    assert call(ada, key.reveal()).status_code == 401
    stranger = Actor(NOBODY, via=Via.MCP, address="203.0.113.9")
    entry = Entry(actor=stranger, action=ACTION, outcome="AUTH_ERROR")
    services.audit.refuse_key(entry, network_of(stranger.address))
    for why in (Why.WRONG_ADDRESS, Why.WRONG_HOST, Why.FOREIGN_PAGE):
        services.connections.note_refused(why, "203.0.113.9")

    refused = []
    for session in (ada, bert):
        with session.tab() as tab:
            tab.act("connect_state.load")
        refused.append(shown(tab, "refused"))

    assert refused == [
        "",
        "“Bert's secret plan” was refused: this key is revoked. Make a new one.",
    ]
