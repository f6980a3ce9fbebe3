"""The consent page: what a person is told of an app, what they can leave out, and that an answer
belongs to the session and to the request that was shown.
"""

import html
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from sqlmodel import select

from orderdesk_app.context import Role, new_id
from orderdesk_app.db.oauth import OAuthClient, OAuthCode
from orderdesk_app.security.web import LONGEST_REQUEST, own_page
from orderdesk_app.services.app_names import app_name
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_tokens import TokenPair
from tests.authenticator import Authenticator
from tests.oauth import CHALLENGE, add_client, answer_in, exchange, query
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.colleagues import Colleague, add_colleague, join
from tests.web.test_account_switch import cookie_of
from tests.web.test_passkeys import answer_with, ask, phone
from tests.web.test_sign_in_mail import give_address, mails_to, path_in
from tests.web.test_sign_up import OPEN, limits, link_in, mail_to, new_address

__all__ = ["phone"]

REDIRECT = "https://claude.example/callback"
_FIELD = re.compile(r'<input type="(\w+)" name="([\w-]+)" value="([^"]*)"( checked)?')


@dataclass(frozen=True)
class App:
    """A client that registered itself, and the address that it opens in a browser."""

    client: Client
    redirect: str = REDIRECT

    def address(self, **changes: str | None) -> str:
        given = {"redirect_uri": self.redirect, **changes}
        return f"/authorize?{query(self.client.client_id, **given)}"


def register(web: Web, name: str = "Claude", redirect: str = REDIRECT, **values: Any) -> App:
    client_id = values.pop("client_id", "") or new_id()
    client = web.do(
        add_client, web.services, client_id, name=name, redirect_uris=[redirect], **values
    )
    return App(client, redirect)


@pytest.fixture
def app(web: Web) -> App:
    return register(web)


@dataclass
class Shown:
    """The consent page as a browser has it: what is ticked, and what else the form sends."""

    answer: Any
    who: BrowserSession

    @property
    def text(self) -> str:
        return html.unescape(re.sub(r"<[^>]+>", " ", re.sub("</?bdi>", "", self.answer.text)))

    def boxes(self, name: str) -> dict[str, bool]:
        """The boxes or radios of that name: whether each is ticked."""
        return {
            value: bool(checked)
            for kind, named, value, checked in _FIELD.findall(self.answer.text)
            if named == name and kind != "hidden"
        }

    def fields(self, **changes: str) -> dict[str, str]:
        """What the browser would send, with those changes."""
        hidden: dict[str, str] = {
            name: html.unescape(value)
            for kind, name, value, _ in _FIELD.findall(self.answer.text)
            if kind == "hidden"
        }
        names = ("scopes", "which", "stores", "read_only")
        ticked = {
            name: ",".join(value for value, is_on in self.boxes(name).items() if is_on)
            for name in names
        }
        return {**hidden, **{n: v for n, v in ticked.items() if v}, **changes}

    def approve(self, *, as_browser: bool = False, **changes: str) -> Any:
        fields = self.fields(**{"decision": "approve", **changes})
        fetched = {"sec-fetch-mode": "navigate"} if as_browser else {}
        headers = {"origin": ORIGIN, **fetched}
        return self.who.request("POST", "/authorize", data=fields, headers=headers)


def open_page(who: BrowserSession, address: str) -> Shown:
    answer = who.get(address)
    assert answer.status_code == 200, answer.headers.get("location", answer.text)
    return Shown(answer, who)


def connect(who: BrowserSession, app: App, **choice: str) -> TokenPair:
    """Approves the app, and fetches its tokens as it does."""
    answer = open_page(who, app.address()).approve(**choice)
    code = answer_in(answer.headers["location"])["code"]
    pair: TokenPair = who.web.do(
        exchange, who.web.services, app.client, code, redirect_uri=app.redirect
    )
    return pair


def codes(web: Web, app: App) -> list[OAuthCode]:
    async def read() -> list[OAuthCode]:
        async with web.services.database.read() as session:
            question = select(OAuthCode).where(OAuthCode.client_id == app.client.client_id)
            return list((await session.exec(question)).all())

    found: list[OAuthCode] = web.do(read)
    return found


# ------------------------------------------------------------------ what is shown


