"""One MCP call as bytes, in both kinds of revision, and a client that adds as little of its own as
it can.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODERN, LEGACY = "2026-07-28", "2025-11-25"


@dataclass(frozen=True, slots=True)
class Call:
    """A tools/call as it goes over the wire."""

    headers: Mapping[str, str]
    body: bytes


def call(tool: str, arguments: Mapping[str, Any], *, token: str, revision: str = MODERN) -> Call:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token}",
        "MCP-Protocol-Version": revision,
        "User-Agent": "benchmark/1",
    }
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if revision == MODERN:
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return Call(
        headers,
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode(),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    seconds: float

    @property
    def is_ok(self) -> bool:
        return (
            self.status == 200 and "result" in self.told and not self.told["result"].get("isError")
        )

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


class Connection:
    """One kept-alive HTTP connection; one request at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        self._reader, self._writer, self._port = reader, writer, port

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port), port)

    async def post(self, call: Call) -> Answer:
        lines = [
            (
                f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Length: "
                f"{len(call.body)}"
            ),
            *(f"{n}: {v}" for n, v in call.headers.items()),
        ]
        return await self._ask("\r\n".join(lines).encode() + b"\r\n\r\n" + call.body)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        lines = [
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}",
            *(f"{n}: {v}" for n, v in (headers or {}).items()),
        ]
        return await self._ask("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def _ask(self, request: bytes) -> Answer:
        started = time.perf_counter()
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return Answer(int(head.split(maxsplit=2)[1]), body, time.perf_counter() - started)

    def close(self) -> None:
        self._writer.close()


def percentile(values: list[float], percent: float) -> float:
    """The nearest rank: the value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]
