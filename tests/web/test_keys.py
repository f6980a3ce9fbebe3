"""Keys are shown once, stop at once, and are never a neighbour's."""

import json
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.context import Role, Secret, now
from orderdesk_app.db.keys import Credential
from orderdesk_app.errors import AuthFailed
from orderdesk_app.mail.letters import KeyRotated
from orderdesk_app.services.client_setups import CLIENTS
from tests.web.browser_session import BrowserSession, Web, handler_named
from tests.web.colleagues import add_colleague


def block(page: str, identity: str) -> str:
    """The text of the element with that id."""
    return unescape(page.split(f'id="{identity}"', 1)[1].split(">", 1)[1].split("</pre>", 1)[0])


def keys_of(session: BrowserSession) -> list[str]:
    return [
        key.name
        for key in session.web.do(session.web.services.keys.list, session.actor)
        if not key.is_master
    ]


def test_a_new_key_is_shown_once_and_works(ada: BrowserSession) -> None:
    page = ada.post("/settings/keys/create", name="Claude <b>", scopes="orders:read")

    key = block(page.text, "new-key")
    principal = ada.web.do(ada.web.services.access.by_token, key)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert "Claude &lt;b&gt;" in page.text
    assert [str(scope) for scope in principal.actor.scopes] == ["orders:read"]
    with ada.tab() as tab:
        tab.act("settings_state.load")
    assert key not in tab.seen
    assert tab.vars["settings_state.keys"][0]["hint"] == f"…{key[-4:]}"


def test_keys_are_sorted_with_those_never_used_last_and_anything_else_asked_is_the_usual_order(
    ada: BrowserSession,
) -> None:
    secrets = [
        ada.web.do(ada.web.services.keys.create, ada.actor, name)[1]
        for name in ("Bee at home", "ant at home", "Cat")
    ]
    for secret in secrets[:2]:
        ada.web.services.audit.note_use(access_of(ada, secret.reveal()).actor)
    ada.web.do(ada.web.services.key_uses.flush)

    def asked(handler: str, **payload: object) -> list[str]:
        tab.act(f"settings_state.{handler}", **payload)
        return [key["name"] for key in tab.vars["settings_state.keys"]]

    with ada.tab() as tab:
        assert asked("load") == ["Cat", "ant at home", "Bee at home"]
        assert asked("sort", column="name") == ["ant at home", "Bee at home", "Cat"]
        assert asked("sort", column="name") == ["Cat", "Bee at home", "ant at home"]
        assert asked("sort", column="used") == ["ant at home", "Bee at home", "Cat"]
        assert asked("sort", column="used") == ["Bee at home", "ant at home", "Cat"]
        assert asked("sort", column="digest") == ["Cat", "ant at home", "Bee at home"]
        # longer than what is shown of a key, which is found by that too
        assert asked("find", text="AT HOME") == [
            "ant at home",
            "Bee at home",
        ]
        assert tab.vars["settings_state.total"] == 3
        assert asked("find", text="\ud800") == []
        assert asked("find", text=["Cat"]) == []
        assert tab.vars["signed_in_state.notices"] == []
        tab.send(
            handler_named("settings_state.load"), path="/settings", query={"sort": "name", "q": ""}
        )
        assert [key["name"] for key in tab.vars["settings_state.keys"]] == [
            "ant at home",
            "Bee at home",
            "Cat",
        ]


def test_beside_it_stands_what_connect_gives_each_client(ada: BrowserSession) -> None:
    page = ada.post("/settings/keys/create", name="Claude", scopes="orders:read")

    key = block(page.text, "new-key")
    shown = {
        f"{client.id}-{number}": part.text
        for client in CLIENTS
        if client.by_key is not None
        for number, part in enumerate(client.by_key("http://localhost:8080", key), 1)
    }
    assert len(shown) > 8
    assert {identity: block(page.text, identity) for identity in shown} == shown
    assert all(step in unescape(page.text) for each in CLIENTS for step in each.key_steps)
    server = json.loads(block(page.text, "claude-1"))["mcpServers"]["orderdesk"]
    assert server["command"] == "npx"
    assert server["env"] == {"ORDERDESK_AUTHORIZATION": f"Bearer {key}"}
    assert "http://localhost:8080/mcp" in server["args"]
    assert "Authorization:${ORDERDESK_AUTHORIZATION}" in server["args"]
    assert not any(key in argument for argument in server["args"])


