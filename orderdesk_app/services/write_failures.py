"""The errors for a write that failed: what is known of its outcome, and the next step."""

from orderdesk_app.errors import (
    Conflict,
    Fault,
    LockLost,
    OrderDeskAgentsError,
    OutcomeUnknown,
    StoreKeyRefused,
)
from orderdesk_app.orderdesk.comparison import is_refusal


def is_conflict(lost: OrderDeskAgentsError | None) -> bool:
    """True if Order Desk refused a write because another caller is changing the object."""
    return lost is not None and lost.fault is Fault.CONFLICT


def in_conflict(lost: OrderDeskAgentsError, name: str) -> OrderDeskAgentsError:
    """The error for a write that met a conflict to the end, once reading has proven that nothing
    was done. `name` is what the caller calls the object.
    """
    return Conflict(
        f"{reason(lost)} Somebody else is changing {name} at Order Desk, or it is locked there. "
        "Nothing was changed. Read it again, and try again in a minute.",
        outcome="not_done",
        fault=lost.fault,
        status=lost.status,
        said=lost.said,
        details=lost.details,
    )


def key_refused(error: OrderDeskAgentsError, lost: OrderDeskAgentsError) -> StoreKeyRefused | None:
    """The error for a write that was refused because of the key, with outcome "not_done".

    `lost` is the refusal of the write, `error` that of a read with the same key; None if the key
    was not the reason.
    """
    if isinstance(error, StoreKeyRefused) and is_refusal(lost):
        return error.reworded(error.message, outcome="not_done")
    return None


def as_not_done(error: OrderDeskAgentsError) -> OrderDeskAgentsError:
    """The same error, now that reading has proven that nothing was done."""
    return error.reworded(
        f"{reason(error)} Reading proved that nothing was changed.", outcome="not_done"
    )


def unknown_because(
    lost: OrderDeskAgentsError, message: str, details: dict[str, object]
) -> OutcomeUnknown:
    """OutcomeUnknown with what is known of the request that was lost."""
    return OutcomeUnknown(
        message,
        outcome="unknown",
        retry_after=lost.retry_after,
        fault=lost.fault,
        status=lost.status,
        said=lost.said,
        details=details,
    )


def reason(error: OrderDeskAgentsError) -> str:
    """What happened, without the next step, which the caller of this function adds."""
    if error.said and (is_refusal(error) or is_conflict(error)):
        return f"Order Desk refused: “{error.said}”."
    return error.message.split(". ", 1)[0].rstrip(".") + "."


def lock_lost(noun: str) -> LockLost:
    """The error for a process that was suspended until its lock on the object had run out."""
    return LockLost(
        f"We stood still for so long that another process may be writing the {noun}. Nothing was "
        "written. Try again.",
        retry_after=1,
        outcome="not_done",
    )
