"""A site of a stranger over TLS on loopback, in the loop of the test that uses it, and a fetch that
trusts its certificate. What it answers is up to the test.
"""

import asyncio
import gzip
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orderdesk_app.outbound.public_fetch import PublicFetch

NAME = "client.example"


def answer(
    body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """A whole answer, as it goes over the line."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "Connection: close", "", ""]).encode() + body


def metadata(own_address: str, /, **changes: object) -> bytes:
    said: dict[str, object] = {
        "client_id": own_address,
        "client_name": "Example",
        "redirect_uris": ["https://client.example/callback"],
    }
    said.update(changes)
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def bomb() -> bytes:
    """Some kilobytes that unpack to 4 MB."""
    return gzip.compress(b" " * 4_000_000)


@dataclass
class PublicSite:
    """`answers` by path, pieces of which are sent one by one, with `pause` seconds between.
    `requests` are the heads of those that arrived, `names` what TLS asked for.
    """

    port: int = 0
    answers: dict[str, Sequence[bytes]] = field(default_factory=dict)
    pause: float = 0.0
    requests: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # the names that were resolved
    addresses: list[list[str]] = field(default_factory=lambda: [["127.0.0.1"]])

    def client_id(self, path: str = "/client.json", **changes: object) -> str:
        """The id of a client whose document is there."""
        client_id = f"https://{NAME}:{self.port}{path}"
        self.answers.setdefault(path, [answer(metadata(client_id, **changes))])
        return client_id

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The first of `addresses`, until the last one is left."""
        self.asked.append(host)
        return self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]

    def fetch(self, **options: Any) -> PublicFetch:
        return PublicFetch(self.resolve, trusting_transport, **options)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            for piece in self.answers[head.split()[1]]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(self.pause)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def trusting_transport() -> httpx.AsyncHTTPTransport:
    context = ssl.create_default_context(cadata=certificate()[0].decode())
    return httpx.AsyncHTTPTransport(
        verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
    )


@asynccontextmanager
async def public_site() -> AsyncIterator[PublicSite]:
    site = PublicSite()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(certificate()))
        file.flush()
        context.load_cert_chain(file.name)
    context.sni_callback = lambda _, name, __: site.names.append(name)
    server = await asyncio.start_server(site.handle, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


@lru_cache(maxsize=1)
def certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for NAME alone, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
