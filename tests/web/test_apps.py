"""Connected apps: who sees them, how they are narrowed, and that a disconnected one has ended."""

import itertools
import json
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from orderdesk_app.context import Role, Scope, new_id, now
from orderdesk_app.db.credential_days import CallsOfKey, write_calls_of_keys
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.oauth import OAuthCode, OAuthToken
from tests.web.browser_session import BrowserSession
from tests.web.colleagues import Colleague, add_colleague, join
from tests.web.oauth_app import App, ask

_NUMBERS = itertools.count(1)
ASKED = (Scope.ORDERS_READ, Scope.ORDERS_WRITE, Scope.PRODUCTS_READ)


def connect_app(
    who: BrowserSession,
    name: str = "Claude",
    *,
    scopes: Sequence[Scope] = ASKED,
    store_ids: list[str] | None = None,
) -> str:
    """An app with tokens, as an exchange leaves it; returns the id of its row."""
    actor, services = who.actor, who.web.services
    assert actor.user_id is not None
    client_id = f"client-{next(_NUMBERS)}"
    app = Credential(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        kind="app",
        name=name,
        digest=secrets.token_bytes(32),
        hint="",
        scopes=[scope.value for scope in scopes],
        store_ids=store_ids,
        client_id=client_id,
    )
    token = OAuthToken(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        credential_id=app.id,
        family_id=new_id(),
        client_id=client_id,
        redirect_uri="https://claude.example/callback",
        access_digest=secrets.token_bytes(32),
        refresh_digest=secrets.token_bytes(32),
        access_expires_at=now() + timedelta(hours=1),
        refresh_expires_at=now() + timedelta(days=90),
    )
    code = OAuthCode(
        digest=secrets.token_bytes(32),
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        client_id=client_id,
        redirect_uri=token.redirect_uri,
        has_redirect_uri=True,
        code_challenge="x" * 43,
        expires_at=now() + timedelta(minutes=1),
    )
    app_id = app.id

    async def add() -> None:
        async with services.database.write() as session:
            session.add(app)
            await session.flush()
            session.add(token)
            session.add(code)

    who.web.do(add)
    return app_id


def row_of(who: BrowserSession, app_id: str) -> Credential:
    async def read() -> Credential:
        async with who.web.services.database.read() as session:
            row = await session.get(Credential, app_id)
            assert row is not None
            return row

    row: Credential = who.web.do(read)
    return row


def shown(who: BrowserSession) -> list[dict[str, Any]]:
    with who.tab() as tab:
        tab.act("apps_state.load")
        found: list[dict[str, Any]] = tab.vars["apps_state.apps"]
        return found


def narrow(who: BrowserSession, app_id: str, **fields: str) -> Any:
    given = {"scopes": ",".join(ASKED), "which": "all", **fields}
    return who.post("/apps/narrow", app_id=app_id, **given)


def problem(who: BrowserSession) -> str:
    with who.tab() as tab:
        tab.act("page_load.load_page")
        return str(tab.vars.get("signed_in_state.problem", ""))


@pytest.fixture
def cleo(ada: BrowserSession) -> Colleague:
    return add_colleague(ada, Role.MEMBER, "Cleo")


def test_an_app_is_shown_with_who_what_where_and_how_often(
    ada: BrowserSession, cleo: Colleague
) -> None:
    store = ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    app_id = connect_app(cleo, store_ids=[store.id])
    days = [CallsOfKey(app_id, (now() - timedelta(days=back)).date(), 1000) for back in (0, 29, 30)]
    ada.web.do(write_calls_of_keys, ada.web.services.database, days)

    (mine,) = shown(cleo)
    (theirs,) = shown(ada)

    assert (mine["by"], theirs["by"]) == ("", "Cleo")
    assert (theirs["name"], theirs["host"]) == ("Claude", "claude.example")
    assert theirs["may"] == "Read orders, Change orders, Read products"
    assert theirs["stores"] == store.name
    assert theirs["used"] == "Never"
    assert theirs["calls"] == "2,000"


def test_a_member_sees_their_own_and_a_neighbour_none(
    ada: BrowserSession, bert: BrowserSession, cleo: Colleague
) -> None:
    connect_app(ada, "Ada's")
    connect_app(cleo, "Cleo's")

    assert [app["name"] for app in shown(ada)] == ["Cleo's", "Ada's"]
    assert [app["name"] for app in shown(cleo)] == ["Cleo's"]
    assert shown(bert) == []


def test_many_stores_are_a_few_names_and_a_number(ada: BrowserSession) -> None:
    stores = [ada.web.do(ada.web.services.stores.add_sandbox, ada.actor) for _ in range(5)]
    connect_app(ada, store_ids=[store.id for store in stores])
    connect_app(ada, store_ids=[store.id for store in stores[:3]])

    three, five = shown(ada)

    assert five["stores"] == "Sandbox store, Sandbox store 2 and 3 more"
    assert five["every_store"].endswith("Sandbox store 4, Sandbox store 5")
    assert three["stores"] == three["every_store"]


def test_an_app_that_took_our_name_is_told_by_its_host(ada: BrowserSession) -> None:
    connect_app(ada, "Order Desk agents")

    [app] = shown(ada)

    assert (app["name"], app["host"]) == ("An app without a name", "claude.example")


