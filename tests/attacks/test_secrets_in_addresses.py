"""Somebody reads a history, a log of a proxy or a Referer. A key, a session or an access token that
stood in an address of ours would be there. Guards: nothing puts one into an address.

Links that work once (sign-in, verify, invitation) and a store's webhook address are the exceptions.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from orderdesk_app.routes import connect, forms
from orderdesk_app.services.client_setups import CLIENTS
from orderdesk_app.services.sessions import COOKIE
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, ask, every_method, post, switched_off
from tests.attacks.cast import encoded as form_of
from tests.web.browser_session import our_handlers

# an address in a page, in a text to copy, or in what a websocket says: of any scheme, or a path
_ADDRESS = re.compile(r"""(?:[a-z][a-z0-9+.-]*:/?/?|/)[^\s"'<>\\]*""", re.I)
_ATTRIBUTE = re.compile(
    r"""\b(?:href|src|action|formaction|content|data-[a-z-]+)=(?:"([^"]*)"|'([^']*)')""", re.I
)
_MADE = re.compile(r"\bod[akr]_[A-Za-z0-9_-]{20,}")  # keys, and tokens of OAuth
_SINGLE_USE = frozenset({"/sign-in/link", "/verify", "/invitation", "/confirm/link"})


def addresses_in(text: str) -> Iterator[str]:
    plain = html.unescape(text)
    yield from (*_ADDRESS.findall(plain), *_ADDRESS.findall(text))
    for groups in _ATTRIBUTE.findall(text):
        yield html.unescape("".join(groups))


def read_through(address: str) -> str:
    """The address with all that is packed in it: escapes, and base64 in its query."""
    texts = [address, unquote(address)]
    try:
        query = parse_qsl(urlsplit(unquote(address)).query)
    except ValueError:
        query = []
    for _, value in query:
        try:
            texts.append(base64.b64decode(value + "=" * (-len(value) % 4)).decode("latin-1"))
        except (binascii.Error, ValueError):
            continue
    return " ".join(texts)


def secrets_of(cast: Cast, who: str) -> list[str]:
    person = cast[who]
    token = cast.form_token(who)
    known = [person.cookie, person.key.reveal(), person.actor.session_id or "", token]
    return [secret for secret in known if len(secret) > 12]


def betrayed(answer: Any, secrets: list[str]) -> list[str]:
    """The addresses of an answer that have a secret in them."""
    headers = [
        answer.headers[name] for name in ("location", "refresh", "link") if name in answer.headers
    ]
    return betrayed_by("\n".join([*headers, answer.text]), secrets) + [
        header for header in headers if betrayed_by(f" {header} ", secrets)
    ]


def betrayed_by(text: str, secrets: list[str]) -> list[str]:
    found = []
    for address in addresses_in(text):
        if urlsplit(address.partition("?")[0]).path in _SINGLE_USE:
            continue
        inside = read_through(address)
        if _MADE.search(inside) or any(secret in inside for secret in secrets):
            found.append(address[:200])
    return found


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_answer_has_a_secret_in_an_address(cast: Cast, who: str) -> None:
    wrong = {}

    for method, address, route in every_method():
        if method in ("GET", "POST"):
            secrets = secrets_of(cast, who)
            answer = ask(cast, who, method, route)
            if found := betrayed(answer, secrets):
                wrong[f"{method} {address}"] = found

    assert not wrong, wrong


def test_no_form_that_makes_or_takes_a_key_leads_to_an_address_with_it(cast: Cast) -> None:
    owner = cast[OWNER]
    keyed = {"key": owner.key.reveal(), "next": "/settings"}
    sent = [
        ("/sign-in/key", keyed),
        ("/sign-in/key", keyed | {"key": f"{owner.key.reveal()}x"}),
        ("/confirm/key", keyed),
        ("/settings/keys/create", {"name": "Claude", "scopes": "orders:read"}),
        ("/settings/keys/rotate-master", {}),
    ]
    for path, fields in sent:
        given = {"form_token": owner.form_token(), **fields}

        answer = post(owner, path, form_of(*given.items()))

        assert betrayed(answer, [owner.cookie, owner.key.reveal()]) == [], path
    cast.sign_in_again(OWNER)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_what_a_client_is_given_has_the_key_in_no_address(cast: Cast, client: Any) -> None:
    url, key = "https://orders.example.com", "odk_" + "k" * 43
    texts = [part.text for part in client.oauth(url)] if client.oauth else []
    texts += [part.text for part in client.by_key(url, key)] if client.by_key else []
    texts += [client.link(url)] if client.link else []

    assert [betrayed_by(text, [key]) for text in texts] == [[]] * len(texts)
    if client.link:
        assert not _MADE.search(read_through(client.link(url)))


def test_the_answer_with_a_new_key_for_a_client_has_it_in_no_address(cast: Cast) -> None:
    owner = cast[OWNER]
    for client in CLIENTS:
        form = form_of(
            ("form_token", owner.form_token()),
            ("client", client.id),
            ("name", client.name),
            ("preset", "read"),
        )

        answer = post(owner, "/connect/keys", form)

        assert betrayed(answer, [owner.cookie]) == [], client.id


def test_no_websocket_says_a_session_or_an_address_with_a_key(cast: Cast) -> None:
    owner = cast[OWNER]
    with owner.tab() as tab:
        for name in our_handlers():
            if name.rsplit(".", 1)[-1].startswith("load"):
                tab.send(name, waits=False)

    assert owner.cookie not in tab.seen
    assert owner.key.reveal() not in tab.seen
    assert betrayed_by(tab.seen, [owner.cookie, owner.key.reveal()]) == []


# ------------------------------------------------------------------ with the guards off


def test_an_address_with_a_key_would_be_found(cast: Cast) -> None:
    owner = cast[OWNER]
    packed = base64.b64encode(b'{"headers": {"Authorization": "odk_' + b"k" * 43 + b'"}}').decode()

    for text in (
        f"https://x.example/mcp?token={owner.key.reveal()}",
        f'<a href="/settings?key={owner.cookie}">',
        f"cursor://anysphere.cursor-deeplink/mcp/install?name=x&config={packed}",
        "vscode:mcp/install?%7B%22h%22%3A%22odk_" + "k" * 43,
        f"{COOKIE} /stores/odk_{'k' * 43}",
    ):
        assert betrayed_by(text, [owner.cookie, owner.key.reveal()]), text


def test_a_redirect_with_a_session_would_be_found(cast: Cast) -> None:
    owner = cast[OWNER]
    redirect_to = forms.redirect_to

    def careless(path: str, **query: str) -> Any:
        return redirect_to(path, session=owner.cookie, **query)

    form = form_of(("form_token", owner.form_token()), ("client", "x"), ("preset", "none"))
    with switched_off(forms, "redirect_to", careless), switched_off(forms, "own_page", str):
        answer = post(owner, "/connect/keys", form)

    assert connect.FORM == "connect"
    assert betrayed(answer, [owner.cookie])
