"""Token counts and reasons to stop, both ways: one reading for streams and for whole answers.

The prompt's count holds what came from the cache; the candidates' count does not hold the thoughts.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from generated.protocols.gemini import FACTS
from generated.types.gemini import Candidate, GenerateContentResponse, ModalityTokenCount, UsageMetadata
from runtime.canonical import Finish, FinishReason, Usage
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.counts import billed_tier, count
from runtime.protocols.gemini.wire import generation

__all__ = [
    "COUNTED", "Searches", "blocked", "decode_finish", "decode_tier", "decode_usage", "encode_block", "encode_finish", "encode_usage", "finish_reason", "usage_of",
]  # fmt: skip

COUNTED: Final = ("usageMetadata",)
"""Where an answer holds its counts."""

BLOCKS: Final = frozenset({
    "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK",
})  # fmt: skip
FAILURES: Final = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
"""Reasons that say that there is no answer."""


class _Queries(msgspec.Struct):
    queries: list[msgspec.Raw] | None = None


class _ToolCall(msgspec.Struct):
    toolType: str | None = None  # noqa: N815 — the vendor's name
    args: _Queries | None = None


class _Part(msgspec.Struct):
    toolCall: _ToolCall | None = None  # noqa: N815


_SEARCHED: Final = msgspec.json.Decoder(_Part)
_REASONS: Final = msgspec.json.Decoder(dict[str, FinishReason])
_FINISH_IN: Final = _REASONS.decode(msgspec.json.encode(FACTS.finish_in))
_KEEPS_ITS_REASON: Final = frozenset({"length", "context_full", "content_filter", "refusal", "pause"})
_TRAFFIC: Final = MappingProxyType({"default": "ON_DEMAND", "priority": "ON_DEMAND_PRIORITY", "flex": "ON_DEMAND_FLEX"})
_TIERS: Final = MappingProxyType({traffic: tier for tier, traffic in _TRAFFIC.items()})
_SERVED: Final = MappingProxyType({"standard": "default", "priority": "priority", "flex": "flex"})
_BILLED_PER_QUERY_SINCE: Final = 3


def usage_of(answer: GenerateContentResponse, searched: int = 0) -> Usage | None:
    """The counts that an answer or a piece of one reports, None where it reports none. ``searched``: see `Searches`."""
    found = present(answer.usageMetadata)
    return None if found is None else decode_usage(found, searched)


def decode_usage(given: UsageMetadata, searched: int = 0) -> Usage:
    prompt, tool_use = count(given.promptTokenCount), count(given.toolUsePromptTokenCount)
    cached = min(count(given.cachedContentTokenCount), prompt)
    thoughts = count(given.thoughtsTokenCount)
    candidates = count(given.candidatesTokenCount)
    if present(given.candidatesTokenCount) is None and present(given.totalTokenCount) is not None:
        candidates = max(0, count(given.totalTokenCount) - prompt - tool_use - thoughts)
    details, said = present(given.promptTokensDetails) or (), present(given.candidatesTokensDetails) or ()
    kept = present(given.cacheTokensDetails) or ()
    return Usage(
        input=prompt + tool_use - cached,
        output=candidates + thoughts,
        cache_read=cached,
        reasoning=thoughts,
        audio_input=max(0, _of("AUDIO", details) - _of("AUDIO", kept)),
        audio_output=_of("AUDIO", said),
        image_input=max(0, _of("IMAGE", details) - _of("IMAGE", kept)),
        search_requests=searched,
        tier=billed_tier(decode_tier(given)),
    )


def encode_usage(usage: Usage, service_tier: str | None = None) -> UsageMetadata:
    prompt = usage.total_input
    kinds = {"AUDIO": usage.audio_input, "IMAGE": usage.image_input}
    kinds = {"TEXT": max(0, prompt - sum(kinds.values())), **kinds}
    wire = UsageMetadata(
        promptTokenCount=prompt,
        candidatesTokenCount=max(0, usage.output - usage.reasoning),
        totalTokenCount=usage.total,
        promptTokensDetails=[ModalityTokenCount(modality=kind, tokenCount=n) for kind, n in kinds.items() if n],
    )
    if not wire.promptTokensDetails:
        wire.promptTokensDetails = msgspec.UNSET
    if usage.cache_read:
        wire.cachedContentTokenCount = usage.cache_read
    if usage.reasoning:
        wire.thoughtsTokenCount = usage.reasoning
    if usage.audio_output:
        wire.candidatesTokensDetails = [ModalityTokenCount(modality="AUDIO", tokenCount=usage.audio_output)]
    traffic = _TRAFFIC.get(service_tier or "")
    if traffic:
        wire.trafficType = traffic
    return wire


def decode_tier(given: UsageMetadata | None) -> str | None:
    if given is None:
        return None
    tier = present(given.serviceTier)
    return _TIERS.get(present(given.trafficType) or "") if not tier else _SERVED.get(tier.lower())


class Searches:
    """Counts what an answer searched, as it is billed: by queries, and before Gemini 3 by answers that searched.

    A search stands among the answer's sources, which later pieces repeat; one beside functions is a call of the vendor's
    own tool, of which every piece tells its own.
    """

    def __init__(self) -> None:
        self._sources = 0
        self._calls = 0

    def take(self, candidates: Sequence[Candidate], model: str) -> int:
        """The count so far, with that of another piece."""
        sources = 0
        for candidate in candidates:
            grounding, content = present(candidate.groundingMetadata), present(candidate.content)
            sources += len((present(grounding.webSearchQueries) if grounding else None) or ())
            for part in (present(content.parts) if content else None) or ():
                self._calls += _queries(part)
        self._sources = max(self._sources, sources)
        found = max(self._sources, self._calls)
        return found if (generation(model) or _BILLED_PER_QUERY_SINCE) >= _BILLED_PER_QUERY_SINCE else min(found, 1)


def _queries(part: msgspec.Raw) -> int:
    """The queries of a part that says what was searched; a search that does not say is one."""
    try:
        call = _SEARCHED.decode(part).toolCall
    except msgspec.DecodeError:
        return 0
    if call is None or not (call.toolType or "").startswith("GOOGLE_SEARCH"):
        return 0
    return len((call.args.queries if call.args else None) or ()) or 1


def finish_reason(candidate: Candidate) -> str | None:
    """Why a candidate ended, None while it goes on. Raises UpstreamProtocolError for a reason that is a failure."""
    reason = present(candidate.finishReason)
    if reason in FAILURES:
        said = present(candidate.finishMessage)
        message = f"The model's answer failed: {reason}." + (f" {said[:300]}" if said else "")
        raise UpstreamProtocolError(message, code=reason)
    return reason if reason and reason != "FINISH_REASON_UNSPECIFIED" else None


def blocked(answer: GenerateContentResponse) -> Finish | None:
    """How an answer ended whose prompt was blocked, None where it was not."""
    feedback = present(answer.promptFeedback)
    reason = present(feedback.blockReason) if feedback else None
    if feedback is None or not reason or reason == "BLOCKED_REASON_UNSPECIFIED":
        return None
    return Finish(reason="content_filter", explanation=_told(reason, present(feedback.blockReasonMessage)))


def decode_finish(reason: str | None, message: str | None, *, calls: bool) -> Finish:
    """A reason that came after this was written counts as a plain end. Calls decide, whatever the reason says."""
    found = _FINISH_IN.get(reason or "", "stop")
    if calls and found not in _KEEPS_ITS_REASON:
        found = "tool_calls"
    told = _told(reason or "", message) if found == "content_filter" else None
    return Finish(reason=found, explanation=told)


def encode_finish(finish: Finish) -> tuple[str, str | None]:
    """The reason to finish, and words about it."""
    word, words = _understood(finish.explanation)
    if finish.reason == "content_filter" and _FINISH_IN.get(word) == "content_filter":
        return word, words
    reason = FACTS.finish_out[finish.reason]
    return reason, (finish.explanation or None) if reason == "SAFETY" else None


def encode_block(finish: Finish) -> tuple[str, str | None]:
    """The reason why a prompt was not answered, and words about it."""
    word, words = _understood(finish.explanation)
    return (word, words) if word in BLOCKS else ("SAFETY", finish.explanation or None)


def _told(reason: str, message: str | None) -> str:
    """The vendor's word for what its filter found, which other vendors' clients can only read in words."""
    return f"{reason}: {message}" if message else reason


def _understood(explanation: str | None) -> tuple[str, str | None]:
    word, _, words = (explanation or "").partition(": ")
    return word, words or None


def _of(kind: str, details: Sequence[ModalityTokenCount]) -> int:
    return sum([count(detail.tokenCount) for detail in details if detail.modality == kind])
