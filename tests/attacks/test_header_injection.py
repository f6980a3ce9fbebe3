"""A name or an address that somebody types adds headers, recipients or a second mail to a letter of
ours. Guards: `one_line` in each header, `typed` for each name, and one form for each address.
"""

from typing import Any

import pytest

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mail import letters, message
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.message import Mail, as_message
from orderdesk_app.mail.templates import draw
from tests.attacks.cast import switched_off
from tests.mail.test_letters import AT, KINDS, PUBLIC_URL, check, made

_BREAKS = (
    "\r\n",
    "\n",
    "\r",
    "\n\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\0",
    "\u560d\u560a",  # whose last bytes are CR and LF
    "%0d%0a",
    "\\r\\n",
)
_WORDS = (
    "=?utf-8?q?Ada=0d=0aBcc:_victim@example.net?=",
    "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLm5ldA==?=",
    "=?utf-8?q?Ada?=\r\n =?utf-8?q?=0aBcc:_victim@example.net?=",
    'Ada" <victim@example.net>, "x',
    "Ada\r\n.\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.net>\r\nDATA",
    ".\r\n",
    "--===============boundary==",
)
NASTY = (*(f"Ada{each}Bcc: victim@example.net{each}{each}Buy" for each in _BREAKS), *_WORDS)
ADDRESSES = (
    *(f"ada@example.com{each}Bcc: victim@example.net" for each in _BREAKS),
    *(f"ada{each}@example.com" for each in _BREAKS[:-2]),
    "ada@example.com,victim@example.net",
    "ada@example.com;victim@example.net",
    "ada@example.com victim@example.net",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    '"ada@example.com\r\nBcc: victim"@example.net',
    "=?utf-8?q?ada?=@example.com\r\n",
    "ada@example.com>\r\nRCPT TO:<victim@example.net",
    "ada@[127.0.0.1]",
    "ada@localhost\n",
    "@victim.example:ada@example.com",
    "ada%victim.example@example.com\r",
)


def sent(kind: type[Any], text: str, to: str = "ada@example.net") -> bytes:
    """What goes over the wire."""
    drawn = draw(made(kind, text), PUBLIC_URL)
    mail = Mail("01JZ", AT, to, drawn.subject, drawn.text, drawn.html)
    return as_message(mail, "orders@example.com").as_bytes()


def names_of_headers(wire: bytes) -> list[str]:
    """Before the first empty line, with every line break that a server may know."""
    head = wire.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    return [line.partition(b":")[0].decode().lower() for line in head.splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_adds_no_header_and_no_recipient(kind: type[Any]) -> None:
    plain = names_of_headers(sent(kind, "Ada's Teas"))

    for text in NASTY:
        wire = sent(kind, text)
        assert names_of_headers(wire) == plain, text
        # a line with a dot alone ends a mail; nobody who types one may
        assert b"\r\n.\r\n" not in wire, text
    for text in _WORDS:
        check(kind, text)


@pytest.mark.parametrize("typed", ADDRESSES)
def test_what_is_more_than_one_address_is_none(typed: str) -> None:
    try:
        address = email_address(typed)
    except ValidationFailed:
        return

    assert address.isprintable()
    assert not set(address) & set(' ,;<>"\\()[]:')
    assert names_of_headers(sent(letters.Trial, "", to=address)).count("to") == 1


def test_without_the_guards_a_name_would_reach_the_headers() -> None:
    """The library behind them refuses line breaks: then the mail would never go."""
    with (
        switched_off(letters, "one_line", lambda text, most: text),
        switched_off(message, "one_line", lambda text, most: text),
    ):
        for text in (NASTY[0], _WORDS[0]):
            with pytest.raises((ValueError, AssertionError)):
                check(letters.Invitation, text)
