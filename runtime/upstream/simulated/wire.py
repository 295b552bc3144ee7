"""A reply as Chat Completions bytes: the JSON body, or the stream's events, laid out as the vendor's are."""

from __future__ import annotations

import hashlib

import msgspec

from runtime.upstream.simulated.reply import Reply

__all__ = ["DONE", "Facts", "body", "error_event", "event", "events", "identifier", "model_list", "split_events"]

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_gatewright_simulated"
"""In every answer, also in those that are nothing but a tool call and cannot say in words what they are."""


class Facts(msgspec.Struct, frozen=True):
    """What surrounds a reply. ``seed`` is a hash of the request: ids come from it; ``created`` is in Unix seconds."""

    seed: str
    model: str
    created: int
    prompt_tokens: int


def identifier(seed: str, label: str, length: int) -> str:
    return hashlib.sha256(f"{seed}/{label}".encode()).hexdigest()[:length]


def body(reply: Reply, facts: Facts) -> bytes:
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if reply.calls else "".join(reply.text),
        "refusal": None,
        "annotations": [],
    }
    if reply.reasoning:
        message["reasoning_content"] = "".join(reply.reasoning)
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(facts, index),
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for index, call in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    answer = {
        "id": f"chatcmpl-{identifier(facts.seed, 'answer', 29)}",
        "object": "chat.completion",
        "created": facts.created,
        "model": facts.model,
        "choices": [choice],
        "usage": _usage(reply, facts),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=2)


def events(reply: Reply, facts: Facts, *, usage: bool) -> list[bytes]:
    """One event per piece, then the finish, the usage if it was asked for, and the terminator."""
    deltas = [_object(role="assistant", content=None if reply.calls else "", refusal=None)]
    deltas += [_object(reasoning_content=piece) for piece in reply.reasoning]
    deltas += [_object(content=piece) for piece in reply.text]
    for index, call in enumerate(reply.calls):
        function = {"name": call.name, "arguments": ""}
        opening = _object(index=index, id=_call_id(facts, index), type="function", function=function)
        deltas.append(_object(tool_calls=[opening]))
        for piece in call.arguments:
            deltas.append(_object(tool_calls=[_object(index=index, function={"arguments": piece})]))
    choices = [_object(index=0, delta=delta, logprobs=None, finish_reason=None) for delta in deltas]
    choices.append(_object(index=0, delta=_object(), logprobs=None, finish_reason=reply.finish))
    counted = _object(usage=None) if usage else _object()
    chunks = [_chunk(facts) | {"choices": [choice]} | counted for choice in choices]
    if usage:
        chunks.append(_chunk(facts) | _object(choices=(), usage=_usage(reply, facts)))
    return [*(event(chunk) for chunk in chunks), DONE]


def split_events(all_events: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The events that carry pieces, and those that end the stream: faults strike between pieces."""
    pieces = [data for data in all_events if b'"finish_reason":null' in data]
    return pieces, all_events[len(pieces) :]


def event(data: object) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def error_event(envelope: bytes) -> bytes:
    """An error inside a stream that began well."""
    return b"data: " + msgspec.json.format(envelope, indent=-1) + b"\n\n"


def model_list(models: tuple[str, ...]) -> bytes:
    data = [{"id": model, "object": "model", "created": 0, "owned_by": "gatewright-simulated"} for model in models]
    return msgspec.json.format(msgspec.json.encode({"object": "list", "data": data}), indent=2)


def _object(**fields: object) -> dict[str, object]:
    return fields


def _call_id(facts: Facts, index: int) -> str:
    return f"call_{identifier(facts.seed, f'call {index}', 24)}"


def _chunk(facts: Facts) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{identifier(facts.seed, 'answer', 29)}",
        "object": "chat.completion.chunk",
        "created": facts.created,
        "model": facts.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _usage(reply: Reply, facts: Facts) -> dict[str, object]:
    return {
        "prompt_tokens": facts.prompt_tokens,
        "completion_tokens": reply.tokens,
        "total_tokens": facts.prompt_tokens + reply.tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
