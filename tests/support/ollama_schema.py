"""The request of Ollama's `POST /api/chat` as its server reads it, as a closed JSON Schema.

The server ignores what it does not know; here that is refused, so that nothing is sent in vain.
"""

from typing import Any, Final

__all__ = ["CHAT_REQUEST"]

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}

_CALL: Final = {
    "type": "object",
    "required": ["function"],
    "properties": {
        "id": _TEXT,
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {
                "index": _WHOLE,
                "name": {"type": "string", "minLength": 1},
                "arguments": {"type": "object"},
            },
        },
    },
}

_MESSAGE: Final = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "user", "assistant", "tool"]},
        "content": _TEXT,
        "thinking": _TEXT,
        "images": {"type": "array", "items": _TEXT},
        "tool_calls": {"type": "array", "items": _CALL},
        "tool_name": _TEXT,
        "tool_call_id": _TEXT,
    },
}

_TOOL: Final = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name", "parameters"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "description": _TEXT,
                "parameters": {"type": "object", "required": ["type"]},
            },
        },
    },
}

_OPTIONS: Final = {
    **dict.fromkeys(
        ("seed", "top_k", "num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu"), _WHOLE
    ),
    **dict.fromkeys(("num_thread", "repeat_last_n"), _WHOLE),
    **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p", "repeat_penalty"), _NUMBER),
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), _NUMBER),
    "use_mmap": {"type": "boolean"},
    "stop": {"type": "array", "items": _TEXT},
}

CHAT_REQUEST: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "messages": {"type": "array", "items": _MESSAGE},
        "tools": {"type": ["array", "null"], "items": _TOOL},
        "format": {"anyOf": [{"const": "json"}, {"const": ""}, {"type": "object"}, {"type": "null"}]},
        "options": {"type": ["object", "null"], "properties": _OPTIONS},
        "stream": {"type": ["boolean", "null"]},
        "think": {"anyOf": [{"type": "boolean"}, {"enum": ["low", "medium", "high", "max"]}, {"type": "null"}]},
        "keep_alive": {"type": ["string", "number", "null"]},
        "logprobs": {"type": ["boolean", "null"]},
        "top_logprobs": {"type": ["integer", "null"]},
        "truncate": {"type": ["boolean", "null"]},
        "shift": {"type": ["boolean", "null"]},
    },
}
