"""Order Desk's outbound event: an order posted as a form, signed with the store's API key, tried
again when it is not welcome (section 12).
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

import httpx

from orderdesk_app.demo.body import Body

# five within two hours; how they are spread is a guess
RETRIES_AFTER = (
    300.0,
    600.0,
    1200.0,
    2100.0,
    3000.0,
)
TIMEOUT = 30.0
Variant = Literal["as_is", "url_decoded"]  # the older help sample; the later official one


def signature(order: str, api_key: str, variant: Variant = "as_is") -> str:
    """Lower-case hex HMAC-SHA256 of the `order` text with the API key."""
    signed = order if variant == "as_is" else unquote(order)
    return hmac.new(api_key.encode(), signed.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Delivery:
    """What became of one event: the status of each try, None where no answer came."""

    statuses: list[int | None] = field(default_factory=list)

    @property
    def is_delivered(self) -> bool:
        return bool(self.statuses) and self.statuses[-1] in (200, 201)


async def deliver(
    http: httpx.AsyncClient,
    url: str,
    order: Body,
    *,
    store_id: str,
    api_key: str,
    variant: Variant = "as_is",
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Delivery:
    """Post the order until it is answered by 200 or 201, at most six times."""
    text = json.dumps(order)
    headers = {
        "X-ORDER-DESK-STORE-ID": store_id,
        "X-ORDER-DESK-HASH": signature(text, api_key, variant),
    }
    delivery = Delivery()
    for wait in (0.0, *RETRIES_AFTER):
        if wait:
            await sleep(wait)
        delivery.statuses.append(await _post(http, url, text, headers))
        if delivery.is_delivered:
            break
    return delivery


async def _post(
    http: httpx.AsyncClient, url: str, text: str, headers: dict[str, str]
) -> int | None:
    try:
        answer = await http.post(
            url, data={"order": text}, headers=headers, timeout=TIMEOUT, follow_redirects=False
        )
    except httpx.HTTPError:
        return None
    return answer.status_code
