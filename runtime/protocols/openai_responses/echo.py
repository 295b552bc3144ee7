"""The answer as an object, which repeats what the request asked for: the vendor's SDKs insist on it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import JsonObject, JsonSchema, Request, Text, Usage
from runtime.protocols.base import Answer
from runtime.protocols.openai_responses.toolbox import Toolbox
from runtime.protocols.openai_responses.usage import search_json, usage_json
from runtime.protocols.openai_responses.wire import PROTOCOL, compact, encode

__all__ = ["Envelope"]

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_TIER_WORDS: Final = {"standard": "default", "batch": "flex"}
_KEPT: Final = (
    "max_tool_calls", "previous_response_id", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
    "truncation",
)  # fmt: skip
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class Envelope:
    """Writes the object of one answer, again and again as it grows."""

    def __init__(self, answer: Answer) -> None:
        self.id = f"resp_{answer.id}"
        self._answer = answer
        self._echo = compact(encode(_echo(answer.request)))[1:-1]

    def write(
        self,
        status: str,
        created: int,
        *,
        output: bytes = b"",
        usage: Usage | None = None,
        tier: str | None = None,
        reason: str | None = None,
        error: bytes = b"null",
    ) -> bytes:
        """``output``: the finished items, joined; ``reason``: why it is incomplete; ``error``: why it failed."""
        details = b"null" if reason is None else b'{"reason":"%b"}' % reason.encode()
        word = _TIER_WORDS.get(tier or "", tier)
        tier_member = b',"service_tier":%b' % encode(word) if word in _TIERS else b""
        counts = b"null" if usage is None else usage_json(usage)
        searches = b"" if usage is None else search_json(usage)
        return (
            b'{"id":"%b","object":"response","created_at":%d,"status":"%b","error":%b,"incomplete_details":%b,'
            b'"model":%b,"output":[%b],%b%b,"usage":%b%b}'
        ) % (
            self.id.encode(), created or self._answer.created, status.encode(), error, details,
            encode(self._answer.model), output, self._echo, tier_member, counts, searches,
        )  # fmt: skip


def _echo(request: Request | None) -> dict[str, Any]:
    request = request or Request(model="", messages=())
    kept = request.extensions.get(PROTOCOL, {})
    toolbox = Toolbox(request, [])
    tools = toolbox.tools()
    choice = toolbox.choice() if tools else None
    said: dict[str, Any] = {
        "background": False,
        "instructions": _instructions(request),
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": request.metadata,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.cache_key,
        "reasoning": _reasoning(request),
        "safety_identifier": None,
        "store": request.store is not False,
        "temperature": 1.0 if request.sampling.temperature is None else request.sampling.temperature,
        "text": _text(request),
        "tool_choice": "auto" if choice is None else choice,
        "tools": tools,
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.sampling.top_p is None else request.sampling.top_p,
        "truncation": "disabled",
        "user": request.user,
    }
    return said | {name: kept[name] for name in _KEPT if name in kept}


def _instructions(request: Request) -> str | None:
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system" or len(first.content) != 1 or not isinstance(first.content[0], Text):
        return None
    return first.content[0].text


def _reasoning(request: Request) -> dict[str, Any]:
    wanted = request.reasoning
    said: dict[str, Any] = {"effort": None, "summary": None}
    if wanted is not None:
        said["effort"] = "none" if wanted.mode == "off" else wanted.effort
        said["summary"] = "auto" if wanted.display == "summarized" else None
    kept = request.extensions.get(PROTOCOL, {}).get("reasoning")
    return said if kept is None else said | _OBJECT.decode(kept)


def _text(request: Request) -> dict[str, Any]:
    format_: dict[str, Any] = {"type": "text"}
    match request.response_format:
        case JsonSchema(schema=schema, name=name, description=description, strict=strict):
            format_ = {"type": "json_schema", "name": name or "response"}
            if description is not None:
                format_["description"] = description
            format_ |= {"schema": msgspec.Raw(schema.encode()), "strict": strict}
        case JsonObject():
            format_ = {"type": "json_object"}
        case None:
            pass
    return {"format": format_} if request.verbosity is None else {"format": format_, "verbosity": request.verbosity}
