"""Libraries that few processes use, imported when they are used first."""

import asyncio
from importlib import import_module
from typing import Any


class LateImport:
    """Stands for a module at the top of a file, beside the real import that type checkers read:

    if TYPE_CHECKING:
        import webauthn
    else:
        webauthn = LateImport("webauthn")
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_loaded = False

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)

    async def load(self) -> None:
        """Import it in a thread: a large library would hold up the event loop."""
        if not self._is_loaded:
            await asyncio.to_thread(import_module, self._name)
            self._is_loaded = True
