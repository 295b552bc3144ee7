"""What tests must know of each protocol to run one story over all of them: where it is spoken, how it asks, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from runtime.protocols.base import Asked

__all__ = ["DIALECT", "Dialect"]


class Dialect(NamedTuple):
    """``asks`` are the fields of a request that says "hi"; ``terminator`` and ``error`` are bytes that only a complete
    stream, and only a failed one, holds; ``frame_end`` ends a stream's frames; ``busy`` is a stream that begins with the
    vendor's rate-limit error; ``in_url``: model and form stand in the URL; ``suffix`` is that of its transcripts."""

    asks: Mapping[str, Any]
    terminator: bytes
    error: bytes
    busy: bytes
    frame_end: bytes = b"\n\n"
    in_url: bool = False
    suffix: str = ".sse"

    def body(self, model: str, *, stream: bool, **fields: Any) -> dict[str, Any]:
        return {**self.asks, **fields} if self.in_url else {"model": model, **self.asks, "stream": stream, **fields}

    def asked(self, model: str, *, stream: bool) -> Asked:
        return Asked(model=model, stream=stream, variant="sse" if stream else "") if self.in_url else Asked()


_HI = [{"role": "user", "content": "hi"}]

DIALECT: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai_chat": Dialect(
            asks={"max_tokens": 50, "messages": _HI},
            terminator=b"[DONE]",
            error=b'data: {"error":',
            busy=b'data: {"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}\n\n',
        ),
        "openai_responses": Dialect(
            asks={"max_output_tokens": 50, "input": _HI},
            terminator=b"event: response.completed",
            error=b"event: response.failed",
            busy=b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"slow down","param":null,"sequence_number":0}\n\n',
        ),
        "anthropic_messages": Dialect(
            asks={"max_tokens": 50, "messages": _HI},
            terminator=b"message_stop",
            error=b"event: error",
            busy=b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}\n\n',
        ),
        "gemini": Dialect(
            asks={
                "generationConfig": {"maxOutputTokens": 50},
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            },
            terminator=b'"finishReason":',
            error=b'data: {"error":{"code":',
            busy=b'data: {"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}\r\n\r\n',
            frame_end=b"\r\n\r\n",
            in_url=True,
        ),
        "ollama_chat": Dialect(
            asks={"options": {"num_predict": 50}, "messages": _HI},
            terminator=b'"done":true',
            error=b'{"error":',
            busy=b'{"error":"too many requests: rate limit reached"}\n',
            frame_end=b"\n",
            suffix=".ndjson",
        ),
    }
)
