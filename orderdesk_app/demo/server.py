"""The sandbox as a server of its own, for tests and benchmarks: `python -m
orderdesk_app.demo.server --port 9100 --store 10001:key --control`.

`--store 10001-10050:key` opens fifty stores. With `--control`, `/_control/...` sets faults and
switches and reads the request log.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from orderdesk_app.demo.app import BASE, SandboxApp, edit, sandbox_app
from orderdesk_app.demo.dates import stamp
from orderdesk_app.demo.faults import Dropped, Fault, Faults
from orderdesk_app.demo.rows import ORDER, MemoryRows
from orderdesk_app.demo.seed import DEFAULT_INVENTORY, DEFAULT_ORDERS, Seed
from orderdesk_app.demo.shelf import Shelf
from orderdesk_app.demo.switches import Switches

CONTROL = "/_control/"


class MovableClock:
    """The time of the system, which a test may move forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class StandaloneSandbox:
    """The sandbox app over memory, with an address for tests and dropped connections that are
    real.
    """

    def __init__(
        self,
        stores: dict[str, str],
        *,
        orders: int = DEFAULT_ORDERS,
        inventory: int = DEFAULT_INVENTORY,
        control: bool = False,
        switches: Switches | None = None,
    ) -> None:
        self.stores = stores
        self.control = control
        self.clock = MovableClock()
        self.rows = MemoryRows()
        self.first_switches = switches or Switches()
        self.faults = Faults()
        self.seed = Seed(orders, inventory)
        self.app: SandboxApp = sandbox_app(
            self._key_of,
            self.rows,
            switches=self.first_switches,
            faults=self.faults if control else None,
            clock=self.clock,
            seed=self.seed,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.control and scope["path"].startswith(CONTROL):
            response = await self._controlled(Request(scope, receive))
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Dropped:
            # ASGI has no word for it: the bound cycle of uvicorn is the one way to the socket.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            await asyncio.sleep(0)  # uvicorn hears of it before it could miss the answer

    async def _key_of(self, store_id: str) -> str | None:
        return self.stores.get(store_id)

    async def _controlled(self, request: Request) -> Response:
        parts = request.url.path.removeprefix(CONTROL).strip("/").split("/")
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else None
            return JSONResponse(await self._control(request.method, parts, body, request))
        except (ValueError, TypeError, LookupError) as error:
            return JSONResponse({"error": str(error)}, 400)

    async def _control(self, method: str, parts: list[str], body: Any, request: Request) -> object:
        match method, parts:
            case "GET", ["ready"]:
                return {"ready": True}
            case "POST", ["faults"]:
                for fault in [
                    Fault(**values) for values in (body if isinstance(body, list) else [body])
                ]:
                    self.faults.add(fault)
                return {"waiting": len(self.faults.waiting)}
            case "GET", ["faults"]:
                return [asdict(fault) for fault in self.faults.waiting]
            case "DELETE", ["faults"]:
                self.faults.clear()
                return {"waiting": 0}
            case "GET", ["requests"]:
                return [
                    asdict(served) for served in self.faults.requests(**dict(request.query_params))
                ]
            case "DELETE", ["requests"]:
                self.faults.forget()
                return {"requests": 0}
            case "GET", ["switches"]:
                return asdict(self.app.switches)
            case "POST", ["switches"]:
                self.app.switches = self.app.switches.changed(body)
                return asdict(self.app.switches)
            case "POST", ["clock"]:
                self.clock.ahead += float(body["advance"])
                return {"now": stamp(self.clock())}
            case "POST", ["stores"]:
                self.stores.update({str(store_id): str(key) for store_id, key in body.items()})
                return {"stores": sorted(self.stores)}
            case "POST", ["reset"]:
                self._reset()
                return {"reset": True}
            case "GET", ["orders", store_id, order_id]:
                return await Shelf(self.rows, self.seed, store_id).view(ORDER, order_id)
            case "POST", ["orders", store_id, order_id]:
                shelf = Shelf(self.rows, self.seed, store_id)
                changed = await shelf.change(
                    ORDER, order_id, lambda document: edit(document, body, stamp(self.clock()))
                )
                return changed[1] if changed else None
        raise LookupError(f"no such control: {method} {'/'.join(parts)}")

    def _reset(self) -> None:
        """Back to the state after the start; added stores stay."""
        self.rows.clear()
        self.faults.clear()
        self.faults.forget()
        self.app.buckets.clear()
        self.app.switches = self.first_switches
        self.clock.ahead = 0.0


def stores_of(texts: Sequence[str]) -> dict[str, str]:
    """`10001:key` and `10001-10050:key` as store ids with their keys. Raises ValueError."""
    stores: dict[str, str] = {}
    for text in texts:
        ids, _, key = text.partition(":")
        first, _, last = ids.partition("-")
        if not key or not first.isdigit() or not (last or first).isdigit():
            raise ValueError(f"--store {text}: write it as 10001:key or 10001-10050:key")
        stores.update({str(number): key for number in range(int(first), int(last or first) + 1)})
    return stores


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m orderdesk_app.demo.server", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=0, help="0 takes a free one; the first line of output names it"
    )
    parser.add_argument("--orders", type=int, default=DEFAULT_ORDERS)
    parser.add_argument("--inventory", type=int, default=DEFAULT_INVENTORY)
    parser.add_argument("--store", action="append", default=[], metavar="ID:KEY")
    parser.add_argument(
        "--control", action="store_true", help="open /_control/ and keep a request log"
    )
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="for example delay=0.02 or rate_limited=false",
    )
    chosen = parser.parse_args(arguments)
    try:
        switches = Switches().changed(
            {
                name: json.loads(value)
                for name, _, value in (text.partition("=") for text in chosen.switch)
            }
        )
        app = StandaloneSandbox(
            stores_of(chosen.store),
            orders=chosen.orders,
            inventory=chosen.inventory,
            control=chosen.control,
            switches=switches,
        )
    except ValueError as error:
        parser.error(str(error))
    config, listener = _listening(app, chosen.host, chosen.port)
    sys.stdout.write(f"sandbox ready on {_address(listener)}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


@asynccontextmanager
async def serving(app: StandaloneSandbox) -> AsyncIterator[str]:
    """Serve over a real socket in this event loop; gives the api_url.

    The test sets `app.faults`, `app.app.switches` and `app.clock`.
    """
    config, listener = _listening(app, "127.0.0.1", 0)
    server = _Guest(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    try:
        yield _address(listener)
    finally:
        server.should_exit = server.force_exit = True
        await task


class _Guest(uvicorn.Server):
    """A server in somebody else's process, whose signals are not its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _listening(
    app: StandaloneSandbox, host: str, port: int
) -> tuple[uvicorn.Config, socket.socket]:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
    )
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Named TCP, so that asyncio turns Nagle's wait off: without it the kernel holds answers back
    # for 40 ms.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(2048)
    return config, listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}{BASE}"


if __name__ == "__main__":
    main()
