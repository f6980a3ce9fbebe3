"""How far an update has come over its attempts: what arrived, what Order Desk rewrote, and what is
still to be sent. Pure.
"""

from collections.abc import Iterable, Mapping

from orderdesk_app.context import Json
from orderdesk_app.orderdesk.comparison import Comparison, as_list

_NEW_ITEM = "order_items[+"


class PartialUpdate:
    """The progress of one update. Paths are those of the first plan: a new item keeps its number
    when the rest is planned again.
    """

    def __init__(self, changes: Mapping[str, Json], changed: Iterable[str]) -> None:
        self.changed = tuple(changed)
        self.changes = dict(changes)  # what is still to be sent
        self._arrived: set[str] = set()
        self._rewritten: set[str] = set()
        self._new_items = [path for path in self.changed if path.startswith(_NEW_ITEM)]

    @property
    def arrived(self) -> tuple[str, ...]:
        """The paths that had the value meant after any attempt."""
        return tuple(path for path in self.changed if path in self._arrived)

    @property
    def rewritten(self) -> tuple[str, ...]:
        """The paths with a third value: Order Desk rewrote the value meant, or another caller
        changed it.
        """
        return tuple(path for path in self.changed if path in self._rewritten)

    @property
    def missing(self) -> tuple[str, ...]:
        """The paths that still had their old value after every attempt."""
        return tuple(
            path
            for path in self.changed
            if path not in self._arrived and path not in self._rewritten
        )

    @property
    def is_done(self) -> bool:
        """Whether every path has arrived."""
        return self._arrived.issuperset(self.changed)

    @property
    def has_left_marks(self) -> bool:
        """Whether any part of this update is in the order, in any form."""
        return bool(self._arrived or self._rewritten)

    def note(self, comparison: Comparison) -> None:
        """Records what was found after one more attempt.

        An added item or note that is there in any form is not sent again: merging it again would
        add it twice. Every other change can be merged twice without harm.
        """
        self._arrived.update(self._first(comparison.arrived))
        self._rewritten.update(self._first(comparison.other))
        self._rewritten -= self._arrived
        self._leave_out({*comparison.arrived, *comparison.other})

    def _first(self, paths: Iterable[str]) -> list[str]:
        """Paths of the latest plan as the first plan named them."""
        numbers = {f"{_NEW_ITEM}{number}]": path for number, path in enumerate(self._new_items, 1)}
        return [numbers.get(path, path) for path in paths]

    def _leave_out(self, there: set[str]) -> None:
        kept: list[Json] = []
        left: list[str] = []
        number = 0
        for entry in as_list(self.changes.get("order_items")):
            if isinstance(entry, Mapping) and entry.get("id") is None:
                number += 1
                if f"{_NEW_ITEM}{number}]" in there:
                    continue
                left.append(self._new_items[number - 1])
            kept.append(entry)
        if "order_items" in self.changes:
            self.changes["order_items"], self._new_items = kept, left
        if "order_notes" in there:
            self.changes.pop("order_notes", None)
