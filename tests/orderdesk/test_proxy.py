"""Which proxy is in force, by the rules of the library that sends the requests; and where it is
named.
"""

import os
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from orderdesk_app.context import OrderId, Secret, StoreId
from orderdesk_app.errors import ConfigurationError, UpstreamUnreachable
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.proxy import Proxy, proxy_for
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.orderdesk.wait_budget import WaitBudget

API = "https://app.orderdesk.me/api/v2"
SetProxies = Callable[..., None]


@pytest.fixture(autouse=True)
def proxies(monkeypatch: pytest.MonkeyPatch) -> SetProxies:
    """Sets variables; all others about proxies are gone."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def set_them(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_them


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "Https_Proxy"]
)
def test_the_variable_in_force_is_named_as_it_is_set(proxies: SetProxies, name: str) -> None:
    proxies(**{name: "http://proxy.example:3128"})

    assert proxy_for(API) == Proxy(name, "proxy.example:3128")


def test_without_a_variable_there_is_none(proxies: SetProxies) -> None:
    proxies(HTTP_PROXY="http://proxy.example:3128", NO_PROXY="example.com")

    assert proxy_for(API) is None


def test_small_letters_and_the_own_scheme_win(proxies: SetProxies) -> None:
    proxies(
        ALL_PROXY="http://all.example:1",
        HTTPS_PROXY="http://capitals.example:2",
        https_proxy="http://small.example:3",
    )

    assert proxy_for(API) == Proxy("https_proxy", "small.example:3")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://ada:s3cret@proxy.example:3128", "proxy.example:3128"),
        ("ada:s3cret@proxy.example:3128", "proxy.example:3128"),
        ("http://s3cret@proxy.example/s3cret?s3cret#s3cret", "proxy.example"),
        ("http://[2001:db8::1]:3128", "[2001:db8::1]:3128"),
        ("proxy.example:3128", "proxy.example:3128"),
        ("http://s3cret[", ""),
        ("http://u:s3cret@proxy.example:port", ""),
    ],
)
def test_the_address_has_no_credentials(proxies: SetProxies, value: str, address: str) -> None:
    proxies(HTTPS_PROXY=value)

    found = proxy_for(API)

    assert found is not None
    assert found.address == address
    assert "s3cret" not in f"{found} {found!r}"


NO_PROXIES = (
    "",
    "*",
    "orderdesk.me",
    ".orderdesk.me",
    "app.orderdesk.me",
    ".app.orderdesk.me",
    "desk.me",
    "localhost",
    "localhost, app.orderdesk.me",
    "app.orderdesk.me:443",
    "app.orderdesk.me:8443",
    "127.0.0.1",
    "10.0.0.0/8",
    "10.1.2.3",
    "::1",
    "2001:db8::1",
    "https://app.orderdesk.me",
    "http://app.orderdesk.me",
    "https://*.orderdesk.me",
    "https://*orderdesk.me",
    "APP.ORDERDESK.ME",
    "other.example,,",
)
URLS = (
    API,
    "https://app.orderdesk.me:8443/api",
    "http://app.orderdesk.me/api",
    "http://localhost:8081/api",
    "http://127.0.0.1:8081/api",
    "http://10.1.2.3/api",
    "https://orderdesk.me/api",
    "http://[::1]:8081/api",
    "https://[2001:db8::1]/api",
)


class AnyTransport(httpx.AsyncBaseTransport):
    """Stands in for the library's own: answers with the proxy that it was made for."""

    def __init__(self, *, proxy: httpx.Proxy | None = None, **_: object) -> None:
        self.proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="proxied" if self.proxy else "direct")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
async def test_the_rules_are_those_of_the_library(
    proxies: SetProxies, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    differing = []
    proxies(**{variable: "http://proxy.example:3128"})
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", AnyTransport.__init__)
    monkeypatch.setattr(
        httpx.AsyncHTTPTransport, "handle_async_request", AnyTransport.handle_async_request
    )
    for no_proxy in NO_PROXIES:
        monkeypatch.setenv("NO_PROXY", no_proxy)
        client = httpx.AsyncClient()
        for url in URLS:
            is_proxied = (await client.get(url)).text == "proxied"
            if (proxy_for(url) is not None) != is_proxied:
                differing.append((no_proxy, url, is_proxied))

    assert differing == []


# ------------------------------------------------------------------ where it is named


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Nobody listens there, and nobody else takes it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_call_that_fails_at_a_proxy_names_its_variable(
    proxies: SetProxies, closed_port: int
) -> None:
    proxies(HTTPS_PROXY=f"http://ada:s3cret@127.0.0.1:{closed_port}")

    error = await _failure_of_a_call(API)

    assert error.message == (
        "Order Desk could not be reached. The call went through the proxy of HTTPS_PROXY "
        f"(127.0.0.1:{closed_port}). Try again in a minute."
    )
    assert error.outcome is None
    assert "s3cret" not in repr(error.__dict__)


async def test_a_call_without_a_proxy_names_none(closed_port: int) -> None:
    error = await _failure_of_a_call(f"http://127.0.0.1:{closed_port}/api/v2")

    assert error.message == "Order Desk could not be reached. Try again in a minute."


async def _failure_of_a_call(url: str) -> UpstreamUnreachable:
    store = StoreAccess(url, StoreId("4711"), Secret("a-key"))
    async with open_http() as http:
        client = OrderDeskClient(Transport(http, MemoryBuckets(), timeout=30, max_retries=0))
        with pytest.raises(UpstreamUnreachable) as caught:
            await client.orders.get_order(store, OrderId("100000001"), WaitBudget(30))
    return caught.value


@pytest.mark.parametrize("value", ["socks5://ada:s3cret@proxy.example:1080", "ftp://proxy.example"])
def test_a_proxy_that_cannot_be_used_stops_the_start_by_name(
    proxies: SetProxies, value: str
) -> None:
    proxies(HTTPS_PROXY=value, http_proxy="http://proxy.example:3128")

    with pytest.raises(ConfigurationError) as caught:
        open_http()

    assert str(caught.value).startswith("HTTPS_PROXY: ")
    assert "http_proxy" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
