"""The message that the page shows after a refused form. It is kept for that session for a minute,
never in the URL, where anyone could write one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as made_by

from cachetools import TTLCache

from orderdesk_app.context import current_request
from orderdesk_app.errors import OrderDeskAgentsError

_SECONDS = 60
_HELD_SECONDS = 30 * 60  # a mailed link comes late, and works for 15 minutes
_MOST = 5_000


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """A sentence, the field it is about, and what was typed into the other fields; never a
    secret.
    """

    text: str
    tone: str = "red"
    field: str = ""
    form: str = ""  # which form of the page
    typed: Mapping[str, str] = made_by(default_factory=dict)


def message_of(error: OrderDeskAgentsError) -> str:
    """The text of a page for this error.

    An error that the user cannot correct comes with the reference of its audit rows.
    """
    reference = current_request().request_id
    return (
        error.message
        if error.http_status < 500 or reference in error.message
        else f"{error.message} Reference: {reference}."
    )


class FlashMessages:
    """At most one message for each session, the newest; reading it removes it."""

    def __init__(
        self, *, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept: TTLCache[str, FlashMessage] = TTLCache(_MOST, ttl=seconds, timer=clock)

    def set(self, session_id: str, message: FlashMessage) -> None:
        self._kept[session_id] = message

    def pop(self, session_id: str) -> FlashMessage | None:
        return self._kept.pop(session_id, None)


class HeldForms(FlashMessages):
    """Forms that were refused until their person has confirmed who they are, with what was typed
    (routes/confirm.py): at most one for each session, the newest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(seconds=_HELD_SECONDS, clock=clock)

    def hold(
        self, session_id: str, *, form: str = "", typed: Mapping[str, str] | None = None
    ) -> None:
        """`form` is which form of its page, "" for an act without one."""
        words = "You confirmed that it is you. Now do it again."
        self.set(session_id, FlashMessage(words, tone="green", form=form, typed=typed or {}))