@pytest.mark.parametrize(
    ("name", "scopes"),
    [("", "orders:read"), ("x" * 81, "orders:read"), ("Claude", ""), ("Claude", "everything")],
)
def test_a_key_that_cannot_be_made_says_why_at_the_form(
    ada: BrowserSession, name: str, scopes: str
) -> None:
    answer = ada.post("/settings/keys/create", name=name, scopes=scopes)

    with ada.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/settings"
    assert tab.vars["signed_in_state.problem_form"] == "key"
    assert tab.vars["signed_in_state.problem"]
    assert tab.vars["settings_state.keys"] == []


def test_a_refused_key_form_keeps_its_name_and_its_boxes(ada: BrowserSession) -> None:
    ada.post("/settings/keys/create", name="x" * 81, scopes="stores:read,orders:read")

    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert tab.vars["signed_in_state.problem_field"] == "name"
    assert tab.vars["signed_in_state.typed"] == {
        "name": "x" * 81,
        "scopes": "stores:read,orders:read",
    }


def test_one_key_too_many_keeps_its_name_too(ada: BrowserSession) -> None:
    for number in range(99):  # the master key is one more
        view, _ = ada.web.do(ada.web.services.keys.create, ada.actor, f"Till {number}")

    at_once = ada.post("/settings/keys/rotate", key_id=view.id, overlap="0")
    ada.post("/settings/keys/create", name="Claude", scopes="orders:read")

    assert block(at_once.text, "new-key"), "the one that it replaces makes room"
    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert tab.vars["signed_in_state.problem_form"] == "key"
    assert tab.vars["signed_in_state.problem"].startswith("An account has at most 100 keys.")
    assert tab.vars["signed_in_state.typed"]["name"] == "Claude"


def test_a_key_that_may_do_nothing_is_told_at_the_boxes(ada: BrowserSession) -> None:
    ada.post("/settings/keys/create", name="Claude")

    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert tab.vars["signed_in_state.problem_field"] == "scopes"
    assert tab.vars["signed_in_state.typed"] == {"name": "Claude", "scopes": ""}


@pytest.mark.parametrize("path", ["/settings/keys/create", "/settings/keys/rotate-master"])
def test_a_form_that_the_browser_sends_twice_makes_one_key(ada: BrowserSession, path: str) -> None:
    fields = {
        "form_token": ada.form_token(),
        "name": "Claude",
        "scopes": "orders:read",
        "confirm": "replace",
    }
    first = ada.send(path, fields)

    second = ada.send(path, fields)

    keys = [key.name for key in ada.web.do(ada.web.services.keys.list, ada.actor)]
    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert first.status_code == 200
    assert second.status_code == 303
    assert len(keys) == (2 if "create" in path else 1)
    assert "sent before" in tab.vars["signed_in_state.notices"][0]["text"]


def test_a_refusal_is_said_once(ada: BrowserSession) -> None:
    ada.post("/settings/keys/create", name="", scopes="orders:read")

    with ada.tab() as tab:
        tab.act("page_load.load_page")
        first = tab.vars["signed_in_state.problem"]
        tab.act("page_load.load_page")

    assert first
    assert tab.vars["signed_in_state.problem"] == ""


def test_a_revoked_key_is_gone_and_the_page_says_so(ada: BrowserSession) -> None:
    ada.post("/settings/keys/create", name="Claude", scopes="orders:read")
    (key,) = [key for key in ada.web.do(ada.web.services.keys.list, ada.actor) if not key.is_master]

    ada.post("/settings/keys/revoke", key_id=key.id)  # no word is typed: it is an emergency

    with ada.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
    assert keys_of(ada) == []
    assert tab.vars["settings_state.keys"] == []
    assert "revoked" in tab.vars["signed_in_state.notices"][-1]["text"]


def stores_of(session: BrowserSession) -> list[Any]:
    records = session.web.do(session.web.services.stores.list, session.actor)
    return [record.id for record in records]


def access_of(session: BrowserSession, key: str) -> Any:
    return session.web.do(session.web.services.access.by_token, key)


