"""How an answer ended and what it cost, both ways: one reading for streams and for whole answers.

The vendor's counts of a stream are cumulative, and those at its end replace those of its start, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

import msgspec

from generated.protocols.anthropic_messages import FACTS
from generated.types.anthropic_messages import (
    CacheCreation,
    MessageDeltaUsage,
    OutputTokensDetails,
    ReceivedStopDetails,
    ReceivedUsage,
    ServerToolUsage,
    StopDetails,
    StopReason,
)
from generated.types.anthropic_messages import Usage as WireUsage
from runtime.canonical import Finish, FinishReason, Usage
from runtime.protocols.absent import present
from runtime.protocols.counts import billed_tier, count

__all__ = [
    "COUNTED", "decode_finish", "decode_tier", "decode_usage", "encode_delta_usage", "encode_details", "encode_stop_reason", "encode_usage", "merge",
]  # fmt: skip

COUNTED: Final = (("usage",), ("message", "usage"))
"""Where an answer and the events of a stream hold their counts."""

_REASONS: Final = msgspec.json.Decoder(dict[str, FinishReason])
_FINISH_IN: Final = _REASONS.decode(msgspec.json.encode(FACTS.finish_in))
_FINISH_OUT: Final = msgspec.json.decode(msgspec.json.encode(FACTS.finish_out), type=dict[str, StopReason])
_TIERS_IN: Final = MappingProxyType({"standard": "default"})
_SENT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_KEEPS_ITS_REASON: Final = frozenset({"length", "context_full", "content_filter", "refusal", "pause"})
"""Reasons that stay, though the answer holds calls."""
_CATEGORIES: Final = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})


def merge(first: ReceivedUsage | None, then: ReceivedUsage | None) -> ReceivedUsage | None:
    """Counts of a stream so far: what ``then`` says replaces what ``first`` said.

    Compatible servers say at the end that nothing was sent, and said at the start how much it was.
    """
    if first is None or then is None:
        return then or first
    said = {
        name: value
        for name in then.__struct_fields__
        if (value := getattr(then, name)) is not None and value is not msgspec.UNSET
    }
    if not any(said.get(name) for name in _SENT):
        said = {name: value for name, value in said.items() if name not in _SENT}
    if "cache_creation_input_tokens" in said and "cache_creation" not in said and not _agrees(first, then):
        said["cache_creation"] = None  # the parts at the start no longer make up the sum
    return msgspec.structs.replace(first, **said)


def decode_usage(given: ReceivedUsage | None) -> Usage:
    if given is None:
        return Usage()
    short, long = _written(given)
    details, server = given.output_tokens_details, given.server_tool_use
    return Usage(
        input=count(given.input_tokens),
        output=count(given.output_tokens),
        cache_read=count(given.cache_read_input_tokens),
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=count(details.thinking_tokens) if details else 0,
        search_requests=count(server.web_search_requests) if server else 0,
        tier="fast" if given.speed == "fast" else billed_tier(given.service_tier),
    )


def decode_tier(given: ReceivedUsage | None) -> str | None:
    tier = given.service_tier if given else None
    return _TIERS_IN.get(tier, tier) if tier else None


def encode_usage(usage: Usage, service_tier: str | None = None) -> WireUsage:
    wire = WireUsage(
        input_tokens=usage.input,
        cache_creation_input_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_read_input_tokens=usage.cache_read,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=usage.cache_write_5m, ephemeral_1h_input_tokens=usage.cache_write_1h
        ),
        output_tokens=usage.output,
        service_tier="priority" if service_tier == "priority" else "batch" if service_tier == "batch" else "standard",
    )
    if usage.tier == "fast":
        wire.speed = "fast"
    if usage.reasoning:
        wire.output_tokens_details = OutputTokensDetails(thinking_tokens=usage.reasoning)
    if usage.search_requests:
        wire.server_tool_use = ServerToolUsage(web_search_requests=usage.search_requests, web_fetch_requests=0)
    return wire


def encode_delta_usage(usage: Usage) -> MessageDeltaUsage:
    whole = encode_usage(usage)
    return MessageDeltaUsage(
        input_tokens=whole.input_tokens,
        cache_creation_input_tokens=whole.cache_creation_input_tokens,
        cache_read_input_tokens=whole.cache_read_input_tokens,
        output_tokens=whole.output_tokens,
        output_tokens_details=whole.output_tokens_details,
        server_tool_use=whole.server_tool_use,
    )


def decode_finish(
    reason: str | None, sequence: str | None, details: ReceivedStopDetails | None, *, calls: bool
) -> Finish:
    """A reason that came after this was written counts as a plain end. Calls decide, whatever the reason says."""
    found = _FINISH_IN.get(reason or "", "stop")
    if calls and found not in _KEEPS_ITS_REASON:
        found = "tool_calls"
    elif found == "tool_calls" and not calls:
        found = "stop"
    return Finish(
        reason=found,
        stop_sequence=sequence if found == "stop_sequence" else None,
        category=present(details.category) if details else None,
        explanation=present(details.explanation) if details else None,
    )


def encode_stop_reason(finish: Finish, *, calls: bool) -> StopReason:
    reason = _FINISH_OUT[finish.reason]
    return "tool_use" if calls and finish.reason not in _KEEPS_ITS_REASON else reason


def encode_details(finish: Finish) -> StopDetails | None:
    """Clients know a closed set of categories: another vendor's word is left out."""
    if finish.reason not in {"refusal", "content_filter"}:
        return None
    category = finish.category if finish.category in _CATEGORIES else None
    return StopDetails(category=category, explanation=finish.explanation)


def _written(given: ReceivedUsage) -> tuple[int, int]:
    """Tokens written to the cache for five minutes and for an hour. Without the parts the sum is the cheaper kind."""
    total = count(given.cache_creation_input_tokens)
    parts = given.cache_creation
    if not parts:
        return total, 0
    short, long = count(parts.ephemeral_5m_input_tokens), count(parts.ephemeral_1h_input_tokens)
    return (short, long) if short + long >= total else (total - long, long)


def _agrees(first: ReceivedUsage, then: ReceivedUsage) -> bool:
    total = count(then.cache_creation_input_tokens)
    parts: Iterable[int] = _written(first) if present(first.cache_creation) else (-1,)
    return sum(parts) == total
