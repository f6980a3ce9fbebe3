"""Fetches a small document of the public internet from an address that a stranger named, so that
nobody reaches our own network through us.

httpx has the parts: a transport that follows nothing, keeps no cookie and knows no proxy, and the
certificate's name apart from the address. The policy is ours
(docs/decisions/0015-libraries-and-own-code.md).
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import httpx

from orderdesk_app import __version__
from orderdesk_app.outbound.public_addresses import is_public

LARGEST = 5 * 1024  # bytes
SECONDS = 5.0  # for everything: the name, each address, the whole body
LONGEST_URL = 500
# More than one network may ask for at once (services/limits.py): a stranger whose names or sites
# never answer must not keep others waiting.
MOST_AT_ONCE = 64
_SECONDS_TO_CONNECT = 2.0  # to one address, so that another has its turn
_MOST_ADDRESSES = 4

# Host and port are read by this alone, and the request is made of its parts: two readers could
# differ about where a host ends.
_URL = re.compile(
    r"https://(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)",
    re.ASCII,
)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.ASCII | re.IGNORECASE)

# Of a name and a port: the addresses, in the order in which they are to be tried.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchFailed(Exception):
    """`message` is for the stranger who named the address. It tells nothing about our network: a
    name that leads into it reads like one that does not exist.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """An address of https, in its parts. `target` is path and query."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Document:
    """What was fetched; the names of headers are in small letters."""

    body: bytes
    headers: Mapping[str, str]


def read_public_url(text: str) -> PublicUrl:
    """The parts of an address that may be fetched. Raises FetchFailed."""
    found = _URL.fullmatch(text) if len(text) <= LONGEST_URL else None
    if found is None:
        raise FetchFailed(
            "It has to be an address of https:// in small letters, with a name and a path, "
            f"without a fragment or a user's name, and of at most {LONGEST_URL} characters."
        )
    port = int(found["port"] or 443)
    path = found["target"].partition("?")[0]
    if path == "/" or _DOTS.search(path) or port > 65535:
        raise FetchFailed("It has to have a path, without the segments . and .., and a real port.")
    return PublicUrl(found["host"], port, found["target"])


class Names:
    """Asks the system for the addresses of names, in threads of its own: a name whose server never
    answers must not keep the threads that hash passwords. A thread waits for as long as the system
    does, also where nobody waits for the thread any more.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="names")

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Raises OSError for a name without addresses."""

        def ask() -> list[str]:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
            return list(dict.fromkeys(str(entry[4][0]) for entry in found))

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def open_transport() -> httpx.AsyncHTTPTransport:
    """No redirects, cookies and proxies: these are of httpx's client, which is not used. No
    connection is kept, as the next fetch of that address may be of another name.
    """
    return httpx.AsyncHTTPTransport(
        trust_env=False,
        limits=httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=0),
    )


class PublicFetch:
    """The name is asked for once, and the connection goes to an address of that answer, all of
    which have to be public: a name that answers otherwise the next time changes nothing.
    """

    def __init__(
        self,
        resolve: Resolve,
        open_transport: Callable[[], httpx.AsyncBaseTransport] = open_transport,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._resolve = resolve
        self._open_transport = open_transport  # at the first fetch: it reads all certificates
        self._transport: httpx.AsyncBaseTransport | None = None
        self._seconds = seconds
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def fetch(self, text: str) -> Document:
        """The JSON document there, still as bytes. Raises FetchFailed for everything else."""
        url = read_public_url(text)
        try:
            async with asyncio.timeout(self._seconds), self._slots:
                return await self._fetch_from_any(url, await self._addresses(url))
        except TimeoutError:
            raise FetchFailed(f"It was not there within {self._seconds:g} seconds.") from None

    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()

    async def _addresses(self, url: PublicUrl) -> Sequence[str]:
        try:
            found = await self._resolve(url.host, url.port)
        except (OSError, UnicodeError):
            found = ()
        if not found or not all(is_public(address) for address in found):
            raise FetchFailed("Its name has no address in the public internet.")
        return found[:_MOST_ADDRESSES]

    async def _fetch_from_any(self, url: PublicUrl, addresses: Sequence[str]) -> Document:
        for address in addresses:
            try:
                return await self._fetch_from(url, address)
            except httpx.TransportError:
                continue
        raise FetchFailed("Nothing there answered over TLS with a certificate of that name.")

    async def _fetch_from(self, url: PublicUrl, address: str) -> Document:
        if self._transport is None:
            self._transport = self._open_transport()
        request = request_to(url, address)
        request.extensions["timeout"] = {
            "connect": min(_SECONDS_TO_CONNECT, self._seconds),
            "read": self._seconds,
            "write": self._seconds,
            "pool": self._seconds,
        }
        response = await self._transport.handle_async_request(request)
        try:
            return await read_answer(response)
        finally:
            await response.aclose()


def request_to(url: PublicUrl, address: str) -> httpx.Request:
    """A request that goes to that very IP address, for the name of the URL."""
    is_6 = isinstance(ip_address(address), IPv6Address)
    return httpx.Request(
        "GET",
        httpx.URL(
            scheme="https",
            host=f"[{address}]" if is_6 else address,
            port=url.port,
            raw_path=url.target.encode("ascii"),
        ),
        headers={
            "Host": url.authority,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"OrderDeskAgents/{__version__}",
        },
        # the name that TLS asks for and that the certificate has to have
        extensions={"sni_hostname": url.host},
    )


async def read_answer(response: httpx.Response) -> Document:
    """The document, read piece by piece. Raises FetchFailed for any other answer."""
    if response.status_code != 200:
        raise FetchFailed(
            f"It answered with status {response.status_code}; only 200 is read, and no redirect is "
            "followed."
        )
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchFailed("It came packed, which was not asked for.")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", kind):
        raise FetchFailed("Its Content-Type is not application/json.")
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LARGEST:
            raise FetchFailed(f"It has more than {LARGEST} bytes.")
    return Document(body, dict(response.headers.items()))
