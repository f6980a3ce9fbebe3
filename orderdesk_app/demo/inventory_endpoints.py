"""The sandbox's endpoints for the inventory (docs/orderdesk-api.md section 9)."""

from orderdesk_app.demo import inventory
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.endpoints import Endpoints, Reply
from orderdesk_app.demo.orders import text
from orderdesk_app.demo.rows import INVENTORY
from orderdesk_app.demo.search import page_of


class InventoryEndpoints(Endpoints):
    async def reply(self) -> Reply | None:
        match self.call.method, self.call.parts:
            case "GET", ["inventory-items"]:
                return await self._inventory()
            case "POST", ["inventory-items"]:
                return await self._create_inventory()
            case _, ["inventory-items", item_id]:
                return await self._inventory_item(item_id)
            case "PUT", ["batch-inventory-items"]:
                return await self._batch_inventory()
        return None

    async def _inventory(self) -> Reply:
        found = inventory.chosen(await self.shelf.views(INVENTORY), self.call.query.get("code", ""))
        limit, offset = (
            page_of(self.call.query, self.switches)
            if self.switches.inventory_paging == "honoured"
            else (len(found), 0)
        )
        rows = found[offset : offset + limit]
        total = str(len(found)) if self.switches.inventory_total == "count" else "0"
        return Reply(
            {
                "initial_records_returned": len(rows),
                "records_returned": len(rows),
                "total_records": total,
                "inventory_items": rows,
            }
        )

    async def _inventory_item(self, item_id: str) -> Reply:
        match self.call.method:
            case "GET":
                found = await self.shelf.answer(INVENTORY, item_id)
                if found is None:
                    raise self.not_found("Inventory Item")
                return Reply({"records_returned": 1}, ready=("inventory_item", found))
            case "PUT":
                await self._replace_inventory(item_id, self.object_body(), blank=True)
                return Reply({"message": "Inventory Item Updated"})
            case "DELETE":
                if not await self.shelf.delete(INVENTORY, item_id):
                    raise self.not_found("Inventory Item")
                return Reply({"message": f"Inventory Item {item_id} Deleted"})
        raise self.not_found("Endpoint")

    async def _create_inventory(self) -> Reply:
        body = self.object_body()

        def make(item_id: str, others: list[Body]) -> Body:
            item = inventory.new_item(int(item_id), body, self.now, self.switches)
            if self.switches.inventory_code_unique and any(
                other["code"].lower() == item["code"].lower() for other in others
            ):
                raise self.invalid("Inventory Item Not Added: code is in use")
            return item

        item = await self.shelf.create(INVENTORY, make)
        return Reply(
            {"message": "Inventory Item Added", "inventory_item": item},
            self.switches.created_status,
        )

    async def _replace_inventory(self, item_id: str, body: Body, *, blank: bool) -> None:
        def write(item: Body) -> None:
            after = inventory.replaced(item, body, self.now, self.switches, blank=blank)
            item.clear()
            item.update(after)

        if await self.shelf.change(INVENTORY, item_id, write) is None:
            raise self.not_found("Inventory Item")

    async def _batch_inventory(self) -> Reply:
        items = self.array_body("inventory_items")
        for body in items:
            if not text(body.get("id")):
                raise self.invalid(
                    "Inventory Items Not Updated: every item needs id, name and code"
                )
        for body in items:
            await self._replace_inventory(
                text(body["id"]), body, blank=self.switches.batch_inventory_blanks
            )
        return Reply({"message": f"{len(items)} Inventory Items Updated"})
