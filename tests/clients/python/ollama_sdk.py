"""Ollama's own SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import ollama

from tests.clients.cells import Adapter, Ask, Call, Failure, Said, main


class Ollama(Adapter):
    name = "ollama"
    finishes = {"stop": "stop", "tool": "stop", "length": "length"}
    failures = {"429": Failure("ResponseError", 429), "500": Failure("ResponseError", 500)}

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.client = ollama.AsyncClient(host=url, headers={"Authorization": f"Bearer {key}"})

    async def close(self) -> None:
        await self.client.close()

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._messages(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = [{"role": "tool", "tool_name": call.name, "content": results[call.name]} for call in said.calls]
        return await self._send(ask, [*self._messages(ask), said.history, *answers])

    def _messages(self, ask: Ask) -> list[Any]:
        user: dict[str, Any] = {"role": "user", "content": ask.text}
        if ask.image:
            user["images"] = [ask.image]
        return [*([{"role": "system", "content": ask.system}] if ask.system else []), user]

    async def _send(self, ask: Ask, messages: list[Any]) -> Said:
        request: dict[str, Any] = {"model": ask.model, "messages": messages}
        if ask.tools:
            request["tools"] = [{"type": "function", "function": dict(tool)} for tool in ask.tools]
        if ask.schema:
            request["format"] = dict(ask.schema)
        if ask.max_tokens:
            request["options"] = {"num_predict": ask.max_tokens}
        if ask.think:
            request["think"] = True
        said = Said()
        if ask.stream:
            async for line in await self.client.chat(**request, stream=True):
                self._add(said, line)
            if said.finish is None:
                raise ConnectionError("the stream ended without its last line")
        else:
            self._add(said, await self.client.chat(**request))
        calls = [{"function": {"name": call.name, "arguments": call.arguments}} for call in said.calls]
        thought = {"thinking": said.thought} if said.thought else {}
        said.history = {"role": "assistant", "content": said.text, "tool_calls": calls, **thought}
        return said

    def _add(self, said: Said, line: Any) -> None:
        said.text += line.message.content or ""
        said.thought += line.message.thinking or ""
        for call in line.message.tool_calls or []:
            said.calls.append(Call("", call.function.name, json.loads(json.dumps(call.function.arguments))))
        said.model = line.model
        if line.done:
            said.finish = line.done_reason
            said.usage = {"input": line.prompt_eval_count, "output": line.eval_count}


if __name__ == "__main__":
    main(Ollama)
