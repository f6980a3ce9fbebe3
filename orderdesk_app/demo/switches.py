"""Behaviour that Order Desk's documents do not define: every guess of docs/orderdesk-api.md is a
switch, with the guess as its default.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, Self

from orderdesk_app.demo.body import Body


@dataclass(frozen=True, slots=True)
class Switches:
    """How the sandbox behaves where the documents are silent; the numbers are sections
    of docs/orderdesk-api.md.
    """

    # 1, 5: HTTP statuses of errors
    bad_credentials_status: int = 401  # 200 is the "status: error in a 200" mode
    bad_credentials_message: str = "Invalid Store ID or API Key"
    not_found_status: int = 404
    validation_status: int = 400
    duplicate_order_status: int = 400
    duplicate_shipment_status: int = 200
    created_status: int = 201
    # 3: GET /orders
    text_match: Literal["substring", "prefix", "exact"] = "substring"
    limit_above_maximum: Literal["clamp", "error"] = "clamp"
    start_inclusive: bool = True
    end_inclusive: bool = True
    bad_date: Literal["ignored", "error"] = "ignored"
    # 6.6, 7.2: limits of notes and maps
    over_limit: Literal["error", "cut", "off"] = "error"
    # 7.1: create
    duplicates: Literal["source", "source_id", "off"] = (
        "source"  # same source_name and source_id; source_id alone; never
    )
    flat_names_honoured: bool = False  # customer_first_name and its like in a body
    # 7.2: replace
    put_without_items: Literal["untouched", "removed"] = "untouched"
    put_unknown_item: Literal["ignored", "added", "error"] = "ignored"
    put_moves_folder: bool = True
    notes_replaced: bool = True  # False: what is sent is appended
    address_keys_blank: bool = True  # False: keys left out of an address stay
    source_id_writable: bool = True
    card_digits: Literal["blanked_by_echo", "blanked_by_omission", "kept"] = "blanked_by_echo"
    # 7.5: move
    move_with_both_destinations: Literal["error", "id_wins"] = "error"
    # 8: shipments
    shipment_duplicates: Literal["tracking_number", "off"] = "tracking_number"
    shipment_date_honoured: bool = False  # the name that some clients send instead of date_shipped
    batch_order_items_honoured: bool = False
    accept_wrapped_batch: bool = False
    # 9: inventory
    inventory_paging: Literal["honoured", "ignored"] = "honoured"
    inventory_total: Literal["count", "zero"] = (
        "count"  # a captured reply says "0" beside three rows
    )
    inventory_code_unique: bool = True
    batch_inventory_blanks: bool = True
    # 10: rate limit
    rate_limited: bool = True
    bucket_size: int = 20
    bucket_refill: float = 3.0
    json_429: bool = True
    refused_request_costs: bool = False
    bad_credentials_cost: bool = False
    # 2, 11: requests
    bad_method_status: int = 400
    strict_get_headers: bool = False  # Content-Type or Content-Length on GET is refused
    method_override: bool = False
    # 6.9: the store
    timezone: str = "America/Los_Angeles"
    # benchmarks: every answer takes so long
    delay: float = 0.0

    def changed(self, values: Body) -> Self:
        """These switches with some set by name. Raises ValueError for an unknown name."""
        unknown = set(values) - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"no such switch: {', '.join(sorted(unknown))}")
        return replace(self, **values)
