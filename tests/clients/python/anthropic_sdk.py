"""The official anthropic SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic

from tests.clients.cells import LIMIT_S, Adapter, Ask, Call, Failure, Said, main


class Messages(Adapter):
    name = "anthropic"
    finishes = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens"}
    failures = {"429": Failure("RateLimitError", 429), "500": Failure("InternalServerError", 500)}

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.client = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=LIMIT_S)

    async def close(self) -> None:
        await self.client.close()

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._messages(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [
            {"type": "tool_result", "tool_use_id": call.id, "content": results[call.name]} for call in said.calls
        ]
        turns = [{"role": "assistant", "content": said.history}, {"role": "user", "content": answers}]
        return await self._send(ask, [*self._messages(ask), *turns])

    def _messages(self, ask: Ask) -> list[Any]:
        if not ask.image:
            return [{"role": "user", "content": ask.text}]
        source = {"type": "base64", "media_type": "image/png", "data": ask.image}
        return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": ask.text}]}]

    async def _send(self, ask: Ask, messages: list[Any]) -> Said:
        request: dict[str, Any] = {"model": ask.model, "messages": messages, "max_tokens": ask.max_tokens or 4096}
        if ask.system:
            request["system"] = ask.system
        if ask.tools:
            request["tools"] = [
                {"name": t["name"], "description": t["description"], "input_schema": t["parameters"]} for t in ask.tools
            ]
        if ask.schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.think:
            request["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if not ask.stream:
            return self._said(await self.client.messages.create(**request))
        async with self.client.messages.stream(**request) as stream:
            seen = "".join([text async for text in stream.text_stream])
            said = self._said(await stream.get_final_message())
        assert seen == said.text, f"deltas give {seen!r}, the end {said.text!r}"
        return said

    def _said(self, message: Any) -> Said:
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        said = Said(finish=message.stop_reason, model=message.model)
        said.usage = {
            "input": usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            "cached": cached,
            "output": usage.output_tokens,
        }
        if usage.output_tokens_details:
            said.usage["reasoning"] = usage.output_tokens_details.thinking_tokens
        for block in message.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.thought += block.thinking
            elif block.type == "tool_use":
                said.calls.append(Call(block.id, block.name, block.input))
        said.history = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]
        return said


if __name__ == "__main__":
    main(Messages)
