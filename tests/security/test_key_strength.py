"""Keys that somebody could guess are told from random ones."""

import base64
import random
from collections.abc import Callable
from uuid import UUID

import pytest

from orderdesk_app.security.key_strength import is_simple

CHANCE = random.Random(4711)
RANDOM: dict[str, Callable[[], str]] = {
    "token_urlsafe(48)": lambda: base64.urlsafe_b64encode(CHANCE.randbytes(48)).decode(),
    "token_urlsafe(24)": lambda: base64.urlsafe_b64encode(CHANCE.randbytes(24)).decode(),
    "token_hex(32)": lambda: CHANCE.randbytes(32).hex(),
    "token_hex(16)": lambda: CHANCE.randbytes(16).hex(),
    "uuid4": lambda: str(UUID(bytes=CHANCE.randbytes(16), version=4)),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_keys_are_strong(kind: str) -> None:
    refused = [key for key in (RANDOM[kind]() for _ in range(300)) if is_simple(key)]

    assert refused == []


@pytest.mark.parametrize(
    "key",
    [
        "a" * 64,
        "1234567890" * 4,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "qwertyuiopasdfghjklzxcvbnm1234567890",
        "correct-horse-battery-staple-correct",
        "correcthorsebatterystaplecorrect1",
        "Password1Password1Password1Password1",
        "P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd!!",
        "ThisIsMyVerySecretMasterKey12345678",
        "MyOrderDeskMasterKeyForTheShop2024",
        "TeeladenSchluesselFuerOrderDesk2024",
        "MonkeyDragonBaseballFootball12345",
        "90210" * 8,
        "VGhpcyBpcyBhIHBsYWluIHNlbnRlbmNlIGluIGJhc2U2NA==",
        "zmxncbvalskdjfhgqpwoeirutyzmxncbva",
    ],
)
def test_words_patterns_and_rows_of_the_keyboard_are_simple(key: str) -> None:
    assert is_simple(key)
