"""One request to the sandbox, and what the endpoints of every noun need to answer it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import QueryParams

from orderdesk_app.demo.body import Body
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.rows import ORDER
from orderdesk_app.demo.shelf import Shelf
from orderdesk_app.demo.switches import Switches


@dataclass(slots=True)
class Reply:
    """What goes back: a payload for the envelope, or JSON text already made."""

    payload: Body = field(default_factory=dict)
    status: int = 200
    ready: tuple[str, bytes] | None = None  # a key of the envelope and its JSON


@dataclass(slots=True)
class Call:
    """One authorised request."""

    method: str
    parts: list[str]
    query: QueryParams
    body: bytes
    shelf: Shelf
    now: str
    api_key: str


class Endpoints:
    """The endpoints of one noun, for one call."""

    def __init__(self, call: Call, switches: Switches) -> None:
        self.call = call
        self.switches = switches
        self.shelf = call.shelf
        self.now = call.now

    async def reply(self) -> Reply | None:
        """The answer; None for an address that is not of this noun. Raises Refusal."""
        raise NotImplementedError

    async def view_of(self, order_id: str) -> Body:
        found = await self.shelf.view(ORDER, order_id)
        if found is None:
            raise self.not_found("Order")
        return found

    async def edit(self, order_id: str, change: Callable[[Body], object]) -> Body:
        changed = await self.shelf.change(ORDER, order_id, change)
        if changed is None:
            raise self.not_found("Order")
        return changed[1]

    def json_body(self) -> object:
        try:
            return json.loads(self.call.body, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self.invalid("Invalid JSON") from error

    def object_body(self) -> Body:
        body = self.json_body()
        if not isinstance(body, dict):
            raise self.invalid("Invalid Request: the body must be a JSON object")
        return body

    def array_body(self, wrapper: str) -> list[Body]:
        """The rows of a batch: a bare array, as only that is known to work."""
        body = self.json_body()
        if isinstance(body, dict) and self.switches.accept_wrapped_batch:
            body = body.get(wrapper)
        if not isinstance(body, list) or not body or not all(isinstance(row, dict) for row in body):
            raise self.invalid("Invalid Request: the body must be a JSON array of objects")
        return body

    def not_found(self, noun: str) -> Refusal:
        return Refusal(self.switches.not_found_status, f"{noun} Not Found")

    def invalid(self, message: str) -> Refusal:
        return Refusal(self.switches.validation_status, message)


def _no_number(name: str) -> None:
    raise ValueError(name)
