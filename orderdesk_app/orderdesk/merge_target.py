"""The place in an order where one value is merged in."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.errors import Faults, ValidationFailed
from orderdesk_app.orderdesk.comparison import decimal_of, is_blank, is_same
from orderdesk_app.orderdesk.dates import is_same_moment
from orderdesk_app.orderdesk.field_names import NESTED_HINTS, check_name
from orderdesk_app.orderdesk.field_values import check_digits
from orderdesk_app.orderdesk.json_numbers import exact_text, is_rounded, share_a_double

_DATES = ("date_added", "date_updated")


@dataclass(frozen=True, slots=True)
class MergeTarget:
    """The container, the key in it, the dotted path for errors; the time and author of new notes;
    and the faults found so far.
    """

    container: JsonObject
    key: str
    path: str
    at: datetime
    author: str
    is_read: bool  # False before the order is read: what may be there already is not judged yet
    faults: Faults

    def nested(self, container: JsonObject, key: str, path: str) -> "MergeTarget":
        """The target for `key` of a container inside this one."""
        # dataclasses.replace takes three times as long, and a call may have 20,000 of them
        return MergeTarget(
            container, key, f"{path}.{key}", self.at, self.author, self.is_read, self.faults
        )

    @property
    def current(self) -> Json:
        """The value before the merge, None if there is none."""
        return self.container.get(self.key)

    def is_already(self, given: object) -> bool:
        """True if this text or number is there already, in whichever form: there is nothing to
        merge, and what is there goes back byte for byte.

        Raises ValidationFailed for the number that is there after a program has rounded it, and
        for any other whole number that may have been.
        """
        if isinstance(given, bool) or not isinstance(given, str | int | float | Decimal):
            return False
        there = self.container.get(self.key)
        if not is_blank(there) and not is_blank(given):
            if is_same(there, given) or _is_shown_as(there, given):
                return True
            self._refuse_rounded(there, given)
        if self.is_read:
            check_digits(given, self.path)
        return False

    def takes(self, allowed: Collection[str], given: object) -> bool:
        """True if the field may be written; False if it may not and has the given value already,
        as it has when a caller sends back all that was read.

        Raises ValidationFailed for the name of any other field.
        """
        if self.key in allowed:
            return True
        if self.key in self.container and is_as_shown(self.current, given, self.key):
            return False
        check_name(
            self.key,
            self.path,
            allowed,
            {},
            NESTED_HINTS,
            is_counted_only=self.faults.are_many,
        )
        return False

    def put(self, new: Json) -> None:
        """Writes a value, unless the same value is there already in another JSON form: that is sent
        again byte for byte.
        """
        if self.key not in self.container or not _is_unchanged(self.container[self.key], new):
            self.container[self.key] = new

    def _refuse_rounded(self, there: Json, given: object) -> None:
        if isinstance(there, str) and isinstance(given, str):
            return  # text is never rounded
        number, other = decimal_of(there), decimal_of(given)
        if number is None or other is None or not share_a_double(number, other):
            return
        raise ValidationFailed(
            f"{self.path}: the order has {exact_text(number)} there, and {exact_text(other)} is "
            "what a program makes of it that rounds long numbers. Leave it out to keep it; to "
            "write another number, clear it with null first and then send it as text.",
            field=self.path,
        )


def is_as_shown(there: Json, given: object, name: str = "") -> bool:
    """True for the value that is there as results show it: ids and long numbers as text, dates in
    ISO 8601, no nulls. `name` is the field that holds it.
    """
    if isinstance(there, dict) and isinstance(given, Mapping):
        return all(
            is_as_shown(there.get(key), given.get(key), str(key)) for key in {*there, *given}
        )
    if is_blank(there) or is_blank(given):
        return is_blank(there) and is_blank(given)
    if isinstance(there, list) and isinstance(given, list | tuple):
        return len(there) == len(given) and all(
            is_as_shown(one, other) for one, other in zip(there, given, strict=True)
        )
    if isinstance(there, dict | list) or isinstance(given, Mapping | list | tuple):
        return False
    if name in _DATES and isinstance(there, str) and isinstance(given, str):
        return there == given or is_same_moment(there, given)
    return is_same(there, given) or _is_shown_as(there, given)


def _is_unchanged(old: Json, new: Json) -> bool:
    return old is new or (not isinstance(new, list | dict) and is_same(old, new))


def _is_shown_as(there: Json, given: object) -> bool:
    """True for the text that stands for this number in our results."""
    return (
        isinstance(there, int | Decimal)
        and isinstance(given, str)
        and is_rounded(there)
        and given.strip() == exact_text(there)
    )