def test_the_page_names_the_app_where_the_answer_goes_and_the_account(
    ada: BrowserSession, app: App
) -> None:
    page = open_page(ada, app.address())

    assert "Connect “Claude”?" in page.text
    assert "<strong>claude.example</strong>" in page.answer.text
    assert "nobody has checked who made it" in page.text
    assert "<strong>Ada's Teas</strong>" in html.unescape(page.answer.text)
    assert "Read orders" in page.text
    assert "Change orders" in page.text


def test_nothing_frames_or_keeps_the_page_and_its_form_leads_to_one_origin(
    ada: BrowserSession, web: Web, app: App
) -> None:
    cursor = register(web, "Cursor", "cursor://anysphere.cursor-mcp/callback")
    inspector = register(web, "Inspector", "http://127.0.0.1/callback")

    for address, target in (
        (app.address(), "https://claude.example"),
        (cursor.address(), "cursor:"),
        (
            inspector.address(redirect_uri="http://127.0.0.1:6274/callback"),
            "http://127.0.0.1:6274",
        ),
    ):
        headers = open_page(ada, address).answer.headers
        policy = headers["content-security-policy"]
        assert f"form-action 'self' {target};" in policy
        assert "frame-ancestors 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        # with no-referrer a browser would send the form with Origin: null
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Claude\u202e\u200b\nCode", "ClaudeCode"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("x" * 300, f"{'x' * 59}…"),
        ("Claude”. It was checked by us. “App", "Claude. It was checked by us. App"),
        ('"Claude\u2033 \u00bbx\u300d', "Claude x"),
        ("Claude''. It is safe.", "Claude'. It is safe."),
        ("Order Desk agents", ""),
        ("0RDER-DESK", ""),
        ("\u041er\u0501er\u200bDesk", ""),
        ("\uff2frder Desk", ""),
    ],
)
def test_a_name_is_quoted_cleaned_and_never_ours(
    ada: BrowserSession, web: Web, name: str, shown: str
) -> None:
    assert app_name(name).replace(" ", "") == shown.replace(" ", "")

    page = open_page(ada, register(web, name).address())

    assert "<script>alert" not in page.answer.text
    assert page.answer.text.count("“") == page.answer.text.count("“<bdi>")
    if shown:
        assert f"“{app_name(name)}”" in page.text
    else:
        assert "“" not in page.text
        assert "It is not part of Order Desk agents" in page.text


@pytest.mark.parametrize(
    ("redirect", "is_warned"),
    [(REDIRECT, False), ("http://localhost:3000/cb", True), ("cursor://x/callback", True)],
)
def test_an_answer_that_stays_on_this_computer_is_warned_of(
    ada: BrowserSession, web: Web, redirect: str, is_warned: bool
) -> None:
    page = open_page(ada, register(web, "Claude Code", redirect).address())

    assert ("only if you have just started this yourself" in page.text) is is_warned


