"""What a request needs of who answers it, and whether a target's conditions hold for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from generated.config import TargetConditions
from runtime.canonical import Audio, Document, Image, JsonSchema, Part, Request, ToolResult

__all__ = ["Needs", "meets", "read_needs"]


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """``uses`` are words of `TargetConditions.needs`; ``input_tokens`` is an estimate; ``key`` the client key's id."""

    uses: frozenset[str]
    input_tokens: int
    key: str


def read_needs(request: Request, input_tokens: int, key: str) -> Needs:
    """The needs of a chat request."""
    return Needs(uses=frozenset(_uses(request)), input_tokens=input_tokens, key=key)


def meets(needs: Needs, when: TargetConditions) -> bool:
    """Whether all of ``when`` holds."""
    least, most = when.min_input_tokens, when.max_input_tokens
    return (
        needs.uses.issuperset(when.needs)
        and (least is None or needs.input_tokens >= least)
        and (most is None or needs.input_tokens <= most)
        and (not when.keys or needs.key in when.keys)
    )


def _uses(request: Request) -> Iterator[str]:
    if request.tools:
        yield "tools"
    if request.stream:
        yield "streaming"
    if isinstance(request.response_format, JsonSchema):
        yield "json_schema"
    if request.reasoning is not None and request.reasoning.mode != "off" and request.reasoning.effort != "none":
        yield "reasoning"
    for message in request.messages:
        yield from _media(message.content)


def _media(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Image():
                yield "vision"
            case Document():
                yield "documents"
            case Audio():
                yield "audio_input"
            case ToolResult(content=content):
                yield from _media(content)
            case _:
                continue
