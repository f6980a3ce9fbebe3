"""What a write has changed: its difference, from the images that the journal keeps."""

from dataclasses import dataclass

from orderdesk_app.context import Actor, JsonObject
from orderdesk_app.orderdesk.comparison import Difference, differences
from orderdesk_app.services.journal import Journal


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """One write and its difference: each path with its value before, and as it was meant.

    `action` is "create", "update" or "delete"; `state` what became of it.
    """

    action: str
    object_id: str
    state: str
    store_row_id: str
    before: JsonObject | None
    changes: tuple[Difference, ...]

    @property
    def is_open(self) -> bool:
        """Its outcome is not known yet."""
        return self.state in ("open", "unknown")


class Changes:
    """Looks one write up by its change id."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def get(self, actor: Actor, change_id: str) -> ChangeMade | None:
        """None when the journal has none of that id (any more)."""
        row = await self._journal.find(actor, change_id)
        if row is None:
            return None
        # Only the paths of the write: in the images there is also what Order Desk computes.
        found = (
            [
                change
                for change in differences(row.before or {}, row.meant)
                if change.path in row.paths
            ]
            if row.meant is not None
            else []
        )
        return ChangeMade(
            row.action, row.object_id, row.state, row.store_row_id, row.before, tuple(found)
        )
