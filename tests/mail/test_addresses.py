"""Whether a text is an e-mail address, without a question to the network."""

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mail.addresses import email_address, readable
from orderdesk_app.mail.message import Mail, as_message
from tests.mail.test_letters import AT


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("DNS was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" ada@example.com ", "ada@example.com"),
        ("Ada.Okafor+tag@EXAMPLE.com", "Ada.Okafor+tag@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example"),
        ("ada@例え.jp", "ada@xn--r8jz45g.jp"),
        ("o'neil@example.com", "o'neil@example.com"),
    ],
)
def test_an_address_has_one_form(typed: str, address: str) -> None:
    assert email_address(typed) == address
    assert email_address(address) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@@example.com",
        "ada@exa mple.com",
        "ada@example.com\r\nBcc: x@example.net",
        "a\x00da@example.com",
        "Ada <ada@example.com>",
        "ada@example.com, bert@example.com",
        "ada@example.com;bert@example.com",
        "ada@[127.0.0.1]",
        "ada@localhost",
        '"ada b"@example.com',
        "ada@-example.com",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 260 + ".com",
        "a" * 1_000_000 + "@example.com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        email_address(typed)

    assert refused.value.field == "email"
    assert refused.value.message == (
        "This is no e-mail address. Write one such as ada@example.com."
    )


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.emails()))
def test_any_text_is_an_address_for_one_mail_or_refused(typed: str) -> None:
    try:
        address = email_address(typed)
    except ValidationFailed:
        return

    message = as_message(Mail("1", AT, address, "s", "t", "h"), "orders@example.com")
    [to] = message["To"].addresses
    assert to.addr_spec == address
    assert message.as_bytes()


def test_people_read_the_letters_of_a_domain() -> None:
    assert readable("ada@xn--bcher-kva.example") == "ada@bücher.example"
    assert readable("ada@xn--\x80.example") == "ada@xn--\x80.example"
