"""Hashing is slow, and one account's hashes are no line for another's."""

import asyncio
import threading
import time
from collections.abc import Iterator

import bcrypt
import pytest

from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.tokens import new_master_key


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hashes of the account that asks much end when this is set."""
    let_go = threading.Event()
    yield let_go
    let_go.set()


async def test_sixty_hashes_of_one_account_do_not_hold_up_the_first_of_another(
    let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = Passwords(rounds=4)
    hashpw = bcrypt.hashpw

    def slow(password: bytes, salt: bytes) -> bytes:
        let_go.wait(20)
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", slow)
    many = [
        asyncio.create_task(passwords.hash(new_master_key(), account="busy")) for _ in range(60)
    ]
    await asyncio.sleep(0.05)
    key = new_master_key()
    hashed = hashpw(b"x", bcrypt.gensalt(4))

    started = time.monotonic()
    await passwords.is_hash_of(hashed, key, account="another")
    took = time.monotonic() - started
    is_still_busy = not any(task.done() for task in many)
    let_go.set()
    await asyncio.gather(*many)

    assert is_still_busy
    assert took < 5


async def test_a_caller_who_leaves_does_not_free_a_second_thread(
    let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = Passwords(rounds=4)
    running: list[int] = []

    def slow(password: bytes, salt: bytes) -> bytes:
        running.append(1)
        let_go.wait(20)
        return b""

    monkeypatch.setattr(bcrypt, "hashpw", slow)
    left = [asyncio.create_task(passwords.hash(new_master_key(), account="busy")) for _ in range(5)]
    await asyncio.sleep(0.05)
    for task in left:
        task.cancel()
        await asyncio.sleep(0.01)

    assert len(running) == 1
    let_go.set()
    await asyncio.gather(*left, return_exceptions=True)


async def test_accounts_that_wait_for_nothing_are_forgotten() -> None:
    passwords = Passwords(rounds=4)

    for number in range(20):
        await passwords.hash(new_master_key(), account=str(number))

    assert passwords.waiting_accounts == 0
