"""Which refusals get an audit row of their own: the first ten of a kind in a minute. All others of
that kind and minute share one row, which holds their count.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

WINDOW_SECONDS = 60.0
OWN_ROWS = 10
_MOST_KINDS = 2_000

T = TypeVar("T")


@dataclass(slots=True)
class _Window(Generic[T]):
    """One kind of refusal in one minute; `latest` is the last of those without a row."""

    began: float
    own_rows: int = 0
    left_out: int = 0
    latest: T | None = None


class RefusalSampling(Generic[T]):
    """Decides about each refusal and counts those without a row.

    At most `most_kinds` kinds are told apart at a time. What comes beyond is counted by
    `coarse_kind`, of which there are few, so that a stranger with many addresses makes few rows.
    """

    def __init__(
        self,
        *,
        most_kinds: int = _MOST_KINDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_kinds = most_kinds
        self._clock = clock
        self._windows: dict[Hashable, _Window[T]] = {}  # the oldest first
        self._due: list[tuple[T, int]] = []

    def has_own_row(self, refusal: T, kind: Hashable, coarse_kind: Hashable) -> bool:
        """True for the first ten of its kind; False when it was counted instead."""
        window = self._window(kind, coarse_kind)
        if window.own_rows < OWN_ROWS:
            window.own_rows += 1
            return True
        window.left_out += 1
        window.latest = refusal
        return False

    def count(self, refusal: T, kind: Hashable, coarse_kind: Hashable) -> None:
        """Count one for whose row there is no place."""
        window = self._window(kind, coarse_kind)
        window.left_out += 1
        window.latest = refusal

    def _window(self, kind: Hashable, coarse_kind: Hashable) -> _Window[T]:
        self._close_windows(self._clock() - WINDOW_SECONDS)
        if kind not in self._windows and len(self._windows) >= self._most_kinds:
            kind = coarse_kind
        return self._windows.setdefault(kind, _Window(self._clock()))

    @property
    def is_counting(self) -> bool:
        """Whether there are refusals without a row whose count was not taken yet."""
        return bool(self._due) or any(window.left_out for window in self._windows.values())

    def take_due(self, *, with_open: bool = False) -> list[tuple[T, int]]:
        """The last refusal and the count of each window that is over (`with_open`: of all)."""
        self._close_windows(float("inf") if with_open else self._clock() - WINDOW_SECONDS)
        due = self._due
        self._due = []
        return due

    def _close_windows(self, until: float) -> None:
        while self._windows:
            kind, window = next(iter(self._windows.items()))
            if window.began > until:
                return
            del self._windows[kind]
            if window.latest is not None:
                self._due.append((window.latest, window.left_out))
