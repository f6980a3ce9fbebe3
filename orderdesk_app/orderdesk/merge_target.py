"""The place in an order where one value is merged in."""

from dataclasses import dataclass, replace
from datetime import datetime

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.orderdesk.comparison import is_same


@dataclass(frozen=True, slots=True)
class MergeTarget:
    """The container, the key in it, the dotted path for errors; and the time and author of new
    notes.
    """

    container: JsonObject
    key: str
    path: str
    at: datetime
    author: str

    def nested(self, container: JsonObject, key: str, path: str) -> "MergeTarget":
        """The target for `key` of a container inside this one."""
        return replace(self, container=container, key=key, path=f"{path}.{key}")

    @property
    def current(self) -> Json:
        """The value before the merge, None if there is none."""
        return self.container.get(self.key)

    def put(self, new: Json) -> None:
        """Writes a value, unless the same value is there already in another JSON form: that is sent
        again byte for byte.
        """
        if self.key not in self.container or not _is_unchanged(self.container[self.key], new):
            self.container[self.key] = new


def _is_unchanged(old: Json, new: Json) -> bool:
    return old is new or (not isinstance(new, list | dict) and is_same(old, new))