def test_a_key_is_made_for_chosen_stores_reading_and_a_time(ada: BrowserSession) -> None:
    for _ in range(2):
        ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    mine, other = stores_of(ada)

    page = ada.post(
        "/settings/keys/create",
        name="Till",
        scopes="orders:read,orders:write",
        by_store="1",
        stores=mine,
        read_only="1",
        expires="7",
    )

    key = block(page.text, "new-key")
    principal = access_of(ada, key)
    assert 'data-download="new-key"' in page.text
    assert [store.id for store in principal.account.stores] == [mine]
    assert [str(scope) for scope in principal.actor.scopes] == ["orders:read"]
    assert abs(principal.expires_at - now() - timedelta(days=7)) < timedelta(minutes=1)
    with ada.tab() as tab:
        tab.act("settings_state.load")
        [row] = tab.vars["settings_state.keys"]
    assert row["prefix"] == key[:8]
    assert row["is_read_only"]
    assert row["ends"]
    assert row["stores"] == "Sandbox store"
    assert key not in tab.seen
    assert other not in row.values()


def test_who_unticks_every_store_gets_no_key_of_all_of_them(ada: BrowserSession) -> None:
    ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)

    ada.post("/settings/keys/create", name="Till", scopes="orders:read", by_store="1")

    with ada.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
    assert tab.vars["signed_in_state.problem_field"] == "stores"
    assert tab.vars["settings_state.keys"] == []
    form = tab.vars["settings_state.new_key"]
    assert (form["name"], form["has_all_stores"]) == ("Till", False)


def test_an_edited_key_acts_on_its_next_call_and_a_refused_form_comes_back(
    ada: BrowserSession,
) -> None:
    page = ada.post("/settings/keys/create", name="Till", scopes="orders:read,orders:write")
    key = block(page.text, "new-key")
    identity = access_of(ada, key).actor.credential_id

    ada.post("/settings/keys/edit", key_id=identity, name="Till 2", scopes="orders:read")
    principal = access_of(ada, key)
    ada.post("/settings/keys/edit", key_id=identity, name="", scopes="stores:read", expires="7")

    assert principal.credential_name == "Till 2"
    assert [str(scope) for scope in principal.actor.scopes] == ["orders:read"]
    with ada.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
        form = tab.vars["settings_state.edited"]
        assert tab.vars["signed_in_state.problem_form"] == f"edit-{identity}"
        assert (form["id"], form["name"], form["expires"]) == (identity, "", "7")
        assert [box["value"] for box in form["scopes"] if box["is_ticked"]] == ["stores:read"]
        tab.act("settings_state.choose", key_id=identity)
        form = tab.vars["settings_state.edited"]
        assert (form["name"], form["expires"]) == ("Till 2", "")
        tab.act("settings_state.choose", key_id="nobody's")
        assert "no such key" in tab.vars["signed_in_state.notices"][-1]["text"]


def test_a_rotated_key_is_shown_once_and_the_old_one_is_in_the_list_while_it_works(
    ada: BrowserSession,
) -> None:
    old = block(
        ada.post("/settings/keys/create", name="Till", scopes="orders:read").text, "new-key"
    )
    identity = access_of(ada, old).actor.credential_id

    page = ada.post("/settings/keys/rotate", key_id=identity, overlap="24")

    new = block(page.text, "new-key")
    assert "works for 24 hours more" in page.text
    assert access_of(ada, new).actor.scopes == access_of(ada, old).actor.scopes
    with ada.tab() as tab:
        tab.act("settings_state.load")
        assert [key["state"] for key in tab.vars["settings_state.keys"]] == ["", "Replaced"]
    for wrong in ("5", "-1", "x", "999999999999"):
        ada.post(
            "/settings/keys/rotate",
            key_id=access_of(ada, new).actor.credential_id,
            overlap=wrong,
        )
        with ada.tab() as tab:
            tab.act("page_load.load_page")
            assert tab.vars["signed_in_state.problem_field"] == "overlap"


@pytest.mark.parametrize("expires", ["2", "keep", "0", "-1", "x", "30,365", "9" * 20])
def test_an_end_that_is_not_offered_makes_no_key_that_lasts_for_ever(
    ada: BrowserSession, expires: str
) -> None:
    ada.post("/settings/keys/create", name="Till", scopes="orders:read", expires=expires)

    assert keys_of(ada) == []
    with ada.tab() as tab:
        tab.act("page_load.load_page")
        assert tab.vars["signed_in_state.problem_field"] == "expires"
        assert tab.vars["signed_in_state.problem_form"] == "key"


