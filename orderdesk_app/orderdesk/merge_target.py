"""Where one given value is merged in."""

from dataclasses import dataclass, replace
from datetime import datetime

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.orderdesk.comparison import is_same


@dataclass(frozen=True, slots=True)
class MergeTarget:
    """The container and the key in it, the dotted path for errors, and what new notes need."""

    container: JsonObject
    key: str
    path: str
    at: datetime
    author: str

    def nested(self, container: JsonObject, key: str, path: str) -> "MergeTarget":
        """The same merge, one container further in."""
        return replace(self, container=container, key=key, path=f"{path}.{key}")

    @property
    def current(self) -> Json:
        """What is there before the merge, None where nothing is."""
        return self.container.get(self.key)

    def put(self, new: Json) -> None:
        """Write a value; what is there already in another form of the same value stays, so that it
        goes back byte for byte.
        """
        if self.key not in self.container or not _is_unchanged(self.container[self.key], new):
            self.container[self.key] = new


def _is_unchanged(old: Json, new: Json) -> bool:
    return old is new or (not isinstance(new, list | dict) and is_same(old, new))
