"""OpenAI's Agents SDK: its runner calls tools and hands their results back by itself, over both of OpenAI's wires."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import openai
from agents import (
    Agent,
    AgentOutputSchemaBase,
    FunctionTool,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
)
from agents.items import ReasoningItem, ToolCallItem
from openai.types.shared import Reasoning

from tests.clients.cells import EXPECTED, LIMIT_S, Adapter, Ask, Call, Failure, Said, main

QUIET = RunConfig(tracing_disabled=True)


class Bound(AgentOutputSchemaBase):
    """The schema of the question, whose answer stays text."""

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return "capital"

    def json_schema(self) -> dict[str, Any]:
        return dict(EXPECTED["schema"])

    def is_strict_json_schema(self) -> bool:
        return True

    def validate_json(self, json_str: str) -> Any:
        return json_str


class Agents(Adapter):
    """The runner has no finish reasons: an answer that is final is its `stop`, one that stopped at a tool its `tool`."""

    finishes = {"stop": "final", "tool": "tool", "length": "length"}
    failures = {"429": Failure("RateLimitError", 429), "500": Failure("InternalServerError", 500)}
    lacks = frozenset({"max-tokens"})
    model_class: ClassVar[type[Any]]

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=LIMIT_S)

    async def close(self) -> None:
        await self.client.close()

    async def say(self, ask: Ask) -> Said:
        return (await self._run(ask, dict.fromkeys(EXPECTED["results"], ""), stop=True))[0]

    async def round_trip(self, ask: Ask, results: Mapping[str, str]) -> tuple[Said, Said]:
        whole, calls = await self._run(ask, results, stop=False)
        return Said(calls=calls), Said(text=whole.text, finish=whole.finish)

    async def _run(self, ask: Ask, results: Mapping[str, str], *, stop: bool) -> tuple[Said, list[Call]]:
        called: list[Call] = []
        settings = ModelSettings(include_usage=True, store=False)
        if ask.think:
            settings = ModelSettings(
                include_usage=True, store=False, reasoning=Reasoning(effort="low", summary="auto"),
                response_include=["reasoning.encrypted_content"] if self.model_class is OpenAIResponsesModel else None,
            )  # fmt: skip
        agent = Agent(
            name="geographer",
            instructions=ask.system or None,
            model=self.model_class(ask.model, self.client),
            tools=[self._tool(tool, results, called) for tool in ask.tools],
            tool_use_behavior="stop_on_first_tool" if stop else "run_llm_again",
            output_type=Bound() if ask.schema else None,
            model_settings=settings,
        )
        asked: Any = ask.text
        if ask.image:
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{ask.image}", "detail": "auto"}
            asked = [{"role": "user", "content": [{"type": "input_text", "text": ask.text}, image]}]
        if ask.stream:
            run = Runner.run_streamed(agent, asked, run_config=QUIET)
            async for _ in run.stream_events():
                pass
        else:
            run = await Runner.run(agent, asked, run_config=QUIET)
        return self._said(run, called), called

    def _tool(self, tool: Mapping[str, Any], results: Mapping[str, str], called: list[Call]) -> FunctionTool:
        async def invoke(context: Any, arguments: str) -> str:
            called.append(Call(context.tool_call_id, tool["name"], json.loads(arguments)))
            return results[tool["name"]]

        return FunctionTool(tool["name"], tool["description"], dict(tool["parameters"]), invoke)

    def _said(self, run: Any, called: list[Call]) -> Said:
        items = run.new_items
        said = Said(calls=called, finish="tool" if called and run.final_output in ("", None) else "final")
        for item in items:
            if isinstance(item, ReasoningItem):
                said.thought += "".join(part.text for part in item.raw_item.summary)
            elif not isinstance(item, ToolCallItem) and item.type == "message_output_item":
                said.text += "".join(getattr(part, "text", "") for part in item.raw_item.content)
        if len(run.raw_responses) > 1:
            said.text = str(run.final_output)
        usage = run.context_wrapper.usage
        said.usage = {
            "input": usage.input_tokens,
            "cached": usage.input_tokens_details.cached_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.output_tokens_details.reasoning_tokens,
        }
        return said


class OverChat(Agents):
    name = "openai-agents-chat"
    model_class = OpenAIChatCompletionsModel


class OverResponses(Agents):
    name = "openai-agents"
    model_class = OpenAIResponsesModel


if __name__ == "__main__":
    main(OverResponses, OverChat)
