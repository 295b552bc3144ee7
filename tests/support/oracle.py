"""What a vendor's API accepts, taken from the vendor's own SDK types: the strict half of a fake provider.

The SDKs describe requests as TypedDicts or pydantic models. Their JSON Schema, with unknown keys refused, is a validator
that nobody here wrote. Only Ollama's is written out: its SDK's types know less than its server takes. What types cannot say
is in `tests.support.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import jsonschema_rs
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from tests.support.ollama_schema import CHAT_REQUEST

__all__ = ["complaint", "flaw"]

EXTRAS: Mapping[str, Mapping[str, Any]] = {
    # Fields that the vendor takes and its newest SDK no longer has an argument for (API version 2023-06-01).
    "anthropic_messages": {
        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "top_k": {"type": "integer", "minimum": 0},
        "stream": {"type": "boolean"},
    },
    "openai_chat": {"stream": {"type": "boolean"}},
    "openai_responses": {
        "stream": {"type": "boolean"},
        "max_output_tokens": {"type": ["integer", "null"], "minimum": 16},
        "client_metadata": {"type": "object"},
    },
}

ECHOED: Mapping[str, Mapping[str, Any]] = {
    # What SDKs send back with a message they were given, and the vendor takes without a word for it in its types.
    # Thinking is what compatible servers give, and take back.
    "ChatCompletionAssistantMessageParam": {
        "annotations": {"type": "array"},
        "reasoning_content": {"type": ["string", "null"]},
    },
    # Codex numbers every item, hands back what it was given, and asks for more of a search.
    "ResponseReasoningItemParam": {"content": {"type": ["array", "null"]}},
    "ResponseCustomToolCallParam": {"status": {"type": "string"}},
    "WebSearchToolParam": {"external_web_access": {"type": "boolean"}, "search_content_types": {"type": "array"}},
    "EasyInputMessageParam": {"id": {"type": "string"}},
    "Message": {"id": {"type": "string"}},
}

OPTIONAL: Mapping[str, frozenset[str]] = {
    # What the SDK's types demand and the vendor does not: LangChain and the AI SDK leave it out.
    "FunctionToolParam": frozenset({"strict"}),
    "ResponseInputImageParam": frozenset({"detail"}),
    "ResponseInputImageContentParam": frozenset({"detail"}),
    "ResponseOutputMessageParam": frozenset({"id", "status"}),
    "ResponseOutputTextParam": frozenset({"annotations"}),
}


def complaint(protocol: str, kind: str, body: Any, *, beta: bool = False) -> str | None:
    """Why the vendor would refuse ``body`` as a `create`, `stream` or `count` request; None when it would not.

    ``beta`` is whether a header asked for the vendor's betas.
    """
    return _first(
        _request(protocol, f"{kind}-beta" if beta else kind), proto_json(body) if protocol == "gemini" else body
    )


def flaw(protocol: str, what: str, value: Any) -> str | None:
    """Why ``value`` is none of the vendor's: ``what`` is `answer` for a whole one, `event` for a piece of a stream."""
    return _first(_reply(protocol, what), value)


class _Judge(NamedTuple):
    """Two validators of one schema: ``quick`` knows at once whether all is well, ``telling`` what is not."""

    quick: jsonschema_rs.Draft202012Validator
    telling: Draft202012Validator


def _judge(schema: Any) -> _Judge:
    return _Judge(jsonschema_rs.Draft202012Validator(schema), Draft202012Validator(schema))


def _first(judge: _Judge, value: Any) -> str | None:
    if judge.quick.is_valid(value):
        return None
    errors = sorted(judge.telling.iter_errors(value), key=lambda error: len(error.absolute_path))
    if not errors:
        return None
    deepest = max(_leaves(errors), key=lambda error: len(error.absolute_path))
    path = ".".join(str(step) for step in deepest.absolute_path)
    return f"{path}: {deepest.message[:300]}"


def _leaves(errors: Any) -> list[Any]:
    found: list[Any] = []
    for error in errors:
        found += _leaves(error.context) if error.context else [error]
    return found


# -- requests


@cache
def _request(protocol: str, kind: str) -> _Judge:
    schema = SCHEMAS[protocol](kind)
    schema.setdefault("properties", {}).update(EXTRAS.get(protocol, {}))
    for name, fields in ECHOED.items():
        if name in schema.get("$defs", {}):
            schema["$defs"][name]["properties"] |= fields
    for name, fields in OPTIONAL.items():
        if name in schema.get("$defs", {}):
            definition = schema["$defs"][name]
            definition["required"] = [field for field in definition.get("required", ()) if field not in fields]
    return _judge(_closed(schema))


def _chat(kind: str) -> dict[str, Any]:
    from openai.types.chat import completion_create_params as params

    streamed = kind == "stream"
    return _schema(params.CompletionCreateParamsStreaming if streamed else params.CompletionCreateParamsNonStreaming)


