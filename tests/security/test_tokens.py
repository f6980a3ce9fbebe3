"""Keys, digests and bcrypt: random enough, found again, and slow only where slowness is the
point.
"""

import asyncio
import re

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.security.digests import digest
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.tokens import could_be_key, hint, new_access_key, new_master_key


def test_a_master_key_is_64_url_safe_characters():
    keys = {new_master_key().reveal() for _ in range(100)}

    assert len(keys) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", key) for key in keys)


def test_an_access_key_can_be_told_by_its_prefix():
    key = new_access_key().reveal()

    assert re.fullmatch(r"odk_[A-Za-z0-9_-]{43}", key)
    assert hint(Secret(key)) == key[-4:]


def test_every_key_of_ours_has_the_shape_of_a_key():
    assert could_be_key(new_master_key().reveal())
    assert could_be_key(new_access_key().reveal())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "x" * 31,
        "x" * 257,
        "x" * 40 + " ",
        "x" * 40 + "\n",
        "é" * 40,
        "x" * 40 + "\x00",
    ],
)
def test_what_has_not_the_shape_of_a_key_is_not_looked_up(text):
    assert not could_be_key(text)


def test_a_digest_depends_on_key_and_token():
    assert digest(b"k" * 32, "token") == digest(b"k" * 32, "token")
    assert (
        len({digest(b"k" * 32, "token"), digest(b"l" * 32, "token"), digest(b"k" * 32, "tokem")})
        == 3
    )
    assert len(digest(b"k" * 32, "\ud800 not even text")) == 32


async def test_bcrypt_reads_every_character_of_a_long_key():
    """bcrypt alone stops at 72 bytes, and bcrypt 5 refuses more."""
    passwords = Passwords(rounds=4)
    key = "x" * 250

    hashed = await passwords.hash(Secret(key + "a"))

    assert await passwords.is_hash_of(hashed, Secret(key + "a"))
    assert not await passwords.is_hash_of(hashed, Secret(key + "b"))


async def test_the_event_loop_goes_on_while_bcrypt_works():
    work = asyncio.ensure_future(Passwords(rounds=12).hash(new_master_key()))
    turns = 0

    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert turns > 5  # one, if the hash stood in the loop's way
