"""The store itself: the check of its credentials, and its settings."""

from orderdesk_app.context import JsonObject
from orderdesk_app.errors import Fault, UpstreamFailed
from orderdesk_app.orderdesk import answers, refusals, store_settings
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.answers import TestAnswer
from orderdesk_app.orderdesk.endpoints import payload
from orderdesk_app.orderdesk.transport import Transport
from orderdesk_app.orderdesk.wait_budget import WaitBudget


class StoreEndpoints:
    """GET /test and GET /store. Each method raises what Transport.request raises."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def test_connection(self, store: StoreAccess, budget: WaitBudget) -> TestAnswer:
        """What Order Desk answers when it accepts the store's credentials.

        Raises StoreKeyRefused when it refuses them (docs/orderdesk-api.md section 1),
        UpstreamUnreachable for the JSON of another service.
        """
        try:
            answer = await self._transport.request("GET", store, "/test", budget)
        except UpstreamFailed as error:
            if error.fault is Fault.SAID_NO and error.status is not None and error.status < 300:
                raise refusals.key_refused_by_test(error) from error
            raise
        if "status" not in answer:
            raise refusals.unreadable("GET")  # some other service's JSON
        words = {
            name: value if isinstance(value := answer.get(name), str) else ""
            for name in ("current_date_time", "execution_time")
        }
        return TestAnswer(answers.sentence(answer, store.api_key), **words)

    async def get_store(self, store: StoreAccess, budget: WaitBudget) -> JsonObject:
        """The store without secrets, in the shape of store_settings.view.

        Raises UpstreamUnreachable when the answer has no store (docs/orderdesk-api.md section 6.9).
        """
        answer = await self._transport.request("GET", store, "/store", budget)
        return store_settings.view(payload.inner(answer, "store", "GET"), store.api_key)