def test_an_app_that_is_described_by_a_document_is_named_by_its_domain(
    ada: BrowserSession, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://client.example/oauth/metadata.json"
    client = Client(address, "Claude", (REDIRECT,), is_document=True)

    async def find(client_id: str, *, address: str) -> Client | None:
        return client if client_id == client.client_id else None

    monkeypatch.setattr(web.services.oauth_clients, "find", find)

    page = open_page(ada, App(client).address())

    assert "<strong>client.example</strong>, which was checked" in page.answer.text
    assert "nobody has checked" not in page.text


def test_a_known_app_with_a_new_address_is_asked_again_and_warned_of(
    ada: BrowserSession, web: Web
) -> None:
    app = register(web, redirect="http://127.0.0.1/callback")
    known = "http://127.0.0.1:5000/callback"
    connect(ada, App(app.client, known))

    async def add_redirect() -> None:
        async with web.services.database.write() as session:
            row = await session.get(OAuthClient, app.client.client_id)
            assert row is not None
            row.redirect_uris = [*row.redirect_uris, REDIRECT]
            session.add(row)

    web.do(add_redirect)

    again = open_page(ada, app.address(redirect_uri="http://127.0.0.1:6000/callback"))
    elsewhere = open_page(ada, app.address(redirect_uri=REDIRECT))

    assert "goes to a new address" not in again.text
    assert "goes to a new address" in elsewhere.text


# ------------------------------------------------------------------ what is approved


def test_what_is_ticked_is_approved_and_nothing_else(ada: BrowserSession, app: App) -> None:
    stores = [ada.web.do(ada.web.services.stores.add_sandbox, ada.actor) for _ in range(2)]
    page = open_page(ada, app.address())

    answer = page.approve(scopes="orders:read", which="some", stores=stores[1].id, read_only="1")

    [code] = codes(ada.web, app)
    given = answer_in(answer.headers["location"])
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{REDIRECT}?code=")
    assert (given["state"], given["iss"]) == ("a state & more", ORIGIN)
    assert (code.scopes, code.store_ids, code.is_read_only) == (
        ["orders:read"],
        [stores[1].id],
        True,
    )
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_what_deletes_is_ticked_by_hand(ada: BrowserSession, app: App) -> None:
    asked = "orders:read orders:write orders:delete stores:manage"
    page = open_page(ada, app.address(scope=asked))

    assert page.boxes("scopes") == {
        "orders:read": True,
        "orders:write": True,
        "orders:delete": False,
        "stores:manage": False,
    }
    page.approve()
    assert codes(ada.web, app)[0].scopes == ["orders:read", "orders:write"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scopes": ""}, "at least one permission"),
        ({"which": "some", "stores": ""}, "at least one store"),
        ({"which": "", "stores": ""}, "at least one store"),  # never all without a word
        ({"which": "some", "stores": "neighbours"}, "no longer connected"),
        ({"scopes": "orders:write", "read_only": "1"}, "Read only leaves nothing"),
        ({"scopes": "orders:read,orders:delete"}, "did not ask for"),
    ],
)
def test_a_choice_that_is_none_comes_back_with_the_reason(
    ada: BrowserSession, app: App, fields: dict[str, str], words: str
) -> None:
    ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)

    answer = open_page(ada, app.address()).approve(**fields)
    again = open_page(ada, answer.headers["location"])

    assert words in again.text
    assert again.answer.text.count('role="alert"') == 1
    ticked = {name for name, is_on in again.boxes("scopes").items() if is_on}
    asked = fields.get("scopes", "orders:read,orders:write").split(",")
    assert ticked == {scope for scope in asked if scope in ("orders:read", "orders:write")}
    assert again.boxes("which") == {
        "all": "which" not in fields,
        "some": "which" in fields,
    }
    assert codes(ada.web, app) == []


def test_cancel_leads_back_and_gives_nothing(ada: BrowserSession, app: App) -> None:
    page = open_page(ada, app.address())

    for decision in ("cancel", "", "Approve"):
        answer = ada.send("/authorize", page.fields(decision=decision))
        assert answer_in(answer.headers["location"])["error"] == "access_denied"
    assert codes(ada.web, app) == []
    # which is the button that Enter presses in a form
    assert re.findall(r'name="decision" value="(\w+)"', page.answer.text) == ["cancel", "approve"]


@pytest.mark.parametrize(
    ("role", "offered"),
    [(Role.MEMBER, {"orders:read", "orders:delete"}), (Role.VIEWER, set())],
)
def test_nobody_grants_more_than_their_role_may(
    ada: BrowserSession, app: App, role: Role, offered: set[str]
) -> None:
    colleague = add_colleague(ada, role)
    page = open_page(colleague, app.address(scope="orders:read orders:delete stores:manage"))

    assert set(page.boxes("scopes")) == offered
    forged = page.approve(scopes="orders:read,stores:manage")

    assert codes(ada.web, app) == []
    assert "code=" not in forged.headers.get("location", "")
    if role is Role.VIEWER:
        assert "Only owners and members of the account can" in page.text
        assert "connect apps. Ask an owner" in page.text
        assert "Back to claude.example" in page.text
    else:
        assert "It also asks for: Connect and disconnect stores" in page.text


def test_an_app_that_asks_only_for_what_a_role_may_not_says_so(
    ada: BrowserSession, app: App
) -> None:
    page = open_page(add_colleague(ada, Role.MEMBER), app.address(scope="stores:manage"))

    assert "It asks for: Connect and disconnect stores. As a member you cannot" in page.text
    assert "Only owners and members" not in page.text
    assert page.boxes("scopes") == {}


