"""pydantic-ai's models for OpenAI (both wires), Anthropic and Google, called as its agents call them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from pydantic_ai import direct
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    BinaryContent,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.clients.cells import Adapter, Ask, Call, Failure, Said, main

NATIVE = ModelProfile(supports_json_schema_output=True, supports_thinking=True)
"""Its defaults go by known names; these models have others."""


class PydanticAI(Adapter):
    finishes = {"stop": "stop", "tool": "tool_call", "length": "length"}
    failures = {"429": Failure("ModelHTTPError", 429), "500": Failure("ModelHTTPError", 500)}
    thinking: Mapping[str, Any]

    def model(self, name: str) -> Model:
        raise NotImplementedError

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, [self._request(ask)])

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [ToolReturnPart(call.name, results[call.name], call.id) for call in said.calls]
        return await self._send(ask, [self._request(ask), said.history, ModelRequest(parts=answers)])

    def failure(self, error: BaseException) -> Failure:
        known = isinstance(error, ModelHTTPError)
        return Failure("ModelHTTPError" if known else type(error).__name__, getattr(error, "status_code", None))

    def _request(self, ask: Ask) -> ModelRequest:
        content: Any = ask.text
        if ask.image:
            content = [ask.text, BinaryContent(base64.b64decode(ask.image), media_type="image/png")]
        system = [SystemPromptPart(ask.system)] if ask.system else []
        return ModelRequest(parts=[*system, UserPromptPart(content)])

    async def _send(self, ask: Ask, messages: list[Any]) -> Said:
        tools = [
            ToolDefinition(
                name=tool["name"], parameters_json_schema=tool["parameters"], description=tool["description"]
            )
            for tool in ask.tools
        ]
        output: dict[str, Any] = {}
        if ask.schema:
            bound = OutputObjectDefinition(dict(ask.schema), "capital", strict=True)
            output = {"output_mode": "native", "output_object": bound}
        settings: Any = {"max_tokens": ask.max_tokens or 4096, **(self.thinking if ask.think else {})}
        request = {
            "model_settings": settings,
            "model_request_parameters": ModelRequestParameters(function_tools=tools, **output),
        }
        model = self.model(ask.model)
        if not ask.stream:
            return self._said(await direct.model_request(model, messages, **request))
        async with direct.model_request_stream(model, messages, **request) as stream:
            async for _ in stream:
                pass
        return self._said(stream.get())

    def _said(self, response: ModelResponse) -> Said:
        said = Said(finish=response.finish_reason, history=response, model=response.model_name)
        for part in response.parts:
            if isinstance(part, TextPart):
                said.text += part.content
            elif isinstance(part, ThinkingPart):
                said.thought += part.content
            elif isinstance(part, ToolCallPart):
                said.calls.append(Call(part.tool_call_id, part.tool_name, part.args_as_dict()))
        usage = response.usage
        said.usage = {"input": usage.input_tokens, "cached": usage.cache_read_tokens, "output": usage.output_tokens}
        return said


class OverOpenAI(PydanticAI):
    name = "pydantic-ai-openai"
    thinking = {"openai_reasoning_effort": "low"}

    def model(self, name: str) -> Model:
        provider = OpenAIProvider(base_url=f"{self.url}/v1", api_key=self.key)
        return OpenAIChatModel(name, provider=provider, profile=NATIVE, settings={"max_retries": 0})


class OverResponses(PydanticAI):
    name = "pydantic-ai-openai-responses"
    finishes = {"stop": "stop", "tool": "stop", "length": "length"}  # Responses has no word for it
    thinking = {"openai_reasoning_effort": "low", "openai_reasoning_summary": "auto"}

    def model(self, name: str) -> Model:
        provider = OpenAIProvider(base_url=f"{self.url}/v1", api_key=self.key)
        return OpenAIResponsesModel(name, provider=provider, profile=NATIVE, settings={"max_retries": 0})


class OverAnthropic(PydanticAI):
    name = "pydantic-ai-anthropic"
    thinking = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2048}}

    def model(self, name: str) -> Model:
        provider = AnthropicProvider(base_url=self.url, api_key=self.key)
        return AnthropicModel(name, provider=provider, profile=NATIVE, settings={"max_retries": 0})


class OverGoogle(PydanticAI):
    name = "pydantic-ai-google"
    finishes = {"stop": "stop", "tool": "stop", "length": "length"}  # as Google says it
    thinking = {"google_thinking_config": {"include_thoughts": True, "thinking_budget": 2048}}

    def model(self, name: str) -> Model:
        provider = GoogleProvider(base_url=self.url, api_key=self.key)
        return GoogleModel(name, provider=provider, profile=NATIVE, settings={"max_retries": 0})


if __name__ == "__main__":
    main(OverOpenAI, OverResponses, OverAnthropic, OverGoogle)
