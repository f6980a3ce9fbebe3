"""fastmcp, whose programs read the fields of `.data`."""

from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError
from pydantic import TypeAdapter
from steps import Call, run


async def speak(url: str, key: str, calls: list[Call]) -> tuple[list[str], list[Any]]:
    transport = StreamableHttpTransport(url, headers={"Authorization": f"Bearer {key}"})
    async with Client(transport) as client:
        tools = await client.list_tools()
        results = [await given(client, call) for call in calls]
    return [tool.name for tool in tools], results


async def given(client: Client[Any], call: Call) -> Any:
    try:
        data = (await client.call_tool(*call)).data
    except ToolError as error:
        return str(error)
    return {"id": data.order.id, **TypeAdapter(type(data)).dump_python(data, mode="json")}


run("fastmcp", speak)
