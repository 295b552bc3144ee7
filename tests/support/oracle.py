"""What a vendor's API accepts, taken from the vendor's own SDK types: the strict half of a fake provider.

The SDKs describe requests as TypedDicts. Their JSON Schema, with unknown keys refused, is a validator that nobody here
wrote.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from jsonschema import Draft202012Validator
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

__all__ = ["complaint"]

EXTRAS = {
    # Fields that the vendor takes and its newest SDK no longer has an argument for (API version 2023-06-01).
    "anthropic_messages": {
        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "top_k": {"type": "integer", "minimum": 0},
        "stream": {"type": "boolean"},
    },
    "openai_chat": {"stream": {"type": "boolean"}},
}

TYPES: dict[tuple[str, str], Any] = {
    ("openai_chat", "create"): CompletionCreateParamsNonStreaming,
    ("openai_chat", "stream"): CompletionCreateParamsStreaming,
    ("anthropic_messages", "create"): MessageCreateParamsNonStreaming,
    ("anthropic_messages", "stream"): MessageCreateParamsStreaming,
    ("anthropic_messages", "count"): MessageCountTokensParams,
}


def complaint(protocol: str, kind: str, body: object) -> str | None:
    """Why the vendor would refuse ``body`` as a `create`, `stream` or `count` request; None when it would not."""
    errors = sorted(_validator(protocol, kind).iter_errors(body), key=lambda error: len(error.absolute_path))
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


ECHOED = {
    # What SDKs send back with a message they were given, and the vendor takes without a word for it in its types.
    "ChatCompletionAssistantMessageParam": {"annotations": {"type": "array"}},
}


@cache
def _validator(protocol: str, kind: str) -> Draft202012Validator:
    schema = TypeAdapter(TYPES[protocol, kind]).json_schema()
    schema["properties"] |= EXTRAS[protocol]
    for name, fields in ECHOED.items():
        if name in schema["$defs"]:
            schema["$defs"][name]["properties"] |= fields
    return Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    """``schema`` with unknown keys refused wherever known ones are listed."""
    if isinstance(schema, dict):
        closed = {key: _closed(item) for key, item in schema.items()}
        if "properties" in closed and "additionalProperties" not in closed:
            closed["additionalProperties"] = False
        return closed
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema
