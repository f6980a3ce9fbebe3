"""The one type of an Order Desk order: the inner object of an answer, without its envelope."""

from typing import TypeAlias

from orderdesk_app.context import JsonObject

# The fields are listed in docs/orderdesk-api.md section 6. No TypedDict names them: an answer may
# lack any field and write it in another JSON form (5 or "5", {} or []), so a type that promised
# them would be wrong. Code that reads a field narrows it (as_map, as_list, decimal_of in
# comparison.py).
Order: TypeAlias = JsonObject
