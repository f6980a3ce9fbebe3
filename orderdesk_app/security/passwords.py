"""Master keys as bcrypt: slow on purpose, so never in the event loop."""

import asyncio
import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from orderdesk_app.context import Secret

ROUNDS = 12


class Passwords:
    """Hashes and checks in two threads of its own, so that a burst of sign-ins does not delay other
    work that waits for a thread.
    """

    def __init__(self, rounds: int = ROUNDS) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="bcrypt")

    def close(self) -> None:
        """Ends the threads: a process with threads should not be forked."""
        self._threads.shutdown(wait=False)

    async def hash(self, key: Secret) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: bcrypt.hashpw(_short(key), bcrypt.gensalt(self._rounds))
        )

    async def is_hash_of(self, hashed: bytes, key: Secret) -> bool:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, bcrypt.checkpw, _short(key), hashed
        )


def _short(key: Secret) -> bytes:
    """44 bytes without a zero byte: bcrypt reads 72 at most, and bcrypt 5 refuses more
    (github.com/pyca/bcrypt).
    """
    return base64.b64encode(hashlib.sha256(key.reveal().encode()).digest())
