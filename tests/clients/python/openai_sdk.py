"""The official openai SDK: Chat Completions, Responses and the old Completions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai

from tests.clients.cells import LIMIT_S, Adapter, Ask, Call, Failure, Said, main

FAILURES = {"429": Failure("RateLimitError", 429), "500": Failure("InternalServerError", 500)}


class OpenAI(Adapter):
    failures = FAILURES

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=LIMIT_S)

    async def close(self) -> None:
        await self.client.close()


class Chat(OpenAI):
    name = "openai-chat"
    finishes = {"stop": "stop", "tool": "tool_calls", "length": "length"}

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._messages(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [{"role": "tool", "tool_call_id": call.id, "content": results[call.name]} for call in said.calls]
        return await self._send(ask, [*self._messages(ask), said.history, *answers])

    def _messages(self, ask: Ask) -> list[Any]:
        content: Any = ask.text
        if ask.image:
            url = f"data:image/png;base64,{ask.image}"
            content = [{"type": "text", "text": ask.text}, {"type": "image_url", "image_url": {"url": url}}]
        system = [{"role": "system", "content": ask.system}] if ask.system else []
        return [*system, {"role": "user", "content": content}]

    def _request(self, ask: Ask, messages: list[Any]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": ask.model, "messages": messages}
        if ask.tools:
            request["tools"] = [{"type": "function", "function": dict(tool)} for tool in ask.tools]
        if ask.schema:
            named = {"name": "capital", "schema": ask.schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        if ask.max_tokens:
            request["max_completion_tokens"] = ask.max_tokens
        if ask.think:
            request["reasoning_effort"] = "low"
        return request

    async def _send(self, ask: Ask, messages: list[Any]) -> Said:
        request = self._request(ask, messages)
        if ask.stream:
            return await self._streamed(request)
        answer = await self.client.chat.completions.create(**request)
        return self._said(answer.choices[0].message, answer.choices[0].finish_reason, answer.usage, answer.model)

    async def _streamed(self, request: dict[str, Any]) -> Said:
        """By hand, and the same by the SDK's helper."""
        said = Said()
        pieces: dict[int, list[str]] = {}
        stream = await self.client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        extra: dict[str, Any] = {}
        async for chunk in stream:
            if chunk.usage:
                said.usage = usage_of(chunk.usage)
            for choice in chunk.choices:
                delta = choice.delta
                said.text += delta.content or ""
                said.thought += (delta.model_extra or {}).get("reasoning_content") or ""
                extra |= {
                    name: value for name, value in (delta.model_extra or {}).items() if name == "reasoning_details"
                }
                said.finish = choice.finish_reason or said.finish
                for call in delta.tool_calls or []:
                    piece = pieces.setdefault(call.index, ["", "", ""])
                    assert call.function is not None
                    for at, text in enumerate((call.id, call.function.name, call.function.arguments)):
                        piece[at] += text or ""
            said.model = chunk.model
        said.calls = [Call(id_, name, json.loads(text)) for _, (id_, name, text) in sorted(pieces.items())]
        calls = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": text}}
            for _, (id_, name, text) in sorted(pieces.items())
        ]
        said.history = {"role": "assistant", "content": said.text or None, "tool_calls": calls, **extra}
        return said

    def _said(self, message: Any, finish: str, usage: Any, model: str) -> Said:
        calls = [Call(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        history = message.model_dump(exclude_none=True)
        extra = message.model_extra or {}
        # What the SDK shows beyond its types goes back by hand; a vendor's own types refuse it.
        for name in ("reasoning_content", "reasoning"):
            history.pop(name, None)
        return Said(
            text=message.content or "",
            thought=extra.get("reasoning_content") or "",
            calls=calls,
            finish=finish,
            usage=usage_of(usage),
            model=model,
            history=history,
        )


def usage_of(usage: Any) -> dict[str, int | None]:
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    told = {"input": usage.prompt_tokens, "output": usage.completion_tokens}
    if usage.prompt_tokens_details:
        told["cached"] = usage.prompt_tokens_details.cached_tokens
    if usage.completion_tokens_details:
        told["reasoning"] = usage.completion_tokens_details.reasoning_tokens
    return told


class Responses(OpenAI):
    name = "openai-responses"
    finishes = {"stop": "completed", "tool": "completed", "length": "incomplete"}

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._input(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [
            {"type": "function_call_output", "call_id": call.id, "output": results[call.name]} for call in said.calls
        ]
        return await self._send(ask, [*self._input(ask), *said.history, *answers])

    def _input(self, ask: Ask) -> list[Any]:
        content: Any = ask.text
        if ask.image:
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{ask.image}", "detail": "auto"}
            content = [{"type": "input_text", "text": ask.text}, image]
        return [{"role": "user", "content": content}]

    def _request(self, ask: Ask, items: list[Any]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": ask.model, "input": items, "store": False}
        if ask.system:
            request["instructions"] = ask.system
        if ask.tools:
            request["tools"] = [{"type": "function", "strict": True, **tool} for tool in ask.tools]
        if ask.schema:
            request["text"] = {
                "format": {"type": "json_schema", "name": "capital", "schema": ask.schema, "strict": True}
            }
        if ask.max_tokens:
            request["max_output_tokens"] = ask.max_tokens
        if ask.think:
            request["reasoning"] = {"effort": "low", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        return request

    async def _send(self, ask: Ask, items: list[Any]) -> Said:
        request = self._request(ask, items)
        if not ask.stream:
            return self._said(await self.client.responses.create(**request))
        if ask.max_tokens:  # the SDK's helper takes an incomplete answer for an error
            stream = await self.client.responses.create(**request, stream=True)
            last = [event async for event in stream][-1]
            assert last.type == "response.incomplete", last.type
            return self._said(last.response)
        async with self.client.responses.stream(**request) as helped:
            seen = "".join([event.delta async for event in helped if event.type == "response.output_text.delta"])
            final = await helped.get_final_response()
        said = self._said(final)
        assert seen == said.text, f"deltas give {seen!r}, the end {said.text!r}"
        return said

    def _said(self, response: Any) -> Said:
        said = Said(text=response.output_text, finish=response.status, model=response.model)
        for item in response.output:
            if item.type == "function_call":
                said.calls.append(Call(item.call_id, item.name, json.loads(item.arguments)))
            elif item.type == "reasoning":
                said.thought += "".join(part.text for part in item.summary)
        usage = response.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens, usage
        said.usage = {
            "input": usage.input_tokens,
            "cached": usage.input_tokens_details.cached_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.output_tokens_details.reasoning_tokens,
        }
        unsent = {"parsed", "parsed_arguments"}  # what the SDK's helper adds for its caller
        said.history = [_without(item.model_dump(exclude_none=True), unsent) for item in response.output]
        return said


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return [_without(item, names) for item in value] if isinstance(value, list) else value


class Completions(OpenAI):
    name = "openai-completions"
    finishes = {"stop": "stop", "length": "length"}
    lacks = frozenset({"tool", "parallel-tools", "tool-results", "thinking", "image", "json-schema"})

    async def say(self, ask: Ask) -> Said:
        request: dict[str, Any] = {"model": ask.model, "prompt": f"{ask.system} {ask.text}".strip()}
        request["max_tokens"] = ask.max_tokens or 500
        if not ask.stream:
            answer = await self.client.completions.create(**request)
            choice = answer.choices[0]
            return Said(text=choice.text, finish=choice.finish_reason, usage=usage_of(answer.usage), model=answer.model)
        said = Said()
        stream = await self.client.completions.create(**request, stream=True, stream_options={"include_usage": True})
        async for chunk in stream:
            said.model = chunk.model
            if chunk.usage:
                said.usage = usage_of(chunk.usage)
            for choice in chunk.choices:
                said.text += choice.text or ""
                said.finish = choice.finish_reason or said.finish
        return said


if __name__ == "__main__":
    main(Chat, Responses, Completions)
