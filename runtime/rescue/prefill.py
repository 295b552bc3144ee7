"""A partial answer as the beginning of the next one, for models that go on with a last turn of their own."""

from __future__ import annotations

from typing import Final

import msgspec

from runtime.canonical import Message, Request, Text
from runtime.rescue.told import Told

__all__ = ["extended", "prefill_of"]

LEAST: Final = 16
"""Characters below which an answer is asked for afresh: with so few, going on and repeating look alike."""


def prefill_of(told: Told, request: Request) -> str | None:
    """What a model can be given to go on from; None when it must begin afresh.

    That is text alone: thoughts and tool calls cannot be begun for a model, and one that shall think begins with that.
    Without white space at the end, which providers refuse there.
    """
    reasoning = request.reasoning
    thinks = reasoning is not None and reasoning.mode != "off" and reasoning.effort != "none"
    if thinks or not all(isinstance(part.part, Text) for part in told.parts):
        return None
    text = "".join(part.text for part in told.parts).rstrip()
    return text if len(text) >= LEAST else None


def extended(request: Request, prefill: str) -> Request:
    """``request`` with the beginning of its answer; a client may have given one already."""
    given: tuple[Message, ...] = request.messages
    begun = Text(text=prefill)
    if given and given[-1].role == "assistant":
        last = msgspec.structs.replace(given[-1], content=(*given[-1].content, begun))
        return msgspec.structs.replace(request, messages=(*given[:-1], last))
    return msgspec.structs.replace(request, messages=(*given, Message(role="assistant", content=(begun,))))
