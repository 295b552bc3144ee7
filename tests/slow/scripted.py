"""Transcripts of one tool call, made for the tools that a coding CLI has: what a scripted model says first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.vendor import SPEECH, WIRE

__all__ = ["write_transcripts"]

CREATED = 1795100000


def write_transcripts(folder: Path, protocol: str, model: str, name: str, arguments: Mapping[str, Any]) -> None:
    """``<model>`` calls the tool ``name``, `plain` answers with text; both as streams, in ``folder``."""
    ending = SPEECH[protocol].ending
    for file in (WIRE / protocol).glob("plain.*"):
        shutil.copy(file, folder / file.name)
    (folder / f"{model}.{ending}").write_text("".join(CALLS[protocol](model, name, arguments)), encoding="utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _events(*events: Mapping[str, Any]) -> Iterator[str]:
    for event in events:
        yield f"event: {event['type']}\ndata: {_json(event)}\n\n"


def _messages(model: str, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    usage = {"input_tokens": 23, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 8, "output_tokens": 1}
    message = {
        "id": "msg_Gwcli", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    block = {"type": "tool_use", "id": "toolu_w1", "name": name, "input": {}}
    return _events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": _json(arguments)},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 14},
        },
        {"type": "message_stop"},
    )


def _chat(model: str, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    call = {"index": 0, "id": "call_w1", "type": "function", "function": {"name": name, "arguments": _json(arguments)}}
    usage = {"prompt_tokens": 31, "completion_tokens": 14, "total_tokens": 45}
    for choices, counted in (
        (
            [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": None, "tool_calls": [call]},
                    "finish_reason": None,
                }
            ],
            None,
        ),
        ([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], None),
        ([], usage),
    ):
        chunk = {"id": "chatcmpl-Gwcli", "object": "chat.completion.chunk", "created": CREATED, "model": model}
        yield f"data: {_json({**chunk, 'choices': choices, 'usage': counted})}\n\n"
    yield "data: [DONE]\n\n"


def _responses(model: str, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    text = _json(arguments)
    item = {"id": "fc_Gwcli", "type": "function_call", "call_id": "call_w1", "name": name}
    done = {**item, "status": "completed", "arguments": text}
    usage = {
        "input_tokens": 31, "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0}, "output_tokens": 14,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 45,
    }  # fmt: skip
    whole: dict[str, Any] = {
        "id": "resp_Gwcli", "object": "response", "created_at": CREATED, "status": "in_progress", "model": model,
        "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None, "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip
    added = {**item, "status": "in_progress", "arguments": ""}
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole},
        {"type": "response.output_item.added", "output_index": 0, "item": added},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_Gwcli", "output_index": 0, "delta": text},
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_Gwcli",
            "output_index": 0,
            "name": name,
            "arguments": text,
        },
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**whole, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    return _events(*({**step, "sequence_number": number} for number, step in enumerate(steps)))


def _gemini(model: str, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    call = {"functionCall": {"id": "w1x9", "name": name, "args": arguments}, "thoughtSignature": "dGhvdWdodC0x"}
    usage = {"promptTokenCount": 31, "candidatesTokenCount": 14, "totalTokenCount": 45}
    candidate = {"content": {"parts": [call], "role": "model"}, "finishReason": "STOP", "index": 0}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "Gwcli"}
    yield f"data: {_json(answer)}\r\n\r\n"


def _ollama(model: str, name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    call = {"id": "call_w1", "function": {"index": 0, "name": name, "arguments": arguments}}
    line = {"model": model, "created_at": "2026-11-20T10:00:00.000000001Z"}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    counts = {"total_duration": 4, "load_duration": 1, "prompt_eval_count": 31, "prompt_eval_duration": 1}
    end = {"done": True, "done_reason": "stop", **counts, "eval_count": 14, "eval_duration": 1}
    yield _json({**line, "message": said, "done": False}) + "\n"
    yield _json({**line, "message": {"role": "assistant", "content": ""}, **end}) + "\n"


CALLS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Iterator[str]]] = {
    "anthropic_messages": _messages,
    "gemini": _gemini,
    "ollama_chat": _ollama,
    "openai_chat": _chat,
    "openai_responses": _responses,
}
