"""How much work a piece of code does, counted: the same on every machine, whatever else runs there.

For tests that a cost does not grow with the square of what a caller sends. Seconds are measured in
`benchmarks/`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

# Of a request of the largest size. Comparing each of 500 entries with each other takes more.
MOST_CALLS = 1_000_000


@dataclass
class Work:
    calls: int = 0  # of functions, Python's and C's, in this thread


@contextmanager
def counted_work() -> Iterator[Work]:
    work = Work()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            work.calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield work
    finally:
        sys.setprofile(before)
