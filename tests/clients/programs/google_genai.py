"""google-genai with automatic function calling; a server on loopback stands in for the model."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from google.genai import Client
from google.genai.types import HttpOptions
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from steps import Call, run


class Script:
    """Makes one call a turn, and then ends; keeps what it was sent."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = iter(calls)
        self.sent: list[dict[str, Any]] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.sent.append(request)
        call = next(self._calls, None)
        part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": "done"}
        return {"candidates": [{"content": {"role": "model", "parts": [part]}}]}

    def tools(self) -> list[str]:
        return [
            function["name"]
            for tool in self.sent[0]["tools"]
            for function in tool.get("functionDeclarations") or tool["function_declarations"]
        ]

    def results(self) -> list[Any]:
        last = self.sent[-1]["contents"]
        parts = [part for content in last for part in content["parts"]]
        return [
            part["functionResponse"]["response"] for part in parts if "functionResponse" in part
        ]


@contextmanager
def model_of(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = json.dumps(script.answer(request)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing: the output is JSON."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


async def speak(url: str, key: str, calls: list[Call]) -> tuple[list[str], list[Any]]:
    script = Script(calls)
    headers = {"Authorization": f"Bearer {key}"}
    with model_of(script) as address:
        async with (
            streamablehttp_client(url, headers=headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            client = Client(api_key="none", http_options=HttpOptions(base_url=address))
            await client.aio.models.generate_content(
                model="gemini-2.5-flash",
                contents="Change the order.",
                config={"tools": [session]},
            )
            await client.aio.aclose()
    return script.tools(), [given(result) for result in script.results()]


def given(response: Any) -> Any:
    if "error" in response:
        return response["error"]["content"][0]["text"]
    return response["result"]["structuredContent"]


run("google-genai", speak)
