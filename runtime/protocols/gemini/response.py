"""Whole answers: a provider's to canonical, and canonical to a client's."""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.gemini import Candidate, Content, GenerateContentResponse, PromptFeedback
from runtime.canonical import Choice, Citation, Event, Finish, Refusal, Response, Text, Usage, collect
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.counts import read_counted
from runtime.protocols.gemini.assembly import Assembly
from runtime.protocols.gemini.errors import error_of
from runtime.protocols.gemini.grounding import write_grounding
from runtime.protocols.gemini.logprobs import write_logprobs
from runtime.protocols.gemini.parts import WirePart, shows_thoughts, write_parts
from runtime.protocols.gemini.usage import (
    COUNTED,
    FAILURES,
    Searches,
    blocked,
    encode_block,
    encode_finish,
    encode_usage,
    usage_of,
)
from runtime.protocols.gemini.wire import on_one_line, raw_of
from runtime.protocols.splice import raw, replace

__all__ = ["candidate", "decode_response", "encode_response", "feedback", "finished", "has_ended", "splice_response"]

_ANSWER: Final = msgspec.json.Decoder(GenerateContentResponse, strict=False)
_NO_END: Final = FAILURES | {None, "", "FINISH_REASON_UNSPECIFIED"}


def decode_response(body: bytes, outgoing: Outgoing) -> Response:
    """Raises UpstreamProtocolError for what is no answer, and the typed error that stands in place of one."""
    assembly = Assembly(outgoing)
    events: list[Event] = []
    assembly.take(_read(body), events)
    assembly.end(events, whole=True)
    return collect(events)


def encode_response(response: Response, answer: Answer) -> bytes:
    wire = GenerateContentResponse(
        usageMetadata=encode_usage(response.usage, response.service_tier),
        modelVersion=answer.model,
        responseId=answer.id,
    )
    first = response.choices[0]
    if len(response.choices) == 1 and first.finish.reason == "content_filter" and not first.content:
        wire.promptFeedback = feedback(first.finish)
    else:
        shown = shows_thoughts(answer)
        wire.candidates = [_candidate(choice, index, shown=shown) for index, choice in enumerate(response.choices)]
    return on_one_line(msgspec.json.encode(wire))


def splice_response(body: bytes, model: str) -> tuple[bytes, Usage | None]:
    """``body`` with the client's name of the model, all else as it came, and the usage in it."""
    given = _read(body)
    searched = Searches().take(present(given.candidates) or (), present(given.modelVersion) or "")
    return replace(body, ("modelVersion",), raw(model)), usage_of(given, searched)


def has_ended(body: bytes) -> bool:
    """Whether every candidate of an answer says why it ended, and for none that is a failure; or why there is none."""
    given = _read(body)
    reasons = [present(each.finishReason) for each in present(given.candidates) or ()]
    return _NO_END.isdisjoint(reasons) if reasons else blocked(given) is not None


def candidate(parts: list[WirePart], index: int) -> Candidate:
    """A piece of an answer."""
    written = [part if isinstance(part, msgspec.Raw) else raw_of(part) for part in parts]
    return Candidate(content=Content(role="model", parts=written), index=index)


def finished(wire: Candidate, finish: Finish, citations: list[Citation], text: str, logprobs: str | None) -> Candidate:
    """``wire`` with all that is said at an answer's end. ``text`` is the whole answer's."""
    wire.finishReason, words = encode_finish(finish)
    if words:
        wire.finishMessage = words
    grounding = write_grounding(citations, text)
    if grounding is not None:
        wire.groundingMetadata = grounding
    result = write_logprobs(logprobs) if logprobs else None
    if result is not None:
        wire.logprobsResult = result
    return wire


def feedback(finish: Finish) -> PromptFeedback:
    """How a client is told that nothing was answered."""
    reason, words = encode_block(finish)
    told = PromptFeedback(blockReason=reason)
    if words:
        told.blockReasonMessage = words
    return told


def _candidate(choice: Choice, index: int, *, shown: bool) -> Candidate:
    parts = write_parts(choice.content, shown=shown)
    texts = [part for part in choice.content if isinstance(part, Text)]
    citations = [found for part in texts for found in part.citations]
    text = "".join(part.text for part in choice.content if isinstance(part, Text | Refusal))
    return finished(candidate(parts, index), choice.finish, citations, text, choice.logprobs)


def _read(body: bytes) -> GenerateContentResponse:
    try:
        given = _ANSWER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        counted = read_counted(_ANSWER, body, COUNTED)
        if counted is None and body.lstrip()[:1] == b"[" and b'"error"' in body:
            raise error_of(200, {}, body) from None
        if counted is None:
            raise UpstreamProtocolError("The provider's answer is not one of its protocol.") from None
        given = counted
    if present(given.error) is not None:
        raise error_of(200, {}, body)
    if present(given.candidates) is None and present(given.promptFeedback) is None:
        raise UpstreamProtocolError("The provider's answer is not one of its protocol: it has no candidates.")
    return given
