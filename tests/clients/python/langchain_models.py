"""LangChain's chat models for OpenAI, Anthropic and Google: one interface, three wires (four with Responses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

from tests.clients.cells import Adapter, Ask, Call, Failure, Said, main


class LangChain(Adapter):
    """What all of them share. ``model`` builds one for a question."""

    finish_field: ClassVar[str]

    def model(self, ask: Ask) -> Any:
        raise NotImplementedError

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._messages(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [ToolMessage(results[call.name], tool_call_id=call.id, name=call.name) for call in said.calls]
        return await self._send(ask, [*self._messages(ask), said.history, *answers])

    def _messages(self, ask: Ask) -> list[Any]:
        content: Any = ask.text
        if ask.image:
            image = {"type": "image", "base64": ask.image, "mime_type": "image/png"}
            content = [{"type": "text", "text": ask.text}, image]
        return [*([SystemMessage(ask.system)] if ask.system else []), HumanMessage(content)]

    async def _send(self, ask: Ask, messages: list[Any]) -> Said:
        model = self.model(ask)
        if ask.tools:
            model = model.bind_tools([{"type": "function", "function": dict(tool)} for tool in ask.tools])
        if ask.schema:
            model = self.bound(model, {"title": "capital", "description": "Of a country", **ask.schema})
        if not ask.stream:
            return self._said(await model.ainvoke(messages))
        whole: Any = None
        async for chunk in model.astream(messages):
            whole = chunk if whole is None else whole + chunk
        return self._said(whole)

    def bound(self, model: Any, schema: Mapping[str, Any]) -> Any:
        """``model`` bound to a schema, still answering in messages."""
        raise NotImplementedError

    def _said(self, message: AIMessage) -> Said:
        blocks = message.content_blocks
        said = Said(
            text="".join(block["text"] for block in blocks if block["type"] == "text"),
            thought="".join(block.get("reasoning", "") for block in blocks if block["type"] == "reasoning"),
            calls=[Call(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls],
            finish=message.response_metadata.get(self.finish_field),
            history=AIMessage(**message.model_dump(exclude={"type", "tool_call_chunks", "chunk_position"})),
        )
        usage: Any = message.usage_metadata or {}
        said.usage = {
            "input": usage.get("input_tokens"),
            "output": usage.get("output_tokens"),
            "cached": usage.get("input_token_details", {}).get("cache_read"),
            "reasoning": usage.get("output_token_details", {}).get("reasoning"),
        }
        return said


class OverOpenAI(LangChain):
    name = "langchain-openai"
    finish_field = "finish_reason"
    finishes = {"stop": "stop", "tool": "tool_calls", "length": "length"}
    failures = {"429": Failure("OpenAIRateLimitError", 429), "500": Failure("OpenAIAPIError", 500)}
    lacks = frozenset({"thinking"})
    more: ClassVar[Mapping[str, Any]] = {}

    def model(self, ask: Ask) -> Any:
        think = {"reasoning_effort": "low"} if ask.think else {}
        return ChatOpenAI(
            model=ask.model, base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, stream_usage=True,
            max_tokens=ask.max_tokens, **think, **self.more,
        )  # fmt: skip

    def bound(self, model: Any, schema: Mapping[str, Any]) -> Any:
        named = {"name": "capital", "schema": {**schema}, "strict": True}
        return model.bind(response_format={"type": "json_schema", "json_schema": named})


class OverResponses(OverOpenAI):
    name = "langchain-openai-responses"
    finish_field = "status"
    finishes = {"stop": "completed", "tool": "completed", "length": "incomplete"}
    lacks = frozenset()
    more = {"use_responses_api": True, "output_version": "responses/v1", "store": False}

    def model(self, ask: Ask) -> Any:
        think = {"reasoning": {"effort": "low", "summary": "auto"}} if ask.think else {}
        return ChatOpenAI(
            model=ask.model, base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, max_tokens=ask.max_tokens,
            include=["reasoning.encrypted_content"], **think, **self.more,
        )  # fmt: skip


class OverAnthropic(LangChain):
    name = "langchain-anthropic"
    finish_field = "stop_reason"
    finishes = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens"}
    failures = {"429": Failure("AnthropicRateLimitError", 429), "500": Failure("AnthropicAPIError", 500)}

    def model(self, ask: Ask) -> Any:
        think = {"thinking": {"type": "enabled", "budget_tokens": 2048}} if ask.think else {}
        return ChatAnthropic(
            model=ask.model,
            base_url=self.url,
            api_key=self.key,
            max_retries=0,
            max_tokens=ask.max_tokens or 4096,
            **think,
        )

    def bound(self, model: Any, schema: Mapping[str, Any]) -> Any:
        return model.bind(output_config={"format": {"type": "json_schema", "schema": {**schema}}})


class OverGoogle(LangChain):
    name = "langchain-google-genai"
    finish_field = "finish_reason"
    finishes = {"stop": "STOP", "tool": "STOP", "length": "MAX_TOKENS"}
    failures = {"429": Failure("GoogleRateLimitError", 429), "500": Failure("GoogleAPIError", 500)}

    def model(self, ask: Ask) -> Any:
        think = {"include_thoughts": True, "thinking_budget": 2048} if ask.think else {}
        return ChatGoogleGenerativeAI(
            model=ask.model,
            base_url=self.url,
            api_key=self.key,
            max_retries=1,
            max_output_tokens=ask.max_tokens,
            **think,
        )

    def bound(self, model: Any, schema: Mapping[str, Any]) -> Any:
        return model.bind(response_mime_type="application/json", response_schema={**schema})

    def failure(self, error: BaseException) -> Failure:
        cause = error.__cause__
        return Failure(type(error).__name__, getattr(error, "status_code", None) or getattr(cause, "code", None))


if __name__ == "__main__":
    main(OverOpenAI, OverResponses, OverAnthropic, OverGoogle)
