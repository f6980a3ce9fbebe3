"""Master keys as bcrypt: slow on purpose, so never in the event loop."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

import bcrypt

from orderdesk_app.context import Secret

ROUNDS = 12

T = TypeVar("T")


class Passwords:
    """Hashes and checks in two threads of its own, so that a burst of sign-ins does not delay other
    work that waits for a thread.

    Each account has one hash at a time in line for these threads (`account` names it): sixty of
    one account are no line for the first one of another.
    """

    def __init__(self, rounds: int = ROUNDS) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="bcrypt")
        # by account; one that nobody waits for is forgotten
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def waiting_accounts(self) -> int:
        """How many accounts have a hash under way or in line."""
        return len(self._turns)

    def close(self) -> None:
        """Ends the threads: a process with threads should not be forked."""
        self._threads.shutdown(wait=False)

    async def hash(self, key: Secret, *, account: str = "") -> bytes:
        return await self._run(
            account, lambda: bcrypt.hashpw(_short(key), bcrypt.gensalt(self._rounds))
        )

    async def is_hash_of(self, hashed: bytes, key: Secret, *, account: str = "") -> bool:
        return await self._run(account, lambda: bcrypt.checkpw(_short(key), hashed))

    async def _run(self, account: str, work: Callable[[], T]) -> T:
        turn = self._turns.get(account)
        if turn is None:
            turn = self._turns[account] = asyncio.Lock()
        async with turn:
            job = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                return await asyncio.shield(job)
            except asyncio.CancelledError:
                # The thread works on. The account's next hash waits for it all the same, or a
                # caller who hangs up again and again would fill both threads.
                await asyncio.wait([job])
                raise


def _short(key: Secret) -> bytes:
    """44 bytes without a zero byte: bcrypt reads 72 at most, and bcrypt 5 refuses more
    (github.com/pyca/bcrypt).
    """
    return base64.b64encode(hashlib.sha256(key.reveal().encode()).digest())
