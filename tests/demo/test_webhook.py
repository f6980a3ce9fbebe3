"""Order Desk's outbound event: form, signature, retries (section 12)."""

import hashlib
import hmac
import json
from urllib.parse import parse_qs

import httpx
import pytest

from orderdesk_app.demo.webhook import RETRIES_AFTER, deliver, signature


class Receiver:
    """Answers with the given statuses; 0 stands for no answer."""

    def __init__(self, *statuses):
        self.statuses, self.requests, self.waits = list(statuses), [], []

    def __call__(self, request):
        self.requests.append(request)
        status = self.statuses.pop(0)
        if not status:
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(status)

    async def sleep(self, seconds):
        self.waits.append(seconds)

    async def deliver(self, order=None, **options):
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            order = order or {"id": "100000001"}
            return await deliver(
                http,
                "https://hook.example.com/in",
                order,
                store_id="10001",
                api_key="the-key",
                sleep=self.sleep,
                **options,
            )


async def test_an_order_is_posted_as_a_signed_form(world):
    receiver = Receiver(200)
    order = await world.order()

    await receiver.deliver(order)

    (request,) = receiver.requests
    text = parse_qs(request.content.decode())["order"][0]
    assert json.loads(text) == order
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["x-order-desk-store-id"] == "10001"
    assert (
        request.headers["x-order-desk-hash"]
        == hmac.new(b"the-key", text.encode(), hashlib.sha256).hexdigest()
    )


def test_the_two_variants_differ_where_the_text_holds_a_percent():
    assert signature("plain", "k") == signature("plain", "k", "url_decoded")
    assert signature("a%41", "k", "url_decoded") == signature("aA", "k") != signature("a%41", "k")


@pytest.mark.parametrize("status", [200, 201])
async def test_200_and_201_are_success(status):
    receiver = Receiver(status)

    delivery = await receiver.deliver()

    assert (delivery.is_delivered, receiver.waits) == (True, [])


@pytest.mark.parametrize("status", [202, 204, 302, 400, 500, 0])
async def test_anything_else_is_tried_again(status):
    receiver = Receiver(status, 200)

    delivery = await receiver.deliver()

    assert delivery.is_delivered
    assert delivery.statuses == [status or None, 200]


async def test_it_gives_up_after_five_retries_in_two_hours():
    receiver = Receiver(*[500] * 9)

    delivery = await receiver.deliver()

    assert (delivery.is_delivered, len(receiver.requests)) == (False, 6)
    assert (tuple(receiver.waits), sum(receiver.waits)) == (RETRIES_AFTER, 7200)
