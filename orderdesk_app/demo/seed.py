"""The sandbox's believable shop: orders and inventory that are a pure function of seed and number,
made when first asked for.

Order n has id 100000000 + n, item n of the inventory has id n. Nothing here depends on today:
neighbours, restarts and workers agree.
"""

import json
from collections import Counter
from functools import cache, cached_property
from random import Random

from orderdesk_app.demo import orders, shipments
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.dates import stamp
from orderdesk_app.demo.inventory import new_item
from orderdesk_app.demo.orders import FOLDERS
from orderdesk_app.demo.rows import INVENTORY, ORDER
from orderdesk_app.demo.shop import (
    CARRIERS,
    COLOURS,
    COMPANIES,
    DELIVERY,
    DISCOUNTS,
    GIFTS,
    GOODS,
    NOTES,
    REGIONS,
    SIZES,
    SOURCES,
)
from orderdesk_app.demo.switches import Switches

FIRST_ORDER = 100_000_001
OPENED = 1_779_235_200  # 2026-05-20 00:00 UTC: the day of the first order
PACE = 31_000  # seconds between orders: 500 of them are half a year
CREATED_ORDERS = 200_000_000  # ids of orders that people make begin above
CREATED_INVENTORY = 100_000
DEFAULT_ORDERS, DEFAULT_INVENTORY = 500, 300
PEOPLE = 190
_GUESSES = Switches(over_limit="off")


class Seed:
    """The shared, read-only set of documents: an order with its history, or an inventory item.

    Callers must not change the documents.
    """

    def __init__(
        self,
        orders: int = DEFAULT_ORDERS,
        inventory: int = DEFAULT_INVENTORY,
        seed: str = "orderdesk",
    ) -> None:
        self._counts = {ORDER: orders, INVENTORY: inventory}
        self._seed = seed
        self._views: dict[tuple[str, str], Body] = {}
        self._texts: dict[tuple[str, str], bytes] = {}

    def ids(self, kind: str) -> list[str]:
        first = FIRST_ORDER if kind == ORDER else 1
        return [str(first + n) for n in range(self._counts[kind])]

    def view(self, kind: str, object_id: str) -> Body | None:
        """The seeded document of that id, shared by all who ask."""
        key = (kind, object_id)
        if key not in self._views:
            number = self._number(kind, object_id)
            if number is None:
                return None
            self._views[key] = (
                self._order(number) if kind == ORDER else self._inventory_item(number)
            )
        return self._views[key]

    def answer(self, kind: str, object_id: str) -> bytes | None:
        """The JSON of the object as replies carry it, made once."""
        key = (kind, object_id)
        if key not in self._texts:
            found = self.view(kind, object_id)
            if found is None:
                return None
            self._texts[key] = json.dumps(found["order"] if kind == ORDER else found).encode()
        return self._texts[key]

    def _number(self, kind: str, object_id: str) -> int | None:
        if (
            not (object_id.isascii() and object_id.isdigit() and len(object_id) < 12)
            or object_id[0] == "0"
        ):
            return None
        number = int(object_id) - (FIRST_ORDER - 1 if kind == ORDER else 0)
        return number if 1 <= number <= self._counts[kind] else None

    def _chance(self, *of: object) -> Random:
        # a shop window, not a secret
        return Random(":".join(map(str, (self._seed, *of))))  # noqa: S311

    @cached_property
    def _orders_of(self) -> Counter[int]:
        return Counter(self._person(n) for n in range(1, self._counts[ORDER] + 1))

    def _person(self, number: int) -> int:
        return self._chance("signed_in_state", number).randrange(PEOPLE)

    def _order(self, number: int) -> Body:
        chance = self._chance("order", number)
        person = self._person(number)
        added = OPENED + number * PACE + chance.randrange(PACE)
        body = (
            self._bought(chance, number, person)
            | self._paid(chance, number, person)
            | self._said(chance, added)
        )
        document = orders.new_document(
            str(FIRST_ORDER - 1 + number),
            body,
            FOLDERS,
            stamp(added),
            _GUESSES,
            email_count=self._orders_of[person],
        )
        if number > 1:  # the first order, the example of every document, stays New
            self._fulfil(chance, document, 1 - number / self._counts[ORDER], added)
        return document

    def _bought(self, chance: Random, number: int, person: int) -> Body:
        source, form = chance.choice(SOURCES)
        customer = self._address(person)
        return {
            "source_name": source,
            "source_id": form.format(1000 + number),
            "email": f"customer{person:03d}@example.{('com', 'org', 'net')[person % 3]}",
            "customer_id": str(7000 + person) if source != "Order Desk" else "",
            "ip_address": f"203.0.113.{person}",
            "customer": customer,
            "shipping": self._address(chance.randrange(PEOPLE))
            if chance.random() < 0.12
            else customer,
            "order_items": [
                self._line(chance)
                for _ in range(2 if number == 1 else chance.choice((1, 1, 1, 2, 2, 3, 4, 7)))
            ],
            "order_metadata": {"channel": source.lower(), "batch": str(number % 7)}
            if chance.random() < 0.5
            else {},
            "discount_list": [chance.choice(DISCOUNTS)] if chance.random() < 0.25 else [],
        }

    def _paid(self, chance: Random, number: int, person: int) -> Body:
        return {
            "shipping_method": chance.choice(("Standard", "Express", "Pick-up", "Económico")),
            "shipping_total": chance.choice(("0", "4.95", "11.17", "19.90")),
            "handling_total": chance.choice(("0", "0", "0.50")),
            "tax_total": chance.choice(("0", "1.20", "3.64")),
            "payment_type": chance.choice(("Visa", "Mastercard", "American Express")),
            "payment_status": chance.choice(
                ("Captured", "Captured", "Captured", "Authorized", "Pending")
            ),
            "processor_response": f"Stripe: ch_{number:06d}",
            "cc_number": f"{(person * 7919 + 4242) % 10_000:04d}",
            "cc_exp": f"{chance.randrange(1, 13):02d}/{chance.randrange(2027, 2031)}",
        }

    def _said(self, chance: Random, added: int) -> Body:
        checkout: Body = {}
        if chance.random() < 0.12:
            checkout["Gift Message"] = chance.choice(GIFTS)
        if chance.random() < 0.15:
            checkout["Delivery Instructions"] = chance.choice(DELIVERY)
        written = chance.sample(NOTES, chance.choice((1, 1, 2))) if chance.random() < 0.4 else []
        notes = [
            {"date_added": stamp(added + 600 * (k + 1)), "username": name, "content": content}
            for k, (name, content) in enumerate(written)
        ]
        return {"checkout_data": checkout, "order_notes": notes}

    def _line(self, chance: Random) -> Body:
        good, colour, size = chance.choice(GOODS), chance.choice(COLOURS), chance.choice(SIZES)
        return {
            "name": f"{good.name}, {colour}",
            "code": f"{good.stem}-{colour[:3].upper()}-{size}",
            "price": good.price,
            "weight": good.weight,
            "quantity": chance.choice((1, 1, 1, 2, 3, 12)),
            "category_code": "DEFAULT",
            "variation_list": {"Colour": colour, "Size": size} if good.has_sizes else {},
            "metadata": {
                "print_sku": f"{good.stem}-{size}",
                "artwork": f"https://cdn.example.com/{good.stem.lower()}.png",
            }
            if good.has_artwork
            else {},
        }

    def _fulfil(self, chance: Random, document: Body, age: float, added: int) -> None:
        """How far the order has come: the older, the further; some in part, some canceled."""
        fate = chance.random()
        later = stamp(added + chance.randrange(7_200, 200_000))
        lines = document["order"]["order_items"]
        if fate > 0.35 + age:
            return
        if fate < 0.06:
            orders.move(document, 21657, "Canceled", later)
        elif fate < 0.25:
            orders.move(document, 21655, "Prepared", later)
            if fate < 0.15:
                self._ship(
                    chance,
                    document,
                    later,
                    [{"id": lines[0]["id"], "quantity": max(1, lines[0]["quantity"] // 2)}],
                )
        else:
            if len(lines) > 1 and fate > 0.8:
                for line in lines[:2]:
                    self._ship(
                        chance,
                        document,
                        later,
                        [{"code": line["code"], "quantity": line["quantity"]}],
                    )
            else:
                self._ship(chance, document, later, "")
            orders.move(document, *((21658, "Shipped") if fate < 0.6 else (21656, "Closed")), later)

    def _ship(self, chance: Random, document: Body, when: str, contents: object) -> None:
        carrier, method, stem = chance.choice(CARRIERS)
        body = {
            "tracking_number": f"{stem}{chance.randrange(10**9, 10**10)}",
            "carrier_code": carrier,
            "shipment_method": method,
            "weight": f"{document['order']['weight_total']:.2f}",
            "cost": chance.choice(("7.31", "", "12.08")),
            "order_items": contents,
        }
        shipments.add(document, body, "", when, _GUESSES)  # of no store: the set is shared

    def _address(self, person: int) -> Body:
        chance = self._chance("address", person)
        region = chance.choice(REGIONS)
        return {
            "first_name": chance.choice(region.first_names),
            "last_name": chance.choice(region.last_names),
            "company": chance.choice(COMPANIES),
            "address1": region.street.format(chance.randrange(1, 240)),
            "address2": chance.choice(("", "", "", "Apt 4B", "2º izq.", "c/o Søs")),
            "city": region.city,
            "state": region.state,
            "postal_code": region.postal_code,
            "country": region.country,
            "phone": f"{region.phone}{chance.randrange(10, 99)}",
        }

    def _inventory_item(self, number: int) -> Body:
        chance = self._chance("inventory", number)
        good = GOODS[(number - 1) % len(GOODS)]
        colour = COLOURS[(number - 1) // len(GOODS) % len(COLOURS)]
        turn, place = divmod((number - 1) // (len(GOODS) * len(COLOURS)), len(SIZES))
        size = SIZES[place]
        body: Body = {
            "name": f"{good.name}, {colour}" + (f", {size}" if good.has_sizes else ""),
            "code": f"{good.stem}-{colour[:3].upper()}-{size}" + (f"-{turn}" if turn else ""),
            "price": good.price,
            "cost": f"{float(good.price) * 0.4:.2f}",
            "weight": good.weight,
            "stock": chance.choice((0, 0, 3, 8, 25, 140, 1200)),
            "update_source": chance.choice(("Manual", "Shopify", "API")),
            "location": f"{chance.choice('ABC')}{chance.randrange(1, 30):02d}",
            "manufacturer_sku": f"MFR-{number:04d}" if chance.random() < 0.5 else None,
            "metadata": {"reorder_at": "10"} if chance.random() < 0.2 else {},
            "variation_list": {"Colour": colour, "Size": size} if good.has_sizes else {},
        }
        return new_item(number, body, stamp(OPENED + number * 3_600), _GUESSES)


@cache
def default_seed() -> Seed:
    """The seed of every sandbox in this process that names none of its own."""
    return Seed()
