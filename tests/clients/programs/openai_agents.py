"""openai-agents: an agent whose model is a script, so that no network is needed."""

import json
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.items import ToolCallOutputItem
from agents.mcp import MCPServerStreamableHttp
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from steps import Call, run


class Script(Model):
    """Makes one call a turn, and then ends; keeps the names of the tools that it was given."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = iter(list(enumerate(calls)))
        self.tools: list[str] = []

    async def get_response(self, *_: Any, tools: Any, **__: Any) -> ModelResponse:
        self.tools = [tool.name for tool in tools]
        return ModelResponse([self._turn(next(self._calls, None))], Usage(), None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def _turn(
        self, numbered: tuple[int, Call] | None
    ) -> ResponseFunctionToolCall | ResponseOutputMessage:
        if numbered:
            number, (tool, arguments) = numbered
            return ResponseFunctionToolCall(
                type="function_call",
                call_id=str(number),
                name=tool,
                arguments=json.dumps(arguments),
            )
        done = ResponseOutputText(type="output_text", text="done", annotations=[])
        return ResponseOutputMessage(
            id="1", type="message", role="assistant", status="completed", content=[done]
        )


async def speak(url: str, key: str, calls: list[Call]) -> tuple[list[str], list[Any]]:
    set_tracing_disabled(True)
    headers = {"Authorization": f"Bearer {key}"}
    async with MCPServerStreamableHttp(
        params={"url": url, "headers": headers}, use_structured_content=True
    ) as server:
        model = Script(calls)
        agent = Agent(name="tests", model=model, mcp_servers=[server])
        done = await Runner.run(agent, "Change the order.")
    outputs = [item.output for item in done.new_items if isinstance(item, ToolCallOutputItem)]
    return model.tools, [given(output) for output in outputs]


def given(output: Any) -> Any:
    """The structure comes as one text of JSON, a failure as the text of its content."""
    if isinstance(output, str):
        return json.loads(output)
    return output["text"] if isinstance(output, dict) else output[0]["text"]


run("openai-agents", speak)
