"""The official SDK for Python; 1.9 knows no structured content yet."""

from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from steps import Call, run


async def speak(url: str, key: str, calls: list[Call]) -> tuple[list[str], list[Any]]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        streamablehttp_client(url, headers=headers) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = (await session.list_tools()).tools
        results = [given(await session.call_tool(*call)) for call in calls]
    return [tool.name for tool in tools], results


def given(result: Any) -> Any:
    structure = None if result.isError else getattr(result, "structuredContent", None)
    return structure or result.content[0].text


run("mcp", speak)
