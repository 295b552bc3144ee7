"""One complete answer."""

from __future__ import annotations

from typing import Literal

from runtime.canonical.base import Extensions, Value
from runtime.canonical.content import Part
from runtime.canonical.usage import Usage

__all__ = ["Choice", "Finish", "FinishReason", "Response"]

FinishReason = Literal[
    "stop",             # the model came to its end
    "stop_sequence",    # a stop string was met
    "length",           # the output limit was met
    "context_full",     # the context window is full
    "tool_calls",       # the model waits for tools
    "content_filter",   # a filter of the vendor cut the answer
    "refusal",          # the model refused
    "pause",            # a long turn was paused; send it back to go on
]  # fmt: skip


class Finish(Value, frozen=True):
    """Why an answer ended. ``category`` and ``explanation`` go with a refusal, where the vendor gives them."""

    reason: FinishReason
    stop_sequence: str | None = None
    category: str | None = None
    explanation: str | None = None


class Choice(Value, frozen=True):
    content: tuple[Part, ...]
    finish: Finish
    logprobs: str | None = None


class Response(Value, frozen=True):
    """``created`` is Unix seconds, 0 where the vendor gives none; ``logprobs`` of a choice is Chat's JSON text."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage = Usage()
    created: int = 0
    service_tier: str | None = None
    extensions: dict[str, Extensions] = {}