def test_a_form_that_lacks_fields_widens_no_key(ada: BrowserSession) -> None:
    ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    [store] = stores_of(ada)
    fields = {"name": "Till", "scopes": "orders:read", "stores": store}
    key = block(ada.post("/settings/keys/create", **fields, expires="7").text, "new-key")
    made = access_of(ada, key)

    ada.post("/settings/keys/edit", key_id=made.actor.credential_id, **fields | {"name": "Till 2"})

    edited = access_of(ada, key)
    assert (made.actor.store_ids, edited.actor.store_ids) == ({store}, {store})
    assert (edited.credential_name, edited.expires_at) == ("Till 2", made.expires_at)
    assert made.expires_at is not None


def test_a_neighbour_edits_and_rotates_nothing(ada: BrowserSession, bert: BrowserSession) -> None:
    key = block(
        ada.post("/settings/keys/create", name="Till", scopes="orders:read").text, "new-key"
    )
    identity = access_of(ada, key).actor.credential_id

    bert.post("/settings/keys/edit", key_id=identity, name="Mine", scopes="orders:read")
    answer = bert.post("/settings/keys/rotate", key_id=identity, overlap="0")

    assert answer.status_code == 303
    assert keys_of(ada) == ["Till"]
    assert access_of(ada, key).credential_name == "Till"


def test_a_master_key_that_was_replaced_with_a_grace_period_signs_in_nobody(
    ada: BrowserSession,
) -> None:
    page = ada.post("/settings/keys/rotate-master", confirm="replace", grace="24")

    other = BrowserSession(ada.web, ada.view, ada.key)
    answer = other.post("/sign-in/key", key=ada.key.reveal(), token=False)
    assert "work with it for 24 hours" in page.text
    assert answer.headers["location"] == "/sign-in?error=replaced"
    assert access_of(ada, ada.key.reveal()).expires_at is not None
    with ada.tab() as tab:
        tab.act("settings_state.load")
        [former] = tab.vars["settings_state.former_masters"]
    assert former["hint"] == f"…{ada.key.reveal()[-4:]}"
    ada.post("/settings/keys/revoke", key_id=former["id"])
    with pytest.raises(AuthFailed):
        access_of(ada, ada.key.reveal())


def test_a_replaced_master_key_signs_in_and_the_old_one_does_not(ada: BrowserSession) -> None:
    other_browser = BrowserSession(ada.web, ada.view, ada.key)
    other_browser.sign_in()

    page = ada.post("/settings/keys/rotate-master", confirm="replace")

    new = block(page.text, "new-key")
    assert "The old master key stopped working" in page.text
    assert "mcpServers" not in page.text  # it may do everything, and is no assistant's
    assert "make an access key" in page.text
    assert other_browser.post("/sign-in/key", key=new, token=False).headers["location"] == "/"
    assert (
        other_browser.post("/sign-in/key", key=ada.key.reveal(), token=False).headers["location"]
        == "/sign-in?error=unknown"
    )
    assert ada.web.do(ada.web.services.sessions.resume, other_browser.cookie) is None
    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is not None


@pytest.mark.parametrize(
    "typed", [{}, {"confirm": ""}, {"confirm": "yes"}, {"confirm": "Replace it"}]
)
def test_a_master_key_is_not_replaced_unless_the_word_was_typed(
    ada: BrowserSession, typed: dict[str, str]
) -> None:
    answer = ada.post("/settings/keys/rotate-master", **typed)

    with ada.tab() as tab:
        tab.act("page_load.load_page")
    assert answer.status_code == 303
    assert (
        tab.vars["signed_in_state.problem_form"],
        tab.vars["signed_in_state.problem_field"],
    ) == (
        "rotate-master",
        "confirm",
    )
    assert "replace" in tab.vars["signed_in_state.problem"]
    assert ada.post("/sign-in/key", key=ada.key.reveal(), token=False).headers["location"] == "/"


