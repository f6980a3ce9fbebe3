"""Every error that a user can meet, drawn as a tree; each class knows its code, its HTTP status and
its public words.

OrderDeskAgentsError
├── ValidationFailed        VALIDATION_ERROR       400   the caller can mend it
│   ├── UnknownTool         VALIDATION_ERROR       404
│   ├── BodyTooSlow         VALIDATION_ERROR       408
│   ├── BodyTooLarge        VALIDATION_ERROR       413
│   └── BodyEncoded         VALIDATION_ERROR       415   gzip and the like are not unpacked
├── AuthFailed              AUTH_ERROR             401   the caller is not known
│   ├── SignInFailed        AUTH_ERROR             401
│   │   ├── ReplacedKey     AUTH_ERROR             401   a master key that no longer signs in
│   │   └── WeakKey         AUTH_ERROR             401   no account opens for a key like this
│   ├── StoreKeyRefused     AUTH_ERROR             401   Order Desk refused the store's key
│   ├── LinkExpired         AUTH_ERROR             410
│   └── LinkUsed            AUTH_ERROR             410
├── PermissionDenied        PERMISSION_DENIED      403   known, but not allowed
│   └── ReauthenticationRequired PERMISSION_DENIED 403   the sign-in is too old for this act
├── NotFound                NOT_FOUND              404   also for another tenant's rows
├── Conflict                CONFLICT_ERROR         409   the object has changed; nothing was written
│   └── VersionConflict     CONFLICT_ERROR         409   it is not the version that the caller saw
├── RateLimited             RATE_LIMIT_EXCEEDED    429   ours or Order Desk's bucket is empty
├── UpstreamFailed          ORDERDESK_API_ERROR    502   Order Desk said no
│   ├── UpstreamUnreachable ORDERDESK_API_ERROR    503   no answer, or an unreadable one
│   └── OutcomeUnknown      ORDERDESK_API_ERROR    502   a write may or may not have happened
└── InternalError           INTERNAL_ERROR         500   a fault of ours, whatever Order Desk does
    ├── DatabaseBusy        INTERNAL_ERROR         503   our database is locked; nothing was done
    │   └── StorageFailed   INTERNAL_ERROR         503   its disk is full, or the file is damaged
    ├── LockLost            INTERNAL_ERROR         503   we were suspended until the lock ran out
    └── Unexpected          INTERNAL_ERROR         500   a bug; the log has the reference
ConfigurationError                                       a setting stops the start
"""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from typing import ClassVar, Literal, NamedTuple, Self

Outcome = Literal["not_done", "done", "partly_done", "unknown"]


_PLAIN_WORD = r"[\w&'+/-]+(?:\.[\w&'+/-]+)*"  # a point ends no sentence in it
_PATH = re.compile(r"[\w.\[\]=+-]{1,80}").fullmatch
_PLAIN_WORDS = re.compile(rf"{_PLAIN_WORD}(?: {_PLAIN_WORD}){{0,7}}").fullmatch


class Fault(StrEnum):
    """What went wrong with one request to Order Desk; the values are the labels of its metric."""

    RATE_LIMITED = "rate_limited"  # 429: refused unprocessed
    NOT_SENT = "not_sent"  # no connection: Order Desk never saw it
    TIMED_OUT = "timed_out"  # sent, no whole answer in time
    BROKEN_OFF = "broken_off"  # sent, the connection ended before the whole answer
    SERVER_ERROR = "server_error"  # 5xx
    UNREADABLE = "unreadable"  # an answer, but not one of Order Desk's
    KEY_REFUSED = "key_refused"
    NOT_FOUND = "not_found"
    REDIRECTED = "redirected"
    CONFLICT = "conflict"  # of a write: 409, 412, 423: somebody else is changing it
    SAID_NO = "said_no"  # 4xx, or status "error" in a 200

    @property
    def proves_nothing_done(self) -> bool:
        """True where Order Desk cannot have acted on the request.

        (A refused key proves it by its status, not by words in a 200.)
        """
        return self in (Fault.RATE_LIMITED, Fault.NOT_SENT)


