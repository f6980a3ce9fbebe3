"""A stranger names an address as the id of an OAuth client, and has our server ask where only our
server can ask; or keeps it busy with what comes back.

Guards: only names whose addresses are all public, asked for once and connected to as answered; no
redirect, proxy or cookie; a limit of bytes, none of them unpacked, and of seconds for it all.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from orderdesk_app.outbound import public_fetch
from orderdesk_app.outbound.public_addresses import is_public
from orderdesk_app.outbound.public_fetch import Document, FetchFailed, read_public_url
from orderdesk_app.services.limits import CLIENT_DOCUMENTS
from tests.attacks.cast import switched_off
from tests.public_site import (
    NAME,
    PublicSite,
    answer,
    bomb,
    metadata,
    public_site,
    trusting_transport,
)

PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2606:4700::5efe:10.0.0.1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
    "",
)
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2606:4700::1111",
    "2a00:1450:4001:82b::200e",
)


@pytest.fixture
async def site() -> AsyncIterator[PublicSite]:
    async with public_site() as opened:
        yield opened


async def fetched(site: PublicSite, client_id: str, **options: float) -> Document:
    fetch = site.fetch(**options)
    try:
        return await fetch.fetch(client_id)
    finally:
        await fetch.close()


def anything(_: str) -> bool:
    return True


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_of_the_public_internet_is_not(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("others", [[], ["8.8.8.8"]])
async def test_a_name_that_leads_into_our_network(site: PublicSite, others: list[str]) -> None:
    client_id = site.client_id()
    site.addresses = [[*others, "127.0.0.1"]]

    with pytest.raises(FetchFailed) as refused:
        await fetched(site, client_id)
    assert site.requests == []
    site.addresses = [[]]
    with pytest.raises(FetchFailed) as unknown:
        await fetched(site, client_id)

    # what is there, and what is not, cannot be told apart
    assert refused.value.message == unknown.value.message


async def test_without_the_check_it_is_fetched(site: PublicSite) -> None:
    client_id = site.client_id()

    with switched_off(public_fetch, "is_public", anything):
        found = await fetched(site, client_id)

    assert found.body == metadata(client_id)
    assert site.names == [NAME], "TLS asks for the name, not for the address"
    assert f"Host: {NAME}:{site.port}\r\n" in site.requests[0]
    assert "cookie" not in site.requests[0].lower()


async def test_a_name_that_answers_otherwise_the_second_time(site: PublicSite) -> None:
    """The check sees a public address, and the connection would go to the next answer."""
    client_id = site.client_id()
    seen: list[str] = []

    class Line(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.url.host)
            raise httpx.ConnectError("nobody there")

    site.addresses = [["8.8.8.8"], ["127.0.0.1"]]
    with pytest.raises(FetchFailed):
        await public_fetch.PublicFetch(site.resolve, Line).fetch(client_id)

    assert seen == ["8.8.8.8"], "the address that was checked, and no name"
    assert site.asked == [NAME], "asked once"


async def test_without_the_pin_it_goes_where_the_second_answer_leads(site: PublicSite) -> None:
    """A client that checks a name and then connects to it by name asks twice."""
    client_id = site.client_id()
    site.addresses = [["8.8.8.8"], ["127.0.0.1"]]
    pinned = public_fetch.request_to

    def by_name(url: public_fetch.PublicUrl, _: str) -> httpx.Request:
        return pinned(url, site.addresses[0][0])  # what the name says by now

    with switched_off(public_fetch, "request_to", by_name):
        found = await fetched(site, client_id)

    assert found.body == metadata(client_id), "127.0.0.1 answered"


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308", "201", "204", "404", "500"])
async def test_a_redirect_into_our_network(site: PublicSite, status: str) -> None:
    to = site.client_id("/secret.json")
    site.answers["/moved.json"] = [
        answer(metadata("x"), f"Location: {to}", status=f"{status} There")
    ]

    with switched_off(public_fetch, "is_public", anything), pytest.raises(FetchFailed) as told:
        await fetched(site, site.client_id("/moved.json"))

    assert len(site.requests) == 1
    assert status in told.value.message


async def test_a_client_that_follows_redirects_would_get_there(site: PublicSite) -> None:
    to = site.client_id("/secret.json")
    site.answers["/moved.json"] = [answer(b"", f"Location: {to}", status="302 Found")]

    read = public_fetch.read_answer

    async def follow(response: httpx.Response) -> Document:
        if response.is_redirect:
            return await fetched(site, response.headers["location"])
        return await read(response)

    with (
        switched_off(public_fetch, "is_public", anything),
        switched_off(public_fetch, "read_answer", follow),
    ):
        found = await fetched(site, site.client_id("/moved.json"))

    assert found.body == metadata(to)


LARGE = metadata("x") + b" " * 20_000


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("large", [answer(LARGE)]),
        ("without an end", [answer(b"")[:-4].replace(b"Content-Length: 0\r\n", b""), b"\r\n\r\n"]),
        ("in chunks", [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"]),
    ],
)
async def test_a_large_body(site: PublicSite, name: str, pieces: list[bytes]) -> None:
    if name == "without an end":
        pieces = [*pieces, *[b" " * 4096] * 100]
    if name == "in chunks":
        pieces = [
            *pieces,
            b"Transfer-Encoding: chunked\r\n\r\n",
            *[b"400\r\n" + b" " * 1024 + b"\r\n"] * 100,
        ]
    site.answers["/large.json"] = pieces

    with switched_off(public_fetch, "is_public", anything), pytest.raises(FetchFailed) as told:
        await fetched(site, site.client_id("/large.json"))

    assert "bytes" in told.value.message


async def test_without_the_limit_all_of_it_is_read(site: PublicSite) -> None:
    site.answers["/large.json"] = [answer(LARGE)]

    with (
        switched_off(public_fetch, "is_public", anything),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(public_fetch, "LARGEST", 10**9)
        found = await fetched(site, site.client_id("/large.json"))

    assert len(found.body) > 20_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", "zstd"])
async def test_a_packed_body_that_becomes_large(site: PublicSite, encoding: str) -> None:
    site.answers["/bomb.json"] = [answer(bomb(), f"Content-Encoding: {encoding}")]

    with switched_off(public_fetch, "is_public", anything), pytest.raises(FetchFailed) as told:
        await fetched(site, site.client_id("/bomb.json"))

    assert "packed" in told.value.message


async def test_httpx_itself_would_unpack_it(site: PublicSite) -> None:
    packed = bomb()
    assert len(packed) < public_fetch.LARGEST, "it would keep the limit"

    unpacked = httpx.Response(200, headers={"content-encoding": "gzip"}, content=packed).content

    assert len(unpacked) == 4_000_000


@pytest.mark.parametrize("slow", ["head", "body"])
async def test_a_body_that_takes_for_ever(site: PublicSite, slow: str) -> None:
    whole = answer(metadata("x"))
    start = 10 if slow == "head" else whole.index(b"\r\n\r\n") + 8
    site.answers["/slow.json"] = [whole[:start], *(bytes([sign]) for sign in whole[start:])]
    site.pause = 0.01  # each byte arrives in time, all of them do not

    with switched_off(public_fetch, "is_public", anything), pytest.raises(FetchFailed) as told:
        await fetched(site, site.client_id("/slow.json"), seconds=0.15)

    assert "seconds" in told.value.message


async def test_without_the_limit_it_is_waited_for(site: PublicSite) -> None:
    whole = answer(metadata("x"))
    site.answers["/slow.json"] = [whole[:200], *(bytes([sign]) for sign in whole[200:])]
    site.pause = 0.002

    with switched_off(public_fetch, "is_public", anything):
        found = await fetched(site, site.client_id("/slow.json"), seconds=60)

    assert found.body == metadata("x")


async def test_a_name_whose_server_never_answers(site: PublicSite) -> None:
    async def never(_: str, __: int) -> list[str]:
        await public_fetch.asyncio.sleep(60)
        return []

    fetch = public_fetch.PublicFetch(never, seconds=0.05)
    with pytest.raises(FetchFailed) as told:
        await fetch.fetch(site.client_id())

    assert "seconds" in told.value.message


HANGING = 2 * CLIENT_DOCUMENTS  # as many as one network may ask for at once


def names_that_hang(until: threading.Event) -> Callable[..., Any]:
    """As the system asks for a name: those of `hangs.example` have a server that never answers."""

    def ask(host: str, *_: Any, **__: Any) -> list[Any]:
        if host.endswith("hangs.example"):
            until.wait(30)
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    return ask


async def fetched_beside_names_that_hang(site: PublicSite) -> Document:
    """What somebody else gets meanwhile."""
    until, names = threading.Event(), public_fetch.Names()
    fetch = public_fetch.PublicFetch(names.resolve, trusting_transport, seconds=2)
    try:
        with (
            switched_off(socket, "getaddrinfo", names_that_hang(until)),
            switched_off(public_fetch, "is_public", anything),
        ):
            others = [
                asyncio.create_task(fetch.fetch(f"https://n{number}.hangs.example/client.json"))
                for number in range(HANGING)
            ]
            await asyncio.sleep(0)  # they are first
            try:
                return await fetch.fetch(site.client_id())
            finally:
                until.set()
                await asyncio.gather(*others, return_exceptions=True)
    finally:
        names.close()
        await fetch.close()


async def test_names_that_never_answer_keep_nobody_else_waiting(site: PublicSite) -> None:
    assert (await fetched_beside_names_that_hang(site)).body == metadata(site.client_id())


async def test_with_few_at_once_others_would_wait(
    site: PublicSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_fetch, "MOST_AT_ONCE", 8)

    with pytest.raises(FetchFailed, match="seconds"):
        await fetched_beside_names_that_hang(site)


async def test_a_certificate_of_another_name(site: PublicSite) -> None:
    client_id = site.client_id().replace(NAME, "other.example")

    with switched_off(public_fetch, "is_public", anything), pytest.raises(FetchFailed):
        await fetched(site, client_id)

    assert site.requests == []


async def test_a_proxy_of_the_environment_is_not_asked(
    site: PublicSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client_id = site.client_id()

    with switched_off(public_fetch, "is_public", anything):
        found = await fetched(site, client_id)

    assert found.body == metadata(client_id)


@pytest.mark.parametrize(
    "text",
    [
        "http://client.example/a",
        "https://client.example",
        "https://client.example/",
        "https://client.example/?a",
        "https://client.example/a/../b",
        "https://client.example/./b",
        "https://client.example/%2e%2E/b",
        "https://client.example/a#b",
        "https://user@client.example/a",
        "https://user:password@client.example/a",
        "https://client.example:0/a",
        "https://client.example:65536/a",
        "https://client.example:/a",
        "https://client.example:443x/a",
        "https://client.example\\@127.0.0.1/a",
        "https://client.example/a\r\nHost: x",
        "https://client.example/a b",
        "https://CLIENT.example/a",
        "HTTPS://client.example/a",
        "https://localhost/a",
        "https://127.0.0.1/a",
        "https://127.1/a",
        "https://2130706433/a",
        "https://0x7f.0.0.1/a",
        "https://a.0x7f/a",
        "https://[::1]/a",
        "https://client.example./a",
        "https://-client.example/a",
        "https://client..example/a",
        "https://cli\u00e9nt.example/a",
        "https://client\u3002example/a",
        "file:///etc/passwd",
        f"https://client.example/{'a' * 500}",
        "",
    ],
)
def test_an_address_of_another_kind(text: str) -> None:
    with pytest.raises(FetchFailed):
        read_public_url(text)