def test_who_approved_is_told_by_mail_of_what_is_new(ada: BrowserSession, app: App) -> None:
    address = give_address(ada)

    for scopes in ("orders:read", "orders:read", "orders:read,orders:write"):
        connect(ada, app, scopes=scopes)

    told = [mail for mail in mails_to(ada.web, address) if "An app was connected" in mail.subject]
    assert len(told) == 2  # not for the same once more
    assert ["Change orders" in mail.text for mail in told] == [False, True]
    assert all("“Claude” may use your account “Ada's Teas”" in mail.text for mail in told)
    assert all("/apps" in mail.text for mail in told)


def test_a_browser_is_led_on_by_a_page_that_is_no_form(ada: BrowserSession, web: Web) -> None:
    """Chromium holds all redirects after a form to `form-action`, the app's own ones too."""
    for redirect, label in (
        (REDIRECT, "Go on to claude.example"),
        ("http://127.0.0.1/callback", "Go on to 127.0.0.1"),
        ("cursor://anysphere.cursor-mcp/callback", "Open the app"),
    ):
        page = open_page(ada, register(web, redirect=redirect).address())

        answer = page.approve(as_browser=True)
        back = page.approve(as_browser=True, decision="cancel")

        [address] = re.findall(r'content="0;url=([^"]+)"', answer.text)
        assert html.unescape(address).startswith(f"{redirect}?code=")
        assert set(answer_in(html.unescape(address))) == {"code", "state", "iss"}
        assert f'href="{address}">{label}</a>' in answer.text
        assert "You approved" in answer.text
        assert "error=access_denied" in back.text
        assert "You did not connect" in back.text
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_a_connected_app_that_asks_for_more_says_what(ada: BrowserSession, app: App) -> None:
    connect(ada, app, scopes="orders:read")

    page = open_page(ada, app.address(scope="orders:read orders:write orders:delete"))

    assert "asks for more: Change orders, Delete orders" in page.text
    assert page.boxes("scopes") == {
        "orders:read": True,
        "orders:write": True,
        "orders:delete": False,
    }


# ------------------------------------------------------------------ whose answer it is


def test_a_form_of_another_session_is_no_answer(
    ada: BrowserSession, bert: BrowserSession, app: App
) -> None:
    berts = open_page(bert, app.address()).fields(decision="approve")

    # the whole form, and the consent alone in a form of one's own
    whole = ada.send("/authorize", berts)
    mixed = ada.send("/authorize", {**berts, "form_token": ada.form_token()})
    later = BrowserSession(ada.web, ada.view, ada.key)
    mine = open_page(ada, app.address()).fields(decision="approve")
    later.sign_in()
    old = later.send("/authorize", {**mine, "form_token": later.form_token()})

    assert (whole.status_code, mixed.status_code, old.status_code) == (403, 403, 403)
    assert codes(ada.web, app) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "orders:read orders:write orders:delete"},
        {"state": "another"},
        {"code_challenge": CHALLENGE[::-1]},
        {"redirect_uri": "https://claude.example/other"},
        {"resource": f"{ORIGIN}/mcp"},
    ],
)
def test_an_answer_to_another_request_than_the_one_shown_is_refused(
    ada: BrowserSession, web: Web, changes: dict[str, str]
) -> None:
    app = register(web)

    async def add_redirect() -> None:
        async with web.services.database.write() as session:
            row = await session.get(OAuthClient, app.client.client_id)
            assert row is not None
            row.redirect_uris = [REDIRECT, "https://claude.example/other"]
            session.add(row)

    web.do(add_redirect)
    shown = open_page(ada, app.address()).fields(decision="approve")
    other = open_page(ada, app.address(**changes)).fields()["next"]

    answer = ada.send("/authorize", {**shown, "next": other})

    assert answer.status_code == 403
    assert codes(web, app) == []


def test_an_app_that_has_another_name_meanwhile_is_asked_for_again(
    ada: BrowserSession, web: Web, app: App
) -> None:
    page = open_page(ada, app.address())

    async def rename() -> None:
        async with web.services.database.write() as session:
            row = await session.get(OAuthClient, app.client.client_id)
            assert row is not None
            row.name = "Something else"
            session.add(row)

    web.do(rename)

    assert page.approve().status_code == 403
    assert codes(web, app) == []


