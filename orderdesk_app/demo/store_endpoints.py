"""The sandbox's endpoints for the store itself (docs/orderdesk-api.md sections 1 and 6.9)."""

from orderdesk_app.demo.endpoints import Endpoints, Reply
from orderdesk_app.demo.stores import store_view


class StoreEndpoints(Endpoints):
    async def reply(self) -> Reply | None:
        match self.call.method, self.call.parts:
            case "GET", ["test"]:
                return Reply({"message": "Connection Successful", "current_date_time": self.now})
            case "GET", ["store"]:
                store = store_view(self.shelf.store_id, self.call.api_key, self.switches.timezone)
                return Reply({"store": store})
        return None