def _responses(kind: str) -> dict[str, Any]:
    from openai.types.responses import input_token_count_params as count
    from openai.types.responses import response_create_params as params

    if kind == "count":
        return _schema(count.InputTokenCountParams)
    schema = _schema(
        params.ResponseCreateParamsStreaming if kind == "stream" else params.ResponseCreateParamsNonStreaming
    )
    return schema | {"required": sorted({*schema.get("required", ()), "model", "input"})}


def _messages(kind: str) -> dict[str, Any]:
    if kind.endswith("-beta"):
        from anthropic.types.beta import message_count_tokens_params as beta_count
        from anthropic.types.beta import message_create_params as beta

        if kind == "count-beta":
            return _schema(beta_count.MessageCountTokensParams)
        streamed = kind == "stream-beta"
        return _schema(beta.MessageCreateParamsStreaming if streamed else beta.MessageCreateParamsNonStreaming)
    from anthropic.types import message_count_tokens_params as count
    from anthropic.types import message_create_params as params

    if kind == "count":
        return _schema(count.MessageCountTokensParams)
    return _schema(params.MessageCreateParamsStreaming if kind == "stream" else params.MessageCreateParamsNonStreaming)


def _gemini(kind: str) -> dict[str, Any]:
    """`generateContent`'s body, put together from the SDK's types as its converters do; `countTokens` may wrap one."""
    from google.genai import types

    named = {
        "contents": types.Content,
        "systemInstruction": types.Content,
        "tools": types.Tool,
        "toolConfig": types.ToolConfig,
        "safetySettings": types.SafetySetting,
        "generationConfig": types.GenerationConfig,
    }
    _, definitions = models_json_schema([(model, "validation") for model in set(named.values())], by_alias=True)
    properties: dict[str, Any] = {name: {"$ref": f"#/$defs/{model.__name__}"} for name, model in named.items()}
    for name in ("contents", "tools", "safetySettings"):
        properties[name] = {"type": "array", "items": properties[name]}
    properties |= {
        "labels": {"type": "object"},
        "cachedContent": {"type": "string"},
        "serviceTier": {"enum": ["flex", "standard", "priority"]},
        "store": {"type": "boolean"},
    }
    schema: dict[str, Any] = {
        "type": "object", "$defs": definitions["$defs"], "properties": properties, "required": ["contents"],
    }  # fmt: skip
    if kind == "count":
        whole = {"type": "object", "properties": {**properties, "model": {"type": "string"}}, "required": ["contents"]}
        schema["properties"] = {"contents": properties["contents"], "generateContentRequest": whole}
        schema["required"] = []
    return schema


def _ollama(kind: str) -> dict[str, Any]:
    return dict(CHAT_REQUEST)


SCHEMAS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "anthropic_messages": _messages,
    "gemini": _gemini,
    "ollama_chat": _ollama,
    "openai_chat": _chat,
    "openai_responses": _responses,
}

FREE = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "default", "example"}
"""Gemini's fields whose keys are somebody else's."""


def proto_json(value: Any, field: str = "") -> Any:
    """``value`` as Google reads it: names in either spelling, types of schemas in either case."""
    if isinstance(value, list):
        return [proto_json(item, field) for item in value]
    if not isinstance(value, dict):
        return value.upper() if field == "type" and isinstance(value, str) else value
    if field == "properties":
        return {name: proto_json(item) for name, item in value.items()}
    named = ((_camel(name), item) for name, item in value.items())
    return {name: item if name in FREE else proto_json(item, name) for name, item in named}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# -- answers


@cache
def _reply(protocol: str, what: str) -> _Judge:
    return _judge(_schema(_reply_type(protocol, what)))


def _reply_type(protocol: str, what: str) -> Any:
    if protocol == "openai_chat":
        from openai.types.chat import ChatCompletion, ChatCompletionChunk

        return ChatCompletion if what == "answer" else ChatCompletionChunk
    if protocol == "openai_responses":
        from openai.types.responses import Response, ResponseStreamEvent

        return Response if what == "answer" else ResponseStreamEvent
    if protocol == "anthropic_messages":
        from anthropic.types import Message, RawMessageStreamEvent

        return Message if what == "answer" else RawMessageStreamEvent
    if protocol == "gemini":
        from google.genai.types import GenerateContentResponse

        return GenerateContentResponse
    from ollama import ChatResponse

    return ChatResponse


def _schema(type_: Any) -> dict[str, Any]:
    return TypeAdapter(type_).json_schema(by_alias=True)


def _closed(schema: Any) -> Any:
    """``schema`` with unknown keys refused wherever known ones are listed."""
    if isinstance(schema, dict):
        closed = {key: _closed(item) for key, item in schema.items()}
        if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
            closed["additionalProperties"] = False
        return closed
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema
