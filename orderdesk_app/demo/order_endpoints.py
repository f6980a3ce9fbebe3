"""The sandbox's endpoints for orders: search, one order, its history and items, moves
(docs/orderdesk-api.md sections 3 and 7).
"""

from orderdesk_app.demo import orders
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.endpoints import Endpoints, Reply
from orderdesk_app.demo.orders import FOLDERS, text
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.rows import ORDER
from orderdesk_app.demo.search import search
from orderdesk_app.demo.switches import Switches


class OrderEndpoints(Endpoints):
    async def reply(self) -> Reply | None:
        match self.call.method, self.call.parts:
            case "GET", ["orders"]:
                return await self._search()
            case "POST", ["orders"]:
                return await self._create_order()
            case "POST", ["move-orders"]:
                return await self._move()
            case _, ["orders", order_id]:
                return await self._order(order_id)
            case "POST", ["orders", order_id, "order-history"]:
                return await self._add_history(order_id)
            case "GET", ["orders", order_id, "order-items"]:
                return await self._items(order_id)
            case "GET", ["orders", order_id, "order-items", item_id]:
                return await self._item(order_id, item_id)
            case _, ["orders", order_id, "order-items", *rest]:
                return await self._write_item(order_id, rest)
        return None

    async def _search(self) -> Reply:
        page = search(await self.shelf.views(ORDER), self.call.query, FOLDERS, self.switches)
        with_history = self.call.query.get("get_order_history", "").lower() in ("1", "true")
        found = [
            row["order"] | {"order_history": row["history"]} if with_history else row["order"]
            for row in page.rows
        ]
        return Reply(
            {
                "total_records": page.total,
                "records_returned": len(found),
                "offset": page.offset,
                "limit": page.limit,
                "orders": found,
            }
        )

    async def _order(self, order_id: str) -> Reply:
        match self.call.method:
            case "GET":
                found = await self.shelf.answer(ORDER, order_id)
                if found is None:
                    raise self.not_found("Order")
                return Reply(ready=("order", found))
            case "PUT":
                body = self.object_body()
                document = await self.edit(
                    order_id,
                    lambda document: orders.replace(
                        document, body, FOLDERS, self.now, self.switches
                    ),
                )
                return Reply({"order": document["order"]})
            case "DELETE":
                if not await self.shelf.delete(ORDER, order_id):
                    raise self.not_found("Order")
                return Reply({"message": f"Order {order_id} Deleted"})
        raise self.not_found("Endpoint")

    async def _create_order(self) -> Reply:
        body = self.object_body()

        def make(order_id: str, others: list[Body]) -> Body:
            document = orders.new_document(
                order_id,
                body,
                FOLDERS,
                self.now,
                self.switches,
                email_count=_with_email(others, text(body.get("email"))) + 1,
            )
            existing_id = (
                _duplicate(document["order"], others, self.switches)
                if text(body.get("source_id"))
                else None
            )
            if existing_id:
                raise Refusal(
                    self.switches.duplicate_order_status,
                    f"Duplicate Order: this order already exists as order {existing_id}",
                )
            return document

        document = await self.shelf.create(ORDER, make)
        return Reply({"order": document["order"]}, self.switches.created_status)

    async def _add_history(self, order_id: str) -> Reply:
        body = self.object_body()
        note = text(body.get("note"))
        if not note.strip() or len(note) > orders.HISTORY_LIMIT:
            raise self.invalid(
                f"Order History Not Added: note is required, {orders.HISTORY_LIMIT} "
                "characters at most"
            )
        document = await self.edit(
            order_id,
            lambda document: orders.add_history(
                document, note, text(body.get("source_name")) or "API", self.now
            ),
        )
        return Reply(
            {
                "total_records": len(document["history"]),
                "order": document["order"] | {"order_history": document["history"]},
            }
        )

    async def _items(self, order_id: str) -> Reply:
        items = (await self.view_of(order_id))["order"]["order_items"]
        return Reply({"total_records": len(items), "order_items": items})

    async def _item(self, order_id: str, item_id: str) -> Reply:
        items = (await self.view_of(order_id))["order"]["order_items"]
        index = orders.position(items, item_id, "Order Item", self.switches)
        return Reply({"order_item": items[index]})

    async def _write_item(self, order_id: str, rest: list[str]) -> Reply:
        match self.call.method, rest:
            case "POST", []:
                body = self.object_body()
                await self.edit(
                    order_id,
                    lambda document: orders.add_item(document, body, self.now, self.switches),
                )
                return Reply({"message": "Order Item Added"}, self.switches.created_status)
            case "PUT", [item_id]:
                body = self.object_body()
                await self.edit(
                    order_id,
                    lambda document: orders.update_item(
                        document, item_id, body, self.now, self.switches
                    ),
                )
                return Reply({"message": "Order Item Updated"})
            case "DELETE", [item_id]:
                await self.edit(
                    order_id,
                    lambda document: orders.remove_item(document, item_id, self.now, self.switches),
                )
                return Reply({"message": f"Order Item {item_id} Deleted"})
        raise self.not_found("Endpoint")

    async def _move(self) -> Reply:
        body = self.object_body()
        ids = body.get("order_id_list")
        if not isinstance(ids, list) or not ids:
            raise self.invalid("Orders Not Moved: order_id_list is required")
        folder_id, name = self._destination(body)
        results: list[Body] = []
        for order_id in dict.fromkeys(text(one) for one in ids):
            changed = await self.shelf.change(
                ORDER, order_id, lambda document: orders.move(document, folder_id, name, self.now)
            )
            number = (
                int(order_id)
                if order_id.isascii() and order_id.isdigit() and len(order_id) < 19
                else order_id
            )
            if changed is None:
                results.append({"order_id": number, "message": "Order Not Found"})
            else:
                results.append(
                    {
                        "order_id": number,
                        "message": f"Order Moved to {name} Folder",
                        "original_folder_id": changed[0],
                    }
                )
        moved = sum("original_folder_id" in result for result in results)
        return Reply(
            {
                "message": f"{moved} Orders Moved",
                "results": results,
            }
        )

    def _destination(self, body: Body) -> tuple[int, str]:
        folder_id, name = (
            text(body.get("destination_folder_id")),
            text(body.get("destination_folder_name")),
        )
        if folder_id and name and self.switches.move_with_both_destinations == "error":
            raise self.invalid(
                "Orders Not Moved: give destination_folder_id or destination_folder_name, not both"
            )
        for known, known_name in FOLDERS.items():
            if (folder_id and known == folder_id) or (
                not folder_id and name and known_name == name
            ):
                return int(known), known_name
        raise self.invalid("Orders Not Moved: Folder Not Found")


def _with_email(documents: list[Body], email: str) -> int:
    return (
        sum(document["order"]["email"].lower() == email.lower() for document in documents)
        if email
        else 0
    )


def _duplicate(order: Body, others: list[Body], switches: Switches) -> str | None:
    """The id of the order that this one repeats."""
    keys = {"source": ("source_name", "source_id"), "source_id": ("source_id",), "off": ()}[
        switches.duplicates
    ]
    for other in others:
        if keys and all(other["order"][key].lower() == order[key].lower() for key in keys):
            found: str = other["order"]["id"]
            return found
    return None
