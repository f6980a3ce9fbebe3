"""The sandbox's endpoints for shipments, one and many (docs/orderdesk-api.md section 8)."""

from orderdesk_app.demo import orders, shipments
from orderdesk_app.demo.body import Body
from orderdesk_app.demo.endpoints import Endpoints, Reply
from orderdesk_app.demo.orders import text
from orderdesk_app.demo.refusal import Refusal
from orderdesk_app.demo.rows import ORDER


class ShipmentEndpoints(Endpoints):
    async def reply(self) -> Reply | None:
        match self.call.method, self.call.parts:
            case "GET", ["orders", order_id, "shipments"]:
                return await self._shipments(order_id)
            case "GET", ["orders", order_id, "shipments", shipment_id]:
                return await self._shipment(order_id, shipment_id)
            case _, ["orders", order_id, "shipments", *rest]:
                return await self._write_shipment(order_id, rest)
            case "POST", ["batch-shipments"]:
                return await self._batch_shipments()
        return None

    async def _shipments(self, order_id: str) -> Reply:
        found = (await self.view_of(order_id))["order"]["order_shipments"]
        return Reply({"total_records": len(found), "shipments": found})

    async def _shipment(self, order_id: str, shipment_id: str) -> Reply:
        found = (await self.view_of(order_id))["order"]["order_shipments"]
        index = orders.position(found, shipment_id, "Shipment", self.switches)
        return Reply({"shipment": found[index]})

    async def _write_shipment(self, order_id: str, rest: list[str]) -> Reply:
        match self.call.method, rest:
            case "POST", []:
                await self._ship(order_id, self.object_body())
                return Reply({"message": "Shipment Added"}, self.switches.created_status)
            case "PUT", [shipment_id]:
                body = self.object_body()
                await self.edit(
                    order_id,
                    lambda document: shipments.update(
                        document, shipment_id, body, self.now, self.switches
                    ),
                )
                return Reply({"message": "Shipment Updated"})
            case "DELETE", [shipment_id]:
                await self.edit(
                    order_id,
                    lambda document: shipments.remove(
                        document, shipment_id, self.now, self.switches
                    ),
                )
                return Reply({"message": f"Shipment {shipment_id} Deleted"})
        raise self.not_found("Endpoint")

    async def _batch_shipments(self) -> Reply:
        results = []
        for body in self.array_body("shipments"):
            order_id = text(body.get("order_id"))
            result: Body = {
                "status": "success",
                "order_id": body.get("order_id"),
                "message": "Shipment Added",
            }
            try:
                result["shipment_id"] = await self._ship(
                    order_id, body, with_items=self.switches.batch_order_items_honoured
                )
            except Refusal as refusal:
                result |= {"status": "error", "message": refusal.message}
            results.append(result)
        return Reply(
            {
                "message": (
                    f"{sum(result['status'] == 'success' for result in results)} Shipments Added"
                ),
                "results": results,
            }
        )

    async def _ship(self, order_id: str, body: Body, *, with_items: bool = True) -> str:
        """Add a shipment; returns its id."""
        changed = await self.shelf.change(
            ORDER,
            order_id,
            lambda document: shipments.add(
                document, body, self.shelf.store_id, self.now, self.switches, with_items=with_items
            ),
        )
        if changed is None:
            raise self.not_found("Order")
        return str(changed[0]["id"])
