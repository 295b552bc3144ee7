"""One event of a Chat provider's stream to its chunk, or to the error that it holds; and whether it says words alone."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_chat import ChatCompletionChunk, ChunkChoice
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import NULL
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import Frame
from runtime.protocols.openai_chat.errors import error_within
from runtime.protocols.openai_chat.halves import UNREADABLE, read_marked
from runtime.protocols.openai_error import excerpt

__all__ = ["member_alone", "read_chunk", "words_alone"]

_CHUNK: Final = msgspec.json.Decoder(ChatCompletionChunk)


def member_alone(wire: ChunkChoice) -> str | None:
    """Which member of a delta has words, where one has, and nothing else is said."""
    delta = wire.delta
    if not delta or wire.finish_reason or wire.logprobs or delta.refusal or delta.tool_calls or delta.function_call:
        return None
    if delta.annotations or delta.images is not msgspec.UNSET or delta.reasoning_details is not msgspec.UNSET:
        return None
    said = [name for name in ("content", "reasoning_content", "reasoning") if getattr(delta, name)]
    return said[0] if len(said) == 1 and isinstance(getattr(delta, said[0]), str) else None


def words_alone(member: str, data: bytes) -> str | None:
    """The words in a chunk's data, where ``member`` has any and nothing else is said."""
    chunk = _CHUNK.decode(data)
    wire = chunk.choices[0] if chunk.choices else None
    return getattr(wire.delta, member) if wire is not None and member_alone(wire) == member else None


def read_chunk(frame: Frame) -> tuple[ChatCompletionChunk, bool]:
    """The chunk, and whether halves of characters in it are marked. Raises the error that it holds, if it holds one."""
    marked = False
    try:
        chunk = _CHUNK.decode(frame.data)
    except UNREADABLE as error:
        chunk, marked = _mended(frame, error), True
    if chunk.choices and chunk.error is msgspec.UNSET:  # as nearly all
        return chunk, marked
    failed = chunk.error is not msgspec.UNSET and chunk.error != NULL
    if failed or (chunk.choices is msgspec.UNSET and not chunk.usage):
        said = error_within(frame.data)
        if said is not None:
            raise said
        if failed or frame.event == "error":
            raise UpstreamProtocolError("The provider sent an error event that says nothing.")
    return chunk, marked


def _mended(frame: Frame, error: Exception) -> ChatCompletionChunk:
    """The chunk of a frame that holds half a character, or counts that are none; raises for any other fault."""
    chunk = read_marked(_CHUNK, frame.data) or read_counted(_CHUNK, frame.data, ("usage",))
    if chunk is not None:
        return chunk
    raise error_within(frame.data) or UpstreamProtocolError(
        f"The provider sent a stream event that cannot be read ({error}): {excerpt(frame.data)}"
    )