@pytest.mark.parametrize(
    ("left_out", "status"), [("form_token", 403), ("consent", 403), ("next", 400)]
)
def test_an_answer_without_one_of_its_proofs_is_refused(
    ada: BrowserSession, app: App, left_out: str, status: int
) -> None:
    fields = open_page(ada, app.address()).fields(decision="approve")
    del fields[left_out]

    assert ada.send("/authorize", fields).status_code == status
    assert codes(ada.web, app) == []


# ------------------------------------------------------------------ on the way to it


def way_in(web: Web, app: App) -> tuple[str, str]:
    """A stranger opens the address: the sign-in page, and what it leads on to."""
    stranger = BrowserSession(web, None, None)  # type: ignore[arg-type]
    sign_in = stranger.get(app.address()).headers["location"]
    assert sign_in.startswith("/sign-in?next=%2Fauthorize%3F")
    page = stranger.get(sign_in)
    assert "An app wants to connect to your account" in page.text
    assert "An app wants" not in stranger.get("/sign-in?next=%2Fstores").text
    [wanted] = set(re.findall(r'name="next" value="([^"]+)"', page.text))
    return sign_in, html.unescape(wanted)


def test_a_key_signs_in_and_leads_back_to_the_same_request(ada: BrowserSession, app: App) -> None:
    _, wanted = way_in(ada.web, app)
    ada.cookie = ""

    answer = ada.send("/sign-in/key", {"key": ada.key.reveal(), "next": wanted})
    ada.cookie = cookie_of(answer)
    page = open_page(ada, answer.headers["location"])

    given = answer_in(page.approve().headers["location"])
    assert given["state"] == "a state & more"
    assert codes(ada.web, app)[0].code_challenge == CHALLENGE


def test_a_wrong_key_keeps_the_request(ada: BrowserSession, app: App) -> None:
    _, wanted = way_in(ada.web, app)

    answer = ada.send("/sign-in/key", {"key": "x" * 64, "next": wanted})

    assert unquote(answer.headers["location"]).endswith(f"next={wanted}")


def test_a_mailed_link_leads_back_to_the_same_request(ada: BrowserSession, app: App) -> None:
    address = give_address(ada)
    _, wanted = way_in(ada.web, app)
    ada.cookie = ""
    ada.send("/sign-in/mail", {"email": address, "next": wanted})
    link = path_in(mails_to(ada.web, address)[-1])

    [offered] = re.findall(r'name="next" value="([^"]+)"', ada.get(link).text)
    answer = ada.send(link, {"next": html.unescape(offered)})
    ada.cookie = cookie_of(answer)

    assert answer.headers["location"] == wanted
    assert "Connect “Claude”?" in open_page(ada, wanted).text


def test_a_passkey_leads_back_to_the_same_request(
    ada: BrowserSession, phone: Authenticator, app: App
) -> None:
    _, wanted = way_in(ada.web, app)
    stranger = BrowserSession(ada.web, ada.view, ada.key)
    question = ask(stranger, "/sign-in/passkey")

    answer = answer_with(
        stranger, "/sign-in/passkey", question, phone.get(question.text), next=wanted
    )

    assert answer.headers["location"] == wanted


@pytest.mark.parametrize("needs_proof", [True, False])
def test_a_new_account_leads_back_to_the_same_request(
    ada: BrowserSession, app: App, monkeypatch: pytest.MonkeyPatch, needs_proof: bool
) -> None:
    web, address = ada.web, new_address()
    monkeypatch.setattr(web.services.sign_up, "rules", replace(OPEN, needs_proof=needs_proof))
    monkeypatch.setattr(web.services.sign_up, "limits", limits())
    stranger = BrowserSession(web, ada.view, ada.key)
    sign_in, wanted = way_in(web, app)
    [sign_up] = re.findall(r'href="(/sign-up[^"]*)"', stranger.get(sign_in).text)

    form = stranger.get(html.unescape(sign_up))
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.text))
    fields = {name: html.unescape(value) for name, value in hidden.items()}
    opened = stranger.send("/sign-up", {**fields, "email": address, "name": "Cups"})
    if needs_proof:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', opened.text))
        assert html.unescape(hidden["next"]) == wanted  # for "Send it again"
        opened = stranger.send(link_in(mail_to(web, address)), {"name": "Cups"})
    stranger.cookie = cookie_of(opened)
    # the browser sends the form of the page by GET
    [action] = re.findall(r'<form class="form" action="([^"]+)" method="get">', opened.text)
    given = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', opened.text)
    query_of_form = urlencode([(name, html.unescape(value)) for name, value in given])
    page = open_page(stranger, f"{action}?{query_of_form}")

    assert page.fields()["next"] == wanted
    assert "Cups" in page.text
    assert {one.headers["cross-origin-opener-policy"] for one in (form, page.answer)} == {
        "unsafe-none"
    }


