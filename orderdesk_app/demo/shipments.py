"""Shipments of an order: single ones, batches, and what counts as the same one (sections 6.7 and
8). Pure.
"""

import re
from urllib.parse import quote

from orderdesk_app.demo import dates
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.orders import add_history, position, text
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.switches import Switches
from orderdesk_app.demo.totals import amount, number

_TRACKING = {
    "UPS": "https://www.ups.com/track?tracknum={}",
    "USPS": "https://tools.usps.com/go/TrackConfirmAction?tLabels={}",
    "FEDEX": "https://www.fedex.com/fedextrack/?trknbr={}",
    "DHL": "https://www.dhl.com/en/express/tracking.html?AWB={}",
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def add(
    document: Body,
    body: Body,
    store_id: str,
    now: str,
    switches: Switches,
    *,
    with_items: bool = True,
) -> Body:
    """Add a shipment to the order and return it.

    Raises Refusal for the same one again or one without a tracking number.
    """
    order = document["order"]
    tracking = text(body.get("tracking_number")).strip()
    if not tracking:
        raise Refusal(switches.validation_status, "Shipment Not Added: tracking_number is required")
    if switches.shipment_duplicates == "tracking_number" and any(
        shipment["tracking_number"] == tracking for shipment in order["order_shipments"]
    ):
        raise Refusal(switches.duplicate_shipment_status, "Shipment Not Added")
    document["shipments"] += 1
    shipment = _shipment(
        body if with_items else {**body, "order_items": ""},
        f"{order['id']}{document['shipments']:03d}",
        order["id"],
        store_id,
        now,
        switches,
    )
    order["order_shipments"].append(shipment)
    add_history(document, f"Shipment Added: {tracking}", "API", now)
    return shipment


def update(document: Body, shipment_id: str, body: Body, now: str, switches: Switches) -> None:
    """Replace a shipment's writable fields; what is left out becomes blank. Raises Refusal."""
    order = document["order"]
    place = position(order["order_shipments"], shipment_id, "Shipment", switches)
    if not text(body.get("tracking_number")).strip():
        raise Refusal(
            switches.validation_status, "Shipment Not Updated: tracking_number is required"
        )
    before = order["order_shipments"][place]
    after = _shipment(body, shipment_id, order["id"], before["store_id"], now, switches)
    order["order_shipments"][place] = after | {
        "date_added": before["date_added"],
        "date_shipped": before["date_shipped"],
    }
    order["date_updated"] = now


def remove(document: Body, shipment_id: str, now: str, switches: Switches) -> None:
    order = document["order"]
    del order["order_shipments"][
        position(order["order_shipments"], shipment_id, "Shipment", switches)
    ]
    order["date_updated"] = now


def _shipment(
    body: Body, shipment_id: str, order_id: str, store_id: str, now: str, switches: Switches
) -> Body:
    tracking, carrier = text(body.get("tracking_number")).strip(), text(body.get("carrier_code"))
    shipped = text(body.get("date_shipped")) or (
        text(body.get("shipment_date")) if switches.shipment_date_honoured else ""
    )
    return {
        "id": shipment_id,
        "order_id": order_id,
        "store_id": store_id,
        "tracking_number": tracking,
        "carrier_code": carrier,
        "shipment_method": text(body.get("shipment_method")),
        "weight": text(body.get("weight")),
        "weight_unit": text(body.get("weight_unit")),
        "cost": text(body.get("cost")),
        "status": text(body.get("status")),
        "tracking_url": text(body.get("tracking_url")) or _tracking_url(tracking, carrier),
        "label_format": "",
        "label_image": "",
        "label_shipment_id": "",
        "cart_shipment_id": "",
        "print_status": "0",
        "order_items": _contents(body.get("order_items")),
        "source": text(body.get("source")),
        "date_shipped": shipped if _DAY.fullmatch(shipped) and dates.read(shipped) else now[:10],
        "date_added": now,
    }


def _tracking_url(tracking: str, carrier: str) -> str:
    address = _TRACKING.get(carrier.upper())
    return (
        address.format(quote(tracking, errors="replace"))
        if address and tracking.lower() != "n/a"
        else ""
    )


def _contents(sent: object) -> list[Body] | str:
    """What a partial shipment holds; an empty text when it is the whole order."""
    lines = [line for line in sent if isinstance(line, dict)] if isinstance(sent, list) else []
    contents = [
        {key: text(line[key]) for key in ("id", "code") if key in line}
        | {"quantity": number(amount(line.get("quantity", 1)))}
        for line in lines
    ]
    return contents or ""