class OrderDeskAgentsError(Exception):
    """The root: `message` is written for the reader and names the next step; it never holds a
    secret or a library's text.

    `field` names the argument at fault, `retry_after` is in seconds, `outcome` says what became of
    a write and `change_id` names its journal row.

    Where Order Desk said it, `fault` is what went wrong with the request, `status` the HTTP status
    of its answer (None without one) and `said` its own words (empty without any).

    `details` are small public facts (ids, dates) that a client may act on. They are for clients
    alone: our own code decides by the attributes.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    http_status: ClassVar[int] = 500  # of our own answer, where an error becomes one

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        outcome: Outcome | None = None,
        fault: Fault | None = None,
        status: int | None = None,
        said: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.outcome: Outcome | None = outcome
        self.fault = fault
        self.status = status
        self.said = said
        self.change_id: str | None = None
        self.details = dict(details or {})

    def reworded(
        self,
        message: str,
        *,
        outcome: Outcome | None = None,
        details: Mapping[str, object] | None = None,
    ) -> Self:
        """A copy of the same class with another message, which keeps everything else that is known.

        `outcome` replaces the outcome where it is given; `details` are added to those there are.
        The copy has no cause: raise it `from` the original.
        """
        error = type(self).__new__(type(self), message)
        error.__dict__.update(self.__dict__)
        error.message = message
        error.outcome = outcome or self.outcome
        error.details = {**self.details, **(details or {})}
        return error


class ValidationFailed(OrderDeskAgentsError):
    """`faults` are the faults of one call where it has several; else it is one fault itself.

    `advice` ends the message of a fault; other faults of the call may have the same.
    """

    code = "VALIDATION_ERROR"
    http_status = 400
    faults: tuple["ValidationFailed", ...] = ()
    advice = ""


class UnknownTool(ValidationFailed):
    http_status = 404


class BodyTooSlow(ValidationFailed):
    http_status = 408


class BodyTooLarge(ValidationFailed):
    http_status = 413


class BodyEncoded(ValidationFailed):
    http_status = 415


class AuthFailed(OrderDeskAgentsError):
    code = "AUTH_ERROR"
    http_status = 401


class SignInFailed(AuthFailed):
    pass


class ReplacedKey(SignInFailed):
    """Another master key took its place; for a while it works at `/mcp` and nowhere else."""


class WeakKey(SignInFailed):
    """`is_short`: it has too few characters, or some that no key has; else it is too simple."""

    def __init__(self, message: str, *, field: str | None = None, is_short: bool = False) -> None:
        super().__init__(message, field=field)
        self.is_short = is_short


class StoreKeyRefused(AuthFailed):
    pass


class LinkExpired(AuthFailed):
    http_status = 410


class LinkUsed(AuthFailed):
    http_status = 410


class PermissionDenied(OrderDeskAgentsError):
    code = "PERMISSION_DENIED"
    http_status = 403
    permission = ""  # the one that was lacking, where it is one of a role (services/roles.py)


class ReauthenticationRequired(PermissionDenied):
    pass


class NotFound(OrderDeskAgentsError):
    code = "NOT_FOUND"
    http_status = 404


class Conflict(OrderDeskAgentsError):
    code = "CONFLICT_ERROR"
    http_status = 409


class VersionConflict(Conflict):
    """`order` is the order as it is now, `found` and `expected` are its date_updated and the one
    that the caller saw, in ISO 8601.
    """

    def __init__(self, message: str, *, order: Mapping[str, object], found: str, expected: str):
        super().__init__(
            message,
            field="expected_date_updated",
            outcome="not_done",
            details={
                "expected_date_updated": expected,
                "date_updated": found,
                "order": dict(order),
            },
        )
        self.order = order
        self.found = found
        self.expected = expected


class RateLimit(NamedTuple):
    """One of our own limits as its caller sees it now, which the RateLimit headers say."""

    limit: int  # the most that is there at once
    remaining: int
    reset: int  # seconds until all of it is there again


class RateLimited(OrderDeskAgentsError):
    code = "RATE_LIMIT_EXCEEDED"
    http_status = 429
    limit: RateLimit | None = None  # of ours; None where Order Desk refused

    def by(self, limit: RateLimit) -> Self:
        """This error, refused by that limit."""
        self.limit = limit
        return self


class UpstreamFailed(OrderDeskAgentsError):
    code = "ORDERDESK_API_ERROR"
    http_status = 502


class UpstreamUnreachable(UpstreamFailed):
    http_status = 503


class OutcomeUnknown(UpstreamFailed):
    pass


class InternalError(OrderDeskAgentsError):
    code = "INTERNAL_ERROR"
    http_status = 500


class DatabaseBusy(InternalError):
    http_status = 503


class StorageFailed(DatabaseBusy):
    pass


class LockLost(InternalError):
    http_status = 503


class Unexpected(InternalError):
    http_status = 500


class Faults:
    """The faults of one call, so that its caller learns of all of them in one answer."""

    MOST_TOLD = 20
    _MOST_COUNTED = 500  # judging and counting hold up all other calls

    def __init__(self) -> None:
        self._told: list[ValidationFailed] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def are_many(self) -> bool:
        """Whether further faults are counted only, so that their words do not matter."""
        return self._count >= self.MOST_TOLD

    def are_about(self, *names: str) -> bool:
        """Whether a fault is told at one of these fields, inside it, or at a name that probably
        meant it.
        """
        hints = [f"Did you mean {name}?" for name in names]
        return any(
            fault.advice in hints or re.split(r"[.\[]", fault.field or "", maxsplit=1)[0] in names
            for fault in self._told
        )

    def add(self, error: ValidationFailed) -> None:
        """Raises them all as one error when they are too many to go on."""
        for fault in error.faults or (error,):
            if not self.are_many:
                self._told.append(fault)
            self._count += 1
        if self._count >= self._MOST_COUNTED:
            self.raise_any()

    def caught(self) -> Self:
        """`with faults.caught():` a ValidationFailed inside is kept instead of raised."""
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        if not isinstance(error, ValidationFailed):
            return False
        self.add(error)
        return True

    def raise_any(self) -> None:
        """Raises the one fault as it is, several as one ValidationFailed that tells the first
        twenty; nothing where there are none.
        """
        if not self._told:
            return
        if self._count == 1:
            raise self._told[0]
        error = ValidationFailed(
            self._words(),
            field=self._told[0].field,
            details={"faults": [_fault_facts(fault) for fault in self._told]},
        )
        error.faults = (*self._told, *[_UNTOLD] * (self._count - len(self._told)))
        raise error

    def _words(self) -> str:
        words = [f"{self._count} things are wrong."]
        said: set[str] = set()
        for number, fault in enumerate(self._told, 1):
            message = fault.message
            if fault.advice and fault.advice in said:
                message = message.removesuffix(fault.advice).rstrip()
            said.add(fault.advice)
            words.append(f"({number}) {message}")
        if self._count > len(self._told):
            least = "at least " if self._count >= self._MOST_COUNTED else ""
            words.append(f"And {least}{self._count - len(self._told)} more.")
        return " ".join(words)


def _fault_facts(fault: ValidationFailed) -> Mapping[str, object]:
    return {"field": fault.field, "message": fault.message}


_UNTOLD = ValidationFailed("")


class ConfigurationError(Exception):
    """A setting stops the start: the message names the variable, the rule and an example."""


def in_message(name: str) -> str:
    """A name that somebody else typed, as a message quotes it: plain words stand bare, anything
    else in quotes on one line, and never more than 80 characters of it.
    """
    name = name if len(name) <= 80 else name[:79] + "…"
    return name if _PLAIN_WORDS(name) else json.dumps(name, ensure_ascii=False)


def paths_in_message(paths: Iterable[str], most: int = 20) -> str:
    """The first dotted paths, as a message lists them; what else stands in a name is quoted."""
    return ", ".join(path if _PATH(path) else in_message(path) for path in islice(paths, most))


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?` for the known name that is nearest, "" where none is near."""
    names = {text.strip().casefold(): text for text in known}
    near = get_close_matches(name.strip().casefold()[:80], names, 1)
    return f" Did you mean {in_message(names[near[0]])}?" if near else ""
