"""langchain-mcp-adapters: its tools, as an agent of LangChain calls them."""

from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from steps import Call, run


async def speak(url: str, key: str, calls: list[Call]) -> tuple[list[str], list[Any]]:
    connection = {
        "transport": "streamable_http",
        "url": url,
        "headers": {"Authorization": f"Bearer {key}"},
    }
    client = MultiServerMCPClient({"orderdesk": connection})
    tools = {tool.name: tool for tool in await client.get_tools()}
    for_a_model = [convert_to_openai_tool(tool) for tool in tools.values()]
    results = [await given(tools[tool], arguments) for tool, arguments in calls]
    return [tool["function"]["name"] for tool in for_a_model], results


async def given(tool: BaseTool, arguments: dict[str, Any]) -> Any:
    message = await tool.ainvoke(
        {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}
    )
    if message.status == "error" or not message.artifact:
        return message.text
    return message.artifact["structured_content"]


run("langchain-mcp-adapters", speak)