def test_a_first_master_key_replaces_nothing_and_needs_no_word(web: Web) -> None:
    tenant, _ = web.do(web.services.tenants.make_tenant, "Came by a link")
    web.do(
        web.services.database.execute,
        "DELETE FROM credentials WHERE tenant_id = :tenant",
        {"tenant": tenant.id},
    )
    cookie = web.do(
        lambda: web.services.sessions.start(
            tenant.id, tenant.owner_id, credential_id=None, address="", user_agent=""
        )
    )
    newcomer = BrowserSession(web, tenant, Secret(""), cookie)

    page = newcomer.post("/settings/keys/rotate-master")

    assert page.status_code == 200
    assert "old master key" not in page.text
    with newcomer.tab() as tab:
        tab.act("home_state.load")
    assert tab.vars["home_state.latest"][0]["what"] == "made the master key"
    assert (
        newcomer.post("/sign-in/key", key=block(page.text, "new-key"), token=False).headers[
            "location"
        ]
        == "/"
    )


def test_a_form_that_is_too_large_or_of_another_kind_is_refused(ada: BrowserSession) -> None:
    large = ada.post("/settings/keys/create", name="x" * 300_000, scopes="orders:read")
    other = ada.request(
        "POST",
        "/settings/keys/create",
        json={"name": "x"},
        headers={"origin": "http://localhost:8080"},
    )

    assert large.status_code == 413
    assert other.status_code == 403
    assert keys_of(ada) == []


def test_a_key_has_a_default_store_of_its_own(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("stores_state.add_sandbox")
        tab.act("stores_state.add_sandbox")
        second = tab.vars["signed_in_state.store_choices"][1]

        ada.post(
            "/settings/keys/create",
            name="Claude",
            scopes="orders:read",
            default_store=second["id"],
        )
        ada.post("/settings/keys/create", name="Other", scopes="orders:read", default_store="")
        tab.act("settings_state.load")

        rows = {row["name"]: row["default_store"] for row in tab.vars["settings_state.keys"]}
    assert rows == {"Claude": second["name"], "Other": ""}


def test_the_store_of_a_neighbour_is_no_default_of_a_key(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    record = bert.web.do(bert.web.services.stores.add_sandbox, bert.actor)

    ada.post("/settings/keys/create", name="Claude", scopes="orders:read", default_store=record.id)

    with ada.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("settings_state.load")
        assert tab.vars["signed_in_state.problem_field"] == "default_store"
        assert tab.vars["signed_in_state.typed"]["name"] == "Claude"
        assert tab.vars["settings_state.total"] == 0


def test_every_owner_with_a_verified_address_hears_that_the_master_key_was_replaced(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix = f"{ada.view.id.lower()}@example.com"
    add_colleague(ada, Role.OWNER, "Olu", f"olu-{suffix}")
    add_colleague(ada, Role.OWNER, "Without an address")
    add_colleague(ada, Role.MEMBER, "Mo", f"mo-{suffix}")
    heard: list[tuple[str, KeyRotated]] = []
    send = ada.web.services.mailer.send

    async def noting(session: Any, content: Any, *, to: str, **given: Any) -> bool:
        heard.append((to, content))
        return await send(session, content, to=to, **given)

    monkeypatch.setattr(ada.web.services.mailer, "send", noting)
    page = ada.post("/settings/keys/rotate-master", confirm="replace")

    [(address, letter)] = heard
    assert address == f"olu-{suffix}"
    assert (letter.account, letter.by) == ("Ada's Teas", "Ada's Teas")
    text = str(letter.letter())
    assert block(page.text, "new-key") not in text


def test_nobody_hears_of_a_first_master_key(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It replaces none."""
    suffix = f"{ada.view.id.lower()}@example.com"
    owner = add_colleague(ada, Role.OWNER, "Olu", f"olu-{suffix}")
    heard: list[Any] = []

    async def revoke_master(*_: Any) -> None:
        async with ada.web.services.database.write() as session:
            row = update(Credential).where(
                col(Credential.tenant_id) == ada.view.id, col(Credential.kind) == "master"
            )
            await session.exec(row.values(revoked_at=now()))

    async def noting(session: Any, content: Any, **given: Any) -> bool:
        heard.append(content)
        return True

    ada.web.do(revoke_master)
    monkeypatch.setattr(ada.web.services.mailer, "send", noting)
    ada.web.do(ada.web.services.keys.rotate_master, owner.actor)

    assert heard == []
