"""Whether a vendor's request ends with what a tool answered, so that the model speaks next of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["answers_tools"]


def answers_tools(protocol: str, body: dict[str, Any]) -> bool:
    """Whether the last thing said is the result of a tool."""
    return LAST_IS_RESULT[protocol](body)


def _last(body: dict[str, Any], field: str) -> dict[str, Any]:
    """What was said last; nothing where nothing was, or where it is one plain text."""
    said = body.get(field)
    return said[-1] if isinstance(said, list) and said else {}


def _block_is_result(body: dict[str, Any]) -> bool:
    content = _last(body, "messages").get("content") or ""
    return not isinstance(content, str) and any(block["type"] == "tool_result" for block in content)


def _part_is_result(body: dict[str, Any]) -> bool:
    return any(
        "functionResponse" in part or "function_response" in part
        for part in (_last(body, "contents").get("parts") or ())
    )


def _item_is_result(body: dict[str, Any]) -> bool:
    return str(_last(body, "input").get("type", "")).endswith("_output")


def _message_is_result(body: dict[str, Any]) -> bool:
    return bool(_last(body, "messages").get("role") == "tool")


LAST_IS_RESULT: Mapping[str, Callable[[dict[str, Any]], bool]] = {
    "anthropic_messages": _block_is_result,
    "gemini": _part_is_result,
    "ollama_chat": _message_is_result,
    "openai_chat": _message_is_result,
    "openai_responses": _item_is_result,
}