def test_an_address_that_has_an_account_leads_back_to_the_same_request(
    ada: BrowserSession, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = give_address(ada)
    monkeypatch.setattr(ada.web.services.sign_up, "rules", OPEN)
    monkeypatch.setattr(ada.web.services.sign_up, "limits", limits())
    _, wanted = way_in(ada.web, app)
    stranger = BrowserSession(ada.web, ada.view, ada.key)

    stranger.send("/sign-up", {"email": address, "next": wanted})
    [letter] = mails_to(ada.web, address)
    offered = stranger.get(path_in(letter)).text

    assert [html.unescape(one) for one in re.findall(r'name="next" value="([^"]+)"', offered)] == [
        wanted
    ]


def test_a_window_that_an_app_has_opened_stays_joined_to_it_all_the_way(
    ada: BrowserSession, app: App
) -> None:
    """A page with the policy `same-origin` on the way would cut it off for good."""
    stranger = BrowserSession(ada.web, ada.view, ada.key)
    way = [stranger.get(app.address())]
    way.append(stranger.get(way[-1].headers["location"]))
    wanted = html.unescape(re.findall(r'name="next" value="([^"]+)"', way[-1].text)[0])
    way.append(stranger.send("/sign-in/key", {"key": ada.key.reveal(), "next": wanted}))
    stranger.cookie = cookie_of(way[-1])
    stranger.grow_old()
    page = open_page(stranger, wanted)
    way += [page.answer, page.approve()]
    way.append(stranger.get(way[-1].headers["location"]))
    way.append(stranger.post("/confirm/key", key=ada.key.reveal(), next=wanted))
    way.append(open_page(stranger, wanted).approve())

    assert "code=" in way[-1].headers["location"]
    assert {one.headers["cross-origin-opener-policy"] for one in way} == {"unsafe-none"}
    elsewhere = [stranger.get("/sign-in?next=%2Fstores"), ada.get("/confirm?next=%2Fauthorize")]
    assert {one.headers["cross-origin-opener-policy"] for one in elsewhere} == {"same-origin"}


def test_an_ended_session_signs_in_again_and_keeps_the_request(
    ada: BrowserSession, app: App
) -> None:
    fields = open_page(ada, app.address()).fields(decision="approve")
    ada.cookie = "ended"

    answer = ada.send("/authorize", fields)

    assert answer.headers["location"].startswith("/sign-in?error=ended&next=%2Fauthorize")


def test_an_old_sign_in_proves_itself_and_comes_back_to_what_was_chosen(
    ada: BrowserSession, app: App
) -> None:
    store = ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    ada.grow_old()
    page = open_page(ada, app.address())
    chosen = {"scopes": "orders:write", "which": "some", "stores": store.id, "read_only": ""}

    asked = page.approve(**chosen).headers["location"]
    assert codes(ada.web, app) == []
    [wanted] = set(re.findall(r'name="next" value="([^"]+)"', ada.get(asked).text))
    back = ada.post("/confirm/key", key=ada.key.reveal(), next=html.unescape(wanted))
    again = open_page(ada, back.headers["location"])

    assert "You confirmed that it is you" in again.text
    assert again.boxes("scopes") == {"orders:read": False, "orders:write": True}
    assert again.boxes("which") == {"all": False, "some": True}
    assert again.boxes("stores") == {store.id: True}
    again.approve()
    assert codes(ada.web, app)[0].store_ids == [store.id]


def test_a_mailed_proof_comes_back_to_what_was_chosen(ada: BrowserSession, app: App) -> None:
    address = give_address(ada)
    ada.grow_old()
    asked = open_page(ada, app.address()).approve(scopes="orders:write").headers["location"]
    [wanted] = set(re.findall(r'name="next" value="([^"]+)"', ada.get(asked).text))

    sent = ada.post("/confirm/mail", next=html.unescape(wanted)).headers["location"]
    [letter] = [mail for mail in mails_to(ada.web, address) if "/confirm/link" in mail.text]
    [link] = re.findall(r"(/confirm/link\?token=\S+)", letter.text)
    back = ada.post(link)
    again = open_page(ada, back.headers["location"])

    assert "next=%2Fauthorize" in sent
    assert again.boxes("scopes") == {"orders:read": False, "orders:write": True}
    assert "code=" in again.approve().headers["location"]


def test_a_person_of_two_accounts_chooses_the_one_and_keeps_the_request(
    ada: BrowserSession, bert: BrowserSession, app: App
) -> None:
    cleo: Colleague = add_colleague(ada, Role.OWNER, "Cleo")
    assert cleo.user_id is not None
    join(bert, cleo.user_id, Role.MEMBER)
    page = open_page(cleo, app.address())
    before = page.fields(decision="approve")

    answer = cleo.post("/account/switch", tenant_id=bert.view.id, next=before["next"])
    cleo.cookie = cookie_of(answer)
    again = open_page(cleo, answer.headers["location"])

    assert "Switch account" in page.text
    assert "as a member" in again.text
    assert cleo.send("/authorize", before).status_code == 403  # it was for the other account
    again.approve()
    assert codes(ada.web, app)[0].tenant_id == bert.view.id


def test_somebody_else_signs_in_and_keeps_the_request(ada: BrowserSession, app: App) -> None:
    fields = open_page(ada, app.address()).fields()

    answer = ada.send("/sign-out", {n: fields[n] for n in ("form_token", "next")})

    assert unquote(answer.headers["location"]).endswith(f"next={fields['next']}")


def test_with_a_strict_cookie_the_page_asks_for_itself_once(
    ada: BrowserSession, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser sends no strict cookie where another site leads here."""
    strict = ada.web.services.settings.model_copy(update={"session_cookie_samesite": "Strict"})
    monkeypatch.setattr(ada.web.services, "settings", strict)
    stranger = BrowserSession(ada.web, ada.view, ada.key)

    first = stranger.request("GET", app.address(), headers={"sec-fetch-site": "cross-site"})
    then = stranger.request("GET", app.address(), headers={"sec-fetch-site": "same-origin"})

    assert (first.status_code, "refresh" in first.text) == (200, True)
    assert then.headers["location"].startswith("/sign-in")


# ------------------------------------------------------------------ requests that are none


def test_a_mistake_of_an_app_leads_to_another_site_by_a_click_alone(
    ada: BrowserSession, web: Web, app: App
) -> None:
    local = register(web, "Claude Code", "http://127.0.0.1:33418/")

    page = ada.get(app.address(scope="everything"))
    program = ada.get(local.address(scope="everything"))

    assert page.status_code == 400
    assert "Go back to claude.example" in page.text
    assert f'href="{REDIRECT}?error=invalid_scope' in page.text
    assert program.headers["location"].startswith("http://127.0.0.1:33418/?error=invalid_scope")


@pytest.mark.parametrize("who", ["stranger", "owner"])
def test_an_app_that_is_not_known_leads_nowhere(ada: BrowserSession, app: App, who: str) -> None:
    if who == "stranger":
        ada.cookie = ""

    for address in (
        "/authorize",
        f"/authorize?{query('nobody')}",
        app.address(redirect_uri="https://evil.example/"),
        "/authorize?client_id=%FF",
        app.address(state="x" * LONGEST_REQUEST),
    ):
        answer = ada.get(address)
        assert answer.status_code == 400, address
        assert "evil.example" not in answer.text


def test_a_request_survives_in_every_spelling(ada: BrowserSession, app: App) -> None:
    """`next` takes our own pages alone; the request is spelt so that it is one."""
    state = "~ä/:?#[]@!$&'()*+,;= \"<>\\^`{|}\r\n%00"
    raw = app.address(state=None) + f"&state={quote(state)}&resource={ORIGIN}/mcp"

    page = open_page(ada, raw)

    assert own_page(page.fields()["next"]) == page.fields()["next"]
    assert answer_in(page.approve().headers["location"])["state"] == state
