"""A provider's complete answer to a canonical one, and what passes through."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.openai_responses import InputTokenCount, ResponseObject
from runtime.canonical import Response, Started, Usage, collect
from runtime.errors import UpstreamProtocolError
from runtime.protocols.base import Outgoing
from runtime.protocols.openai_chat.halves import UNREADABLE
from runtime.protocols.openai_error import not_json
from runtime.protocols.openai_responses.ending import complete, refuse_failure
from runtime.protocols.openai_responses.errors import error_within
from runtime.protocols.openai_responses.lane import Sink
from runtime.protocols.openai_responses.usage import read_object, read_usage
from runtime.protocols.splice import raw, replace

__all__ = ["has_ended", "pass_answer", "read_count", "read_response"]

_COUNT: Final = msgspec.json.Decoder(InputTokenCount)


def read_response(body: bytes, outgoing: Outgoing) -> Response:
    """Raises UpstreamProtocolError for what is no answer, or the error that a server hid behind a success status.

    It is read as a stream is that has said nothing yet, so that both say the same.
    """
    wire = _check(body)
    sink = Sink(outgoing)
    sink.response_id = wire.id or ""
    sink.events.append(Started(id=wire.id or "", model=wire.model or "", created=int(wire.created_at or 0)))
    try:
        complete(wire, (), sink)
    except UNREADABLE as error:
        raise not_json(body, error) from None
    response = collect(sink.events)
    tier = wire.service_tier or None
    return response if response.service_tier == tier else msgspec.structs.replace(response, service_tier=tier)


def pass_answer(body: bytes, model: str) -> tuple[bytes, Usage | None]:
    """Raises as `read_response` does, but for an answer that is not finished: its client polls for it."""
    wire = _check(body, whole=False)
    return replace(body, ("model",), raw(model)), read_usage(wire)


def has_ended(body: bytes) -> bool:
    """Whether an answer says that it is whole, or why it is not."""
    return _check(body, whole=False).status in {"completed", "incomplete"}


def read_count(body: bytes) -> int:
    try:
        return _COUNT.decode(body).input_tokens
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamProtocolError("The provider's token count is not one of its protocol.") from None


def _check(body: bytes, *, whole: bool = True) -> ResponseObject:
    try:
        wire = read_object(body)
    except UNREADABLE as error:
        raise error_within(body) or not_json(body, error) from None
    if wire.output is msgspec.UNSET and wire.status is msgspec.UNSET and not wire.output_text:
        raise error_within(body) or UpstreamProtocolError("The provider's answer holds no output.")
    if whole or wire.status not in {"queued", "in_progress"}:
        refuse_failure(wire)
    return wire
