"""Every error that a user can meet, drawn as a tree; each class knows its code, its HTTP status and
its public words.

OrderDeskAgentsError
├── ValidationFailed        VALIDATION_ERROR       400   the caller can mend it
│   ├── UnknownTool         VALIDATION_ERROR       404
│   └── BodyTooLarge        VALIDATION_ERROR       413
├── AuthFailed              AUTH_ERROR             401   who are you?
│   ├── SignInFailed        AUTH_ERROR             401
│   ├── StoreKeyRefused     AUTH_ERROR             401   Order Desk refused the store's key
│   ├── LinkExpired         AUTH_ERROR             410
│   └── LinkUsed            AUTH_ERROR             410
├── PermissionDenied        PERMISSION_DENIED      403   known, but not allowed
├── NotFound                NOT_FOUND              404   also for what belongs to a neighbour
├── Conflict                CONFLICT_ERROR         409   the world moved on; nothing was written
├── RateLimited             RATE_LIMIT_EXCEEDED    429   ours or Order Desk's bucket is empty
└── UpstreamFailed          ORDERDESK_API_ERROR    502   Order Desk said no
    ├── UpstreamUnreachable ORDERDESK_API_ERROR    503   no answer, or an unreadable one
    ├── OutcomeUnknown      ORDERDESK_API_ERROR    502   a write may or may not have happened
    ├── DatabaseBusy        ORDERDESK_API_ERROR    503   our database is locked; nothing was done
    └── Unexpected          ORDERDESK_API_ERROR    500   a fault of ours; the log has the reference
ConfigurationError                                       a setting stops the start
"""

from typing import ClassVar, Literal

Outcome = Literal["not_done", "done", "partly_done", "unknown"]


class OrderDeskAgentsError(Exception):
    """The root: `message` is written for the reader and names the next step; it never holds a
    secret or a library's text.

    `field` names the argument at fault, `retry_after` is in seconds, `outcome` says what became of
    a write. `details` are small public facts (ids, dates) that a client may act on.
    """

    code: ClassVar[str] = "ORDERDESK_API_ERROR"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        outcome: Outcome | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.outcome: Outcome | None = outcome
        self.details = details or {}


class ValidationFailed(OrderDeskAgentsError):
    code = "VALIDATION_ERROR"
    status = 400


class UnknownTool(ValidationFailed):
    status = 404


class BodyTooLarge(ValidationFailed):
    status = 413


class AuthFailed(OrderDeskAgentsError):
    code = "AUTH_ERROR"
    status = 401


class SignInFailed(AuthFailed):
    pass


class StoreKeyRefused(AuthFailed):
    pass


class LinkExpired(AuthFailed):
    status = 410


class LinkUsed(AuthFailed):
    status = 410


class PermissionDenied(OrderDeskAgentsError):
    code = "PERMISSION_DENIED"
    status = 403


class NotFound(OrderDeskAgentsError):
    code = "NOT_FOUND"
    status = 404


class Conflict(OrderDeskAgentsError):
    code = "CONFLICT_ERROR"
    status = 409


class RateLimited(OrderDeskAgentsError):
    code = "RATE_LIMIT_EXCEEDED"
    status = 429


class UpstreamFailed(OrderDeskAgentsError):
    status = 502


class UpstreamUnreachable(UpstreamFailed):
    status = 503


class OutcomeUnknown(UpstreamFailed):
    pass


class DatabaseBusy(UpstreamFailed):
    status = 503


class Unexpected(UpstreamFailed):
    status = 500


class ConfigurationError(Exception):
    """A setting stops the start: the message names the variable, the rule and an example."""
