"""Every mail says the same in text and HTML, leads to our own address alone, and carries nothing
that somebody typed as more than words.
"""

import email
import inspect
import re
from dataclasses import fields
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.context import Role, Secret
from orderdesk_app.mail import letters
from orderdesk_app.mail.letters import Content, minutes, typed
from orderdesk_app.mail.message import Mail, as_message
from orderdesk_app.mail.templates import draw

PUBLIC_URL = "https://desk.example.com"
AT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
TOKEN = Secret("Zk3_9-xQ7vLm2Np5Rs8Tt1Uu4Vv6Ww0X.eyJ0")
KINDS: list[type[Any]] = [
    kind
    for _, kind in inspect.getmembers(letters, inspect.isclass)
    if kind.__module__ == letters.__name__ and hasattr(kind, "letter") and kind is not Content
]
NASTY = (
    "Ada\r\nBcc: victim@example.net\r\n\r\nBuy now",
    "<script>alert(1)</script><a href='https://evil.example'>x</a>",
    "win at https://evil.example/now or evil.example",
    "\u202eadA\u2066\x00\u2028 \ud800",
    "{{ 7 * 7 }}{% raw %}",
    "=?utf-8?q?=0d=0aBcc:_x@example.net?=",
    "x" * 5000,
    "",
)


def made(kind: type[Any], text: str = "Ada's Teas") -> Content:
    """A mail of that kind; each text in it is the given one."""
    hints = get_type_hints(kind)
    values = {
        Secret: TOKEN,
        Role: Role.MEMBER,
        float: 900.0,
        datetime: AT,
        datetime | None: AT,
        str: text,
        tuple[str, ...]: ("Read",),
    }
    content: Content = kind(
        **{one.name: values[hints[one.name]] for one in fields(kind) if one.name != "path"}
    )
    return content


def message_of(content: Content, to: str = "ada@example.net") -> EmailMessage:
    """What arrives at the other end."""
    drawn = draw(content, PUBLIC_URL)
    mail = Mail("01JZ", AT, to, drawn.subject, drawn.text, drawn.html)
    parsed = email.message_from_bytes(
        as_message(mail, "orders@example.com").as_bytes(), policy=default
    )
    assert isinstance(parsed, EmailMessage)
    return parsed


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_each_kind_of_mail_is_tried() -> None:
    names = {kind.__name__ for kind in KINDS}

    assert names >= {
        "Verify",
        "AlreadyRegistered",
        "Welcome",
        "SignInLink",
        "Invitation",
        "NewDevice",
        "KeyRotated",
        "AppConnected",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_text_and_html_say_the_same_and_lead_to_us(kind: type[Any]) -> None:
    content = made(kind)
    drawn = draw(content, PUBLIC_URL)
    letter = content.letter()

    in_text = " ".join(drawn.text.split())
    page = Tags(drawn.html)
    for words in (*letter.paragraphs, letter.button, *letter.closing):
        assert words in in_text
        assert words.replace("'", "&#39;") in drawn.html
    assert {*page.links} <= {PUBLIC_URL, PUBLIC_URL + letter.path}
    assert re.findall(r"https?://[^/\s]+", drawn.text) == [PUBLIC_URL] * 2
    assert all(len(line) <= 72 for line in drawn.text.splitlines() if "://" not in line)
    assert "<img" not in drawn.html, "nothing is loaded, so nobody learns that it was opened"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", NASTY)
def test_what_somebody_typed_is_words_alone(kind: type[Any], text: str) -> None:
    check(kind, text)


@pytest.mark.parametrize("kind", [letters.Invitation, letters.AppConnected])
@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=300))
def test_any_name_is_words_alone(kind: type[Any], text: str) -> None:
    check(kind, text)


def check(kind: type[Any], text: str) -> None:
    plain, nasty = draw(made(kind), PUBLIC_URL), draw(made(kind, text), PUBLIC_URL)
    message = message_of(made(kind, text))

    assert Tags(nasty.html).tags == Tags(plain.html).tags
    assert Tags(nasty.html).links == Tags(plain.html).links
    assert list(message.keys()) == [
        "Subject",
        "From",
        "To",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]
    assert message["To"] == "ada@example.net"
    assert len(str(message["Subject"])) <= 150
    assert not message.defects
    assert "".join(str(message["Subject"]).split()) == "".join(nasty.subject.split())
    assert nasty.text.count("://") == plain.text.count("://")
    assert "evil.example" not in nasty.text, "no program makes a link of it"
    text_body = message.get_body(("plain",))
    assert text_body is not None
    assert text_body.get_content().split() == nasty.text.split()


def test_a_name_is_short_and_on_one_line() -> None:
    assert typed(" Ada\n\tOkafor ") == "Ada Okafor"
    assert typed("Ada\u202e\x00Okafor") == "Ada Okafor"
    assert len(typed("x" * 1000)) == 60
    assert typed("Dr. Müller & Söhne, Ltd.") == "Dr. Müller & Söhne, Ltd."
    assert typed("shop.example.com") == "shop. example. com"
    assert typed("\u200b") == "—"


@pytest.mark.parametrize("kind", [letters.Welcome, letters.KeyRotated])
def test_no_key_is_ever_mailed(kind: type[Any]) -> None:
    assert Secret not in get_type_hints(kind).values()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60, "1 minute"), (900, "15 minutes"), (7200, "2 hours"), (604_800, "7 days")],
)
def test_how_long_a_link_works(seconds: float, words: str) -> None:
    assert minutes(seconds) == words


def test_a_link_leads_nowhere_else() -> None:
    content = letters.Verify(TOKEN, 900.0, path="//evil.example/verify")

    with pytest.raises(AssertionError):
        draw(content, PUBLIC_URL)