def test_a_disconnected_app_has_no_token_and_no_code_left(ada: BrowserSession) -> None:
    app_id = connect_app(ada)

    answer = ada.post("/apps/disconnect", app_id=app_id)

    async def left() -> tuple[int, int]:
        async with ada.web.services.database.read() as session:
            tokens = select(OAuthToken).where(
                OAuthToken.credential_id == app_id, col(OAuthToken.revoked_at).is_(None)
            )
            codes = select(OAuthCode).where(
                OAuthCode.tenant_id == ada.view.id, col(OAuthCode.used_at).is_(None)
            )
            return len((await session.exec(tokens)).all()), len((await session.exec(codes)).all())

    assert answer.headers["location"] == "/apps"
    assert row_of(ada, app_id).revoked_at is not None
    assert ada.web.do(left) == (0, 0)
    assert shown(ada) == []


def test_an_owner_disconnects_the_app_of_a_member_and_not_the_other_way_round(
    ada: BrowserSession, cleo: Colleague
) -> None:
    adas, cleos = connect_app(ada), connect_app(cleo)

    cleo.post("/apps/disconnect", app_id=adas)
    ada.post("/apps/disconnect", app_id=cleos)

    assert row_of(ada, adas).revoked_at is None
    assert row_of(ada, cleos).revoked_at is not None


def test_a_viewer_disconnects_what_they_connected_before(ada: BrowserSession) -> None:
    vera = add_colleague(ada, Role.VIEWER, "Vera")
    app_id = connect_app(vera)

    assert shown(vera)[0]["may"] == "Read orders, Read products"
    vera.post("/apps/disconnect", app_id=app_id)

    assert row_of(ada, app_id).revoked_at is not None


def test_an_app_is_narrowed_in_permissions_stores_and_to_read_only(ada: BrowserSession) -> None:
    stores = [ada.web.do(ada.web.services.stores.add_sandbox, ada.actor) for _ in range(2)]
    app_id = connect_app(ada)

    narrow(
        ada,
        app_id,
        scopes="orders:read,orders:write",
        which="",
        stores=stores[0].id,
        read_only="1",
    )

    row = row_of(ada, app_id)
    assert (row.scopes, row.store_ids, row.is_read_only) == (
        ["orders:read", "orders:write"],
        [stores[0].id],
        True,
    )
    assert shown(ada)[0]["may"] == "Read orders"


@pytest.mark.parametrize(
    ("before", "fields", "words"),
    [
        ({}, {"scopes": ""}, "Leave at least one permission"),
        ({}, {"scopes": "orders:read,orders:delete"}, "can only be narrowed"),
        ({}, {"which": ""}, "Leave at least one store"),
        ({"store_ids": ["a"]}, {}, "has chosen stores"),
        ({"store_ids": ["a"]}, {"which": "", "stores": "a,b"}, "only be taken away"),
    ],
)
def test_an_app_is_never_widened_here(
    ada: BrowserSession, before: dict[str, Any], fields: dict[str, str], words: str
) -> None:
    app_id = connect_app(ada, **before)
    row = row_of(ada, app_id)

    narrow(ada, app_id, **fields)

    after = row_of(ada, app_id)
    assert (after.scopes, after.store_ids) == (row.scopes, row.store_ids)
    assert words in problem(ada)


def test_an_app_of_the_neighbour_is_not_there(ada: BrowserSession, bert: BrowserSession) -> None:
    app_id = connect_app(bert)

    narrow(ada, app_id, scopes="orders:read")
    ada.post("/apps/disconnect", app_id=app_id)

    row = row_of(bert, app_id)
    assert (row.revoked_at, row.scopes) == (None, [scope.value for scope in ASKED])


def test_an_app_is_narrowed_to_no_store_of_a_neighbour(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    store = bert.web.do(bert.web.services.stores.add_sandbox, bert.actor)
    app_id = connect_app(ada)

    narrow(ada, app_id, which="", stores=store.id)

    assert row_of(ada, app_id).store_ids is None
    assert "no longer connected" in problem(ada)


def test_what_is_done_to_an_app_stands_in_the_activity(ada: BrowserSession) -> None:
    app_id = connect_app(ada)

    narrow(ada, app_id, scopes="orders:read")
    ada.post("/apps/disconnect", app_id=app_id)

    with ada.tab() as tab:
        tab.act("activity_state.load")
        text = json.dumps(tab.vars, ensure_ascii=False, default=str)
    assert "narrowed the app “Claude”" in text
    assert "disconnected the app “Claude”" in text


def test_no_row_of_the_activity_calls_an_app_by_our_name(ada: BrowserSession) -> None:
    app = App(ada, "an-app-with-our-name", name="Order Desk agents")
    code = app.code()
    app.exchange(code)
    app.exchange(code)  # a replay
    app.send("/revoke", token=app.connect()["refresh_token"])

    with ada.tab() as tab:
        tab.act("activity_state.load")
        text = json.dumps(tab.vars, ensure_ascii=False, default=str)
    assert "of an app twice" in text
    assert "disconnected the app" in text
    assert "Order Desk agents" not in text


def test_an_app_of_somebody_who_was_removed_does_not_come_back_with_them(
    ada: BrowserSession,
) -> None:
    cleo = add_colleague(ada, Role.MEMBER)
    assert cleo.user_id is not None
    app = App(cleo, f"client-{next(_NUMBERS)}")
    pair = app.connect()
    assert ask(ada.web, pair["access_token"]).status_code == 200

    ada.web.do(ada.web.services.people.remove, ada.actor, str(cleo.user_id))
    join(ada, cleo.user_id, Role.MEMBER)

    assert ask(ada.web, pair["access_token"]).status_code == 401
    again = app.send(grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert again.json()["error"] == "invalid_grant"
    assert ada.web.do(ada.web.services.connected_apps.list, ada.actor) == []
