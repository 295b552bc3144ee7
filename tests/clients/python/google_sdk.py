"""Google's google-genai SDK."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from google import genai
from google.genai import errors, types

from tests.clients.cells import Adapter, Ask, Call, Failure, Said, main


class Gemini(Adapter):
    name = "google-genai"
    finishes = {"stop": "STOP", "tool": "STOP", "length": "MAX_TOKENS"}
    failures = {"429": Failure("ClientError", 429), "500": Failure("ServerError", 500)}

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        options = types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1))
        self.client = genai.Client(api_key=key, http_options=options)

    async def close(self) -> None:
        await self.client.aio.aclose()

    async def say(self, ask: Ask) -> Said:
        return await self._send(ask, self._contents(ask))

    async def again(self, ask: Ask, said: Said, results: Mapping[str, str]) -> Said:
        answers = []
        for call in said.calls:
            part = types.Part.from_function_response(name=call.name, response={"result": results[call.name]})
            assert part.function_response is not None
            part.function_response.id = call.id or None
            answers.append(part)
        return await self._send(ask, [*self._contents(ask), *said.history, types.Content(role="user", parts=answers)])

    def _contents(self, ask: Ask) -> list[Any]:
        parts = [types.Part.from_text(text=ask.text)]
        if ask.image:
            parts.append(types.Part.from_bytes(data=base64.b64decode(ask.image), mime_type="image/png"))
        return [types.Content(role="user", parts=parts)]

    async def _send(self, ask: Ask, contents: list[Any]) -> Said:
        config: dict[str, Any] = {"automatic_function_calling": {"disable": True}}
        if ask.system:
            config["system_instruction"] = ask.system
        if ask.tools:
            declared = [
                {"name": t["name"], "description": t["description"], "parameters_json_schema": t["parameters"]}
                for t in ask.tools
            ]
            config["tools"] = [{"function_declarations": declared}]
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": dict(ask.schema)}
        if ask.max_tokens:
            config["max_output_tokens"] = ask.max_tokens
        if ask.think:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 2048}
        made = types.GenerateContentConfig(**config)
        said = Said(history=[])
        if ask.stream:
            stream = await self.client.aio.models.generate_content_stream(
                model=ask.model, contents=contents, config=made
            )
            async for chunk in stream:
                self._add(said, chunk)
        else:
            self._add(
                said, await self.client.aio.models.generate_content(model=ask.model, contents=contents, config=made)
            )
        return said

    def _add(self, said: Said, answer: Any) -> None:
        usage = answer.usage_metadata
        if usage is not None:
            said.usage = {
                "input": (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
                "cached": usage.cached_content_token_count,
                "output": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
                "reasoning": usage.thoughts_token_count,
            }
        said.model = answer.model_version or said.model
        for candidate in answer.candidates or []:
            said.finish = candidate.finish_reason.value if candidate.finish_reason else said.finish
            if candidate.content is None or not candidate.content.parts:
                continue
            if any(part.text != "" or part.thought_signature for part in candidate.content.parts):
                said.history.append(candidate.content)  # the SDK's own chats leave empty pieces out, too
            for part in candidate.content.parts:
                if part.text and part.thought:
                    said.thought += part.text
                elif part.text:
                    said.text += part.text
                elif part.function_call:
                    said.calls.append(
                        Call(part.function_call.id or "", part.function_call.name, part.function_call.args)
                    )

    def failure(self, error: BaseException) -> Failure:
        return Failure(type(error).__name__, error.code if isinstance(error, errors.APIError) else None)


if __name__ == "__main__":
    main(Gemini)
