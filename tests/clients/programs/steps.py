"""The same steps for every client that is written in Python: it lists, makes three calls, and comes
again with a wrong key. Prints what the client gave to its program, as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from typing import Any

# A tool and its arguments.
Call = tuple[str, dict[str, Any]]
# Address, key and calls; the names of the tools, and what each call gave.
Speak = Callable[[str, str, list[Call]], Awaitable[tuple[Iterable[str], list[Any]]]]


def run(package: str, speak: Speak) -> None:
    given = json.loads(sys.argv[1])
    calls = [(call["tool"], call["arguments"]) for call in given["calls"]]
    tools, results = asyncio.run(speak(given["url"], given["key"], calls))
    begun = time.monotonic()
    refusal = asyncio.run(_refusal(speak(given["url"], given["wrong_key"], calls)))
    told = {
        "version": version(package),
        "tools": sorted(tools),
        "results": results,
        "refusal": refusal,
        "seconds": time.monotonic() - begun,
    }
    sys.stdout.write(json.dumps(told) + "\n")


async def _refusal(speaking: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(20):
            await speaking
    except BaseException as error:
        return "\n".join(_words(error))
    return ""


def _words(error: BaseException) -> list[str]:
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [f"{type(error).__name__}: {error}", *(word for part in parts for word in _words(part))]
